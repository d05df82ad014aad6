"""Plans of corpora: which runs, and that nothing but the work tells the classes apart.

What is watched (class, family, strategy) and how it is watched (GPU, period, groups of channels, length) are dealt out
by two shuffled decks that know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, cycle, islice, product
from types import MappingProxyType
from typing import Final, final

import numpy as np

from hashwarden.errors import UsageError
from hashwarden.model.channels import TIERS, Group
from hashwarden.model.job.taxonomy import MINING_FAMILIES, STRATEGIES
from hashwarden.training.synthesise.evasions import wild_band
from hashwarden.training.synthesise.gpus import GPUS
from hashwarden.training.synthesise.kinds import families

__all__ = ["PERIODS", "PLANS", "CorpusPlan", "Item", "plan_named"]

PERIODS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0)
"""Periods of samples in seconds: our own recorder down to 0.1; dcgm-exporter 30, slurm-job-exporter 10."""

_SHARES: Final[Mapping[str, float]] = MappingProxyType(
    {"training": 0.2, "inference": 0.2, "mining": 0.36, "hash-other": 0.09, "hpc-other": 0.11, "idle": 0.04}
)
_LEARNED: Final[Mapping[str, float]] = MappingProxyType(
    {"training": 0.2, "inference": 0.2, "mining": 0.3, "hash-other": 0.07, "hpc-other": 0.18, "idle": 0.05}
)
"""The honest work that is nearest to mining sets the null level of the evidence, so more of it is learned from."""
_HONEST: Final[Mapping[str, float]] = MappingProxyType(
    {"training": 0.37, "inference": 0.37, "hpc-other": 0.19, "idle": 0.07}
)
"""Other hash work is not covered by the bound that these runs calibrate."""


@final
@dataclass(frozen=True, slots=True)
class Item:
    """One run of a plan: the arguments of `make_run`.

    Attributes
    ----------
    label, family, strategy, gpu : str
    seconds, period_s : float
    groups : tuple of str
    seed : int
    changes : mapping
    """

    label: str
    family: str
    strategy: str
    gpu: str
    seconds: float
    period_s: float
    groups: tuple[Group, ...]
    seed: int
    changes: Mapping[str, float | str] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True)
class CorpusPlan:
    """Which runs a corpus has.

    Attributes
    ----------
    name, summary : str
    runs : int
    seed : int
        Runs of two plans share no seed if theirs differ.
    shares : mapping of str to float
        Class to part of the runs.
    samples : (int, int)
        Fewest and most samples of a run; the logarithm is drawn evenly.
    most_s : float
        Longest run in seconds.
    periods : tuple of float
    gpus : tuple of str
    tiers : tuple of str
        Names in `hashwarden.model.channels.TIERS`.
    items_given : tuple of Item
        Runs that are listed, in place of drawn ones.
    """

    name: str
    summary: str
    runs: int
    seed: int
    shares: Mapping[str, float] = field(default_factory=lambda: _SHARES)
    samples: tuple[int, int] = (200, 400)
    most_s: float = 7200.0
    periods: tuple[float, ...] = PERIODS
    gpus: tuple[str, ...] = tuple(GPUS)
    tiers: tuple[str, ...] = tuple(TIERS)
    items_given: tuple[Item, ...] = ()

    def items(self) -> Iterator[Item]:
        """The runs in order; the same plan gives the same."""
        if self.items_given:
            yield from self.items_given[: self.runs]
            return
        rng = np.random.default_rng([self.seed, 11])
        jobs = _dealt(list(_jobs(self.shares, self.runs)), self.runs, rng)
        views = _dealt(list(product(self.gpus, self.periods, self.tiers)), self.runs, rng)
        for number, ((label, family, strategy), (gpu, period, tier)) in enumerate(zip(jobs, views, strict=True)):
            low, high = np.log(self.samples)
            count = min(round(float(np.exp(rng.uniform(low, high)))), int(self.most_s / period))
            seconds = round(count * period, 3)
            changes = _changes(strategy, seconds, rng)
            seed = self.seed * 1_000_000 + number
            yield Item(label, family, strategy, gpu, seconds, period, tuple(TIERS[tier]), seed, changes)


def _jobs(shares: Mapping[str, float], runs: int) -> Iterator[tuple[str, str, str]]:
    """Classes by their shares; within a class families and strategies in turn."""
    total = sum(shares.values())
    ends = np.round(np.cumsum([share / total for share in shares.values()]) * runs).astype(int).tolist()
    for label, begin, end in zip(shares, [0, *ends], ends, strict=False):
        if label == "mining":
            # 12 and 11 have no common factor: every cell of the table comes once in 132 runs
            cells = [(MINING_FAMILIES[i % 12], STRATEGIES[i % 11]) for i in range(end - begin)]
        else:
            cells = [(family, "plain") for family in islice(cycle(families(label)), end - begin)]
        yield from ((label, family, strategy) for family, strategy in cells)


def _dealt(cards: Sequence[tuple], runs: int, rng: np.random.Generator) -> list[tuple]:  # type: ignore[type-arg]
    """As many cards as runs: the deck is shuffled anew each time it is used up."""
    decks = chain.from_iterable(rng.permutation(len(cards)).tolist() for _ in range(-(-runs // len(cards))))
    return [cards[i] for i in islice(decks, runs)]


def _changes(strategy: str, seconds: float, rng: np.random.Generator) -> dict[str, float | str]:
    """What a strategy needs to be seen in a recording of this length, and the settings that were seen in the wild."""
    if strategy == "slow-start":
        return {"honest_s": max(1.0, float(rng.uniform(0.15, 0.75)) * seconds)}
    if strategy == "mimic-requests":  # some dozens of requests, or the recording may show none
        given: dict[str, float | str] = {
            "request_s": float(np.clip(np.exp(rng.uniform(np.log(0.05), np.log(10))), 0.02, seconds / 40))
        }
        return given | ({"load": float(rng.uniform(0.3, 1.2))} if rng.random() < 0.5 else {})
    if strategy == "throttle" and rng.random() < 0.7:  # setting clocks takes root
        return {"clock": 1.0}
    if strategy == "duty-cycle" and rng.random() < 0.6:
        return dict(wild_band(rng))
    return {}


def _demo() -> tuple[Item, ...]:
    """Six jobs for the demonstration."""
    rows: tuple[tuple[str, str, str, dict[str, float | str]], ...] = (
        ("training", "llm-bf16", "plain", {"work.step_s": 2.4, "work.wait": 0.04, "work.steady": 0,
         "work.checkpoint_every_s": 300.0, "work.evaluate_every_s": 420.0, "work.density": 0.95}),
        ("inference", "llm-bf16", "plain", {"work.load": 0.45, "work.burst": 0.6, "work.work_s": 0.12}),
        ("mining", "progpow", "plain", {"work.outage_every_s": 200000.0}),
        ("mining", "matmul-pow", "mimic-requests", {"load": 0.75, "request_s": 1.2, "memory": 0.9, "pad": 0.1}),
        ("hash-other", "password-mask", "plain", {"work.even": 1}),
        ("mining", "ethash", "slow-start", {"honest_s": 480.0, "share": 0.85, "cover.family": "training/rl",
         "cover.round_s": 75.0, "cover.memory": 0.8}),
    )  # fmt: skip
    return tuple(
        Item(label, family, strategy, "H100 SXM", 1080.0, 1.0, tuple(TIERS["gpm+code"]), 90_000_000 + number,
             {**dict.fromkeys(("site.processes", "site.visit", "site.foreign", "site.limits"), 0.5), **changes})
        for number, (label, family, strategy, changes) in enumerate(rows)
    )  # fmt: skip


PLANS: Final[tuple[CorpusPlan, ...]] = (
    CorpusPlan("train", "Learned from; the fit hides groups of channels itself", 7500, 1, _LEARNED, tiers=("all",)),
    CorpusPlan("calibration", "Honest runs only: calibrates the evidence", 4900, 2, _HONEST, (120, 900)),
    CorpusPlan("evaluation", "Measured on", 1600, 3),
    CorpusPlan("reference", "Ships with the repository", 60, 4, samples=(150, 260), most_s=3600.0),
    CorpusPlan("demo", "Six jobs of 18 minutes", 6, 90, items_given=_demo()),
)


def plan_named(name: str) -> CorpusPlan:
    """The plan of this name.

    Raises
    ------
    UsageError
        If there is none.
    """
    for plan in PLANS:
        if plan.name == name:
            return plan
    raise UsageError(f"no plan is called {name!r}", "one of " + ", ".join(p.name for p in PLANS), "Choose one.")
