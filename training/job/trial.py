"""One fold from fit to outcomes, for every detector, and its place in the cache.

Every detector learns from the same runs, its evidence is calibrated on the same honest runs, which no fit saw, and the
same runs test it, through the same evidence path that the agent uses.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.job.taxonomy import MINING
from hashwarden.model.storage import replacing
from hashwarden.training.job.calibrate import ScoredRun
from hashwarden.training.job.detectors import DETECTORS, Scored, detector
from hashwarden.training.job.folds import Fold
from hashwarden.training.job.measures import Outcome, auroc
from hashwarden.training.job.prepared import Prepared
from hashwarden.training.job.recipe import Recipe
from hashwarden.training.job.rolling import rows_of
from hashwarden.training.job.summary import FoldResult

__all__ = ["Calibrate", "Course", "Judge", "Plan", "play", "read_result", "write_result"]

F64 = npt.NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class Course:
    """How the evidence of a run went.

    Attributes
    ----------
    rises : float64 array, shape (K, 2)
        Time and log evidence (over its threshold) of each new height.
    alarm_s : float
        Seconds until ``confirmed``; infinite if never.
    """

    rises: F64
    alarm_s: float


class Judge(Protocol):
    """The evidence path with its calibration."""

    def judge(self, runs: Sequence[tuple[F64, F64]]) -> list[Course]:
        """Follow the evidence over runs of times and P(mining)."""


Calibrate = Callable[[str, Sequence[ScoredRun], Sequence[ScoredRun]], Judge]
"""Learns from a tier's honest runs, and before that chooses by other runs, honest and mining, how evidence pays."""


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """How folds are played.

    Attributes
    ----------
    recipe : Recipe
        Of the network.
    calibrate : callable
        The evidence path.
    detectors : tuple of str
    """

    recipe: Recipe
    calibrate: Calibrate
    detectors: tuple[str, ...] = DETECTORS


def play(corpus: Prepared, fold: Fold, plan: Plan) -> FoldResult:
    """Fit, calibrate and test every detector on one fold."""
    result = FoldResult(fold, {}, {}, {})
    for name in plan.detectors:
        start, what = time.perf_counter(), detector(name, plan.recipe)
        what.fit(corpus, fold.fit)
        result.outcomes[name], result.samples[name] = {}, {}
        for tier in what.tiers:
            honest, choosing = (
                [_labelled(corpus, s) for s in what.score(corpus, part, tier)] for part in (fold.calibrate, fold.choose)
            )
            judge = plan.calibrate(tier, honest, choosing)
            scored = what.score(corpus, fold.test, tier)
            courses = judge.judge([(s.times, s.chance) for s in scored])
            tested = zip(scored, courses, strict=True)
            result.outcomes[name][tier] = [_outcome(corpus, fold, s, course) for s, course in tested]
            result.samples[name][tier] = _samples(corpus, scored)
        result.seconds[name] = round(time.perf_counter() - start, 1)
    return result


def _labelled(corpus: Prepared, scored: Scored) -> ScoredRun:
    story = corpus.stories[scored.run]
    label = story.facts.label
    return ScoredRun(story.facts.name, scored.times, scored.chance, label, "construction", story.origin)


def _outcome(corpus: Prepared, fold: Fold, scored: Scored, course: Course) -> Outcome:
    """Judge a run; what mines only from some time on is timed from there."""
    story = corpus.stories[scored.run]
    facts, mining = story.facts, story.facts.label == "mining"
    unseen = mining or facts.kind in fold.hidden_kinds or (fold.axis == "gpu" and facts.gpu == fold.held_out)
    length = float(scored.times[-1] - scored.times[0]) + float(corpus.data.period_s[scored.run])
    return Outcome(
        facts.name, facts.label, story.family, facts.strategy, facts.gpu, story.origin, story.share, length,
        float(scored.chance.mean()), max(0.0, course.alarm_s - story.begins_s), course.rises, unseen, scored.called,
    )  # fmt: skip


SETTLED_S: Final = 30.0


def _samples(corpus: Prepared, scored: Sequence[Scored]) -> float:
    """AUROC over single samples, one in each 10 s, after 30 s; of a mining run those at which it mines."""
    mining, honest = [], []
    for s in scored:
        rows = rows_of(s.times)
        rows = rows[s.times[rows] >= min(SETTLED_S, s.times[-1])]
        if corpus.stories[s.run].facts.label == "mining":
            at = np.searchsorted(corpus.times(s.run), s.times[rows])
            mining.append(s.chance[rows][corpus.truth(s.run)[at] == MINING])
        else:
            honest.append(s.chance[rows])
    empty = [np.zeros(0)]
    return auroc(np.concatenate(mining or empty), np.concatenate(honest or empty))


def write_result(result: FoldResult, path: Path) -> None:
    """Write it, in one move."""
    content: dict[str, Any] = {"fold": asdict(result.fold), "samples": result.samples, "seconds": result.seconds}
    content["outcomes"] = {
        model: {tier: [{**asdict(o), "rises": o.rises.tolist()} for o in some] for tier, some in tiers.items()}
        for model, tiers in result.outcomes.items()
    }
    with replacing(path) as file:
        file.write(json.dumps(content).encode())


def read_result(path: Path) -> FoldResult:
    """Read what `write_result` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    fold: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in content["fold"].items()
    }
    outcomes = {
        model: {tier: [_read(o) for o in some] for tier, some in tiers.items()}
        for model, tiers in content["outcomes"].items()
    }
    return FoldResult(Fold(**fold), outcomes, content["samples"], content["seconds"])


def _read(outcome: dict[str, Any]) -> Outcome:
    rises = np.array(outcome["rises"], np.float64).reshape(-1, 2)
    return Outcome(**{**outcome, "rises": rises, "alarm_s": float(outcome["alarm_s"])})
