"""What is asked of schedulers, kept until it is done: by a file for each action, before anybody hears of it.

An action is asked for at least once, in the order of its job, and told as done until who asked has heard of it: a crash
between asking and noting lets it be asked again, which a scheduler answers with ALREADY. While a scheduler is away it
waits, ever longer between two tries, until it expires: a verdict of yesterday is no reason to act today. Nothing is
asked that is not in the audit log first; nothing is told as done that is not in it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import HashwardenError
from hashwarden.serve.audit.event import Auditor, EventKind
from hashwarden.serve.journal import StorageError
from hashwarden.serve.schedulers.queue_calls import Answer, Calls
from hashwarden.serve.schedulers.queue_record import Record, boot_id, boottime_s
from hashwarden.serve.schedulers.queue_store import ActionStore
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Outcome, Result, Scheduler

__all__ = ["ActionQueue", "Limits"]

_PRUNE_S: Final = 3600.0


@final
@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a queue.

    Attributes
    ----------
    most : int
        Actions that wait.
    parallel : int
        Calls of one scheduler at a time.
    threads : int
        Calls in all, with those that hang.
    hang_s : float
        After that a call counts as hanging: its action is not asked for again while it hangs, others are.
    first_retry_s, last_retry_s : float
        Between two tries while the scheduler is away; doubled each time.
    patience_s : float
        For answers, in one `ActionQueue.step`.
    heard_s : float
        After that, who was told of an outcome is taken to have written it down.
    """

    most: int = 10_000
    parallel: int = 4
    threads: int = 32
    hang_s: float = 120.0
    first_retry_s: float = 1.0
    last_retry_s: float = 60.0
    patience_s: float = 0.5
    heard_s: float = 30.0


@dataclass(slots=True)
class _Entry:
    """An action that waits; `outcome` is set when it is done and that is still to be told."""

    record: Record
    tries: int = 0
    next_unix_s: float = float("-inf")
    wait_s: float = 0.0
    intended: bool = False
    told: bool = False
    away: str = ""
    outcome: Outcome | None = None


@final
class ActionQueue:
    """See the module. `put` and `pending` may be called from any thread, `step` from one.

    Parameters
    ----------
    folder : Path
        Its own; made if it is not there.
    schedulers : mapping of str to Scheduler
        By kind of job; ``gpu`` sets power limits.
    audit : Auditor
    clock : callable
        Seconds since 1970.
    limits : Limits, optional
    steady : callable, optional
        Seconds since boot.
    forbids : callable, optional
        Why an action must not go out any more, in words; empty if it may. Asked right before a scheduler is: much may
        have changed while that was away.

    Raises
    ------
    UsageError
        If another process has the folder, or others can write to it.
    StorageError
        If it cannot be made.
    """

    def __init__(  # noqa: PLR0913  two clocks
        self, folder: Path, schedulers: Mapping[str, Scheduler], audit: Auditor,
        clock: Callable[[], float] = time.time, *, limits: Limits | None = None,
        steady: Callable[[], float] = boottime_s, forbids: Callable[[Action], str] = lambda _: "",
    ) -> None:  # fmt: skip
        self._schedulers, self._audit, self._clock, self._steady = schedulers, audit, clock, steady
        self._forbids = forbids
        self._limits = limits or Limits()
        self._lock = threading.RLock()
        self._boot = boot_id()
        self._store = ActionStore(folder)
        self._entries = {name: _Entry(record) for name, record in self._store.load()}
        self._ids = {entry.record.action.id for entry in self._entries.values()}
        self._calls = Calls(self._limits.parallel, self._limits.threads, self._limits.hang_s, steady)
        self._ready = [_again(one, result) for one, result in self._store.untold()]
        self._told: list[tuple[float, Outcome]] = []
        self._pruned_s = float("-inf")

    @property
    def damaged(self) -> tuple[str, ...]:
        """Files that were set aside when the queue was opened, and why."""
        return tuple(self._store.damaged)

    @property
    def pending(self) -> tuple[Action, ...]:
        """What is not done yet, in the order in which it came."""
        with self._lock:
            return tuple(entry.record.action for entry in self._entries.values() if entry.outcome is None)

    @property
    def away(self) -> Mapping[str, str]:
        """Why what waits could not be done at its last try, by id of the action."""
        with self._lock:
            return {entry.record.action.id: entry.away for entry in self._entries.values() if entry.away}

    def put(self, action: Action) -> None:
        """Keep an action; when this returns it survives kill -9 and a power cut. The same id again changes nothing.

        Raises
        ------
        StorageError
            If it cannot be kept, or too many wait; nothing of it is left then.
        UsageError
            If it is too long.
        """
        with self._lock:
            if action.id in self._ids or self._store.is_done(action.id):
                return
            if len(self._entries) >= self._limits.most:
                raise StorageError(f"{len(self._entries)} actions wait", f"at most {self._limits.most}",
                                   "See why the schedulers do not answer.", where=str(self._store.folder))  # fmt: skip
            left_s = action.expires_unix_s - self._clock()
            record = Record(action, self._boot, self._steady() + left_s)
            self._entries[self._store.add(record)] = _Entry(record)
            self._ids.add(action.id)

    def step(self, now_unix_s: float) -> list[Outcome]:
        """Ask for what is due, and say what was done; waits for answers for `Limits.patience_s` at most.

        Returns
        -------
        list of Outcome
            Each once; after a restart those of the last half minute again, for they may have been lost.

        Raises
        ------
        StorageError
            If the audit log or the queue cannot be written and there is nothing to tell. What was done is told later.
        """
        self._heard()
        fault = self._turn(now_unix_s)
        self._calls.wait(self._limits.patience_s)
        fault = self._collect(now_unix_s) or fault
        with self._lock:
            ready, self._ready = self._ready, []
            self._told += [(self._steady(), outcome) for outcome in ready]
        if fault is not None and not ready:
            raise fault
        return ready

    def close(self) -> None:
        """Let go of the folder; what is being asked is asked again by the next that opens it."""
        self._calls.wait(self._limits.patience_s)
        self._collect(self._clock())
        self._store.close()

    def _heard(self) -> None:
        """Who comes for more a while later has heard of what was told."""
        while self._told and abs(self._steady() - self._told[0][0]) >= self._limits.heard_s:
            _, outcome = self._told.pop(0)
            self._store.heard(outcome.action, str(outcome.result))

    def _turn(self, now_unix_s: float) -> HashwardenError | None:
        fault = self._collect(now_unix_s)
        with self._lock:
            if abs(self._steady() - self._pruned_s) > _PRUNE_S:
                self._pruned_s = self._steady()
                self._store.prune(now_unix_s)
            try:
                self._expire(now_unix_s)
                self._ask(now_unix_s)
            except HashwardenError as error:
                fault = error
        return fault

    def _collect(self, now_unix_s: float) -> HashwardenError | None:
        """Take the answers, and note what is done."""
        fault = None
        with self._lock:
            for name, answer in self._calls.take().items():
                if name in self._entries:
                    self._note(self._entries[name], answer, now_unix_s)
            for name, entry in list(self._entries.items()):
                if entry.outcome is not None:
                    try:
                        self._finish(name, entry)
                    except HashwardenError as error:
                        fault = error
        return fault

    def _note(self, entry: _Entry, answer: Answer, now_unix_s: float) -> None:
        entry.outcome, entry.away = entry.outcome or answer.outcome, answer.away
        entry.wait_s = min(max(2 * entry.wait_s, self._limits.first_retry_s), self._limits.last_retry_s)
        entry.next_unix_s = now_unix_s + entry.wait_s

    def _finish(self, name: str, entry: _Entry) -> None:
        """First the log, then the file, then the word."""
        outcome, action = entry.outcome, entry.record.action
        assert outcome is not None  # for the type checker
        if not entry.told:
            found = {"result": str(outcome.result), "detail": outcome.detail, "tries": entry.tries}
            self._audit.append(EventKind.ACTION, {**_head(action), **found})
            entry.told = True
            self._ready.append(outcome)
        self._store.end(name, str(outcome.result))
        self._ids.discard(action.id)
        del self._entries[name]

    def _expire(self, now_unix_s: float) -> None:
        for name, entry in list(self._entries.items()):
            asked = self._calls.runs(name)
            late = entry.record.expired(now_unix_s, self._steady(), self._boot)
            if entry.outcome is None and late and (not asked or self._calls.hangs(name)):
                words = "it was asked for, and there was no answer" if asked else entry.away or "it was too late"
                entry.outcome = Outcome(entry.record.action.id, Result.EXPIRED, words)
                self._finish(name, entry)

    def _ask(self, now_unix_s: float) -> None:
        """Begin what is due, the oldest of each job."""
        jobs = set()
        for name, entry in self._entries.items():
            action = entry.record.action
            is_first = action.job.key not in jobs
            jobs.add(action.job.key)
            if is_first and entry.outcome is None and self._is_due(entry, now_unix_s) and not self._calls.runs(name):
                self._begin(name, entry)

    def _is_due(self, entry: _Entry, now_unix_s: float) -> bool:
        """Also if the clock was set back since the last try."""
        return not entry.next_unix_s - self._limits.last_retry_s <= now_unix_s < entry.next_unix_s

    def _begin(self, name: str, entry: _Entry) -> None:
        action = entry.record.action
        kind = _asked_of(action)
        scheduler = self._schedulers.get(kind)
        if scheduler is None:
            entry.outcome = Outcome(action.id, Result.REFUSED, f"there is no scheduler for {kind}")
            return
        if words := self._forbids(action):
            entry.outcome = Outcome(action.id, Result.EXPIRED, words)
            return
        if not self._calls.has_room(kind):
            return
        if not entry.intended:
            self._audit.append(EventKind.INTENT, _head(action))
            entry.intended = True
        entry.tries += 1
        self._calls.begin(name, kind, scheduler, action)


def _again(action: str, result: str) -> Outcome:
    known = result in set(Result)
    return Outcome(action, Result(result) if known else Result.EXPIRED, "told again after a restart")


def _asked_of(action: Action) -> str:
    """Whose it is: power limits are set on this node, whoever started the job."""
    power = action.kind is ActionKind.THROTTLE
    released = action.kind is ActionKind.RELEASE and action.parameters.get("of") == ActionKind.THROTTLE
    return "gpu" if power or released else action.job.kind


def _head(action: Action) -> dict[str, Any]:
    return {
        "action": action.id, "kind": str(action.kind), "case": action.case, "reason": action.reason,
        "job": action.job.key, "scheduler": action.job.kind, "id": action.job.id, "user": action.job.user,
        "requested_unix_s": action.requested_unix_s, "expires_unix_s": action.expires_unix_s,
        "parameters": dict(action.parameters),
    }  # fmt: skip
