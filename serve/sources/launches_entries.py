"""What stands at the beginning of a library's functions in the memory of a process: its code, a probe, or neither.

A probe is a breakpoint that the kernel writes there, process by process, and a process can write to its own memory. So
two things are looked at before launches are counted and while they are. Both were seen on Linux 6.18:

- A process whose code is writable gets no breakpoint, and one that overwrites the breakpoint runs on without it. Its
  launches are not seen, and must not be taken for none.
- A process that has put a jump of its own there (a hook) crashes when a probe comes: the breakpoint takes the place of
  the jump's first byte, and after it the kernel goes on with what the file says, in the middle of the jump.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import platform
import re
import struct
from collections.abc import Iterable, Mapping
from enum import Enum, auto
from pathlib import Path
from typing import Final, NamedTuple, final

__all__ = ["COMPARED", "Entry", "State", "entries", "state"]

COMPARED: Final = 16
"""Bytes of each function: hooks take up to 14."""

_TRAP: Final = {"aarch64": b"\xa0\x00\x20\xd4"}.get(platform.machine(), b"\xcc")
"""``brk #5`` or ``int3``: what the kernel writes for a probe."""

_CALLS: Final = (b"\xe8", b"\xe9")
"""To its own trampoline, by which newer kernels spare the trap on x86-64: 5 bytes."""

_CALL_SIZE: Final = 5
_TRAMPOLINE: Final = re.compile(
    rb"^([0-9a-f]{1,16})-([0-9a-f]{1,16}) r-xp [0-9a-f]+ 00:00 0 +\[uprobes-trampoline\]$", re.MULTILINE
)
"""A name that only the kernel can give to memory of no file."""

_MOST_BYTES: Final = 8 << 20
_PROC: Final = Path("/proc")
_LIBC: Final = ctypes.CDLL(None)
_LIBC.process_vm_readv.restype = ctypes.c_ssize_t
_LIBC.process_vm_readv.argtypes = (
    ctypes.c_int, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_ulong,
)  # fmt: skip


class Entry(NamedTuple):
    """The beginning of a function in its file.

    Attributes
    ----------
    offset : int
        In the file.
    code : bytes
        At most `COMPARED`, and none of the next function's.
    """

    offset: int
    code: bytes


@final
class State(Enum):
    """Of a process."""

    PLAIN = auto()
    """All as in the file, but for probes."""
    PROBED = auto()
    """The same, and a probe on every function."""
    ALTERED = auto()
    """Something else stands there."""
    AWAY = auto()
    """The process has ended, or has no code at these addresses."""


def entries(fd: int, offsets: Mapping[str, int], wanted: Iterable[str]) -> tuple[Entry, ...]:
    """How functions of a library begin.

    Parameters
    ----------
    fd : int
        The open file.
    offsets : mapping of str to int
        Of all functions that may have probes.
    wanted : iterable of str
        Which of them; names that the library does not have are passed over.
    """
    places = sorted(set(offsets.values()))
    ends = dict(zip(places, [*places[1:], places[-1] + COMPARED], strict=True)) if places else {}
    chosen = sorted({offsets[name] for name in wanted if name in offsets})
    return tuple(Entry(at, os.pread(fd, min(COMPARED, ends[at] - at), at)) for at in chosen)


def state(pid: int, base: int, functions: Iterable[Entry], proc: Path = _PROC) -> State:
    """How these functions begin in a process.

    Parameters
    ----------
    pid : int
    base : int
        Address at which the beginning of the file would lie.
    functions : iterable of Entry
    proc : Path

    Raises
    ------
    OSError
        If the kernel does not show the memory.
    """
    functions = tuple(functions)
    try:
        found = _read(pid, base, functions, proc)
    except (FileNotFoundError, ProcessLookupError):
        return State.AWAY
    except OSError as error:
        if error.errno == errno.EIO:  # nothing is mapped there
            return State.AWAY
        raise
    probed = True
    for (offset, code), there in zip(functions, found, strict=True):
        if len(there) < len(code):
            return State.AWAY
        size = 0 if there == code else _probe_size(there, code, base + offset, f"{proc}/{pid}/maps")
        if there[size:] != code[size:]:
            return State.ALTERED
        probed = probed and size > 0
    return State.PROBED if probed else State.PLAIN


def _read(pid: int, base: int, functions: tuple[Entry, ...], proc: Path) -> list[bytes]:
    """Memory of a process: in one call, or where it does not give all (code that may only run), piece by piece."""
    sizes = [len(code) for _, code in functions]
    if proc == _PROC:
        into = ctypes.create_string_buffer(sum(sizes))
        there = [number for offset, code in functions for number in (base + offset, len(code))]
        here = struct.pack("2Q", ctypes.addressof(into), len(into))
        if _LIBC.process_vm_readv(pid, here, 1, struct.pack(f"{len(there)}Q", *there), len(sizes), 0) == len(into):
            ends, all_ = itertools.accumulate(sizes), into.raw
            return [all_[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    memory = os.open(f"{proc}/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return [os.pread(memory, len(code), base + offset) for offset, code in functions]
    finally:
        os.close(memory)


def _probe_size(found: bytes, code: bytes, address: int, maps: str) -> int:
    """Bytes that a probe takes up; 0 if none is there."""
    if found.startswith(_TRAP) and not code.startswith(_TRAP):
        return len(_TRAP)
    if not found.startswith(_CALLS) or len(found) < _CALL_SIZE:
        return 0
    target = address + _CALL_SIZE + struct.unpack_from("<i", found, 1)[0]
    try:
        with open(maps, "rb") as file:  # noqa: PTH123
            lines = file.read(_MOST_BYTES)
    except OSError:
        return 0
    inside = any(int(start, 16) <= target < int(end, 16) for start, end in _TRAMPOLINE.findall(lines))
    return _CALL_SIZE if inside else 0
