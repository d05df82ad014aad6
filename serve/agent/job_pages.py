"""What is told of one job: the rows of the list of jobs, and the pages of a single one. Plain values, fit for JSON.

What is not known is None, never 0. Names are as the scheduler gave them: whoever shows them has to escape them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, Final

import numpy as np

from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.job.verdict import JobVerdict
from hashwarden.serve.agent.history import History
from hashwarden.serve.agent.window import Row
from hashwarden.serve.policy.case import Case
from hashwarden.serve.policy.observation import Observation

__all__ = ["NOW", "channels_page", "job_row", "kernels_page", "known", "latest"]

NOW: Final = (
    "gpu_util_ratio", "sm_active_ratio", "fb_used_ratio", "fb_used_mib", "power_watts", "power_ratio",
    "temperature_celsius", "integer_active_ratio", "tensor_active_ratio", "dram_active_ratio", "code_mining_ratio",
)  # fmt: skip
"""Channels whose newest values stand in the list of jobs."""

_NO_CODE: Final = (
    "No machine code of this job is known. The sources launches and code tell of it; they need root, and some "
    "time after a launch."
)  # fmt: skip

_NOT_SINGLE: Final = (
    "What its kernels are made of is known as a whole, in the channels of the machine code; no source here tells of "
    "single ones."
)  # fmt: skip


def latest(row: Row | None, names: Sequence[str] = NOW) -> dict[str, float]:
    """Newest values by channel; what is missing is left out."""
    if row is None:
        return {}
    found = {name: float(row[2][INDEX[name]]) for name in names}
    return {name: _short(value) for name, value in found.items() if math.isfinite(value)}


def job_row(
    seen: Observation, history: History, newest: Callable[[str, str], Row | None], cases: Mapping[str, Case]
) -> dict[str, Any]:
    """A job with its verdicts.

    Parameters
    ----------
    seen : Observation
    history : History
    newest : callable
        From job and GPU to the newest raw sample.
    cases : mapping of str to Case
        Open cases by the key of their job.
    """
    job, case = seen.job, cases.get(seen.job.key)
    names = ("kind", "id", "user", "uid", "account", "partition", "namespace", "pod", "container", "name", "tenant")
    return {
        "job": job.key, **{name: getattr(job, name) for name in names}, "gpus": list(job.gpus),
        "started_unix_s": known(job.started_unix_s), "interactive": job.interactive,
        "blind": sorted(kind.value for kind in seen.blind), "shared": seen.shared,
        "code_mining": known(seen.code_mining),
        "case": "" if case is None else case.id, "standing": "none" if case is None else case.standing.value,
        "verdicts": {
            gpu: {
                **_verdict(verdict), "now": latest(newest(job.key, gpu)),
                "trend": history.trend(job.key, gpu), "borrowed": gpu in seen.borrowed,
            }
            for gpu, verdict in seen.verdicts.items()
        },
        "gpu_seconds": {name: round(seconds, 1) for name, seconds in seen.gpu_seconds.items()},
    }  # fmt: skip


def _verdict(verdict: JobVerdict) -> dict[str, Any]:
    evidence = verdict.evidence
    return {
        "state": verdict.state, "likeliest": verdict.likeliest, "probabilities": dict(verdict.probabilities),
        "family": verdict.family, "family_probability": verdict.family_probability, "strength": evidence.strength,
        "tier": verdict.tier, "abstains_for": verdict.abstains_for, "watched_s": round(evidence.watched_s, 1),
        "blind_s": round(evidence.blind_s, 1), "reasons": list(verdict.reasons),
    }  # fmt: skip


def channels_page(
    job: str, gpu: str, rows: Sequence[Row], names: Sequence[str], verdict: JobVerdict | None
) -> dict[str, Any]:
    """Raw samples of the last minutes, and the stretch that decided.

    Parameters
    ----------
    job, gpu : str
    rows : sequence of (float, float, float32 array)
        See `hashwarden.serve.agent.window.RawWindow.rows_of`.
    names : sequence of str
        Channels; all that were seen if it is empty.
    verdict : JobVerdict, optional
    """
    chosen = [c for c in CHANNELS if not names or c.name in names]
    values = np.stack([row[2] for row in rows]) if rows else np.zeros((0, len(CHANNELS)), np.float32)
    there = [c for c in chosen if names or np.isfinite(values[:, INDEX[c.name]]).any()]
    return {
        "job": job, "gpu": gpu, "unix_s": [round(row[1], 3) for row in rows],
        "channels": {c.name: [_number(value) for value in values[:, INDEX[c.name]].tolist()] for c in there},
        "units": {c.name: c.unit for c in there}, "groups": {c.name: c.group for c in there},
        "deciding": [] if verdict is None else [item.model_dump(mode="json") for item in verdict.deciding],
        "interval": _interval(rows, verdict),
    }  # fmt: skip


def _interval(rows: Sequence[Row], verdict: JobVerdict | None) -> dict[str, float] | None:
    if verdict is None or verdict.decided_s is None or not rows:
        return None
    since_1970 = rows[-1][1] - rows[-1][0]
    begin, end = verdict.decided_s
    return {"from_unix_s": round(begin + since_1970, 3), "to_unix_s": round(end + since_1970, 3)}


def kernels_page(job: str, kernels: Sequence[object], known_ratio: float | None) -> dict[str, Any]:
    """What a job launched, heaviest first, as far as its machine code is known.

    Parameters
    ----------
    job : str
    kernels : sequence of LaunchedKernel
        See `hashwarden.serve.sources.code_join`; whatever else a source gives is left out.
    known_ratio : float, optional
        Share of its launches whose code is known.
    """
    rows = [asdict(each) for each in kernels if is_dataclass(each) and not isinstance(each, type)]
    note = _NO_CODE if known_ratio is None else _NOT_SINGLE
    return {"job": job, "known_ratio": known_ratio, "kernels": rows, "note": "" if rows else note}


def known(value: float) -> float | None:
    """A number, None if it is not known."""
    return value if math.isfinite(value) else None


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _number(value: float) -> float | None:
    return _short(value) if math.isfinite(value) else None
