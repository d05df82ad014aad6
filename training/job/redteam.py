"""``hashwarden redteam``: how much hash rate the best evader keeps for a day without being confirmed.

First honest jobs are watched, and where one of them would raise an alarm the evidence asked for is raised above it.
Then every strategy over every family, then the search (`hashwarden.training.job.redteam_search`); at last the best
candidates of each tier are tried again with seeds that the search never saw, for the best of many tries is too good.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from hashwarden.model.channels import TIERS
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES, STRATEGIES
from hashwarden.training.job.evaluate import machine
from hashwarden.training.job.measures import Outcome, alarms, at_rate
from hashwarden.training.job.redteam_pictures import draw
from hashwarden.training.job.redteam_play import Place, Result, ScoreMaker, Watchers, attempt, gather, watch
from hashwarden.training.job.redteam_report import write_report
from hashwarden.training.job.redteam_search import Budget, Candidate, Game, Tried, search
from hashwarden.training.job.storage import room, spare, staged
from hashwarden.training.job.summary import clean
from hashwarden.training.job.trial import Course
from hashwarden.training.orphans import end_with_parent
from hashwarden.training.synthesise.evasions import STRATEGY_PARAMETERS
from hashwarden.training.synthesise.gpus import GPUS
from hashwarden.training.synthesise.kinds import families

__all__ = ["Attack", "red_team"]

Told = Callable[[str], None]
RATE: Final = 1.0
"""False alarms per 1,000 GPU-days."""

_CHUNK: Final = 24
"""Runs of a day that one process holds the chances of."""

_CHECK_SEED: Final = 700_000
_HONEST_SEED: Final = 800_000_000

_REPORT_BYTES: Final = 2**21
"""Room for the report that is held while it is searched: a search is not lost to a disk that fills up."""


@final
@dataclass(frozen=True, slots=True)
class Attack:
    """How the red team plays.

    Attributes
    ----------
    maker : callable
        Loads the model.
    panel : Watchers
        The evidence path of all tiers, as calibrated with the model.
    place : Place
    budget : Budget
        Of the search.
    seeds : int
        Runs of each candidate.
    honest_runs, honest_hours : int, float
        Honest jobs that are watched first.
    checked, checked_most, check_seeds : int
        Candidates of each tier that are tried again at once, in all at most, and with how many fresh seeds.
    families, strategies : tuple of str
    jobs : int
        Processes.
    seed : int
    model, note : str
        Name and hash of the model, and how its evidence is calibrated, for the report.
    """

    maker: ScoreMaker
    panel: Watchers
    place: Place = field(default_factory=Place)
    budget: Budget = field(default_factory=Budget)
    seeds: int = 2
    honest_runs: int = 120
    honest_hours: float = 8.0
    checked: int = 4
    checked_most: int = 24
    check_seeds: int = 6
    families: tuple[str, ...] = MINING_FAMILIES
    strategies: tuple[str, ...] = STRATEGIES
    jobs: int = 2
    seed: int = 0
    model: str = ""
    note: str = ""


def red_team(attack: Attack, output: Path, told: Told) -> Path:
    """Play, and write ``redteam.md``, ``redteam.json``, ``redteam-evaders.json`` and pictures.

    Parameters
    ----------
    attack : Attack
    output : Path
        Folder for the report.
    told : callable
        Is told of each step.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    UsageError
        If there is no room for the report; that is known before the search.
    """
    start = time.perf_counter()
    with room(output, remedy="Make room, or choose another --output."):
        with spare(output, _REPORT_BYTES):
            result, evaders = _played(attack, told, start)
        with staged(output) as folder:
            for name, content in (("redteam", result), ("redteam-evaders", evaders)):
                (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            draw(result, folder)
            write_report(result, folder / "redteam.md")
    return output / "redteam.md"


def _played(attack: Attack, told: Told, start: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Search and check; give the numbers of the report, and the evaders."""
    with _Team(attack, told) as team:
        told(f"watching {attack.honest_runs} honest jobs of {attack.honest_hours:g} h")
        honest = team.operate()
        pairs = [(family, strategy) for strategy in attack.strategies for family in attack.families]
        game = Game(team.trial, STRATEGY_PARAMETERS, pairs, attack.panel.tiers, attack.seed)
        archive = search(game, attack.budget)
        told(f"{len(archive)} candidates tried in {time.perf_counter() - start:.0f} s; checking the best")
        checked = {tier: team.check(archive, tier) for tier in attack.panel.tiers}
    result = clean(_about(attack, start) | {"honest": honest} | _tables(attack, archive, checked))
    return result, clean(_evaders(attack, checked))


@final
class _Team:
    """Plays candidates, in a pool of processes or in this one."""

    def __init__(self, attack: Attack, told: Told) -> None:
        self._attack, self._panel, self._told = attack, attack.panel, told
        self._count = 0
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(attack.jobs, spawn, end_with_parent) if attack.jobs > 1 else None

    def __enter__(self) -> _Team:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def _spread(self, work: Callable[[Sequence[Any]], list[Any]], tasks: Sequence[Any]) -> list[Any]:
        """Deal tasks over the processes, a chunk at a time: what is in a chunk is judged side by side."""
        chunk = min(_CHUNK, max(1, -(-len(tasks) // self._attack.jobs)))
        chunks = [tasks[start : start + chunk] for start in range(0, len(tasks), chunk)]
        done = self._pool.map(work, chunks) if self._pool else map(work, chunks)
        return [one for some in done for one in some]

    def trial(self, candidates: Sequence[Candidate], tiers: Sequence[str], seed: int) -> list[Tried]:
        """Try candidates with the seeds of the search."""
        return self._play(candidates, tiers, seed * 1_000_000, self._attack.seeds, self._attack.place)

    def check(self, archive: Sequence[Tried], tier: str) -> list[Tried]:
        """Try the best again, most gained first, until none is left that the search saw keep more than they do."""
        waiting, again = _best(archive, tier), []
        batch = waiting[: self._attack.checked]
        while batch:
            again += self._again(batch, tier)
            waiting = [one for one in waiting if one not in batch]
            room = min(self._attack.checked, self._attack.checked_most - len(again))
            batch = _better(waiting, again, tier)[: max(0, room)]
        return sorted(again, key=lambda one: (-one.residual(tier), -one.expected(tier), -one.gained(tier)))

    def _again(self, chosen: Sequence[Tried], tier: str) -> list[Tried]:
        """Try them over the whole day with fresh seeds, in the tier that they were chosen for."""
        place = replace(self._attack.place, screen_s=0.0)
        first = self._attack.seed * 1_000_000 + _CHECK_SEED
        tried = self._play([one.candidate for one in chosen], (tier,), first, self._attack.check_seeds, place)
        return [replace(one, origin=of.origin) for one, of in zip(tried, chosen, strict=True)]

    def _play(
        self, candidates: Sequence[Candidate], tiers: Sequence[str], first: int, seeds: int, place: Place
    ) -> list[Tried]:  # fmt: skip
        play = partial(attempt, place=place, maker=self._attack.maker, panel=self._panel.only(tiers))
        tasks = [(candidate, first + turn) for candidate in candidates for turn in range(seeds)]
        results: list[Result] = self._spread(play, tasks)
        tried = [gather(one, results[i * seeds : (i + 1) * seeds], place) for i, one in enumerate(candidates)]
        self._count += len(tried)
        self._told(f"{self._count} candidates")
        return tried

    def operate(self) -> dict[str, Any]:
        """Watch honest jobs; where one is confirmed, raise the evidence asked for as far as the rate needs."""
        attack, names = self._attack, sorted(GPUS)
        kinds = [(label, family) for label in CLASSES if label != "mining" for family in families(label)]
        first = _HONEST_SEED + attack.seed * 100_000
        tasks = [(kinds[n % len(kinds)], first + n, names[n % len(names)]) for n in range(attack.honest_runs)]
        place = replace(attack.place, horizon_s=attack.honest_hours * 3600)
        watched = self._spread(partial(watch, place=place, maker=attack.maker, panel=attack.panel), tasks)
        told, least = {}, {}
        for tier in attack.panel.tiers:
            outcomes = [_honest(task, courses[tier], place) for task, courses in zip(tasks, watched, strict=True)]
            told[tier] = _operating(outcomes)
            least[tier] = told[tier]["raised_to"]
        self._panel = attack.panel.raised(least)
        return told


def _honest(task: tuple[tuple[str, str], int, str], course: Course, place: Place) -> Outcome:
    (label, family), seed, gpu = task
    return Outcome(f"{label}/{family}/{seed}", label, family, "plain", gpu, "synthesised", 0.0, place.horizon_s, 0.0,
                   course.alarm_s, course.rises)  # fmt: skip


def _operating(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    before = alarms(outcomes)
    least = at_rate(outcomes, RATE)[0] if before.count else -np.inf
    flagged = sorted({f"{o.label}/{o.family}" for o in outcomes if np.isfinite(o.alarm_s)})
    return {"alarms": asdict(before), "flagged": flagged, "raised_to": least}


def _best(archive: Sequence[Tried], tier: str) -> list[Tried]:
    """The candidate of each pair that gained the most in a tier, most gained first: with few seeds it tells most."""
    best: dict[tuple[str, str], Tried] = {}
    seen = [one for one in archive if tier in one.alarm_s]
    for one in sorted(seen, key=lambda t: (-t.gained(tier), -t.residual(tier))):
        best.setdefault(one.candidate.pair, one)
    return list(best.values())


def _better(waiting: Sequence[Tried], again: Sequence[Tried], tier: str) -> list[Tried]:
    """Those that the search saw keep more hash rate than what the ones that were tried again keep."""
    kept = max((one.residual(tier) for one in again), default=0.0)
    return [one for one in waiting if one.residual(tier) > kept]


def _about(attack: Attack, start: float) -> dict[str, Any]:
    place, budget = attack.place, attack.budget
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "seconds": round(time.perf_counter() - start),
        "seed": attack.seed,
        "model": attack.model,
        "note": attack.note,
        "measured_on": "synthesised runs; none was recorded on a GPU",
        "rate": RATE,
        "place": asdict(place),
        "seeds": attack.seeds,
        "check_seeds": attack.check_seeds,
        "honest_hours": attack.honest_hours,
        "budget": {"candidates": budget.candidates, "seconds": budget.seconds, "climbs": budget.climbs},
        "tiers": {tier: list(TIERS[tier]) for tier in attack.panel.tiers},
    }


def _told(one: Tried, tier: str) -> dict[str, Any]:
    return {
        "family": one.candidate.family, "strategy": one.candidate.strategy, "changes": dict(one.candidate.changes),
        "origin": one.origin, "share": one.share, "missed": one.missed(tier), "seeds": len(one.alarm_s[tier]),
        "residual": one.residual(tier), "expected": one.expected(tier), "gained": one.gained(tier),
        "alarm_s": list(one.alarm_s[tier]),
    }  # fmt: skip


def _tables(attack: Attack, archive: Sequence[Tried], checked: Mapping[str, Sequence[Tried]]) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for tier in attack.panel.tiers:
        seen = [one for one in archive if tier in one.alarm_s]
        cells: dict[str, dict[str, Any]] = {}
        for family in attack.families:
            for strategy in attack.strategies:
                here = [one for one in seen if one.candidate.pair == (family, strategy)]
                best = max(here, key=lambda t: (t.residual(tier), t.gained(tier)))
                cells.setdefault(family, {})[strategy] = {**_told(best, tier), "tries": len(here)}
        again = [_told(one, tier) for one in checked[tier]]
        done = {one.candidate.pair for one in checked[tier]}
        unchecked = [one for one in _best(archive, tier) if one.candidate.pair not in done]
        points = [[one.share, one.missed(tier), one.gained(tier)] for one in seen]
        tables[tier] = {"cells": cells, "checked": again, "tried": len(seen), "points": points,
                        "unchecked": len(_better(unchecked, checked[tier], tier)),
                        "residual": max((c["residual"] for c in again), default=0.0),
                        "expected": max((c["expected"] for c in again), default=0.0)}  # fmt: skip
    return {"candidates": len(archive), "by_tier": tables}


def _evaders(attack: Attack, checked: Mapping[str, Sequence[Tried]]) -> dict[str, Any]:
    """What can be played again, and added to what is learned from."""
    place = attack.place
    evaders = [{"tier": tier, **_told(one, tier)} for tier, some in checked.items() for one in some]
    facts = {"gpu": place.gpu, "period_s": place.period_s, "seconds": place.horizon_s, "model": attack.model}
    return {"made_by": "hashwarden redteam", "origin": "synthesised", **facts, "evaders": evaders}
