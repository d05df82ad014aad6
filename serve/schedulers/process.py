"""Jobs that no scheduler knows: processes of this machine, ended by signals (`hashwarden.serve.schedulers.signals`)."""

from __future__ import annotations

from typing import Final, final

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.schedulers.options import SchedulerOptions
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Outcome, Result, SchedulerAway
from hashwarden.serve.schedulers.signals import end_processes, facts_of

__all__ = ["ProcessScheduler", "make"]

_KINDS: Final = frozenset({ActionKind.TERMINATE})


def make(options: SchedulerOptions) -> ProcessScheduler:
    """The scheduler."""
    return ProcessScheduler(options)


@final
class ProcessScheduler:
    """Ends the processes of a job, with their process groups and descendants.

    Parameters
    ----------
    options : SchedulerOptions
        Its `grace_s`, `proc` and `processes`.
    """

    def __init__(self, options: SchedulerOptions) -> None:
        self._options = options

    @property
    def kinds(self) -> frozenset[ActionKind]:
        """It can only end them: there is nobody to ask to warn their owner."""
        return _KINDS

    def apply(self, action: Action) -> Outcome:
        """End them; SchedulerAway if some are still there, as one that hangs in the driver is."""
        if action.kind not in _KINDS:
            return Outcome(action.id, Result.REFUSED, f"{action.kind} cannot be done to processes")
        if not self._members(action):
            return Outcome(action.id, Result.ALREADY, "none of its processes is left")
        ended = end_processes(lambda: self._members(action), self._options.grace_s, proc=self._options.proc)
        if ended.left:
            raise SchedulerAway(f"{len(ended.left)} processes are still there after SIGKILL")
        return Outcome(action.id, Result.DONE, f"{ended.asked} sent SIGTERM, {ended.forced} SIGKILL")

    def close(self) -> None:
        """Nothing is held."""

    def _members(self, action: Action) -> tuple[ProcessKey, ...]:
        known = self._options.processes(action.job.key)
        return tuple(
            key for key in known if (facts := facts_of(key.pid, self._options.proc)) is not None and facts.key == key
        )
