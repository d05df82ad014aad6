"""A network of the true size that learned nothing, and its record: for timing, and for trying what serves it."""

from __future__ import annotations

import torch

from hashwarden.model.channels import CHANNELS, NETWORK_PLACES
from hashwarden.model.job.metadata import JobMetadata
from hashwarden.model.job.network import KINDS, JobNet
from hashwarden.training.job.trials import random_runs
from hashwarden.version import __version__

__all__ = ["untrained", "untrained_record"]


def untrained(seed: int = 0) -> JobNet:
    """Random weights; pieces and novelty of random runs. The same for the same seed."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = JobNet()
        runs = [torch.from_numpy(each) for each in random_runs(8, 100, seed)]
        network.cut.set_edges(_edges(network))
        network.set_temperature(1.5, 0.8)
        features = network.features_of(*(runs[0], runs[1], runs[2]))[:, 4:].flatten(0, 1)
        network.set_novelty(features, torch.arange(len(features)) % KINDS)
    return network


def _edges(network: JobNet) -> torch.Tensor:
    """Pieces within the lower part of each channel's range, where `random_runs` are."""
    high = torch.tensor([min(CHANNELS[i].high, (CHANNELS[i].scale or 1.0) * 30) for i in NETWORK_PLACES])
    widths = torch.rand(len(high), network.pieces + 1) + 0.1
    return widths.cumsum(1) / widths.sum(1, keepdim=True) * high[:, None]


def untrained_record(network: JobNet, seed: int = 0) -> JobMetadata:
    """A record that says so."""
    classes, families = network.temperature.tolist()
    return JobMetadata(
        version=__version__,
        state_size=network.state_size,
        temperature=classes,
        family_temperature=families,
        novelty_limits={},
        evidence={},
        measured_on="nothing: random weights",
        origins={"synthesised": 1.0},
        training_data={},
        seed=seed,
    )
