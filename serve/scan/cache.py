"""Verdicts of earlier scans, found by the SHA-256 of the content, the version, the model and the limits.

An entry is one zstd frame with a checksum: a line with the target's record, then one line per kernel.
Whatever is wrong with an entry makes it a miss. The folder must be the user's own and closed to others,
since a planted entry would be a planted verdict.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import zstandard

from hashwarden.errors import UsageError
from hashwarden.kernels.sass.limits import Limits
from hashwarden.serve.scan import records
from hashwarden.serve.scan.output import atomic_bytes
from hashwarden.serve.scan.report_json import SCHEMA
from hashwarden.serve.scan.result import TargetReport
from hashwarden.serve.scan.spool import KernelSpool
from hashwarden.version import __version__

__all__ = ["Cache", "CacheKey", "default_folder"]

LASTING = frozenset({"EmptyTargetError", "EncryptedError", "MalformedError", "NoGpuCodeError", "TruncatedError"})
"""Problems that lie in the content itself; with any other the target is read anew next time."""

_DAMAGED = (OSError, zstandard.ZstdError, ValueError, KeyError, TypeError, AttributeError, IndexError)
_SUFFIX = ".zst"


def default_folder() -> Path:
    """``$HASHWARDEN_CACHE``, else ``hashwarden`` in the user's cache folder."""
    own = os.environ.get("HASHWARDEN_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hashwarden"


@final
@dataclass(frozen=True, slots=True)
class CacheKey:
    """What a verdict depends on.

    Attributes
    ----------
    name : str
        File name of the entry.
    sha256 : str
        Of the target's content.
    path : str
        The target.
    state : tuple of int
        Device, inode, size and time of change when it was hashed.
    """

    name: str
    sha256: str
    path: str
    state: tuple[int, ...]


@final
class Cache:
    """A folder of entries of bounded size.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    limit_bytes : int
        The oldest entries go when all together are larger.

    Raises
    ------
    UsageError
        If the folder cannot be made, is another user's, is open to others or is a link.
    """

    def __init__(self, folder: Path, limit_bytes: int = 512 << 20) -> None:
        self._folder, self._limit = folder, limit_bytes
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            state = folder.lstat()
        except OSError as error:
            raise _unsafe(folder, f"cannot be made ({error.strerror})") from error
        if not stat.S_ISDIR(state.st_mode):
            raise _unsafe(folder, "is no folder of its own")
        if state.st_uid != os.geteuid():
            raise _unsafe(folder, f"belongs to user {state.st_uid}")
        if state.st_mode & 0o077:
            raise _unsafe(folder, f"is open to others (mode {stat.S_IMODE(state.st_mode):o})")

    def key(self, target: str | Path, model: str, limits: Limits) -> CacheKey | None:
        """Hash a target; None if it is no plain file that can be read."""
        try:
            with open(target, "rb", opener=_open_plain_file) as file:
                state = os.fstat(file.fileno())
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None
        parts = json.dumps([SCHEMA, __version__, model, asdict(limits), sha256])
        name = hashlib.sha256(parts.encode()).hexdigest() + _SUFFIX
        return CacheKey(name, sha256, str(target), _state(state))

    def has(self, key: CacheKey) -> bool:
        """Whether there is an entry; it may still turn out to be damaged."""
        return (self._folder / key.name).is_file()

    def load(self, key: CacheKey, target: str, spool: KernelSpool) -> TargetReport | None:
        """Give the stored report under the target's present name, its kernels into the spool; None if damaged."""
        path = self._folder / key.name
        count, end = spool.count, spool.end
        try:
            with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as plain:
                lines = io.TextIOWrapper(plain, encoding="ascii")
                head = json.loads(next(lines, ""))
                spool.extend_records(_renamed(json.loads(line), target) for line in lines)
            report = _report(head, key, target, count)
            if report.n_kernels != spool.count - count:
                raise ValueError("an entry that lacks kernels")
            os.utime(path)
        except _DAMAGED:
            spool.cut(count, end)
            with suppress(OSError):
                path.unlink()
            return None
        return report

    def store(self, key: CacheKey, report: TargetReport, kernels: Iterable[str]) -> None:
        """Keep a report, unless the target changed meanwhile or its problems may not last.

        A full disk or a folder that has gone costs the entry, never the scan.
        """
        lasting = all(problem.error in LASTING for problem in report.problems)
        with suppress(OSError):
            if lasting and _state(os.stat(key.path)) == key.state:  # noqa: PTH116
                self._write(key, report, kernels)
                self._shrink()

    def _write(self, key: CacheKey, report: TargetReport, kernels: Iterable[str]) -> None:
        compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
        with (
            atomic_bytes(self._folder / key.name, 0o600) as file,
            compressor.stream_writer(file, closefd=False) as out,
        ):
            out.write(_line(_head(report)))
            for line in kernels:
                out.write(_line(_without(json.loads(line), report.target)))

    def _shrink(self) -> None:
        entries = [(path, path.stat()) for path in self._folder.iterdir() if path.suffix == _SUFFIX]
        total = sum(state.st_size for _, state in entries)
        for path, state in sorted(entries, key=lambda entry: entry[1].st_mtime):
            if total <= self._limit:
                break
            path.unlink(missing_ok=True)
            total -= state.st_size


def _open_plain_file(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe, and nothing but a file."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "no plain file", path)


def _unsafe(folder: Path, what: str) -> UsageError:
    return UsageError(
        f"the cache folder {what}",
        "a folder of the user's own with mode 700",
        "Mend it, set HASHWARDEN_CACHE to another, or scan with --no-cache.",
        where=str(folder),
    )


def _state(state: os.stat_result) -> tuple[int, ...]:
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)


def _line(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, separators=(",", ":")) + "\n").encode("ascii")


def _head(report: TargetReport) -> dict[str, Any]:
    files = [_without(records.file_record(file), report.target) for file in report.files]
    for file in files:
        file["kernels"] = [_without(kernel, report.target) for kernel in file["kernels"]]
    problems = [_without(records.problem_record(problem), report.target) for problem in report.problems]
    stats = records.stats_record(report.stats)
    return {"files": files, "problems": problems, "stats": stats, "n_kernels": report.n_kernels}


def _report(head: dict[str, Any], key: CacheKey, target: str, first: int) -> TargetReport:
    for file in head["files"]:
        file["kernels"] = [_renamed(kernel, target) for kernel in file["kernels"]]
    files = tuple(records.file_from_record(_renamed(file, target)) for file in head["files"])
    problems = tuple(records.problem_from_record(_renamed(problem, target)) for problem in head["problems"])
    stats = records.stats_from_record(head["stats"])
    return TargetReport(target, files, problems, first, int(head["n_kernels"]), stats, key.sha256, cached=True)


def _without(entry: dict[str, Any], target: str) -> dict[str, Any]:
    """Take the target's name off ``where``; the same content may have another name next time."""
    where = entry["where"]
    inside = where.startswith(target)
    return entry | {"where": where[len(target) :] if inside else where, "inside": inside}


def _renamed(entry: dict[str, Any], target: str) -> dict[str, Any]:
    entry = dict(entry)
    if entry.pop("inside"):
        entry["where"] = target + entry["where"]
    return entry
