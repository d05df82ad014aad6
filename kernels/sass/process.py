"""The address space of a running process: what of it is files, and what is searched as memory.

Only pages that belong to the process alone are read through /proc/PID/mem: a mapped file is opened and read as the
file that it is. Memory of devices is never touched, for reading a device's register can change it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from hashwarden.kernels.sass.source import ByteSource

__all__ = ["PAGE", "Mapping", "ProcessMemory", "file_mappings", "memory_ranges", "parse_maps", "present_ranges"]

PAGE = os.sysconf("SC_PAGESIZE")

_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ([-r])([-w])([-x])([-ps]) [0-9a-f]+ ([0-9a-f]+:[0-9a-f]+) (\d+)\s*(.*)")
_PRESENT, _SWAPPED, _OF_FILE = 1 << 63, 1 << 62, 1 << 61
_ENTRIES = 1 << 18


@final
@dataclass(frozen=True, slots=True)
class Mapping:
    """One line of /proc/PID/maps.

    Attributes
    ----------
    start, end : int
        Addresses.
    readable, writable, shared : bool
        What the process may do with it.
    device : str
        ``major:minor`` in hexadecimal.
    inode : int
        0 where no file is behind it.
    path : str
        As the kernel writes it, ``(deleted)`` included.
    """

    start: int
    end: int
    readable: bool
    writable: bool
    shared: bool
    device: str
    inode: int
    path: str

    @property
    def is_device(self) -> bool:
        """Whether it may be memory of a device (a GPU's registers, for example) and is left alone."""
        harmless = ("/dev/shm/", "/dev/zero", "/dev/hugepages/")  # noqa: S108  names to compare with
        if self.path.startswith("/dev/"):
            return not self.path.startswith(harmless)
        return self.path in ("[vvar]", "[vvar_vclock]", "[vdso]", "[vsyscall]") or self.path.startswith("anon_inode:")

    @property
    def is_file(self) -> bool:
        """Whether a file that can be opened is behind it."""
        return self.inode != 0 and not self.is_device and not self.path.startswith("/dev/zero")


def parse_maps(text: str) -> list[Mapping]:
    """The mappings in the text of /proc/PID/maps; lines of another form are left out."""
    found = []
    for line in text.splitlines():
        if (match := _LINE.fullmatch(line)) is not None:
            start, end, read, write, _, share, device, inode, path = match.groups()
            found.append(
                Mapping(int(start, 16), int(end, 16), read == "r", write == "w", share == "s", device, int(inode), path)
            )
    return found


def file_mappings(mappings: list[Mapping]) -> list[Mapping]:
    """One mapping of each file that is mapped, whatever part of it is."""
    first: dict[tuple[str, int], Mapping] = {}
    for mapping in mappings:
        if mapping.is_file:
            first.setdefault((mapping.device, mapping.inode), mapping)
    return list(first.values())


def memory_ranges(mappings: list[Mapping]) -> list[tuple[int, int]]:
    """Address ranges that may hold pages of the process alone; neighbours are joined.

    A code object may lie across two mappings that differ in a flag only, and in the pages of a mapped file that the
    process has written to.
    """
    joined: list[tuple[int, int]] = []
    for mapping in mappings:
        if not mapping.readable or mapping.is_device or (mapping.is_file and (mapping.shared or not mapping.writable)):
            continue
        if joined and joined[-1][1] == mapping.start:
            joined[-1] = (joined[-1][0], mapping.end)
        else:
            joined.append((mapping.start, mapping.end))
    return joined


def present_ranges(pagemap: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The runs of pages from ``start`` to ``end`` that exist and are no page of a file.

    A page that was never touched is not read: reading it would make the kernel build it, and a process may reserve
    terabytes.

    Parameters
    ----------
    pagemap : int
        Descriptor of /proc/PID/pagemap.
    start, end : int
        Addresses.
    """
    run: tuple[int, int] | None = None
    for first in range(start // PAGE, -(-end // PAGE), _ENTRIES):
        count = min(_ENTRIES, -(-end // PAGE) - first)
        entries = np.frombuffer(os.pread(pagemap, count * 8, first * 8), np.uint64)
        there = (entries & np.uint64(_PRESENT | _SWAPPED) != 0) & (entries & np.uint64(_OF_FILE) == 0)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8))).tolist()
        for low, high in zip(edges[::2], edges[1::2], strict=True):
            if run is not None and run[1] == (first + low) * PAGE:
                run = (run[0], (first + high) * PAGE)
                continue
            if run is not None:
                yield run
            run = ((first + low) * PAGE, (first + high) * PAGE)
    if run is not None:
        yield run


@final
class ProcessMemory(ByteSource):
    """A range of a process's memory; pages that cannot be read, or are gone, read as zeros and are counted.

    Parameters
    ----------
    descriptor : int
        /proc/PID/mem, opened for reading.
    start, end : int
        Addresses.
    where : str
        Name for messages.
    """

    def __init__(self, descriptor: int, start: int, end: int, where: str) -> None:
        self._descriptor, self._start = descriptor, start
        self.size, self.where = end - start, where
        self.unreadable: set[int] = set()

    def _pread(self, offset: int, size: int) -> bytes:
        address, end = self._start + offset, self._start + offset + size
        parts: list[bytes] = []
        while address < end:
            part = self._some(address, end)
            parts.append(part)
            address += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, address: int, end: int) -> bytes:
        """Bytes from ``address``: what one call reads, or zeros up to the next page."""
        try:
            data = os.pread(self._descriptor, end - address, address)
        except OSError:
            data = b""
        if data:
            return data
        page = address // PAGE
        self.unreadable.add(page)
        return bytes(min(end, (page + 1) * PAGE) - address)
