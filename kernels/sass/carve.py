"""Find code objects in arbitrary bytes: host programs, data files, the memory of a process.

Section names are not asked: a section can be renamed or its header stripped, but the driver has to find the magic.
So `.nv_fatbin`, `__nv_relfatbin` and modules that a program keeps as plain data are all found the same way.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from hashwarden.kernels.sass.elf import EM_CUDA
from hashwarden.kernels.sass.limits import Budget
from hashwarden.kernels.sass.source import ByteSource

__all__ = ["Hit", "carve"]

_CHUNK: Final = 4 << 20
_LOOK: Final = 64
"""Bytes that a header needs behind its magic."""
_FATBIN: Final = struct.Struct("<IHHQ")
_ELF: Final = struct.Struct("<4sBB10xHHIQQQIHHHHHH")
_NEEDLES: Final = (b"\x50\xed\x55\xba", b"\x7fELF\x02\x01", b".target sm_")
_SECTION: Final = np.dtype(
    [("name", "<u4"), ("type", "<u4"), ("rest", "<u8,<u8"), ("offset", "<u8"), ("size", "<u8"), ("tail", "V24")]
)
_PTX_LOOK_BACK: Final = 4096
_NOT_TEXT: Final = re.compile(rb"[^\t\n\v\f\r -\x7e\x80-\xff]")


@final
@dataclass(frozen=True, slots=True)
class Hit:
    """A code object: kind ``fatbin``, ``cubin`` or ``ptx``, first byte, and bytes as its header says."""

    kind: str
    offset: int
    size: int


def carve(source: ByteSource, budget: Budget, start: int = 0) -> Iterator[Hit]:
    """All code objects from ``start`` on, in order.

    A hit may end behind the source: its header says so, and its reader reports it. Fat binaries and PTX are jumped
    over; the inside of a cubin is searched too, since a forged header may claim bytes that another one begins in.
    The work is linear in the size of the source.
    """
    position = free = start
    while position < source.size:
        budget.check_time(source.where)
        base = position
        chunk = bytes(source.read(base, min(_CHUNK + _LOOK, source.size - base)))
        position = min(base + _CHUNK, source.size)
        for hit in _in_chunk(source, chunk, base, free):
            yield hit
            free = hit.offset + (_LOOK if hit.kind == "cubin" else hit.size)
            position = max(position, free)


def _in_chunk(source: ByteSource, chunk: bytes, base: int, free: int) -> Iterator[Hit]:
    """The hits whose magic lies in one chunk and that begin at ``free`` or later."""
    nearest = [0] * len(_NEEDLES)
    at = 0
    while True:
        for index, needle in enumerate(_NEEDLES):
            if 0 <= nearest[index] <= at:
                nearest[index] = chunk.find(needle, at)
        place, index = min((place, index) for index, place in enumerate([*nearest, _CHUNK]) if place >= 0)
        if place >= _CHUNK:
            return
        hit = _READERS[index](source, base + place)
        at = place + 1
        if hit is not None and hit.offset >= free:
            yield hit
            free = hit.offset + (_LOOK if hit.kind == "cubin" else hit.size)
            at = max(at, free - base)


def _fatbin(source: ByteSource, offset: int) -> Hit | None:
    if offset + _FATBIN.size > source.size:
        return None
    _, version, header, size = _FATBIN.unpack(bytes(source.read(offset, _FATBIN.size)))
    if version != 1 or header != _FATBIN.size or size < _LOOK:
        return None
    # A size that cannot be is not jumped over: what follows is searched too.
    return Hit("fatbin", offset, min(_FATBIN.size + size, source.size - offset))


def _cubin(source: ByteSource, offset: int) -> Hit | None:
    if offset + _LOOK > source.size:
        return None
    raw = _ELF.unpack(bytes(source.read(offset, _LOOK)))
    machine, programs, sections = raw[4], raw[7], raw[8]
    program_bytes, section_entry, section_count = raw[11] * raw[12], raw[13], raw[14]
    if machine != EM_CUDA:
        return None
    size = max(_LOOK, programs + program_bytes if programs else 0)
    if sections:
        size = max(size, sections + section_entry * section_count)
        if section_entry == _SECTION.itemsize and offset + sections + section_entry * section_count <= source.size:
            size = max(size, _sections_end(source, offset + sections, section_count))
    return Hit("cubin", offset, size)


def _sections_end(source: ByteSource, table: int, count: int) -> int:
    headers = np.frombuffer(source.read(table, count * _SECTION.itemsize), _SECTION)
    ends = headers["offset"].astype(object) + headers["size"].astype(object)
    return int(max(ends[headers["type"] != 8], default=0))


def _ptx(source: ByteSource, offset: int) -> Hit | None:
    """The text around a ``.target sm_NN``: from its ``.version`` to the first byte that is no text."""
    start = max(0, offset - _PTX_LOOK_BACK)
    before = bytes(source.read(start, offset - start))
    version = before.rfind(b".version ")
    if version < 0 or _NOT_TEXT.search(before, version):
        return None
    end, first = offset, True
    while end < source.size:
        piece = bytes(source.read(end, min(_CHUNK if not first else 1 << 16, source.size - end)))
        if first and not re.match(rb"\.target sm_\d", piece):
            return None
        first = False
        if (stop := _NOT_TEXT.search(piece)) is not None:
            end += stop.start()
            break
        end += len(piece)
    return Hit("ptx", start + version, end - start - version)


_READERS: Final = (_fatbin, _cubin, _ptx)
