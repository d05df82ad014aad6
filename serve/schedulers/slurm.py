"""Slurm, by its own commands: comment and mail, hold, requeue and hold, cancel, drain, release.

Everything is looked up before it is asked for and again afterwards: the exit codes of Slurm's commands tell little
(scancel of a job that is gone succeeds, requeuehold brings one back that was cancelled), and an action is done when it
is so, not when it was accepted. A job is found by id, owner and start: ids come again after a controller lost its
state, and a job that was requeued is another run.

What does not fit is refused, in slurmctld's own words; where it cannot be reached, or says so much as "try again",
`SchedulerAway` is raised. Every hold is an administrator's: its owner could let go of the one that requeuehold leaves.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final, final

from hashwarden.serve.commands import Missing, Said, TooLong, run, words
from hashwarden.serve.schedulers.options import SchedulerOptions
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Outcome, Result, SchedulerAway
from hashwarden.serve.schedulers.slurm_mail import SENT, send
from hashwarden.serve.schedulers.slurm_mark import Comment
from hashwarden.serve.schedulers.slurm_node import NodeStanding, node_reason
from hashwarden.serve.schedulers.slurm_state import FORMAT, Standing, find, is_id, is_node

__all__ = ["Slurm", "make"]

_UNKNOWN_JOB: Final = "Invalid job id specified"
_DENIED: Final = "permission denied"
"""What slurmctld says to an Operator who writes an AdminComment; he may hold, requeue and cancel all the same."""

_LATER: Final = ("contact slurm", "timed out", "try again", "Unexpected message", "temporar", "authentication error")
_POLL_S: Final = (0.1, 0.2, 0.5, 1.0)


def make(options: SchedulerOptions) -> Slurm:
    """The scheduler of the registry."""
    return Slurm(options)


@final
class Slurm:
    """Asks slurmctld. Runs ``squeue``, ``scontrol``, ``scancel`` and ``sinfo`` of PATH, each for `timeout_s` at most.

    Parameters
    ----------
    options : SchedulerOptions
        `node`, `timeout_s` and `mail_command` are heeded.
    """

    def __init__(self, options: SchedulerOptions) -> None:
        self._options = options
        self._node = options.node or socket.gethostname().partition(".")[0]
        self._does: dict[ActionKind, Callable[[Action], Outcome]] = {
            ActionKind.WARN: self._warn,
            ActionKind.HOLD: self._hold,
            ActionKind.REQUEUE_HOLD: self._requeue_hold,
            ActionKind.CANCEL: self._cancel,
            ActionKind.DRAIN: self._drain,
            ActionKind.RELEASE: self._release,
        }

    @property
    def kinds(self) -> frozenset[ActionKind]:
        """What it can do."""
        return frozenset(self._does)

    def apply(self, action: Action) -> Outcome:
        """Do it, wait until it is so, and say how it went; see `Scheduler`.

        Raises
        ------
        SchedulerAway
            If slurmctld or its commands do not answer now, or a job that was cancelled still runs.
        """
        if action.kind not in self._does:
            return Outcome(action.id, Result.REFUSED, f"Slurm has no {action.kind}")
        if not is_id(action.job.id):
            return Outcome(action.id, Result.REFUSED, f"not the id of a Slurm job: {words(repr(action.job.id))}")
        if action.job.uid < 0 and action.kind is not ActionKind.DRAIN:
            return Outcome(action.id, Result.REFUSED, "whose job it was is not known: another may have its id now")
        try:
            return self._does[action.kind](action)
        except _RefusedError as refused:
            return Outcome(action.id, Result.REFUSED, str(refused))

    def close(self) -> None:
        """Nothing is kept open."""

    def _warn(self, action: Action) -> Outcome:
        """The comment first: after a crash between the two no second mail is sent."""
        standing = self._same_run(action)
        if standing is None or standing.ended:
            return _gone(action)
        is_first, unmarked = self._try_mark(action, standing)
        if not is_first:
            return Outcome(action.id, Result.ALREADY, "its comment says so already")
        command = action.parameters.get("mail_command", "") or self._options.mail_command
        told = send(command, action, self._options.timeout_s)
        if unmarked and told != SENT:
            raise _RefusedError(f"no comment{unmarked}{told}")
        return Outcome(action.id, Result.DONE, f"no comment{unmarked}{told}" if unmarked else f"comment set{told}")

    def _hold(self, action: Action) -> Outcome:
        standing = self._same_job(action)
        if standing is None or standing.ended or standing.ending:
            return _gone(action)
        if standing.by_admin:
            return Outcome(action.id, Result.ALREADY, "it is held by an administrator")
        _, unmarked = self._try_mark(action, standing)
        self._hold_now(standing)
        words = "held" if standing.waits else "held, should it be requeued"
        return Outcome(action.id, Result.DONE, words + unmarked)

    def _requeue_hold(self, action: Action) -> Outcome:
        standing = self._same_job(action)
        if standing is None or standing.ended:
            return _gone(action)
        was_held = standing.waits and standing.held
        is_first, unmarked = self._try_mark(action, standing)
        is_first = is_first and not unmarked
        if not standing.waits and not standing.ending:
            self._change("scontrol", "requeuehold", standing.whole)
        after = self._wait(standing.address, lambda now: now is None or now.ended or now.waits)
        if after is None or after.ended:
            return _gone(action)
        if not after.waits:
            raise SchedulerAway("it was asked to end; its processes are still there")
        self._hold_now(after)  # again, if need be: Slurm does not show whose hold the one of requeuehold is
        result = Result.DONE if is_first or not was_held else Result.ALREADY
        return Outcome(action.id, result, "in the queue, held" + unmarked)

    def _cancel(self, action: Action) -> Outcome:
        standing = self._same_run(action)
        if standing is None or standing.ended:
            return _gone(action)
        if not standing.ending:
            self._change("scancel", standing.address)
        after = self._wait(standing.address, lambda now: now is None or now.ended or now.waits)
        if after is not None and after.ending:
            return Outcome(action.id, Result.DONE, "cancelled; its last processes are still ending")
        if after is not None and not after.ended:
            raise SchedulerAway(f"it was asked to end and is {after.state}")
        return Outcome(action.id, Result.DONE, "cancelled")

    def _drain(self, action: Action) -> Outcome:
        node = self._node_stands()
        if node is None:
            raise _RefusedError(f"Slurm knows no node {words(repr(self._node))}")
        if node.drained:
            return Outcome(action.id, Result.ALREADY, f"it is {node.state}: {words(node.reason)}")
        self._change("scontrol", "update", f"NodeName={self._node}", "State=DRAIN", f"Reason={node_reason(action)}")
        return Outcome(action.id, Result.DONE, f"node {self._node} is drained")

    def _release(self, action: Action) -> Outcome:
        """Only what this case held: an administrator's other holds and drains stay."""
        done, of = [], action.parameters.get("of", ActionKind.DRAIN)
        node = self._node_stands() if of == ActionKind.DRAIN else None
        if node and node.drained_for(action.case):
            self._change("scontrol", "update", f"NodeName={self._node}", "State=RESUME")
            done.append("node resumed")
        standing = self._same_job(action)
        if standing and standing.held and not standing.ended:
            if not self._comment(standing).held_for(action.case) and not done:
                return Outcome(action.id, Result.REFUSED, "held, and no mark of this case says that we did it")
            together = of == ActionKind.REQUEUE_HOLD
            self._change("scontrol", "release", standing.whole if together else standing.address)
            done.append("released")
        return Outcome(action.id, Result.DONE if done else Result.ALREADY, ", ".join(done) or "nothing was held")

    def _hold_now(self, standing: Standing) -> None:
        self._change("scontrol", "hold", standing.address)
        after = self._wait(standing.address, lambda now: now is None or now.held or now.ended)
        if after is not None and not after.held and not after.ended:
            raise SchedulerAway("it was asked to be held and is not yet")

    def _mark(self, action: Action, standing: Standing) -> bool:
        """Leave the action's mark on the job; False if it is there."""
        comment = self._comment(standing)
        if comment.has(action):
            return False
        self._change("scontrol", "update", f"JobId={standing.address}", f"AdminComment={comment.with_mark(action)}")
        return True

    def _try_mark(self, action: Action, standing: Standing) -> tuple[bool, str]:
        """The same, and why there is no mark if slurmctld lets us write none."""
        try:
            return self._mark(action, standing), ""
        except _RefusedError as refused:
            if _DENIED not in str(refused):
                raise
            return True, f"; without a mark of ours: {refused}"

    def _comment(self, standing: Standing) -> Comment:
        return Comment.read(self._ask("scontrol", "show", "job", standing.address).text)

    def _same_run(self, action: Action) -> Standing | None:
        standing = self._find(action)
        return standing if standing and standing.is_run_of(action) else None

    def _same_job(self, action: Action) -> Standing | None:
        """The run that was meant, or the turn that the job was given after it."""
        standing = self._find(action)
        same = standing and (standing.is_run_of(action) or standing.is_later_turn_of(action))
        return standing if same else None

    def _find(self, action: Action) -> Standing | None:
        standing = self._stands(action.job.id)
        if standing and standing.several and not action.job.started_unix_s >= 0:
            raise _RefusedError(f"{action.job.id} stands for several tasks of an array")
        return standing

    def _stands(self, job: str) -> Standing | None:
        said = self._ask("squeue", "--noheader", "--all", "--states=all", f"--jobs={job}", f"--Format={FORMAT}")
        if said.code and _UNKNOWN_JOB not in said.text:
            raise SchedulerAway(words(said.text))
        return find(said.text, job)

    def _node_stands(self) -> NodeStanding | None:
        """None if Slurm knows none of this name, which may hold anything."""
        if not is_node(self._node):
            return None
        said = self._ask("sinfo", "--noheader", "--Node", f"--nodes={self._node}", f"--Format={NodeStanding.FORMAT}")
        if said.code:
            raise SchedulerAway(words(said.text))
        return NodeStanding.find(said.text)

    def _wait(self, address: str, holds: Callable[[Standing | None], bool]) -> Standing | None:
        """How the job stands when this holds, or when the time is over."""
        end, turn = time.monotonic() + self._options.timeout_s, 0
        while not holds(standing := self._stands(address)) and time.monotonic() < end:
            time.sleep(_POLL_S[min(turn, len(_POLL_S) - 1)])
            turn += 1
        return standing

    def _change(self, *command: str) -> None:
        """Ask for a change; what the controller will say again tomorrow is a refusal."""
        said = self._ask(*command)
        if not said.code:
            return
        if any(word in said.text for word in _LATER):
            raise SchedulerAway(words(said.text))
        raise _RefusedError(words(said.text) or f"{command[0]} ended with {said.code}")

    def _ask(self, *command: str) -> Said:
        try:
            return run(command, self._options.timeout_s)
        except (Missing, TooLong) as error:
            raise SchedulerAway(f"{command[0]}: {error}") from error


class _RefusedError(Exception):
    """In the words for the operator."""


def _gone(action: Action) -> Outcome:
    return Outcome(action.id, Result.ALREADY, "it has ended; what has its id now, if anything, is not that run")
