"""The attacker's search: which settings of which evasion keep the most hash rate before anything is confirmed.

It knows the settings of a miner and what each brought, never the detector's inside: that is the adversary who owns
GPUs, the detector's files and all the time in the world, but runs on someone else's node. Three phases over the same
trial: every strategy over every family as it comes; random settings; CMA-ES (Hansen and Ostermeier 2001; the library
``cmaes``) from the best pairs of family and strategy, for each tier of counters on its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, final

import numpy as np
import numpy.typing as npt
from cmaes import CMA

__all__ = ["Budget", "Candidate", "Game", "Setting", "Trial", "Tried", "search"]

F64 = npt.NDArray[np.float64]


class Setting(Protocol):
    """One setting of a strategy: a number between two ends, on a logarithmic scale or not."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102
    @property
    def default(self) -> float: ...  # noqa: D102
    @property
    def log(self) -> bool: ...  # noqa: D102


@final
@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to mine: a family, a strategy and its settings; one that is left out is drawn anew by each seed."""

    family: str
    strategy: str
    changes: Mapping[str, float] = field(default_factory=dict)

    @property
    def pair(self) -> tuple[str, str]:
        """Give family and strategy."""
        return self.family, self.strategy


@final
@dataclass(frozen=True, slots=True)
class Tried:
    """What a candidate brought.

    Attributes
    ----------
    candidate : Candidate
    share : float
        Part of the full hash rate that it keeps, mean over seeds.
    alarm_s : mapping of str to tuple of float
        For each tier and seed the seconds until it was confirmed; infinite if not within the horizon.
    horizon_s : float
        How long it was watched at most.
    origin : str
        ``default``, ``random``, ``cma-es`` or ``checked``.
    """

    candidate: Candidate
    share: float
    alarm_s: Mapping[str, tuple[float, ...]]
    horizon_s: float
    origin: str = ""

    def missed(self, tier: str) -> float:
        """Share of seeds that were never confirmed."""
        return float(np.mean([math.isinf(at) for at in self.alarm_s[tier]]))

    def expected(self, tier: str) -> float:
        """Share of the hash rate times the share of seeds missed."""
        return self.share * self.missed(tier)

    def residual(self, tier: str) -> float:
        """Share of the hash rate if at least half of the seeds were missed, else 0."""
        return self.share if self.missed(tier) >= 0.5 else 0.0

    def gained(self, tier: str) -> float:
        """Hashes made before it was confirmed, over those of full speed for the whole horizon: what is searched for.

        Unlike the residual hash rate it tells late from early, so a search has a slope to climb.
        """
        return self.share * float(np.mean(np.minimum(self.alarm_s[tier], self.horizon_s)) / self.horizon_s)


Trial = Callable[[Sequence[Candidate], Sequence[str], int], list[Tried]]
"""Tries candidates against tiers with seeds that begin at a number."""


@final
@dataclass(slots=True)
class Budget:
    """How much may be tried.

    Attributes
    ----------
    candidates : int
        Random and CMA-ES candidates in all.
    seconds : float
        Wall time, from when this record is made, after which no further batch begins. Random candidates have their
        share of what the defaults leave of it, and every climb an equal part of the rest.
    random_share : float
        Part of the candidates that are random.
    batch : int
        Candidates tried at once; also the population of CMA-ES.
    climbs : int
        Pairs of family and strategy that CMA-ES starts from, for each tier.
    """

    candidates: int = 400
    seconds: float = math.inf
    random_share: float = 0.5
    batch: int = 8
    climbs: int = 3
    _start: float = field(default_factory=time.monotonic)

    def until(self, share: float) -> float:
        """Give the time of the clock at which a share of what is left now will be used up."""
        now = time.monotonic()
        return now + share * max(0.0, self._start + self.seconds - now)


Settings = Mapping[str, Sequence[Setting]]
LEAST_MEMBERS: Final = 4


@final
@dataclass(frozen=True, slots=True)
class Game:
    """What is played.

    Attributes
    ----------
    trial : callable
        What a candidate brings.
    settings : mapping
        The settings of each strategy; one without any is tried as it comes only.
    pairs : sequence of (family, strategy)
        What to try.
    tiers : sequence of str
        Tiers of counters.
    seed : int
        Of the search and of the trials.
    """

    trial: Trial
    settings: Settings
    pairs: Sequence[tuple[str, str]]
    tiers: Sequence[str]
    seed: int = 0


def search(game: Game, budget: Budget) -> list[Tried]:
    """Try defaults (always), then random settings, then climb; gives everything, in the order tried."""
    rng = np.random.default_rng(game.seed)
    plain = [Candidate(*pair, {s.name: s.default for s in game.settings.get(pair[1], ())}) for pair in game.pairs]
    archive = _try(game, plain, game.tiers, "default")
    pairs = [pair for pair in game.pairs if game.settings.get(pair[1])]
    if not pairs:
        return archive
    order = [pairs[i] for i in rng.permutation(len(pairs))]
    wanted = int(budget.candidates * budget.random_share)
    drawn = [_random(order[i % len(order)], game.settings, rng) for i in range(wanted)]
    archive += _try(game, drawn, game.tiers, "random", budget.batch, budget.until(budget.random_share))
    starts = [(tier, one) for tier in game.tiers for one in _best_pairs(archive, tier, set(pairs), budget.climbs)]
    for number, (tier, start) in enumerate(starts):
        each = (budget.candidates - wanted) // len(starts)
        until = budget.until(1 / (len(starts) - number))
        archive += _climb(game, start, tier, (each, budget.batch, until), int(rng.integers(2**31)))
    return archive


def _try(  # noqa: PLR0913, PLR0917
    game: Game, candidates: Sequence[Candidate], tiers: Sequence[str], origin: str, batch: int = 0,
    until: float = math.inf,
) -> list[Tried]:  # fmt: skip
    """Try in batches, as far as time goes."""
    found: list[Tried] = []
    batch = batch or max(1, len(candidates))
    for start in range(0, len(candidates), batch):
        if time.monotonic() >= until:
            break
        tried = game.trial(candidates[start : start + batch], tiers, game.seed)
        found += [replace(one, origin=origin) for one in tried]
    return found


def _random(pair: tuple[str, str], settings: Settings, rng: np.random.Generator) -> Candidate:
    return Candidate(*pair, _changes(settings[pair[1]], rng.random(len(settings[pair[1]]))))


def _changes(settings: Sequence[Setting], point: F64) -> dict[str, float]:
    """Turn a point of the unit cube into settings."""
    changes = {}
    for setting, place in zip(settings, np.clip(point, 0, 1).tolist(), strict=True):
        if setting.log:
            value = setting.low * (setting.high / setting.low) ** place
        else:
            value = setting.low + (setting.high - setting.low) * place
        changes[setting.name] = min(max(float(value), setting.low), setting.high)
    return changes


def _point(settings: Sequence[Setting], changes: Mapping[str, float]) -> F64:
    """Turn settings into a point of the unit cube."""
    place = []
    for setting in settings:
        value = changes.get(setting.name, setting.default)
        if setting.log:
            place.append(math.log(value / setting.low) / math.log(setting.high / setting.low))
        else:
            place.append((value - setting.low) / (setting.high - setting.low))
    point: F64 = np.clip(np.array(place, np.float64), 0, 1)
    return point


def _best_pairs(archive: Sequence[Tried], tier: str, allowed: set[tuple[str, str]], count: int) -> list[Tried]:
    """Pick the best candidate of each of the best pairs, one strategy at most twice."""
    best: list[Tried] = []
    for tried in sorted((t for t in archive if tier in t.alarm_s), key=lambda t: -t.gained(tier)):
        pair = tried.candidate.pair
        twice = sum(b.candidate.strategy == pair[1] for b in best) >= 2
        if pair in allowed and not twice and all(b.candidate.pair != pair for b in best):
            best.append(tried)
        if len(best) == count:
            break
    return best


def _climb(
    game: Game, start: Tried, tier: str, limits: tuple[int, int, float], seed: int
) -> list[Tried]:  # fmt: skip
    """Follow CMA-ES from a candidate; it only ever sees the gain in one tier."""
    of, (candidates, batch, until) = game.settings[start.candidate.strategy], limits
    idle = [0.5] * (len(of) == 1)  # CMA-ES needs two dimensions: with one setting the second means nothing
    mean = np.append(_point(of, start.candidate.changes), idle)
    members = max(LEAST_MEMBERS, batch)
    walk = CMA(mean=mean, sigma=0.2, bounds=np.tile((0.0, 1.0), (len(mean), 1)), seed=seed, population_size=members)
    found: list[Tried] = []
    for _ in range(candidates // members):
        points = [walk.ask() for _ in range(members)]
        changed = [Candidate(*start.candidate.pair, _changes(of, point[: len(of)])) for point in points]
        tried = _try(game, changed, (tier,), "cma-es", members, until)
        found += tried
        if len(tried) < members or walk.should_stop():
            break
        walk.tell([(point, -t.gained(tier)) for point, t in zip(points, tried, strict=True)])
    return found
