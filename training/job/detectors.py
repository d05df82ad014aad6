"""The detectors of an evaluation behind one shape: fit on some runs, then say P(mining) over time for others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import TIERS
from hashwarden.model.job.network import JobNet
from hashwarden.model.job.taxonomy import CLASSES, MINING
from hashwarden.training.job.baselines import BASELINES, Baseline
from hashwarden.training.job.fit import fit
from hashwarden.training.job.predict import predict
from hashwarden.training.job.prepared import Prepared
from hashwarden.training.job.recipe import Recipe
from hashwarden.training.job.summary import NETWORK_NAME

__all__ = ["DETECTORS", "Detector", "Scored", "detector"]

F64 = npt.NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class Scored:
    """One run as a detector sees it.

    Attributes
    ----------
    run : int
        Place in the corpus.
    times, chance : float64 array, shape (T,)
        P(mining) at each sample (network) or at one row a block (baselines).
    called : str
        Class of the highest mean probability; empty where mining is all that is told.
    """

    run: int
    times: F64
    chance: F64
    called: str = ""


class Detector(Protocol):
    """What can be fitted and then scores.

    Attributes
    ----------
    tiers : tuple of str
        Those in which it differs.
    """

    @property
    def tiers(self) -> tuple[str, ...]: ...  # noqa: D102
    def fit(self, corpus: Prepared, runs: Sequence[int]) -> None:
        """Learn from whole runs."""

    def score(self, corpus: Prepared, runs: Sequence[int], tier: str) -> list[Scored]:
        """Score whole runs, in the order given."""


@final
class _Network:
    """The job model: one fit serves all tiers."""

    tiers: Final = tuple(TIERS)

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._network: JobNet | None = None

    def fit(self, corpus: Prepared, runs: Sequence[int]) -> None:
        self._network = fit(corpus.data, np.array(runs), self._recipe, told=lambda _: None).network

    def score(self, corpus: Prepared, runs: Sequence[int], tier: str) -> list[Scored]:
        if self._network is None:
            raise RuntimeError("score before fit")
        said = {s.run: s for s in predict(self._network, corpus.data, np.array(runs), TIERS[tier])}
        scored = []
        for run in runs:
            chances = np.exp(said[run].classes.astype(np.float64))
            called = CLASSES[int(chances.mean(axis=0).argmax())]
            scored.append(Scored(run, corpus.times(run), chances[:, MINING], called))
        return scored


@final
class _Trees:
    """A baseline: a fit for each tier in which it reads something else."""

    def __init__(self, name: str, seed: int) -> None:
        self._name, self._seed = name, seed
        self.tiers: tuple[str, ...] = tuple(TIERS) if name.endswith("all channels") else ("nvml",)
        self._fitted: dict[str, Baseline] = {}

    def fit(self, corpus: Prepared, runs: Sequence[int]) -> None:
        seen = [corpus.sampled(run) for run in runs]
        self._fitted = {tier: Baseline(self._name, tier, self._seed).fit(seen) for tier in self.tiers}

    def score(self, corpus: Prepared, runs: Sequence[int], tier: str) -> list[Scored]:
        seen = [corpus.sampled(run) for run in runs]
        chances = self._fitted[tier].score(seen)
        return [Scored(run, s.times, chance) for run, s, chance in zip(runs, seen, chances, strict=True)]


DETECTORS: Final = (NETWORK_NAME, *BASELINES)
"""Names, as they stand in tables."""


def detector(name: str, recipe: Recipe) -> Detector:
    """Make one of `DETECTORS`, unfitted; the recipe gives the seed of all."""
    makers: dict[str, Callable[[], Detector]] = {NETWORK_NAME: lambda: _Network(replace(recipe, threads=1))}
    return makers.get(name, lambda: _Trees(name, recipe.seed))()
