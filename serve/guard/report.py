"""What the guard says in the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from hashwarden.model.job.verdict import JobVerdict
from hashwarden.serve.guard.order import Why
from hashwarden.serve.schedulers.signals import Ended

__all__ = ["Report"]


@final
@dataclass(frozen=True, slots=True)
class Report:
    """How it ended.

    Attributes
    ----------
    code : int
        Exit code of the guard.
    why : str
        ``command``, ``verdict``, ``blind``, ``lost``.
    verdict : JobVerdict or None
        The worst; None if the command was never seen on a GPU.
    bundle : Path or None
        Where the evidence lies.
    ended : Ended or None
        What was ended.
    watched_s, blind_s : float
        Seconds that the command used a GPU and was seen, or was not; also those in which no source worked.
    sightless : bool
        Whether there was a time when no source worked.
    problems : tuple of str
        Sources that failed, in words; evidence that could not be written.
    left : int
        Processes that the command left behind.
    """

    code: int
    why: Why
    verdict: JobVerdict | None
    bundle: Path | None
    ended: Ended | None
    watched_s: float
    blind_s: float
    sightless: bool
    problems: tuple[str, ...]
    left: int
