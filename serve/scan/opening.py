"""Opening what is to be read: paths and process ids in, descriptors out. No byte of a target is parsed here."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

from hashwarden.errors import MissingTargetError, PermissionError_, ProcessGoneError, TargetError, UnsupportedError
from hashwarden.kernels.sass.process import Mapping, file_mappings, memory_ranges, parse_maps
from hashwarden.kernels.sass.tree import open_tree

__all__ = ["Opened", "OpenedMemory", "OpenedProcess", "open_path"]

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MEMORY_PIECE: Final = 256 << 20
_MAPS_BYTES: Final = 64 << 20
"""Of the list of mappings: enough for 65,530 of them (vm.max_map_count) with names of a thousand bytes."""


@final
@dataclass(frozen=True, slots=True)
class Opened:
    """An open regular file: its name, its descriptor, its bytes."""

    where: str
    descriptor: int
    size: int


@final
@dataclass(frozen=True, slots=True)
class OpenedMemory:
    """Address ranges of a process, with /proc/PID/mem and /proc/PID/pagemap open for reading."""

    where: str
    memory: int
    pagemap: int
    ranges: tuple[tuple[int, int], ...]


def open_path(path: str) -> Iterator[Opened | TargetError]:
    """A file, or all regular files in a folder; the caller closes the descriptors.

    Nothing but a regular file is opened: a FIFO would hang, and opening a device can act on it.
    """
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError) as error:
        yield _cannot(path, error)
        return
    if stat.S_ISDIR(status.st_mode):
        for item in open_tree(path):
            if isinstance(item, TargetError):
                yield item
            else:
                yield Opened(_shown(item[0]), item[1], os.fstat(item[1]).st_size)
    elif stat.S_ISREG(status.st_mode):
        yield _open_file(path)
    else:
        yield UnsupportedError("neither a file nor a folder", "a regular file or a folder", "Name a file.", where=path)


def _open_file(path: str) -> Opened | TargetError:
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        return _cannot(path, error)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return UnsupportedError("no regular file any more", "a file that stays one", "Scan it again.", where=path)
    return Opened(_shown(path), descriptor, status.st_size)


def _shown(path: str) -> str:
    """A path for messages; bytes that are no UTF-8 are shown as such."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _cannot(path: str, error: OSError | ValueError) -> TargetError:
    where = _shown(path)
    if isinstance(error, (FileNotFoundError, NotADirectoryError, ValueError)):
        return MissingTargetError("no such file or folder", "an existing path", "Check the path.", where=where)
    return PermissionError_(
        f"cannot be opened ({error.strerror})", "a file that may be read", "Run as a user who may read it, or as root.",
        where=where,
    )  # fmt: skip


@final
class OpenedProcess:
    """A running process, held by a descriptor so that its number cannot come to mean another.

    Parameters
    ----------
    pid : int
        Its number.
    """

    def __init__(self, pid: int) -> None:
        self.pid, self.name = pid, f"pid {pid}"
        self._pidfd = self._folder = -1

    def items(self) -> Iterator[Opened | OpenedMemory | TargetError]:
        """Its mapped files, then its memory; ends with an error if it is gone."""
        mappings = self.mappings()
        if isinstance(mappings, TargetError):
            yield mappings
            return
        for mapping in file_mappings(mappings):
            yield self.open_mapping(mapping)
        yield from self.memory(memory_ranges(mappings))

    def mappings(self) -> list[Mapping] | TargetError:
        """Take hold of it, and see what it has mapped."""
        try:
            self._pidfd = os.pidfd_open(self.pid)
            self._folder = os.open(f"/proc/{self.pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            mappings = parse_maps(self._read("maps"))
        except (OSError, ValueError, OverflowError) as error:
            return self._cannot(error)
        if not mappings and not self.is_gone():
            return UnsupportedError("a process without memory of its own", "a user process",
                                    "Kernel threads run no GPU code.", where=self.name)  # fmt: skip
        return mappings

    def is_gone(self) -> bool:
        """Whether it has ended."""
        if self._pidfd < 0:
            return False
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def gone(self) -> ProcessGoneError:
        """The error that says so."""
        return ProcessGoneError("the process ended while it was read", "a process that runs until it is read",
                                "Scan its files instead, or start it again.", where=self.name)  # fmt: skip

    def close(self) -> None:
        """Let it go."""
        for descriptor in (self._pidfd, self._folder):
            if descriptor >= 0:
                os.close(descriptor)

    def _read(self, name: str) -> str:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(_MAPS_BYTES).decode("utf-8", "replace")

    def open_mapping(self, mapping: Mapping) -> Opened | TargetError:
        """The file behind a mapping: as it is mapped if root asks, even if deleted, or by its name."""
        path = mapping.path.removesuffix(" (deleted)")
        refused: OSError | None = None
        for place in (f"map_files/{mapping.start:x}-{mapping.end:x}", f"root/{path}"):
            try:
                descriptor = os.open(place, _FLAGS, dir_fd=self._folder)
            except OSError as error:
                refused = refused if isinstance(refused, PermissionError) else error
                continue
            status = os.fstat(descriptor)
            same = place.startswith("map_files") or status.st_ino == mapping.inode
            if stat.S_ISREG(status.st_mode) and same:
                return Opened(f"{self.name}!{_shown(path)}", descriptor, status.st_size)
            os.close(descriptor)
        return self._cannot(refused or FileNotFoundError(), f"{self.name}!{_shown(path)}")

    def memory(self, ranges: list[tuple[int, int]]) -> Iterator[OpenedMemory | TargetError]:
        """Its memory, in portions for several workers."""
        portion: list[tuple[int, int]] = []
        for index, (start, end) in enumerate(ranges):
            portion.append((start, end))
            if index == len(ranges) - 1 or len(portion) == 512 or sum(b - a for a, b in portion) >= _MEMORY_PIECE:
                try:
                    memory = os.open("mem", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
                    pagemap = os.open("pagemap", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
                except OSError as error:
                    yield self._cannot(error)
                    return
                yield OpenedMemory(self.name, memory, pagemap, tuple(portion))
                portion = []

    def _cannot(self, error: Exception, where: str = "") -> TargetError:
        if self._pidfd >= 0 and self.is_gone():
            return self.gone()
        if self._pidfd < 0 and not isinstance(error, PermissionError):
            return MissingTargetError(f"no process {self.pid}", "a running process", "Check the number.",
                                      where=self.name)  # fmt: skip
        if isinstance(error, FileNotFoundError):
            return MissingTargetError("a mapped file that is gone", "a file that can still be opened",
                                      "Run as root, who can open it all the same.",
                                      where=where or self.name)  # fmt: skip
        return PermissionError_(
            f"cannot be read ({getattr(error, 'strerror', None) or error})", "a process that may be read",
            "Run as the same user or as root.", where=where or self.name,
        )  # fmt: skip
