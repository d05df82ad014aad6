"""Why a verdict is no ground: what is not seen well is never acted on, and never passes for innocence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from hashwarden.model.job.verdict import JobVerdict
from hashwarden.model.sequential_state import BLIND_TEXT, Blind
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.slurm_book import UNDESCRIBED
from hashwarden.serve.policy.observation import Blindness, Observation
from hashwarden.serve.policy.schema import Ladder

__all__ = ["BLIND_WORDS", "CODE_MINING", "Objection", "act_objections", "job_objections", "verdict_objections"]

CODE_MINING: Final = 0.5
"""Probability of mining of a job's own kernels from which it is named though others use its GPU."""

BLIND_WORDS: Final[Mapping[Blindness, str]] = MappingProxyType(
    {
        Blindness.STALE: "no new samples come",
        Blindness.DEAD_COUNTERS: "its counters are dead",
        Blindness.SELF_TEST: "the self-test failed",
        Blindness.MODEL: "the verdict is not of the model in service",
        Blindness.SHARED: "others use its GPU, and nothing says whose work is counted",
        Blindness.SOURCE_DOWN: "a source is down, or too few channels are valid",
        Blindness.UNMAPPED: "nobody knows whose work it is",
        Blindness.CLOCK: "the wall clock jumped",
        Blindness.STORAGE: "what is decided cannot be written down",
        Blindness.LAUNCHES: "it keeps its launches from being seen",
        Blindness.CODE: "most of what it launches could not be told from its machine code",
        Blindness.UNCALIBRATED: "nothing is calibrated for what is seen",
    }
)

_ABSTAINS: Final[Mapping[str, Blindness | None]] = MappingProxyType(
    {
        BLIND_TEXT[Blind.STARTING]: None,  # every job begins so
        BLIND_TEXT[Blind.STALE]: Blindness.STALE,
        BLIND_TEXT[Blind.DEAD]: Blindness.DEAD_COUNTERS,
        BLIND_TEXT[Blind.FEW]: Blindness.SOURCE_DOWN,
        BLIND_TEXT[Blind.SHARED]: Blindness.SHARED,
        BLIND_TEXT[Blind.NO_CALIBRATION]: Blindness.UNCALIBRATED,
        BLIND_TEXT[Blind.NO_SCORE]: Blindness.MODEL,
        BLIND_TEXT[Blind.UNKNOWN_WORK]: Blindness.UNCALIBRATED,
    }
)


@final
@dataclass(frozen=True, slots=True)
class Objection:
    """One reason not to go on.

    Attributes
    ----------
    kind : Blindness or None
        None if it is no blindness: the policy does not want it, or it is too early to say.
    words : str
    """

    kind: Blindness | None
    words: str


def job_objections(seen: Observation) -> tuple[Objection, ...]:
    """Why nothing may go out for this job, whatever the verdict; not even a warning of its owner."""
    kinds = set(seen.blind)
    if seen.shared and not seen.code_mining >= CODE_MINING:  # NaN is not known
        kinds.add(Blindness.SHARED)
    if seen.job.kind == "gpu" or not _described(seen.job):
        kinds.add(Blindness.UNMAPPED)
    return tuple(Objection(kind, BLIND_WORDS[kind]) for kind in sorted(kinds))


def _described(job: Job) -> bool:
    """Whether its scheduler told whose it is: a rule's exclusions and exemptions go by that."""
    return bool(job.namespace) if job.kind == "kubernetes" else job.kind != "slurm" or UNDESCRIBED not in job.labels


def verdict_objections(
    seen: Observation, verdict: JobVerdict, model_sha256: str, stale_s: float
) -> tuple[Objection, ...]:
    """Why nothing may go out for this verdict on one of the job's GPUs.

    Parameters
    ----------
    seen : Observation
    verdict : JobVerdict
    model_sha256 : str
        Of the model in service; empty if that is not known, which is an objection.
    stale_s : float
        Age of a verdict that counts no longer.
    """
    found: dict[Blindness | None, str] = {}
    if not model_sha256 or verdict.model.get("sha256") != model_sha256:
        found[Blindness.MODEL] = BLIND_WORDS[Blindness.MODEL]
    if not abs(seen.time_s - verdict.time_s) <= stale_s or not verdict.evidence.blind_s <= stale_s:
        found[Blindness.STALE] = BLIND_WORDS[Blindness.STALE]
    if verdict.state in {"suspect", "confirmed"} and not verdict.evidence.attainable:
        found[Blindness.UNCALIBRATED] = "too few honest runs calibrate what is seen"
    if verdict.abstains_for:
        found.setdefault(_ABSTAINS.get(verdict.abstains_for, Blindness.MODEL), verdict.abstains_for)
    return tuple(Objection(kind, words) for kind, words in found.items())


def act_objections(seen: Observation, verdict: JobVerdict, ladder: Ladder, *, beyond: bool) -> tuple[Objection, ...]:
    """Why the owner may be warned, and no more.

    Parameters
    ----------
    seen : Observation
    verdict : JobVerdict
    ladder : Ladder
    beyond : bool
        Whether it was confirmed only after the calibrated horizon.
    """
    found = []
    if verdict.tier not in ladder.act_tiers:
        found.append(f"evidence of the tier {verdict.tier or 'unknown'!r} is good for warnings only")
    if beyond and not ladder.act_beyond_calibration:
        found.append("it was confirmed after the calibrated horizon")
    if any(seen.verdicts.get(gpu) is verdict for gpu in seen.borrowed):
        found.append("what runs now follows a session that ended, and was not seen to do it itself yet")
    if seen.job.interactive and ladder.interactive_warn_only:
        found.append("a person sits before it")
    return tuple(Objection(None, words) for words in found)
