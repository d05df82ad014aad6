"""What others push, until the agent has judged it: one queue for each job on each GPU, all of them bounded.

Requests put whole batches in, or nothing: what does not fit is refused before anything is changed. The thread that
ticks takes the oldest sample of each queue, has the agent look at it, and then says that it is done. Until it is done
it is offered again and again, so that a reading that came too late for its tick is not lost.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, final

import numpy as np

from hashwarden.errors import LimitError, UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.serve.inbox.batch import (
    LEAST_RETRY_S,
    Batch,
    InboxClosedError,
    InboxFullError,
    Limits,
    Part,
    Ticket,
)
from hashwarden.serve.inbox.clock import AHEAD_S, Placed
from hashwarden.serve.inbox.jobs import Facts, gpu_name
from hashwarden.serve.inbox.ledger import Ledger, Stream, Waiting
from hashwarden.serve.sources.source import Reading

__all__ = ["Inbox"]

_ROW_BYTES: Final = 4 * len(CHANNELS) + 200
_OLDEST_S: Final = 30 * 86_400.0


@final
class Inbox:
    """See the module. Any thread may put; `take`, `settle` and `readings` are for the agent.

    Parameters
    ----------
    limits : Limits, optional
    home : str or None
        See `hashwarden.serve.inbox.jobs.Facts.job`.
    clock, unix : callable
        The agent's.

    Attributes
    ----------
    counts : Counter of str
        Since the start: ``samples``, ``duplicates``, ``late``, ``jumps``, ``full``, ``ended``, ``silent``, ``moved``.
    ledger : Ledger
        The jobs and GPUs that are known.
    """

    def __init__(
        self, limits: Limits | None = None, home: str | None = None,
        clock: Callable[[], float] = time.monotonic, unix: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.limits, self._clock, self._unix = limits or Limits(), clock, unix
        self.counts: Counter[str] = Counter()
        self.ledger = Ledger(home, self.counts)
        self._changed = threading.Condition(threading.Lock())
        self._busy: dict[tuple[str, str], Stream] = {}
        self._slice: tuple[tuple[Stream, Waiting], ...] = ()
        self._offered: tuple[Reading, ...] = ()
        self._unwritten: list[Batch] = []
        self._closed, self._woken = "", False
        self._waiting = 0
        self._rate = 1000.0

    @property
    def waiting(self) -> int:
        """Samples that wait, or are being judged."""
        return self._waiting

    # For requests

    def put(self, batch: Batch) -> Ticket:
        """Take a batch, whole.

        Raises
        ------
        InboxFullError
            If there is no room for it now.
        UsageError
            If a time cannot be: too far ahead of our clock, or a month ago.
        """
        now_s, now_unix_s = self._clock(), self._unix()
        for part in batch.parts:
            _check_times(part, now_unix_s)
        with self._changed:
            if self._closed:
                raise InboxClosedError(self._closed, "a desk that runs", "Send it again later.")
            placed = [self._place(batch.jobs[part.job], part, now_s, now_unix_s) for part in batch.parts]
            self._check_room(batch, sum(len(one.rows) for one in placed))
            return self._take_all(batch, placed, now_s)

    def end(self, key: str) -> Ticket | None:
        """A job is over, as soon as what waits of it is judged; None if there is no such job."""
        with self._changed:
            job = self.ledger.jobs.get(key)
            if job is None:
                return None
            ticket = Ticket(names=[(key, gpu) for gpu in job.streams])
            job.enders.append(ticket)
            self.ledger.ending.add(key)
            self._changed.notify_all()
        return ticket

    def _place(self, facts: Facts, part: Part, now_s: float, now_unix_s: float) -> Placed:
        clock = self.ledger.clock_of(facts.key, gpu_name(facts.cluster, part.gpu))
        return clock.place(part.unix, part.values, now_s, now_unix_s)

    def _check_room(self, batch: Batch, more: int) -> None:
        most = min(self.limits.samples, self.limits.mib * (1 << 20) // _ROW_BYTES)
        if more > most:
            raise LimitError(f"{more:,} samples", f"up to {most:,} in one request", "Send fewer at a time.")
        jobs, gpus = self.ledger.grown(batch.jobs, [(batch.jobs[part.job], part.gpu) for part in batch.parts])
        room = (("samples that wait", self._waiting + more, most), ("jobs", jobs, self.limits.jobs),
                ("jobs on GPUs", gpus, self.limits.gpus))  # fmt: skip
        for what, count, bound in room:
            if count > bound:
                self.counts["full"] += 1
                error = InboxFullError(f"{count:,} {what}", f"up to {bound:,}", "Send it again later.")
                error.retry_s = max(LEAST_RETRY_S, self._waiting / self._rate)
                raise error

    def _take_all(self, batch: Batch, placed: Sequence[Placed], now_s: float) -> Ticket:
        ticket, speaks = Ticket(), {part.job for part, one in zip(batch.parts, placed, strict=True) if one.rows}
        silent = {part.job for part in batch.parts} - speaks
        for place, facts in enumerate(batch.jobs):
            if not (self.ledger.is_gone(facts.key) and place in silent):  # what is sent again wakes nobody up
                self.ledger.know(facts, now_s)
        for part, one in zip(batch.parts, placed, strict=True):
            self._take_in(ticket, batch.jobs[part.job].key, part, one, now_s)
        self._unwritten.append(_as_taken(batch, placed))
        self._begin(ticket)
        return ticket

    def _take_in(self, ticket: Ticket, key: str, part: Part, placed: Placed, now_s: float) -> None:
        for name, count in (("taken", len(placed.rows)), ("duplicates", placed.duplicates), ("late", placed.late),
                            ("jumps", placed.jumps)):  # fmt: skip
            setattr(ticket, name, getattr(ticket, name) + count)
            self.counts["samples" if name == "taken" else name] += count
        if key not in self.ledger.jobs:
            return
        stream = self.ledger.stream(key, part.gpu, now_s)
        stream.clock = placed.clock
        for row, time_s in zip(placed.rows, placed.times, strict=True):
            stream.waiting.append(Waiting(time_s, float(part.unix[row]), part.values[row], ticket))
        ticket.names.append((key, stream.gpu))
        if stream.waiting:
            self._busy[key, stream.gpu] = stream

    def _begin(self, ticket: Ticket) -> None:
        ticket.left = ticket.taken
        self._waiting += ticket.taken
        if ticket.left:
            self._changed.notify_all()
        else:
            self.ledger.over.append(ticket)
            self._woken = True
            self._changed.notify_all()

    # For the agent

    def wait(self, seconds: float) -> bool:
        """Wait until there is something to do, but no longer than that; gives whether there is."""
        with self._changed:
            found = self._changed.wait_for(self._has_work, seconds)
            self._woken = False
            return found

    def wake(self) -> None:
        """End a `wait`."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def take(self) -> int:
        """Take the oldest sample of each queue, unless some are still being judged; gives how many are."""
        with self._changed:
            now_s = self._clock()
            if not self._slice:
                self._slice = tuple((stream, stream.waiting[0]) for stream in self._busy.values())
                self._offered = tuple(stream.reading(one, now_s) for stream, one in self._slice)
                self.ledger.hear([stream for stream, _ in self._slice], now_s, self.limits.left_s)
            self._end_jobs(now_s)
            self.ledger.show()
            return len(self._slice)

    def readings(self) -> Sequence[Reading]:
        """What is to be judged now; the same until it is settled."""
        return self._offered

    def settle(self, judged: Callable[[str, str, float], bool]) -> list[Ticket]:
        """Put aside what was judged; gives the requests of which all was, which are still to be told.

        Parameters
        ----------
        judged : callable
            From job, GPU and time to whether that sample was.
        """
        with self._changed:
            finished, self.ledger.over = self.ledger.over, []
            left = [(s, one) for s, one in self._slice if not judged(s.key, s.gpu, one.time_s)]
            kept = {id(one) for _, one in left}
            for stream, one in self._slice:
                if id(one) not in kept:
                    self._settle(stream, one, finished)
            if len(left) != len(self._slice):
                now_s = self._clock()
                self._slice = tuple(left)
                self._offered = tuple(stream.reading(one, now_s) for stream, one in left)
        return finished

    def _settle(self, stream: Stream, one: Waiting, finished: list[Ticket]) -> None:
        stream.waiting.popleft()
        stream.done_unix_s = one.unix_s
        self._waiting -= 1
        if not stream.waiting:
            self._busy.pop((stream.key, stream.gpu), None)
        one.ticket.left -= 1
        if one.ticket.left == 0:
            finished.append(one.ticket)

    def _end_jobs(self, now_s: float) -> None:
        """Let jobs end that were said to be over, or of which nothing is heard any more."""
        for job in list(self.ledger.jobs.values()):
            if any(stream.waiting for stream in job.streams.values()):
                continue
            silent = now_s - job.heard_s > self.limits.silent_s
            if job.enders or silent:
                self.ledger.end(job, "ended" if job.enders else "silent")

    def _has_work(self) -> bool:
        return bool(self._busy or self.ledger.ending or self._woken)

    # For whoever keeps it

    def unwritten(self) -> list[Batch]:
        """What was taken since this was asked last."""
        with self._changed:
            found, self._unwritten = self._unwritten, []
            return found

    def kept(self) -> tuple[list[dict[str, Any]], list[Batch]]:
        """The jobs, and what still waits; nothing is unwritten then."""
        with self._changed:
            self._unwritten = []
            waiting = [_waiting_of(self.ledger.jobs[s.key].facts, s) for s in self._busy.values() if s.waiting]
            return self.ledger.record(), waiting

    def take_up(self, jobs: Sequence[Mapping[str, Any]]) -> None:
        """The jobs as they were before a restart; what cannot be read is left out."""
        with self._changed:
            for record in jobs:
                with suppress(KeyError, TypeError, ValueError, AttributeError):
                    self.ledger.take_up(record, self._clock())
            self.ledger.show()

    # For the end

    def pace(self, samples: int, seconds: float) -> None:
        """Note how fast samples are worked off, for those who are told to come again later."""
        if samples and seconds > 0:
            self._rate += 0.1 * (samples / seconds - self._rate)

    def close(self, why: str) -> None:
        """Take nothing more; what waits can still be worked off."""
        with self._changed:
            self._closed = why
            self._changed.notify_all()

    def left_over(self) -> list[Ticket]:
        """The requests of which not all was judged."""
        with self._changed:
            every = {id(one.ticket): one.ticket for stream in self._busy.values() for one in stream.waiting}
            enders = [ticket for job in self.ledger.jobs.values() for ticket in job.enders]
            return [*every.values(), *enders]


def _as_taken(batch: Batch, placed: Sequence[Placed]) -> Batch:
    """A batch without what was not taken."""
    chosen = ((part, one.rows) for part, one in zip(batch.parts, placed, strict=True))
    parts = [part if len(rows) == len(part.unix) else replace(part, unix=part.unix[rows], values=part.values[rows])
             for part, rows in chosen if rows]  # fmt: skip
    return replace(batch, parts=tuple(parts))


def _waiting_of(facts: Facts, stream: Stream) -> Batch:
    unix = np.array([one.unix_s for one in stream.waiting])
    return Batch((facts,), (Part(0, stream.name, unix, np.stack([one.values for one in stream.waiting])),))


def _check_times(part: Part, now_unix_s: float) -> None:
    if not len(part.unix):
        return
    first, last = float(part.unix[0]), float(part.unix[-1])
    if not (np.isfinite(part.unix).all() and last <= now_unix_s + AHEAD_S):
        raise UsageError(f"a sample of unix_s = {last:.15g}", f"at most {AHEAD_S:g} s after now, {now_unix_s:.3f}",
                         "Send seconds since 1970, and set the client's clock.", where=part.gpu[:80])  # fmt: skip
    if first < now_unix_s - _OLDEST_S:
        raise UsageError(f"a sample of unix_s = {first:.15g}", f"at most 30 days before now, {now_unix_s:.3f}",
                         "Send seconds since 1970.", where=part.gpu[:80])  # fmt: skip
