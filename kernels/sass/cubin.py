"""One cubin: its architecture, its kernels and what the module says about each of them."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import MalformedError, TargetError
from hashwarden.kernels.sass.elf import NOBITS, Elf, Section, Symbols, read_elf
from hashwarden.kernels.sass.source import MemorySource

__all__ = ["Cubin", "read_cubin"]

IntArray = npt.NDArray[np.int64]

_NEW_OS_ABI = 0x41
"""The ELF version that CUDA 13 writes for every architecture keeps the architecture one byte higher."""

_MAX_SHARED = 1 << 31
"""A hostile header may claim any 64-bit size for a section that takes no room."""

_ENTRY_FUNCTION = 0x10
_REGISTER_COUNT = 0x2F
_SIZED_VALUE = 4
_CONSTANTS = (".nv.constant0.", ".nv.constant2", ".nv.constant3", ".nv.constant4", ".nv.global.init", ".rodata")


@final
@dataclass(frozen=True, slots=True)
class Cubin:
    """The kernels of one cubin, as columns.

    Attributes
    ----------
    where : str
        Name of the file that it came from.
    arch : int
        Compute capability times 10.
    data : memoryview
        The whole cubin.
    names : list of str
        Mangled kernel names, in the order of the symbol table.
    offsets, sizes : int64 array, shape (kernels,)
        Where the code of each kernel lies in ``data``, in bytes; inside it always.
    regs, shared : int64 array, shape (kernels,)
        Registers per thread, and static shared memory in bytes; 0 where the module does not say.
    sha1 : list of str
        First 16 hex digits of the SHA-1 of each kernel's code.
    constants : uint32 array, shape (words,)
        The words of the module's constant, initialised global and read-only sections.
    other_code : int
        Bytes of code that belong to no kernel (device functions of separate compilation).
    """

    where: str
    arch: int
    data: memoryview
    names: list[str]
    offsets: IntArray
    sizes: IntArray
    regs: IntArray
    shared: IntArray
    sha1: list[str]
    constants: npt.NDArray[np.uint32]
    other_code: int

    def __len__(self) -> int:
        return len(self.names)

    def code(self, kernel: int) -> memoryview:
        """The machine code of one kernel."""
        start = int(self.offsets[kernel])
        return self.data[start : start + int(self.sizes[kernel])]


def read_cubin(data: bytes | bytearray | memoryview, where: str) -> Cubin:
    """Read a cubin.

    Parameters
    ----------
    data : bytes-like
        The cubin, decompressed; it is referred to, not copied.
    where : str
        Name of the file it came from, for messages and for the table's ``file`` column.

    Raises
    ------
    TruncatedError
        If it ends before its own headers say so.
    MalformedError
        If it is no cubin, or contradicts itself; also if sections share bytes, with which a small
        file could ask for endless work.
    UnsupportedError
        If it is a 32-bit cubin.
    """
    source = MemorySource(data, where)
    elf = read_elf(source)
    if not elf.is_cubin:
        raise _malformed(f"an ELF file for machine {elf.machine}", "190, a cubin", where)
    entries, names, texts = _entries(elf, elf.symbols())
    view = memoryview(data).cast("B")
    codes = [view[text.offset : text.offset + text.size] for text in texts]
    shared = {s.name: s.size for s in elf.sections if s.name.startswith(".nv.shared.")}
    registers = _registers(elf)
    return Cubin(
        where,
        elf.flags >> 8 & 255 if elf.os_abi == _NEW_OS_ABI else elf.flags & 255,
        view,
        names,
        np.array([text.offset for text in texts], np.int64),
        np.array([text.size for text in texts], np.int64),
        np.array([registers.get(index, 0) for index in entries], np.int64),
        np.array([min(shared.get(f".nv.shared.{name}", 0), _MAX_SHARED) for name in names], np.int64),
        [hashlib.sha1(code, usedforsecurity=False).hexdigest()[:16] for code in codes],
        _constants(elf),
        sum(s.size for s in _code_sections(elf)) - sum(text.size for text in texts),
    )


def _code_sections(elf: Elf) -> list[Section]:
    return [s for s in elf.sections if s.name.startswith(".text.") and s.type != NOBITS]


def _entries(elf: Elf, symbols: Symbols) -> tuple[list[int], list[str], list[Section]]:
    """Symbol index, name and code section of each kernel; a section counts once."""
    texts = {section.name: section for section in _code_sections(elf)}
    picked = np.flatnonzero(symbols.table["other"] & _ENTRY_FUNCTION)
    places = symbols.table["section"][picked].tolist()
    indices, names, sections, seen = [], [], [], set()
    for index, name, place in zip(picked.tolist(), symbols.names(picked, elf.source.where), places, strict=True):
        section = texts.get(f".text.{name}")
        if section is None and place < len(elf.sections):
            section = texts.get(elf.sections[place].name)
        if section is not None and section.index not in seen:
            seen.add(section.index)
            indices.append(index)
            names.append(name)
            sections.append(section)
    _check_room(elf, sections)
    return indices, names, sections


def _check_room(elf: Elf, sections: list[Section]) -> None:
    """Refuse sections that lie outside the file, or that together are larger than it."""
    for section in sections:
        elf.window(section)
    total = sum(section.size for section in sections)
    if total > elf.source.size:
        got = f"{len(sections)} sections of {total} bytes in a file of {elf.source.size}"
        raise _malformed(got, "sections that share no bytes", elf.source.where)


def _registers(elf: Elf) -> dict[int, int]:
    """Registers per thread by symbol index, from the attribute list of the module."""
    found: dict[int, int] = {}
    for section in elf.named(".nv.info"):
        data, at = bytes(elf.read(section)), 0
        while at + 4 <= len(data):
            form, attribute, size = struct.unpack_from("<BBH", data, at)
            if form == _SIZED_VALUE and attribute == _REGISTER_COUNT and at + 12 <= len(data):
                symbol, count = struct.unpack_from("<II", data, at + 4)
                found[symbol] = count
            at += 4 + (size if form == _SIZED_VALUE else 0)
        break
    return found


def _constants(elf: Elf) -> npt.NDArray[np.uint32]:
    """The words of all sections that hold constants, section by section."""
    sections = [s for s in elf.sections if s.type != NOBITS and s.name.startswith(_CONSTANTS)]
    _check_room(elf, sections)
    parts = [np.frombuffer(elf.read(s), np.uint8)[: s.size // 4 * 4].view(np.uint32) for s in sections]
    return np.concatenate(parts) if parts else np.zeros(0, np.uint32)


def _malformed(got: str, expected: str, where: str) -> TargetError:
    return MalformedError(got, expected, "Fetch or build the file again.", where=where)
