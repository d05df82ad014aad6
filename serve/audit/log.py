"""The audit log: a chain of records in files that only grow, with signed checkpoints.

A record is acknowledged when `AuditLog.append` returns; with ``sync`` it then survives kill -9 and a power cut. What
could not be written whole is cut off again, so that a full disk leaves nothing half, and the next call tries anew.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, final

from hashwarden.errors import UsageError
from hashwarden.model.storage import refusal
from hashwarden.serve.audit.anchor import Anchor
from hashwarden.serve.audit.batch import Batch, Event
from hashwarden.serve.audit.boot import boot_id
from hashwarden.serve.audit.checkpoint import Checkpoint
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.key_change import endorsed
from hashwarden.serve.audit.keys import Signer
from hashwarden.serve.audit.opening import Opening, begin_file, drop_empty, hold, open_log
from hashwarden.serve.audit.record import Stamp
from hashwarden.serve.audit.reserve import Reserve
from hashwarden.serve.audit.retention import FOREVER, Due, Keeper, Retention
from hashwarden.serve.journal import StorageError

__all__ = ["AuditLog", "Limits"]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_LAST_WORDS: Final = frozenset(
    {EventKind.ACTION, EventKind.APPROVAL, EventKind.BLIND, EventKind.CHECKPOINT, EventKind.LOG, EventKind.STOP}
)
"""What may use the reserve: what was done already, and why no more will be."""
_RETRY_S: Final = 30.0


@final
@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes and times.

    Attributes
    ----------
    rotate_bytes : int
        A file larger than this is followed by another.
    every : int
        Most records from one checkpoint to the next.
    checkpoint_s : float
        With the next record after so many seconds there is a checkpoint, too.
    reserve_bytes : int
        Room kept back for last words; 0 for none.
    """

    rotate_bytes: int = 32 << 20
    every: int = 100
    checkpoint_s: float = 300.0
    reserve_bytes: int = 256 << 10


@final
class AuditLog:
    """Writes one log; the only writer of its folder.

    Parameters
    ----------
    folder : Path
        Made if it is not there, for its owner alone.
    signer : Signer or None
        None leaves checkpoints unsigned: then only an anchor tells a log from one that was written anew.
    anchors : sequence of Anchor
        Told of each checkpoint.
    node : str
        Name of this machine, for the first record.
    limits : Limits
    clock, monotonic : callable
        Seconds since 1970, and of this boot.
    retention : Retention
        What `checkpoint` removes of the oldest files, one at a time; nothing if not given.

    Attributes
    ----------
    anchor_failures : int
        Checkpoints that an anchor did not take.
    unanchored : str
        Why the last one is not kept elsewhere, empty if it is: until it is, an end that is cut off is not found.

    Raises
    ------
    UsageError
        If another process writes to this folder.
    StorageError
        If the folder cannot be written.
    DataError
        If it cannot be read.
    """

    def __init__(  # noqa: PLR0913  three of them are for tests and odd sites
        self, folder: Path, signer: Signer | None, *, anchors: Sequence[Anchor] = (), node: str = "",
        limits: Limits = Limits(), clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic, retention: Retention = FOREVER,
    ) -> None:  # fmt: skip
        self.folder, self._signer, self._anchors, self._limits = folder, signer, tuple(anchors), limits
        self._clock, self._monotonic, self._boot = clock, monotonic, boot_id()
        self._lock, self._held = threading.RLock(), hold(folder)
        self._reserve = Reserve(folder / "reserve", limits.reserve_bytes)
        self._checkpoint_s = self._reserve_s = monotonic()
        self._keeper = Keeper(retention, self._checkpoint_s, clock())
        self._due: Due | None = None
        self.anchor_failures = 0
        self.unanchored = ""
        try:
            self._take(open_log(folder, signer, node))
            self._reserve.keep()
            with suppress(StorageError):  # with no room for it now, it comes before the next record
                self._commit((), sync=True)
        except BaseException:
            self._held.close()
            raise

    @property
    def low(self) -> bool:
        """Whether the disk is so full that no room could be kept back: time to raise an alert."""
        return self._limits.reserve_bytes > 0 and not self._reserve.ready

    @property
    def next_seq(self) -> int:
        """Number of the next record."""
        return self._head.seq

    def append(self, kind: EventKind, body: Mapping[str, Any], *, sync: bool = True) -> int:
        """Write a record; when this returns (with `sync`), it survives kill -9 and a power cut.

        Parameters
        ----------
        kind : EventKind
        body : mapping
            Whatever it is, it is made fit by `hashwarden.serve.audit.clean.clean`.
        sync : bool
            Whether to wait for the disk. Without, a killed process loses nothing, but a power cut may take it.

        Returns
        -------
        int
            Its number, from 0 over all files.

        Raises
        ------
        StorageError
            If it cannot be written. Nothing of it counts then, and the next call tries again.
        """
        return self.append_many(((kind, body),), sync=sync)[0]

    def append_many(self, events: Iterable[Event], *, sync: bool = True) -> list[int]:
        """Write several records with one wait for the disk: all of them or none.

        Raises
        ------
        StorageError
            If they cannot be written.
        """
        with self._lock:
            self._go_on()
            return self._commit(tuple(events), sync=sync)

    def checkpoint(self) -> Checkpoint | None:
        """Sign where the chain is now, and tell the anchors; then remove a file whose time has come.

        Call it every few minutes.

        Returns
        -------
        Checkpoint or None
            None if there is nothing after the last one.

        Raises
        ------
        StorageError
            If it cannot be written, or a file that should go cannot be removed.
        """
        with self._lock:
            found = self._signed()
            self._retire()
            return found

    def change_key(self, signer: Signer) -> None:
        """Go on with another key; the old one signs the change.

        Raises
        ------
        UsageError
            If the log has no key.
        StorageError
            If it cannot be written; the old key stays.
        """
        with self._lock:
            if self._signer is None:
                raise UsageError("a log without a key", "one with", "Begin a new log.", where=str(self.folder))
            event = (EventKind.LOG, endorsed(self._log, self._signer, signer))
            self._commit((event,), sync=True, last=True, then=signer)
            self._signer = signer

    def close(self) -> None:
        """Write a last checkpoint and let go of the folder; never raises, and a second call does nothing."""
        with self._lock:
            if self._held.closed:
                return
            with suppress(StorageError):
                self._signed()
            self._file.close()
            self._reserve.release()
            self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _signed(self) -> Checkpoint | None:
        if not self._head.since and not self._owed:
            self._sync()
            return None
        self._commit((), sync=True, last=True)
        return self._last

    def _retire(self) -> None:
        """What goes is written down and signed before: so nobody else's removal can pass for one by the rule."""
        if self._held.closed:
            return
        due = self._due
        if due is None:
            due = self._keeper.due(self.folder, self._signer, self._monotonic(), self._clock())
            if due is None:
                return
            self._commit(((EventKind.LOG, due.body),), sync=True, last=True)
            self._due = due
        try:
            due.remove()
            self._due = None
        except OSError as error:
            words = f"{due.path.name} should go and stays ({error.strerror})"
            remedy = "Let it be removed, or set audit.keep_days and audit.disk_mib otherwise."
            raise StorageError(words, "a file that can be removed", remedy, where=str(self.folder)) from error

    def _take(self, found: Opening) -> None:
        self._file, self._head, self._log = found.file, found.head, found.log
        self._owed: tuple[Event, ...] = found.owed
        self._promised = found.every or self._limits.every
        self._last: Checkpoint | None = None

    def _commit(
        self, events: Sequence[Event], *, sync: bool, last: bool = False, then: Signer | None = None
    ) -> list[int]:  # fmt: skip
        """Write what is owed, checkpoints that are due, and the events; `last` asks for a checkpoint after them.

        `then` is the key that follows: all of a change is one write, so that a killed process leaves all or nothing.
        """
        batch = Batch(self._head, self._log, self._signer, self._limits.every, self._stamp())
        late = self._head.since and self._stamp().mono_s - self._checkpoint_s >= self._limits.checkpoint_s
        other = self._promised != self._limits.every  # another setting than when the last one was signed
        if (self._file.size == 0 and self._head.seq > 0) or late or other:
            batch.checkpoint()
        for kind, body in self._owed:
            batch.add(kind, body)
        if self._owed:
            batch.checkpoint()
        numbers = [batch.add(kind, body) for kind, body in events]
        if last and batch.head.since:
            batch.checkpoint()
        if then is not None:
            batch.hand_over(then)
        if batch.data:
            self._put(batch.data, {kind for kind, _ in events}, sync=sync or bool(batch.told))
        self._head, self._owed, self._promised = batch.head, (), self._limits.every
        self._tell(batch.told)
        return numbers

    def _put(self, data: bytes, kinds: set[EventKind], *, sync: bool) -> None:
        if self._held.closed:
            raise UsageError("a closed log", "an open one", "Open it again.", where=str(self.folder))
        try:
            try:
                self._file.put(data, sync=sync)
            except OSError as error:
                if error.errno not in _FULL or not kinds <= _LAST_WORDS or not self._reserve.release():
                    raise
                self._file.put(data, sync=sync)
        except OSError as error:
            raise _storage(error, self._file.path) from error
        now = self._monotonic()
        if not self._reserve.ready and now - self._reserve_s >= _RETRY_S:
            self._reserve_s = now
            self._reserve.keep()

    def _sync(self) -> None:
        try:
            self._file.sync()
        except OSError as error:
            raise _storage(error, self._file.path) from error

    def _tell(self, told: Sequence[Checkpoint]) -> None:
        for one in told:
            self._last, self._checkpoint_s, self.unanchored = one, self._monotonic(), ""
            for anchor in self._anchors:
                try:
                    anchor.tell(one)
                except OSError as error:
                    self.anchor_failures += 1
                    self.unanchored = f"the last checkpoint was not kept elsewhere: {error.strerror or error}"

    def _go_on(self) -> None:
        """Go on in another file if this one is large; if that cannot be now, stay in this one."""
        if self._file.size < self._limits.rotate_bytes or self._held.closed:
            return
        with suppress(StorageError):
            self._commit((), sync=True)  # what is owed goes where it belongs
            self._rotate()

    def _rotate(self) -> None:
        """The next file is there before this one says so: then a missing one is one that was taken away."""
        first = self._head.seq + 1
        fresh = begin_file(self.folder, first)
        try:
            batch = Batch(self._head, self._log, self._signer, self._limits.every + 1, self._stamp())
            batch.add(EventKind.LOG, {"event": "rotated", "next": fresh.path.name})
            self._put(batch.data, {EventKind.LOG}, sync=True)
        except BaseException:
            drop_empty(fresh)
            raise
        self._file.close()
        self._file, self._head = fresh, batch.head

    def _stamp(self) -> Stamp:
        return Stamp(self._clock(), self._monotonic(), self._boot)


def _storage(error: OSError, path: Path) -> StorageError:
    remedy = "What was acknowledged is kept; make room, and it goes on."
    return StorageError(refusal(error, "the audit log"), "room on the disk", remedy, where=str(path))
