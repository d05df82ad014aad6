"""Fitting the network: balanced batches, paddings drawn anew each epoch, averaged weights at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashwarden.model.kernel.features import features_of_counts
from hashwarden.model.kernel.network import KernelNet
from hashwarden.model.kernel.taxonomy import MINING, OTHER, PLAIN
from hashwarden.training.kernel.augment import PADDINGS, hide_constants, pad, pad_with
from hashwarden.training.kernel.dataset import Dataset

__all__ = ["Recipe", "family_groups", "fit", "log_probabilities"]

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that steers a training run.

    Attributes
    ----------
    hidden : int
        Width of the hidden layers.
    epochs, rows, batch : int
        Epochs, rows drawn per epoch, rows per step.
    shares : tuple of float
        Shares of plain, other-hash and mining rows in an epoch.
    rate, decay, dropout, smoothing : float
        Peak learning rate, weight decay, dropout, label smoothing.
    padded : float
        Share of rows that other work is added to.
    most_padding : float
        Largest ratio of added instructions when the added work is a real kernel; dummy work goes to ten.
    hidden_constants : float
        Share of rows whose constants are hidden.
    family_weight : float
        Weight of the loss on families beside the loss on groups.
    seed : int
    """

    hidden: int = 72
    epochs: int = 18
    rows: int = 7000
    batch: int = 256
    shares: tuple[float, float, float] = (0.66, 0.12, 0.22)
    rate: float = 3e-3
    decay: float = 0.02
    dropout: float = 0.25
    smoothing: float = 0.02
    padded: float = 0.4
    dummy: float = 0.1
    most_padding: float = 2.0
    hidden_constants: float = 0.5
    family_weight: float = 0.15
    seed: int = 0


LEAST_PADDING: Final = 0.03
MOST_DUMMY: Final = 10.0


def family_groups(data: Dataset) -> tuple[list[str], I64]:
    """The families of a data set, those of one group together, and the group of each."""
    pairs = sorted({(int(g), str(f)) for g, f in zip(data.group, data.family, strict=True)})
    return [family for _, family in pairs], np.array([group for group, _ in pairs])


def _draw(data: Dataset, rows: I64, recipe: Recipe, rng: np.random.Generator) -> I64:
    """Rows of an epoch, groups in the shares of the recipe."""
    picks = []
    for group, share in zip((PLAIN, OTHER, MINING), recipe.shares, strict=True):
        of_group = rows[data.group[rows] == group]
        if len(of_group):
            picks.append(rng.choice(of_group, int(recipe.rows * share)))
    drawn = np.concatenate(picks)
    rng.shuffle(drawn)
    return drawn


def _augmented(data: Dataset, drawn: I64, plain: I64, recipe: Recipe, rng: np.random.Generator) -> F32:
    """Features of the drawn rows after padding and hiding."""
    kernels = data.counts.take(drawn)
    fate = rng.random(len(drawn))
    beside = np.flatnonzero(fate < recipe.padded)
    ratio = np.exp(rng.uniform(np.log(LEAST_PADDING), np.log(recipe.most_padding), len(beside)))
    fused = pad_with(kernels.take(beside), data.counts.take(rng.choice(plain, len(beside))), ratio.astype(np.float32))
    kernels.counts[beside], kernels.scalars[beside] = fused.counts, fused.scalars
    for index, kind in enumerate(PADDINGS):
        least = recipe.padded + index * recipe.dummy / len(PADDINGS)
        chosen = np.flatnonzero((fate >= least) & (fate < least + recipe.dummy / len(PADDINGS)))
        ratio = np.exp(rng.uniform(np.log(LEAST_PADDING), np.log(MOST_DUMMY), len(chosen)))
        fused = pad(kernels.take(chosen), ratio.astype(np.float32), kind)
        kernels.counts[chosen], kernels.scalars[chosen] = fused.counts, fused.scalars
    return features_of_counts(hide_constants(kernels, rng.random(len(drawn)) < recipe.hidden_constants))


def _loss(network: KernelNet, features: Tensor, group: Tensor, family: Tensor, recipe: Recipe) -> Tensor:
    groups, families, _ = network(features)
    even = -groups.mean(1).mean()
    sharp = torch.nn.functional.nll_loss(groups, group)
    fine = torch.nn.functional.nll_loss((families + 1e-9).log(), family)
    loss: Tensor = (1 - recipe.smoothing) * sharp + recipe.smoothing * even + recipe.family_weight * fine
    return loss


def fit(data: Dataset, rows: I64, families: list[str], group_of_family: I64, recipe: Recipe) -> KernelNet:
    """Fit the network on some rows of a data set.

    Parameters
    ----------
    data : Dataset
    rows : int64 array
        The rows to learn from.
    families : list of str
        The families of the head.
    group_of_family : int64 array, shape (families,)
    recipe : Recipe

    Returns
    -------
    KernelNet
        In evaluation mode, its novelty measure set to the rows it learned from.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    features = features_of_counts(data.counts.take(rows))
    mean, scale = torch.from_numpy(features.mean(0)), torch.from_numpy(features.std(0) + 0.02)
    network = KernelNet(mean, scale, torch.from_numpy(group_of_family), recipe.hidden, recipe.dropout)
    index = {(int(g), name): i for i, (name, g) in enumerate(zip(families, group_of_family, strict=True))}
    family = np.array([index[int(g), str(f)] for g, f in zip(data.group, data.family, strict=True)])
    optimiser = torch.optim.AdamW(network.trunk.parameters(), recipe.rate, weight_decay=recipe.decay)
    optimiser.add_param_group({"params": network.head.parameters()})
    steps = recipe.epochs * (recipe.rows // recipe.batch + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, steps)
    smooth = torch.optim.swa_utils.get_ema_multi_avg_fn(0.98)  # type: ignore[no-untyped-call]
    average = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=smooth)
    plain = rows[data.group[rows] == PLAIN]
    for _ in range(recipe.epochs):
        drawn = _draw(data, rows, recipe, rng)
        inputs = torch.from_numpy(_augmented(data, drawn, plain, recipe, rng))
        group, fine = torch.from_numpy(data.group[drawn]), torch.from_numpy(family[drawn])
        network.train()
        for part in torch.split(torch.arange(len(drawn)), recipe.batch):
            optimiser.zero_grad()
            _loss(network, inputs[part], group[part], fine[part], recipe).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
    network.load_state_dict(average.module.state_dict())
    network.eval()
    _set_novelty(network, torch.from_numpy(features))
    return network


def _set_novelty(network: KernelNet, features: Tensor) -> None:
    """Whiten the embedding of the training rows: distance 1 per dimension is what is usual."""
    with torch.no_grad():
        embedded = network.embed(features)
        network.centre.copy_(embedded.mean(0))
        covariance = torch.cov(embedded.T) + 1e-3 * torch.eye(embedded.shape[1])
        values, vectors = torch.linalg.eigh(covariance)
        network.whiten.copy_(vectors / values.sqrt())


def log_probabilities(network: KernelNet, features: F32) -> F32:
    """The group log-probabilities of features, shape (rows, 3)."""
    with torch.no_grad():
        groups: Tensor = network(torch.from_numpy(features))[0]
    return groups.numpy()
