"""Batches of sequences: which runs, which part of them, and what is hidden of it.

Every draw depends on seed, step and place in the batch alone. So a fit that is resumed, or shared by several workers,
sees the very same sequences in the same order as one that was never interrupted.
N = sequences, T = samples, C = channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, GROUPS, TIERS, Group
from hashwarden.model.job.taxonomy import CLASSES, MINING
from hashwarden.training.job.dataset import Dataset
from hashwarden.training.job.labels import UNKNOWN
from hashwarden.training.job.recipe import Recipe
from hashwarden.training.job.store import CLASS, DT, FIRST_CHANNEL

__all__ = ["GROUP_OF", "Batch", "Drawer", "groups_mask", "pack", "thin"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

GROUP_OF: Final = np.array([GROUPS.index(channel.group) for channel in CHANNELS])
"""Group of each channel, by index in `GROUPS`."""

_MEAN: Final = np.array([c.group in {"gpm", "launch", "code"} or c.name == "energy_power_ratio" for c in CHANNELS])
"""Channels whose value is a mean over the time since the sample before; the others are looks at one moment."""

_LONGEST_S: Final = 60.0
_ORDER: Final = tuple(TIERS[name] for name in ("all", "gpm+code", "gpm", "nvml"))


@final
@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences, padded at their ends with samples that nothing is seen of and that count nothing.

    Attributes
    ----------
    samples, masks : float32 array, shape (N, T, C)
        Values, 0 where the mask is 0.
    dts : float32 array, shape (N, T)
    classes : int64 array, shape (N, T)
        True class; `UNKNOWN` where it is not known.
    families : int64 array, shape (N,)
        Mining family, or `UNKNOWN`.
    weights : float32 array, shape (N, T)
        What each sample counts; a sequence sums to 1.
    """

    samples: F32
    masks: F32
    dts: F32
    classes: I64
    families: I64
    weights: F32


def groups_mask(groups: tuple[Group, ...]) -> Bool:
    """Which channels belong to some groups, shape (C,)."""
    return np.isin(GROUP_OF, [GROUPS.index(group) for group in groups])


def thin(rows: F32, factor: int) -> F32:
    """The run as a source would have seen it that looks ``factor`` times less often.

    What is a mean over the interval (GPM, launches, code) is averaged over the samples there are, the rest is
    taken from the last one; the class is that of the last sample.
    """
    if factor == 1:
        return rows
    whole = rows[: len(rows) // factor * factor].reshape(-1, factor, rows.shape[1])
    thinned = whole[:, -1].copy()
    thinned[:, DT] = whole[:, :, DT].sum(1)
    means = whole[:, :, FIRST_CHANNEL:][:, :, _MEAN]
    there = ~np.isnan(means)
    count = there.sum(1)
    total = np.where(there, means, 0).sum(1, dtype=np.float64)
    thinned[:, FIRST_CHANNEL:][:, _MEAN] = np.where(count, total / np.maximum(count, 1), np.nan)
    return thinned


def pack(sequences: list[F32], families: I64, length: int, settle_s: float = 0.0, carried: bool = False) -> Batch:
    """Pad rows to one length.

    Parameters
    ----------
    sequences : list of float32 array, shape (T', WIDTH)
    families : int64 array, shape (N,)
    length : int
        T; longer sequences are cut.
    settle_s : float
        Seconds until a sample counts in full.
    carried : bool
        Whether the sequences go on where others ended: then the time since the sample before is told of the first too.
    """
    size, first = len(sequences), 0 if carried else 1
    values = np.full((size, length, len(CHANNELS)), np.nan, np.float32)
    dts, weights = np.zeros((size, length), np.float32), np.zeros((size, length), np.float32)
    classes = np.full((size, length), UNKNOWN, np.int64)
    for i, sequence in enumerate(sequences):
        rows = sequence[:length]
        n = len(rows)
        values[i, :n], classes[i, :n] = rows[:, FIRST_CHANNEL:], rows[:, CLASS]
        dts[i, first:n] = rows[first:, DT]
        seen = dts[i, :n].cumsum() / max(settle_s, 1e-9)
        weights[i, :n] = np.clip(seen, 0.1, 1.0) * (classes[i, :n] != UNKNOWN)
        weights[i] /= max(weights[i].sum(), 1e-9)
    masks = ~np.isnan(values)
    return Batch(np.where(masks, values, 0), masks.astype(np.float32), dts, classes, families, weights)


@final
class Drawer:
    """Draws batches from some runs of a data set.

    Parameters
    ----------
    data : Dataset
    rows : int64 array
        The runs to learn from.
    recipe : Recipe
    """

    def __init__(self, data: Dataset, rows: I64, recipe: Recipe) -> None:
        self.data, self.rows, self.recipe = data, rows, recipe
        self._bounds = np.cumsum(_chances(data, rows, recipe))

    def batch(self, step: int, rank: int = 0, ranks: int = 1) -> Batch:
        """The batch of a step, or the part of it that one of several workers learns from."""
        places = range(rank, self.recipe.batch, ranks)
        drawn = [self._draw(np.random.default_rng([self.recipe.seed, step, place])) for place in places]
        families = np.array([self.data.family_index[run] for run, _ in drawn], np.int64)
        return pack([rows for _, rows in drawn], families, self.recipe.length, self.recipe.settle_s)

    def _draw(self, rng: np.random.Generator) -> tuple[int, F32]:
        place = np.searchsorted(self._bounds, rng.random() * self._bounds[-1], side="right")
        run = int(self.rows[min(place, len(self.rows) - 1)])
        factor = self._factor(run, rng)
        span, length = self.recipe.length * factor, int(self.data.length[run])
        start = int(rng.integers(0, max(1, length - span + 1)))
        rows = thin(self.data.read(run, start, start + span), factor)
        return run, self._hide(rows, rng)

    def _factor(self, run: int, rng: np.random.Generator) -> int:
        """How many times less often to look: at most once a minute, and 30 samples are left."""
        most = min(_LONGEST_S / float(self.data.period_s[run]), float(self.data.length[run]) / 30)
        if rng.random() >= self.recipe.slower or most < 2:
            return 1
        return int(np.exp(rng.uniform(np.log(2), np.log(most))))

    def _hide(self, rows: F32, rng: np.random.Generator) -> F32:
        """Leave out groups, channels, and the end of a group that dies."""
        values = rows[:, FIRST_CHANNEL:]
        seen = self._groups(rng)[GROUP_OF] & (rng.random(len(CHANNELS)) >= rng.uniform(0, self.recipe.channel_drop))
        values[:, ~seen] = np.nan
        if rng.random() < self.recipe.dying:
            values[int(rng.integers(len(rows))) :, rng.integers(len(GROUPS)) == GROUP_OF] = np.nan
        return rows

    def _groups(self, rng: np.random.Generator) -> Bool:
        """The groups that a sequence sees, shape (groups,): a tier, or any set that is not empty."""
        tier = int(np.searchsorted(np.cumsum(self.recipe.tiers), rng.random(), side="right"))
        if tier < len(_ORDER):
            return np.isin(GROUPS, _ORDER[tier])
        seen: Bool = rng.random(len(GROUPS)) < 0.5
        seen[rng.integers(len(GROUPS))] = True
        return seen


def _chances(data: Dataset, rows: I64, recipe: Recipe) -> F64:
    """How often each run is drawn: classes by the recipe, families evenly, then strategies, then runs."""
    chance = np.zeros(len(rows))
    for label in range(len(CLASSES)):
        of_class = np.flatnonzero(data.label[rows] == label)
        families = data.family[rows[of_class]]
        for family in np.unique(families):
            of_family = of_class[families == family]
            parts = _strategy_shares(data.strategy[rows[of_family]], recipe.plain if label == MINING else 1.0)
            chance[of_family] = recipe.classes[label] / len(np.unique(families)) * parts
    return chance


def _strategy_shares(strategies: npt.NDArray[np.object_], plain: float) -> F64:
    """Share of each run of a family; sums to 1."""
    kinds = np.unique(strategies)
    hiding = [kind for kind in kinds if kind != "plain"]
    share = {kind: (1 - plain) / len(hiding) if plain < 1 else 1 / len(kinds) for kind in hiding}
    share["plain"] = plain if plain < 1 else 1 / len(kinds)
    chance = np.array([share[kind] / (strategies == kind).sum() for kind in strategies])
    shares: F64 = chance / chance.sum()
    return shares
