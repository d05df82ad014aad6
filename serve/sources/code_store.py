"""What was read before: a folder with one index per content, and a table that says which file has which content.

Content is known by its SHA-256 and the user who ran it, together with the version and the model; never by a path or a
build id, which anybody can write into a file. That a file still has the content that it had is believed by device,
inode, size and both times of change, as the kernel keeps them, and only where the kernel keeps them honestly
(`hashwarden.serve.sources.code_files.volatile`).

The folder must be the agent's own and closed to others, since a planted index would be a planted verdict.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import UsageError
from hashwarden.model.storage import replacing
from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.sources.code_index import FORMAT, Index, Rows, open_index, write_index
from hashwarden.version import __version__

__all__ = ["EMPTY", "LIMIT_BYTES", "CodeStore", "Identity", "identity", "model_hash"]

EMPTY: Final = ""
"""The key of content without kernels: it needs no index."""
LIMIT_BYTES: Final = 512 << 20
_KNOWN: Final = 20_000
_TABLE: Final = "files.json"
_TABLE_BYTES: Final = 32 << 20
_SUFFIX: Final = ".code"

Identity = str


def identity(state: os.stat_result) -> Identity:
    """A file with the content that it has now, as far as the kernel tells."""
    return ":".join(
        f"{part:x}" for part in (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    )


def model_hash(path: Path) -> str:
    """The SHA-256 of a model file, without loading what runs it."""
    return sha256(path.read_bytes()).hexdigest()


@final
class CodeStore:
    """See the module. One process writes, another may read.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    model : str
        Hash of the kernel model: what another one said is not taken.
    limit_bytes : int
        The oldest indices go when all together are larger.

    Raises
    ------
    UsageError
        If the folder cannot be made, is a link, another user's, or open to others.
    """

    def __init__(self, folder: Path, model: str = "", limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder, self._limit = folder, limit_bytes
        _own(folder)
        self._stamp = f"{FORMAT}/{__version__}/{model}"
        self._known: dict[str, str] = {}
        self._tries: dict[str, int] = {}

    def key(self, content: str) -> str:
        """The name under which the content of this user and SHA-256 is kept."""
        return sha256(f"{self._stamp}/{content}".encode()).hexdigest()

    @staticmethod
    def process_key(process: ProcessKey) -> str:
        """The name under which the memory of a process is kept."""
        return f"p{process.pid}-{process.started}"

    # The table of files

    def load(self) -> None:
        """Read the table; a damaged one, or one of another version or model, is an empty one."""
        with suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
            with (self.folder / _TABLE).open("rb") as file:
                table: dict[str, Any] = json.loads(file.read(_TABLE_BYTES))
            if table["stamp"] == self._stamp:
                self._known = {str(name): str(key) for name, key in table["known"].items()}
                self._tries = {str(name): int(count) for name, count in table["tries"].items()}

    def save(self) -> None:
        """Write the table, what was used last; a full disk costs the table."""
        for part in (self._known, self._tries):
            for name in list(part)[:-_KNOWN]:
                del part[name]
        text = json.dumps({"stamp": self._stamp, "known": self._known, "tries": self._tries})
        with suppress(OSError), replacing(self.folder / _TABLE) as file:
            file.write(text.encode())

    def known(self, name: str) -> str | None:
        """The key of a file's content, by user and `identity` or SHA-256; None if it has to be read."""
        key = self._known.get(name)
        if key is None or (key != EMPTY and not self.has(key)):
            return None
        self._known[name] = self._known.pop(name)
        return key

    def learn(self, names: Iterable[str], key: str) -> None:
        """These names mean the content that is kept as ``key``."""
        for name in names:
            self._known[name] = key
            self._tries.pop(name, None)

    def begin(self, name: str) -> int:
        """A file is going to be read; says how often that was begun before and not finished."""
        count = self._tries.pop(name, 0)
        self._tries[name] = min(count + 1, 1000)
        return count

    # The indices

    def has(self, key: str) -> bool:
        """Whether there is an index; it may still turn out to be damaged."""
        return (self.folder / f"{key}{_SUFFIX}").is_file()

    def open(self, key: str) -> Index | None:
        """The index of a key; a damaged one is removed."""
        path = self.folder / f"{key}{_SUFFIX}"
        index = open_index(path)
        with suppress(OSError):
            if index is None:
                path.unlink(missing_ok=True)
            else:
                os.utime(path)
        return index

    def write(self, key: str, rows: Rows) -> bool:
        """Keep an index; False if the disk does not take it."""
        try:
            write_index(self.folder / f"{key}{_SUFFIX}", rows)
            self._shrink()
        except OSError:
            return False
        return True

    def forget(self, process: ProcessKey) -> None:
        """A process has ended: what was found in its memory goes."""
        with suppress(OSError):
            (self.folder / f"{self.process_key(process)}{_SUFFIX}").unlink(missing_ok=True)

    def forget_processes(self) -> None:
        """Remove what is left of processes of an earlier run."""
        with suppress(OSError):
            for path in self.folder.glob(f"p*-*{_SUFFIX}"):
                path.unlink(missing_ok=True)

    def _shrink(self) -> None:
        entries = [(path, path.stat()) for path in self.folder.iterdir() if path.suffix == _SUFFIX]
        total = sum(state.st_size for _, state in entries)
        for path, state in sorted(entries, key=lambda entry: entry[1].st_mtime):
            if total <= self._limit:
                break
            path.unlink(missing_ok=True)
            total -= state.st_size


def _own(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.lstat()
    except OSError as error:
        raise _unsafe(folder, f"cannot be made ({error.strerror})") from error
    if not stat.S_ISDIR(state.st_mode):
        raise _unsafe(folder, "is no folder of its own")
    if state.st_uid != os.geteuid() or state.st_mode & 0o077:
        raise _unsafe(folder, f"is user {state.st_uid}'s with mode {stat.S_IMODE(state.st_mode):o}")


def _unsafe(folder: Path, what: str) -> UsageError:
    return UsageError(
        f"the folder for what was read of machine code {what}", "a folder of the agent's own with mode 700",
        "Mend it, or set HASHWARDEN_CACHE to another.", where=str(folder),
    )  # fmt: skip
