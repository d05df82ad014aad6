"""What a network takes from the data besides its weights: pieces of channels before, novelty and temperature after."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashwarden.model.channels import NETWORK_PLACES, TIERS
from hashwarden.model.job.network import JobNet
from hashwarden.model.job.taxonomy import CLASSES, MINING, MINING_FAMILIES
from hashwarden.training.job.dataset import Dataset
from hashwarden.training.job.predict import Said, predict
from hashwarden.training.job.recipe import Recipe
from hashwarden.training.job.store import CLASS, FIRST_CHANNEL
from hashwarden.training.job.trials import random_runs
from hashwarden.training.job.windows import pack

__all__ = ["build", "kinds_of", "set_novelty", "temperatures"]

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

_FIRST, _LAST = 0.1, 0.99
"""Quantiles of a channel's different values at the ends of its first and last piece."""
_NARROW: Final = 1e-3
"""Narrowest piece, over the range of the channel."""
_EVERY: Final = 5
_RUNS: Final = 1200
"""Runs that scales and novelty are taken from at most."""
_LONGEST: Final = 400
_EACH: Final = 12
"""Samples of each run that the novelty is fitted to."""
_FLOORS: Final = (0.03, 0.1, 0.3, 1.0)
"""Least spread within kinds of work over that of all: among runs that hardly differ a hair's breadth is not novel.
The first is taken that single precision bears."""
_ROUNDING: Final = 7e-6
"""What roundings may change of the logarithm of 1 + novelty; an export refuses graphs that round by 1e-5."""
_TRIED: Final = 16
"""Runs that this is tried on, and random ones."""
_SLOTS: Final = dict(zip(CLASSES, (3, 3, len(MINING_FAMILIES), 2, 3, 1), strict=True))
"""Centroids of each class; 24 in all, which is what the network holds."""
_GRID: Final = np.exp(np.linspace(np.log(0.4), np.log(4.0), 61))


def _some(rows: I64, most: int = _RUNS) -> I64:
    """At most so many of them, evenly spread."""
    chosen: I64 = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]
    return chosen


def build(data: Dataset, rows: I64, recipe: Recipe) -> JobNet:
    """Make a network, its channels cut into pieces by what is present in some runs."""
    network = JobNet()
    whole = np.concatenate([data.read(run, 0, recipe.length)[::_EVERY, FIRST_CHANNEL:] for run in _some(rows).tolist()])
    network.cut.set_edges(torch.from_numpy(_edges(whole[:, list(NETWORK_PLACES)], network.pieces)))
    return network


def _edges(values: F32, pieces: int) -> F64:
    """Where channels are cut: quantiles of their different values, shape (C, pieces + 1); values of shape (n, C).

    Of different values, for most counters are 0 most of the time, and what they are else must not fall into one piece.
    """
    levels = np.concatenate([[0.0], np.linspace(_FIRST, _LAST, pieces)])
    edges = np.empty((values.shape[1], pieces + 1))
    for place, column in enumerate(values.T):
        known = np.unique(column[~np.isnan(column)].astype(np.float64))
        if not len(known):
            known = np.array([0.0, 1.0])
        cuts = np.quantile(known, levels)
        least = max(_NARROW * (known[-1] - known[0]), _NARROW * known[-1], 1e-6)
        edges[place] = np.maximum.accumulate(cuts - least * np.arange(len(cuts))) + least * np.arange(len(cuts))
    return edges


def kinds_of(data: Dataset, rows: I64) -> I64:
    """The centroid that each run belongs to: the mining family, or one of a few of its class."""
    families = {label: sorted(set(data.family[rows[data.label[rows] == label]])) for label in range(len(CLASSES))}
    first = np.cumsum([0, *_SLOTS.values()])
    kinds = []
    for run in rows.tolist():
        label, family = int(data.label[run]), int(data.family_index[run])
        place = max(family, 0) if label == MINING else families[label].index(data.family[run])
        kinds.append(first[label] + place % _SLOTS[CLASSES[label]])
    return np.array(kinds, np.int64)


def set_novelty(network: JobNet, data: Dataset, rows: I64) -> None:
    """Fit the novelty to what the network learned from, with every tier of evidence."""
    chosen = _some(rows)
    kinds, found, of = kinds_of(data, chosen), [], []
    for place, run in enumerate(chosen.tolist()):
        sequence = data.read(run, 0, _LONGEST)
        batch = pack([sequence], np.array([-1]), len(sequence))
        with torch.no_grad():
            features = network.features_of(*(torch.from_numpy(a) for a in (batch.samples, batch.masks, batch.dts)))
        settled = np.linspace(min(3, len(sequence) - 1), len(sequence) - 1, _EACH).astype(int)
        found.append(features[0, settled])
        of.append(np.full(_EACH, kinds[place]))
    features, of_kind = torch.cat(found), torch.from_numpy(np.concatenate(of))
    noise = torch.randn(features.shape, generator=torch.Generator().manual_seed(0))
    read = [data.read(run, 0, _LONGEST) for run in _some(rows, _TRIED).tolist()]
    batch = pack(read, np.full(len(read), -1), max(map(len, read)))
    for floor in _FLOORS:
        network.set_novelty(features, of_kind, floor * features.std(0) * noise)
        tried = (random_runs(), (batch.samples, batch.masks, batch.dts))
        if max(_rounding(network, *(torch.from_numpy(a) for a in runs)) for runs in tried) <= _ROUNDING:
            return


def _rounding(network: JobNet, samples: Tensor, masks: Tensor, dts: Tensor) -> float:
    """How far single precision is from double in what is told of the novelty."""
    exact = copy.deepcopy(network).double()
    with torch.no_grad():
        told = network(samples, masks, dts).novelty.double()
        truth = exact(samples.double(), masks.double(), dts.double()).novelty
    return float((told.log1p() - truth.log1p()).abs().max())


def temperatures(network: JobNet, data: Dataset, rows: I64) -> dict[str, float]:
    """What logits are to be divided by, for each tier and for all of them (``""``), measured on held-out runs.

    Parameters
    ----------
    network : JobNet
        Its own temperature at 1.
    data : Dataset
    rows : int64 array
        Runs that it did not learn from.

    Returns
    -------
    dict of str to float
        The temperature of least log loss, each class counting the same; 0.4 to 4.
    """
    losses = {tier: _losses(data, list(predict(network, data, _some(data.showing(rows, groups)), groups, _LONGEST)))
              for tier, groups in TIERS.items()}  # fmt: skip
    best = {tier: _least(loss) for tier, loss in losses.items()}
    return best | {"": _least(sum(losses.values(), np.zeros(len(_GRID))))}


def _least(loss: F64) -> float:
    """Where a loss over the grid is least, by a parabola: two points of the grid as good as each other are no leap."""
    at = min(max(int(loss.argmin()), 1), len(_GRID) - 2)
    left, middle, right = loss[at - 1 : at + 2]
    bend = left - 2 * middle + right
    shift = min(max((left - right) / (2 * bend), -1.0), 1.0) if bend > 0 else float(loss.argmin() - at)
    return float(_GRID[at] * (_GRID[at + 1] / _GRID[at]) ** shift)


def _losses(data: Dataset, said: Sequence[Said]) -> F64:
    """Log loss at each temperature of the grid."""
    total = np.zeros((len(CLASSES), len(_GRID)))
    count = np.zeros((len(CLASSES), 1))
    for one in said:
        truth = data.read(one.run, 0, _LONGEST)[:, CLASS].astype(int)
        known = truth >= 0
        if known.any():
            total[data.label[one.run]] += _run_losses(one.classes[known].astype(np.float64), truth[known])
            count[data.label[one.run]] += 1
    mean: F64 = (total / np.maximum(count, 1)).sum(0)
    return mean


def _run_losses(classes: F64, truth: npt.NDArray[np.int_]) -> F64:
    tempered = classes[None] / _GRID[:, None, None]  # (grid, T, classes)
    norm = np.log(np.exp(tempered).sum(2))
    own = np.take_along_axis(tempered, truth[None, :, None], 2)[:, :, 0]
    loss: F64 = (norm - own).mean(1)
    return loss
