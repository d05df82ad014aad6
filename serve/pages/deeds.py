"""What a decision does, said before it is made: to whom, by what means, and what it will not do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hashwarden.serve.pages.markup import mapped
from hashwarden.serve.scan.text import printable, shorten

__all__ = ["consequence", "subject"]

_DEEDS: Final[Mapping[tuple[str, str], str]] = {
    ("cancel", "slurm"): "Slurm is asked to cancel the job (scancel): it ends, and what it did not save is lost",
    ("cancel", "kubernetes"): "the pod is evicted: it ends, and what it did not save is lost",
    ("cancel", "process"): "its processes get SIGTERM, and SIGKILL after the grace time: they end",
    ("requeuehold", "slurm"): "Slurm is asked to requeue the job and hold it (requeuehold): it ends now, and starts "
    "again only when somebody releases it",
    ("hold", "slurm"): "Slurm is asked to hold the job: what runs goes on, it is not started again",
    ("drain", "slurm"): "Slurm is asked to drain the node: running jobs go on, nobody starts new ones on it",
    ("throttle", ""): "the power limit of its GPUs is lowered: the job goes on, slower",
}  # fmt: skip


def subject(case: Mapping[str, Any]) -> str:
    """Whom a case is about, in words."""
    job = mapped(case.get("job"))
    owner = job.get("user") or job.get("namespace") or "nobody known"
    gpus = len(job.get("gpus") or ())
    key, owner = (shorten(printable(str(each)), 120) for each in (job.get("key", "?"), owner))
    return f"the job {key} of {owner}, on {gpus} GPU{'' if gpus == 1 else 's'}"


def consequence(case: Mapping[str, Any], word: str, mode: str) -> str:
    """What will be done, in one or two sentences.

    Parameters
    ----------
    case : mapping
    word : str
        ``approve`` or ``reject``.
    mode : str
        Of the policy in force.
    """
    whom = subject(case)
    if word == "reject":
        return (f"The case is closed, and {whom} is left alone: what waits for a scheduler is taken back. "
                "What was already done is not undone.")  # fmt: skip
    if mode != "enforce":
        return f"The policy is a dry run: nothing is done to {whom}. Your approval is written down."
    waiting = str(case.get("waiting") or "")
    act = waiting.removeprefix("approval of ").partition(":")[0].strip() if waiting.startswith("approval of ") else ""
    kind = str(mapped(case.get("job")).get("kind", ""))
    if not act:
        later = "its ladder comes to an act that needs approval" if case.get("rule") else "a rule asks for an act"
        return (f"Nothing waits for approval now. Nothing is done to {whom} until {later}; your approval is kept for "
                "that, as long as the policy says.")  # fmt: skip
    deed = _DEEDS.get((act, kind)) or _DEEDS.get((act, "")) or f"the scheduler is asked for: {act}"
    return f"At the next look, within about a minute: {deed}. This is done to {whom}."
