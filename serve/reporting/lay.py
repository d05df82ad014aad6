"""Words for those who have never heard of hashwarden: states, classes, tiers, blindness, actions, numbers, times."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from hashwarden.serve.policy.guards import BLIND_WORDS
from hashwarden.serve.policy.observation import Blindness

__all__ = [
    "ACTIONS", "CLASSES", "RESULTS", "STATES", "TIERS", "blind_words", "clock", "date", "day", "duration", "hours",
    "joined", "one_in", "percent", "plural",
]  # fmt: skip

STATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "abstain": "nothing can be said",
        "clear": "watched, no evidence of mining",
        "watching": "weak evidence of mining, as one honest job in ten shows",
        "suspect": "suspected of mining",
        "confirmed": "confirmed as mining",
    }
)

CLASSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "training": "training of neural networks",
        "inference": "running neural networks",
        "mining": "cryptocurrency mining",
        "hash-other": "other hash computation (password audit, proofs, checksums)",
        "hpc-other": "other scientific computing",
        "idle": "idle",
        "unknown": "watched, not yet judged",
    }
)

TIERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "nvml": "the driver's basic counters (load, memory, power, clocks)",
        "gpm": "basic counters and the GPU's own performance counters",
        "gpm+code": "basic and performance counters, which programs were launched, and their machine code",
        "all": "counters, launched programs, their machine code, fine-grained sampling and probes",
    }
)

ACTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "warn": "a warning to the owner", "hold": "holding the job back", "requeuehold": "ending and holding the job",
        "cancel": "cancelling the job", "evict": "evicting the pod", "terminate": "ending its processes",
        "drain": "taking the node out of service", "throttle": "lowering the power limit of its GPUs",
        "release": "taking back what was done",
    }
)  # fmt: skip

RESULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "done": "done", "already": "not needed any more: the job was gone, or already so",
        "refused": "refused by the scheduler", "expired": "not done in time, and given up", "dry-run": "only told",
    }
)  # fmt: skip

_MINUTES, _HOURS, _DAYS = 120.0, 7200.0, 172800.0


def blind_words(kind: str) -> str:
    """A reason why nothing could be seen."""
    return BLIND_WORDS[Blindness(kind)] if kind in set(Blindness) else kind


def clock(unix_s: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time, UTC; a question mark for what no calendar has."""
    try:
        return time.strftime(form, time.gmtime(unix_s))
    except (ValueError, OverflowError, OSError):
        return "?"


def day(unix_s: float) -> str:
    """A day, as in a letter."""
    return clock(unix_s, "%d %B %Y").lstrip("0")


def date(unix_s: float) -> str:
    """A day and a time, as in a letter."""
    return f"{day(unix_s)}, {clock(unix_s, '%H:%M:%S')} UTC"


def duration(seconds: float) -> str:
    """How long, in the unit that fits."""
    if seconds < _MINUTES:
        return f"{seconds:,.0f} seconds"
    if seconds < _HOURS:
        return f"{seconds / 60:,.0f} minutes"
    if seconds < _DAYS:
        return f"{seconds / 3600:,.1f} hours"
    return f"{seconds / 86400:,.1f} days"


def hours(value: float) -> str:
    """GPU-hours."""
    return f"{value:,.1f}" if value >= 10 or not value else f"{value:,.2f}"


def percent(share: float) -> str:
    """A share; what is not nothing never reads as nothing, what is not all never as all."""
    whole = f"{100 * share:.0f} %"
    if share > 0 and whole == "0 %":
        return "under 1 %"
    return "over 99 %" if share < 1 and whole == "100 %" else whole


def one_in(share: float) -> str:
    """A small share, as people say it."""
    return f"1 in {1 / share:,.0f}" if share > 0 else "none"


def joined(words: Sequence[str], last: str = "and") -> str:
    """Words with commas, and a word before the last."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def plural(count: float, one: str, more: str = "") -> str:
    """A number and its noun."""
    return f"{count:,.0f} {one if count == 1 else more or one + 's'}"
