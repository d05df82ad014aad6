"""The network: probabilities that are probabilities, and rows that stand alone."""

import pytest
import torch

from hashwarden.model.kernel.features import FEATURE_NAMES
from hashwarden.model.kernel.network import KernelNet

GROUPS = torch.tensor([0, 0, 0, 1, 1, 2, 2])


@pytest.fixture
def network() -> KernelNet:
    torch.manual_seed(0)
    width = len(FEATURE_NAMES)
    return KernelNet(torch.rand(width), torch.rand(width) + 0.1, GROUPS).eval()


@pytest.fixture
def features() -> torch.Tensor:
    return torch.rand(33, len(FEATURE_NAMES), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_groups_are_the_sums_of_their_families(network, features):
    groups, families, novelty = network(features)
    torch.testing.assert_close(families.sum(1), torch.ones(33))
    for group in range(3):
        torch.testing.assert_close(groups.exp()[:, group], families[:, group == GROUPS].sum(1))
    assert novelty.shape == (33,)
    assert (novelty > 0).all()


@torch.no_grad()
def test_a_row_does_not_depend_on_the_others(network, features):
    order = torch.randperm(33, generator=torch.Generator().manual_seed(2))
    for whole, moved, single in zip(network(features), network(features[order]), network(features[7:8]), strict=True):
        torch.testing.assert_close(moved, whole[order])
        torch.testing.assert_close(single[0], whole[7])


@torch.no_grad()
def test_one_wild_feature_is_cut(network, features):
    wild, wilder = features.clone(), features.clone()
    wild[:, 5], wilder[:, 5] = 1e3, 1e9
    torch.testing.assert_close(network(wild)[0], network(wilder)[0])


def test_it_is_small(network):
    assert sum(p.numel() for p in network.parameters()) < 100_000
