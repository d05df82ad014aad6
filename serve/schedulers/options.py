"""What schedulers are told when they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from hashwarden.serve.jobs.job import ProcessKey

__all__ = ["SchedulerOptions"]


def _none(_job: str) -> tuple[ProcessKey, ...]:
    return ()


@final
@dataclass(frozen=True, slots=True)
class SchedulerOptions:
    """Each takes what concerns it.

    Attributes
    ----------
    node : str
        Name of this node in the scheduler; empty for the host name.
    timeout_s : float
        Longest wait for one call.
    mail_command : tuple of str
        For warnings: program and arguments; the text comes on standard input, ``{user}`` and ``{job}`` are replaced
        in single arguments. Empty for no mail.
    kubeconfig : Path or None
        None for the service account of the pod, else the usual files.
    grace_s : float
        Between asking to end and ending by force.
    proc : Path
        Where the processes are.
    processes : callable
        From `Job.key` to the processes of the job that are known now.
    """

    node: str = ""
    timeout_s: float = 10.0
    mail_command: tuple[str, ...] = ()
    kubeconfig: Path | None = None
    grace_s: float = 10.0
    proc: Path = Path("/proc")
    processes: Callable[[str], tuple[ProcessKey, ...]] = field(default=_none)
