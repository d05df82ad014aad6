"""Where the functions of a shared library lie in its file, for probes.

The file may be anybody's: all that it says is bounded and checked, and what contradicts itself gives nothing.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Final

__all__ = ["MOST_STRINGS", "MOST_SYMBOLS", "function_offsets"]

MOST_SYMBOLS: Final = 65_536
MOST_STRINGS: Final = 16 << 20
_MOST_HEADERS: Final = 4096

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_LOADED, _EXECUTABLE, _DYNAMIC_SYMBOLS, _FUNCTION = 1, 1, 11, 2


def function_offsets(fd: int, names: frozenset[str]) -> dict[str, int]:
    """Offsets in the file of those functions that an ELF library of 64 bits exports.

    Parameters
    ----------
    fd : int
        The open file.
    names : frozenset of str
        Which are wanted.

    Returns
    -------
    dict of str to int
        Empty if the file is none, or damaged.
    """
    try:
        return dict(_offsets(fd, {name.encode(): name for name in names}))
    except (struct.error, OSError, OverflowError):
        return {}


def _offsets(fd: int, wanted: dict[bytes, str]) -> Iterator[tuple[str, int]]:
    (ident, _, _, _, _, segments_at, sections_at, _, _, segment_size, segments, section_size, sections, _
     ) = _HEADER.unpack(os.pread(fd, _HEADER.size, 0))  # fmt: skip
    if ident[:6] != b"\x7fELF\x02\x01" or max(segments, sections) > _MOST_HEADERS:
        return
    table = _entries(fd, _SECTION, sections_at, section_size, sections)
    ranges = [
        (vaddr, offset, size)
        for kind, flags, offset, vaddr, _, size, _, _ in _entries(fd, _SEGMENT, segments_at, segment_size, segments)
        if kind == _LOADED and flags & _EXECUTABLE
    ]
    length = os.fstat(fd).st_size
    for section in table:
        if section[1] == _DYNAMIC_SYMBOLS and section[6] < len(table):
            strings = os.pread(fd, min(table[section[6]][5], MOST_STRINGS), table[section[6]][4])
            for name, address in _functions(fd, section[4], section[5], strings, wanted):
                place = next((at + address - start for start, at, size in ranges if 0 <= address - start < size), None)
                if place is not None and place < length:
                    yield wanted[name], place


def _entries(fd: int, shape: struct.Struct, at: int, size: int, count: int) -> list[tuple[int, ...]]:
    if size != shape.size:
        return []
    return list(shape.iter_unpack(os.pread(fd, size * count, at)))


def _functions(fd: int, at: int, size: int, strings: bytes, wanted: dict[bytes, str]) -> Iterator[tuple[bytes, int]]:
    longest = max(map(len, wanted), default=0) + 1
    body = os.pread(fd, min(size, MOST_SYMBOLS * _SYMBOL.size) // _SYMBOL.size * _SYMBOL.size, at)
    for name_at, info, _, section, value, _ in _SYMBOL.iter_unpack(body[: len(body) // 24 * 24]):
        if info & 15 == _FUNCTION and section:
            name = strings[name_at : name_at + longest].partition(b"\0")[0]
            if name in wanted:
                yield name, value
