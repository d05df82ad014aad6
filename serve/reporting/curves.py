"""Evidence over time: scored again from the raw samples of a bundle, and as the log recorded it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from hashwarden.errors import HashwardenError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.job.taxonomy import CLASSES
from hashwarden.model.job.verdict import JobVerdict
from hashwarden.model.trace import Run
from hashwarden.serve.calibrated import calibration_of, novelty_limit_of
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.reporting.basis import Basis, Said
from hashwarden.serve.reporting.channel_words import in_order
from hashwarden.serve.reporting.evidence import Evidence
from hashwarden.serve.reporting.lay import percent
from hashwarden.serve.watch import JobWatch, Sample

__all__ = ["Curve", "Trace", "recorded", "rescored", "traces"]

_MOST: Final = 600
"""Points of a curve."""

_PANELS: Final = 6
_SLACK_S: Final = 0.5
_OF_EACH: Final = 2


@final
@dataclass(frozen=True, slots=True)
class Curve:
    """Evidence on one GPU over time.

    Attributes
    ----------
    gpu, origin : str
        ``origin`` is ``scored again`` or ``recorded``.
    unix_s, strength : tuple of float
        0 with no evidence, 1 at the threshold of ``confirmed``, on a logarithmic scale.
    state : tuple of str
    probabilities : tuple of tuple of float
        Of each class of `CLASSES`, mean over about a minute; empty where not known.
    blind : tuple of bool
        Of what is recorded: whether nothing new could be seen from then on.
    watched_s : float
        Seconds that count, at the end.
    """

    gpu: str
    origin: str
    unix_s: tuple[float, ...]
    strength: tuple[float, ...]
    state: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...] = ()
    blind: tuple[bool, ...] = ()
    watched_s: float = 0.0


@final
@dataclass(frozen=True, slots=True)
class Trace:
    """Raw samples of one channel; NaN is missing."""

    gpu: str
    channel: str
    unix_s: tuple[float, ...]
    values: tuple[float | None, ...]


def recorded(said: Sequence[Said]) -> list[Curve]:
    """What the log recorded: a point at each verdict."""
    curves = []
    for gpu in dict.fromkeys(one.gpu for one in said):
        mine = [one for one in said if one.gpu == gpu]
        curves.append(
            Curve(
                gpu, "recorded", tuple(one.unix_s for one in mine),
                tuple(one.verdict.evidence.strength for one in mine), tuple(one.verdict.state for one in mine),
                tuple(tuple(one.verdict.probabilities.get(name, 0.0) for name in CLASSES) for one in mine),
                tuple(bool(one.verdict.abstains_for) for one in mine), mine[-1].verdict.evidence.watched_s,
            )
        )  # fmt: skip
    return curves


def rescored(basis: Basis) -> tuple[list[Curve], str]:
    """Score the raw samples of the bundle again; gives curves, and in words what came of it.

    The first sample of the bundle is where memory begins: where the job had been watched before, the agent knew more.
    """
    evidence = basis.evidence
    if evidence is None:
        return [], ""
    if not evidence.runs:
        return [], "The bundle holds no raw samples, so that nothing can be scored again."
    try:
        scorer = JobScorer()
    except HashwardenError as error:
        return [], f"The samples could not be scored again: {error.got}."
    packed = evidence.manifest.get("model")
    sha256 = packed.get("sha256") if isinstance(packed, dict) else None
    if sha256 != scorer.identity["sha256"]:
        return [], (
            "The samples were not scored again: the model of this program is not the one that judged the job "
            f"(SHA-256 {str(sha256)[:16]}…), and another model's opinion would prove nothing."
        )
    alpha = evidence.verdicts[-1].alpha if evidence.verdicts else 1e-3
    curves = [_scored(run, scorer, alpha) for run in evidence.runs]
    return curves, _compared(curves, evidence)


def _scored(run: Run, scorer: JobScorer, alpha: float) -> Curve:
    watch = JobWatch(scorer, calibration_of(scorer), alpha, novelty_limit_of(scorer), scorer.identity)
    begin = _begin(run)
    every = max(1, -(-len(run) // _MOST))
    rows: list[tuple[float, float, str, tuple[float, ...]]] = []
    for at in range(len(run)):
        watch.step([Sample("job", float(run.times[at]), run.values[at])])
        if at % every and at + 1 < len(run):
            continue
        now = watch.evidence("job")
        said = watch.verdict("job").probabilities
        rows.append((begin + float(run.times[at]), now.strength, now.state.word,
                     tuple(said.get(name, 0.0) for name in CLASSES)))  # fmt: skip
    times, strengths, states, chances = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Curve(
        _gpu(run), "scored again", times, strengths, states, chances, watched_s=watch.evidence("job").watched_s
    )


def _compared(curves: Sequence[Curve], evidence: Evidence) -> str:
    """Whether scoring again comes to what was said when the bundle was packed."""
    packed = {verdict.job.rpartition("@")[2]: verdict for verdict in evidence.verdicts}
    same: list[tuple[Curve, JobVerdict, bool]] = []
    other: list[tuple[Curve, JobVerdict, bool]] = []
    for curve in curves:
        said = packed.get(curve.gpu)
        if said is None or not curve.state:
            continue
        alike = curve.state[-1] == said.state and math.isclose(
            curve.strength[-1], said.evidence.strength, abs_tol=0.02
        )  # fmt: skip
        whole = curve.watched_s >= said.evidence.watched_s - _SLACK_S
        (same if alike else other).append((curve, said, whole))
    if not same and not other:
        return "The samples were scored again; there is no verdict in the bundle to hold that against."
    if not other:
        return (
            "The raw samples in the bundle were scored again for this report, by the same model: the result is the "
            f"state that was recorded (“{same[0][1].state}”), so the conclusion does follow from the samples."
        )
    curve, said, whole = other[0]
    why = (
        "That is not explained by what the bundle lacks, and should be looked into." if whole else
        f"The agent had watched the job for {said.evidence.watched_s:,.0f} s by then, and the bundle holds the last "
        f"{curve.watched_s:,.0f} s of it: what came before is not in it."
    )  # fmt: skip
    return (
        "The raw samples in the bundle were scored again for this report, by the same model: they alone come to "
        f"“{curve.state[-1]}” ({percent(curve.strength[-1])} of the way to “confirmed”), where “{said.state}” was "
        f"recorded. {why}"
    )


def traces(evidence: Evidence | None, decisive: Said | None) -> list[Trace]:
    """The channels that decided, on the GPU that decided: at most two of a theme."""
    if evidence is None or decisive is None or not evidence.runs:
        return []
    run = next((run for run in evidence.runs if _gpu(run) == decisive.gpu), evidence.runs[0])
    names = [name for theme in decisive.verdict.deciding for name in _telling(run, theme.values)]
    every = max(1, -(-len(run) // _MOST))
    begin = _begin(run)
    found = []
    for name in names[:_PANELS]:
        values = [float(value) for value in run.values[::every, INDEX[name]]]
        kept = tuple(value if math.isfinite(value) else None for value in values)
        found.append(Trace(_gpu(run), name, tuple(begin + float(t) for t in run.times[::every]), kept))
    return found


def _telling(run: Run, means: Mapping[str, float]) -> list[str]:
    """Of a theme the channels with most to be seen: shares by their mean, then the others as the table has them."""
    known = [name for name in in_order(means) if name in INDEX]
    known.sort(key=lambda name: -means[name] if CHANNELS[INDEX[name]].high <= 1 else 0.0)
    return [name for name in known if np.nanmax(np.append(run.values[:, INDEX[name]], 0.0)) > 0][:_OF_EACH]


def _begin(run: Run) -> float:
    try:
        return float(run.info.parameters.get("unix_s", run.info.start_unix_s))
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _gpu(run: Run) -> str:
    return str(run.info.parameters.get("gpu_uuid") or run.name.rpartition("@")[2])
