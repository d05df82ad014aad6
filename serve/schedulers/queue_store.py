"""The folder of a queue of actions: what waits, and what was done lately.

``waiting/NUMBER-DIGEST`` is an action; moving it to ``done/DIGEST.RESULT`` ends it, which needs no room on the disk; it
is ``done/DIGEST`` once whoever asked has heard of it. A file is there whole or not at all. One process at a time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from hashwarden.errors import HashwardenError, UsageError
from hashwarden.model.storage import refusal, replacing, synced
from hashwarden.serve.journal import StorageError
from hashwarden.serve.schedulers.queue_record import BadRecord, Record, digest

__all__ = ["ActionStore"]

_KEEP_S: Final = 7 * 86400.0
_MOST_DONE: Final = 20_000
_MOST_BYTES: Final = 1 << 20
_WRITABLE: Final = 0o022


@final
class ActionStore:
    """See the module.

    Parameters
    ----------
    folder : Path
        Made if it is not there, for its owner alone.

    Raises
    ------
    UsageError
        If another process has it, or others could write into it: an action in it is carried out.
    StorageError
        If it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._waiting, self._done = folder, folder / "waiting", folder / "done"
        self._lock = -1
        try:
            for part in (folder, self._waiting, self._done):
                part.mkdir(mode=0o700, parents=part is folder, exist_ok=True)
                self._check(part)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _storage(error, folder) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise UsageError("another process has this queue", "one agent", "Stop it.", where=str(folder)) from None
        self._known = {path.stem for path in self._done.iterdir()}
        self._next = 0
        self.damaged: list[str] = []

    def load(self) -> Iterator[tuple[str, Record]]:
        """What waits, in order, by file name; what cannot be read is set aside and named in `damaged`."""
        for path in sorted(self._waiting.iterdir()):
            number = path.name.partition("-")[0]
            if path.suffix or not number.isdecimal():  # cut off while it was written: it was never acknowledged
                if path.suffix == ".part":
                    path.unlink(missing_ok=True)
                continue
            self._next = max(self._next, int(number) + 1)
            try:
                yield path.name, self._read(path)
            except BadRecord as error:
                path.replace(path.with_suffix(".bad"))
                self.damaged.append(f"{path.name}: {error}")

    def is_done(self, action_id: str) -> bool:
        """Whether it was ended lately."""
        return digest(action_id) in self._known

    def add(self, record: Record) -> str:
        """Keep an action; when this returns it survives kill -9 and a power cut.

        Returns
        -------
        str
            Its file's name.

        Raises
        ------
        StorageError
            If it cannot be kept; nothing of it is left then.
        """
        name, data = f"{self._next:012d}-{digest(record.action.id)}", record.encoded()
        path = self._waiting / name
        try:
            with replacing(path) as file:
                file.write(data)
            try:
                synced(self._waiting)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise _storage(error, path) from error
        self._next += 1
        return name

    def untold(self) -> Iterator[tuple[str, str]]:
        """What was ended, and perhaps never heard of: the id of the action, and the result."""
        for path in sorted(self._done.iterdir()):
            if path.suffix:
                with suppress(BadRecord):
                    yield self._read(path).action.id, path.suffix[1:]

    def heard(self, action_id: str, result: str) -> None:
        """Whoever asked has heard of it; where the disk refuses, he will hear of it again."""
        path = self._done / f"{digest(action_id)}.{result}"
        with suppress(OSError):
            path.replace(path.with_suffix(""))

    def end(self, name: str, result: str) -> None:
        """It does not wait any more.

        Parameters
        ----------
        name : str
            Of its file.
        result : str
            A word.

        Raises
        ------
        StorageError
            If the disk refuses; it waits on then.
        """
        key = name.partition("-")[2]
        try:
            with suppress(FileNotFoundError):  # ended, and only the names were not synced
                (self._waiting / name).replace(ended := self._done / f"{key}.{result}")
                os.utime(ended)
            synced(self._done)
            synced(self._waiting)
        except OSError as error:
            raise _storage(error, self._done / key) from error
        self._known.add(key)

    def prune(self, now_unix_s: float) -> None:
        """Forget what was ended long ago; errors are left for the next time."""
        with suppress(OSError):
            ages = sorted((path.stat().st_mtime, path) for path in self._done.iterdir())
            for number, (time_s, path) in enumerate(ages):
                if now_unix_s - time_s > _KEEP_S or len(ages) - number > _MOST_DONE:
                    path.unlink(missing_ok=True)
                    self._known.discard(path.stem)

    def close(self) -> None:
        """Let another process have it; a second call does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    def _read(self, path: Path) -> Record:
        try:
            with path.open("rb") as file:
                return Record.decoded(file.read(_MOST_BYTES))
        except OSError as error:
            raise BadRecord(f"cannot be read ({error.strerror})") from error

    @staticmethod
    def _check(folder: Path) -> None:
        found = folder.stat()
        if found.st_uid not in {0, os.geteuid()} or found.st_mode & _WRITABLE:
            remedy = "Give it to the agent's user, with mode 0700."
            raise UsageError("a folder that others can write to", "one of our own", remedy, where=str(folder))


def _storage(error: OSError, path: Path) -> HashwardenError:
    remedy = "Make room: nothing is asked of schedulers that could not be kept first."
    return StorageError(refusal(error, "an action"), "room on the disk", remedy, where=str(path))
