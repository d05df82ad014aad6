"""The JSON pages as rows: what is missing, wrong or hostile in them becomes something that can be shown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from hashwarden.serve.top.words import ORDER, Look, clean

__all__ = ["CaseRow", "GpuRow", "JobRow", "case_row", "gpu_rows", "job_row", "mapping", "number", "sequence"]

_MOST: Final = 64
_UUID: Final = re.compile("((?:GPU|MIG)-[0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f-]{22,}")
_MINING: Final = "mining"


def mapping(value: object) -> Mapping[str, Any]:
    """A mapping, empty if it is none."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    """A list, empty if it is none."""
    return value if isinstance(value, list) else []


def number(value: object) -> float:
    """A number, NaN if it is none."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return float(value) if known else math.nan  # type: ignore[arg-type]
    except OverflowError:
        return math.nan


@final
@dataclass(frozen=True, slots=True)
class GpuRow:
    """A GPU or MIG instance: utilisation and memory as ratios, power in watts, NaN where not known."""

    node: str
    gpu: str
    label: str
    name: str
    util: float
    memory: float
    memory_mib: float
    power_watts: float
    celsius: float
    jobs: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class JobRow:
    """A job: the worst of its verdicts, texts fit for the terminal.

    Attributes
    ----------
    node, key : str
        As they were given: they name it, and are not shown.
    job, user, gpus : str
        To show.
    state, likeliest, reason : str
    probability, strength : float
        Of the likeliest class, and of the evidence; NaN where not known.
    trend : tuple of float
        The evidence over time, oldest first.
    watched_s, hours : float
        Seconds that were watched, and GPU-hours.
    case, standing : str
    ended_unix_s : float
        NaN if it goes on.
    raw : mapping
        The page's own words.
    """

    node: str
    key: str
    job: str
    user: str
    gpus: str
    state: str
    likeliest: str
    probability: float
    strength: float
    trend: tuple[float, ...]
    reason: str
    watched_s: float
    hours: float
    case: str
    standing: str
    ended_unix_s: float = math.nan
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def rank(self) -> int:
        """Place of its state, worst first."""
        return ORDER.index(self.state) if self.state in ORDER else ORDER.index("abstain")


@final
@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case; texts fit for the terminal, `node` and `id` as they were given, `label` is the id to show."""

    node: str
    id: str
    label: str
    job: str
    user: str
    standing: str
    rule: str
    steps: str
    waiting: str
    is_open: bool
    opened_unix_s: float
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def gpu_rows(node: str, page: object, look: Look) -> list[GpuRow]:
    """The GPUs of a node in the order of their numbers."""
    found = []
    for one in filter(None, map(mapping, sequence(page))):
        now = mapping(one.get("now"))
        found.append(GpuRow(
            node, str(one.get("gpu", "")), _label(one, look), clean(one.get("name") or "?", look, _MOST),
            number(now.get("gpu_util_ratio", now.get("sm_active_ratio"))), number(now.get("fb_used_ratio")),
            number(now.get("fb_used_mib")), number(now.get("power_watts")), number(now.get("temperature_celsius")),
            tuple(clean(key, look, 200) for key in sequence(one.get("jobs"))),
        ))  # fmt: skip
    return found


def _label(gpu: Mapping[str, Any], look: Look) -> str:
    """Its number, or the name by which somebody pushes its samples, UUIDs as short as other tools cut them."""
    index, mig = gpu.get("index"), gpu.get("mig")
    if index is None:
        return clean(_UUID.sub(r"\1", str(gpu.get("gpu") or "?")), look, 80)
    label = clean(index, look, 8)
    return label if mig is None else f"{label}:{clean(mig, look, 8)}"


def job_row(node: str, page: object, labels: Mapping[str, str], look: Look) -> JobRow:
    """A job.

    Parameters
    ----------
    node : str
    page : object
        One of ``/v1/jobs``.
    labels : mapping of str to str
        Short names of GPUs.
    look : Look
    """
    one = mapping(page)
    verdicts = {str(gpu): mapping(verdict) for gpu, verdict in mapping(one.get("verdicts")).items()}
    worst = min(verdicts.values(), key=_badness, default={})
    state = _state(worst)
    likeliest = str(worst.get("likeliest") or "")
    gpus = [str(gpu) for gpu in sequence(one.get("gpus"))] or list(verdicts)
    return JobRow(
        node, str(one.get("job", "")), _name(one, look),
        clean(one.get("user") or one.get("namespace") or "?", look, _MOST),
        ",".join(labels.get(gpu) or _label({"gpu": gpu}, look) for gpu in gpus[:_MOST]), clean(state, look, 12),
        clean(likeliest, look, _MOST), number(mapping(worst.get("probabilities")).get(likeliest)),
        number(worst.get("strength")), tuple(number(value) for value in sequence(worst.get("trend"))[-_MOST:]),
        _reason(one, worst, look), number(worst.get("watched_s")),
        sum(s for v in mapping(one.get("gpu_seconds")).values() if math.isfinite(s := number(v))) / 3600,
        clean(one.get("case") or "", look, _MOST), clean(one.get("standing") or "none", look, _MOST),
        number(one.get("ended_unix_s")), one,
    )  # fmt: skip


def _state(verdict: Mapping[str, Any]) -> str:
    return str(verdict.get("state") or "abstain")


def _badness(verdict: Mapping[str, Any]) -> tuple[int, float]:
    state, strength = _state(verdict), number(verdict.get("strength"))
    rank = ORDER.index(state) if state in ORDER else ORDER.index("abstain")
    return rank, -strength if math.isfinite(strength) else 0.0


def _name(job: Mapping[str, Any], look: Look) -> str:
    if job.get("pod"):
        return clean(f"{job.get('namespace', '')}/{job['pod']}", look, 200)
    return clean(job.get("job") or "?", look, 200)


def _reason(job: Mapping[str, Any], verdict: Mapping[str, Any], look: Look) -> str:
    blind = sequence(job.get("blind"))
    words = [f"cannot be seen ({', '.join(map(str, blind[:8]))})"] if blind else []
    if verdict.get("abstains_for"):
        words.append(str(verdict["abstains_for"]))
    words += [str(reason) for reason in sequence(verdict.get("reasons"))[:8]]
    return clean("; ".join(dict.fromkeys(words)) or "no verdict yet", look)


def case_row(node: str, page: object, look: Look) -> CaseRow:
    """A case."""
    one = mapping(page)
    job = mapping(one.get("job"))
    is_open = one.get("closed_unix_s") is None
    standing = one.get("standing", "?") if is_open else f"closed: {one.get('closed_for', '?')}"
    done = [f"{name} {'told' if mapping(step).get('dry') else mapping(step).get('state', '?')}"
            for name, step in mapping(one.get("steps")).items()]  # fmt: skip
    approval = mapping(one.get("approval"))
    waiting = one.get("waiting") or (f"approved by {approval.get('by')}" if approval and is_open else "")
    return CaseRow(
        node, str(one.get("id", "")), clean(one.get("id") or "?", look, _MOST),
        _name({**job, "job": job.get("key")}, look),
        clean(job.get("user") or job.get("namespace") or "?", look, _MOST), clean(standing, look, _MOST),
        clean(one.get("rule") or "none", look, _MOST), clean(", ".join(done), look, 200), clean(waiting, look, 300),
        is_open, number(one.get("opened_unix_s")), one,
    )  # fmt: skip
