"""What operators are told: each thing at once, then at most once in a while, with the count of what was held back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, final

from hashwarden.serve.scan.text import printable, shorten

__all__ = ["Alert", "AlertBook", "AlertKind", "one_line"]

MOST_KEYS: Final = 1000
MOST_EXAMPLES: Final = 5
LONGEST: Final = 500


def one_line(text: str, width: int = LONGEST) -> str:
    """Printable, on one line, not too long."""
    return shorten(printable(text), width)


class AlertKind(StrEnum):
    """What an alert is about."""

    BLIND = "blind"
    CASE = "case"
    WARNED = "warned"
    APPROVAL = "approval"
    ACTION = "action"
    QUOTA = "quota"
    EXEMPTION = "exemption"


@final
@dataclass(frozen=True, slots=True)
class Alert:
    """One line for operators.

    Attributes
    ----------
    kind : AlertKind
    subject : str
        What it is about: a case, a blindness, a quota. Alerts of the same kind and subject are one thing.
    text : str
        Printable, one line.
    count : int
        How often it was so since it was last told, this time too.
    jobs : tuple of str
        Some of the jobs that it is about.
    emails : tuple of str
        Who is to be told.
    unix_s : float
    """

    kind: AlertKind
    subject: str
    text: str
    count: int = 1
    jobs: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    unix_s: float = 0.0


@final
@dataclass(slots=True)
class _Line:
    told_s: float
    seen_s: float
    count: int = 0
    jobs: list[str] = field(default_factory=list)


@final
class AlertBook:
    """Holds back what was told a short while ago. Lost at a restart: then it is told again."""

    def __init__(self) -> None:
        self._lines: dict[tuple[AlertKind, str], _Line] = {}

    def see(self, kind: AlertKind, subject: str, job: str, time_s: float, every_s: float) -> tuple[int, list[str]]:
        """Count it; gives how often it was so, and examples, if it is to be told now, else 0.

        Parameters
        ----------
        kind, subject
            What it is.
        job : str
            Whom it is about, empty if nobody.
        time_s : float
            Monotonic clock.
        every_s : float
            Least time between two tellings.
        """
        key = (kind, subject)
        line = self._lines.get(key)
        if line is None:
            self._forget(time_s, every_s)
            line = self._lines[key] = _Line(float("-inf"), time_s)
        line.count, line.seen_s = line.count + 1, time_s
        if job and job not in line.jobs and len(line.jobs) < MOST_EXAMPLES:
            line.jobs.append(job)
        if time_s - line.told_s < every_s:
            return 0, []
        count, jobs = line.count, line.jobs
        line.told_s, line.count, line.jobs = time_s, 0, []
        return count, jobs

    def _forget(self, time_s: float, every_s: float) -> None:
        """Make room: what was long not so first, then the oldest."""
        if len(self._lines) < MOST_KEYS:
            return
        old = [key for key, line in self._lines.items() if time_s - line.seen_s >= every_s]
        for key in old or list(self._lines)[: MOST_KEYS // 10]:
            del self._lines[key]
