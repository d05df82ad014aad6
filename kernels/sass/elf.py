"""Sections and symbols of 64-bit little-endian ELF files: cubins, executables, shared objects.

A reader of our own, because the input is hostile, may be gigabytes, and is read by position: only
the headers and the tables that are asked for ever reach memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import MalformedError, TargetError, TruncatedError, UnsupportedError
from hashwarden.kernels.sass.source import ByteSource, WindowSource

__all__ = ["ELF_MAGIC", "EM_CUDA", "NOBITS", "STRTAB", "SYMTAB", "Elf", "Section", "Symbols", "read_elf"]

ELF_MAGIC = b"\x7fELF"
EM_CUDA = 190
SYMTAB, STRTAB, NOBITS = 2, 3, 8

MAX_SECTIONS = 1 << 19
MAX_SYMBOLS = 1 << 23
MAX_STRINGS = 256 << 20
MAX_NAME = 1 << 20

_EXTENDED_INDEX = 0xFFFF
_HEADER = np.dtype(
    "V16,<u2,<u2,<u4,<u8,<u8,<u8,<u4,<u2,<u2,<u2,<u2,<u2,<u2",
)
_SECTION = np.dtype(
    {
        "names": ["name", "type", "flags", "address", "offset", "size", "link", "info", "align", "entry"],
        "formats": ["<u4", "<u4", "<u8", "<u8", "<u8", "<u8", "<u4", "<u4", "<u8", "<u8"],
    }
)
_SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
)


@final
@dataclass(frozen=True, slots=True)
class Section:
    """One section header; ``offset`` and ``size`` are what the file says and are checked when read."""

    index: int
    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int


@final
@dataclass(frozen=True, slots=True)
class Symbols:
    """A symbol table and its names.

    Attributes
    ----------
    table : structured array, shape (symbols,)
        Fields name (offset), info, other, section, value, size.
    strings : bytes
        The string table that ``name`` points into.
    """

    table: npt.NDArray[np.void]
    strings: bytes

    def name(self, index: int) -> str:
        """The name of symbol ``index``."""
        return _name(self.strings, int(self.table["name"][index]))

    def names(self, indices: npt.NDArray[np.int64], where: str) -> list[str]:
        """The names of several symbols; their sum is bounded.

        Raises
        ------
        MalformedError
            If they have more than `MAX_STRINGS` bytes together.
        """
        return _names(where, self.strings, self.table["name"][indices].tolist())


@final
@dataclass(frozen=True, slots=True)
class Elf:
    """The headers of one ELF file.

    Attributes
    ----------
    source : ByteSource
        Where the bytes are.
    machine, flags : int
        ``e_machine`` and ``e_flags``.
    os_abi : int
        Byte 7 of the file; tells the two cubin versions apart.
    sections : tuple of Section
        In file order; empty where the section headers were stripped.
    """

    source: ByteSource
    machine: int
    flags: int
    os_abi: int
    sections: tuple[Section, ...]

    @property
    def is_cubin(self) -> bool:
        """Whether the file is GPU code."""
        return self.machine == EM_CUDA

    def named(self, *names: str) -> Iterator[Section]:
        """The sections with one of these names."""
        return (section for section in self.sections if section.name in names)

    def window(self, section: Section) -> WindowSource:
        """The bytes of a section, read when asked for.

        Raises
        ------
        TruncatedError
            If the section ends behind the end of the file.
        """
        size = 0 if section.type == NOBITS else section.size
        return self.source.window(section.offset if size else 0, size)

    def read(self, section: Section) -> bytes | memoryview:
        """The bytes of a section; none for one that takes no room in the file."""
        window = self.window(section)
        return window.read(0, window.size)

    def symbols(self) -> Symbols:
        """The symbol table (the first, if a file has several; no symbols if none).

        Raises
        ------
        MalformedError
            If the table or its strings contradict themselves or are absurdly large.
        TruncatedError
            If they lie behind the end of the file.
        """
        section = next((s for s in self.sections if s.type == SYMTAB), None)
        if section is None:
            return Symbols(np.zeros(0, _SYMBOL), b"")
        count = section.size // _SYMBOL.itemsize
        if count > MAX_SYMBOLS or section.link >= len(self.sections):
            raise _malformed(f"a symbol table of {count} entries, names in section {section.link}", self.source.where)
        table = np.frombuffer(self.read(section)[: count * _SYMBOL.itemsize], _SYMBOL)
        return Symbols(table, _strings(self, self.sections[section.link]))


def read_elf(source: ByteSource) -> Elf:
    """Read the headers of an ELF file.

    Parameters
    ----------
    source : ByteSource
        The whole file, or the window of it that holds the ELF file.

    Raises
    ------
    TruncatedError
        If the headers lie behind the end of the source.
    MalformedError
        If it is no ELF file, or its tables contradict themselves.
    UnsupportedError
        If it is a 32-bit or big-endian ELF file.
    """
    if source.size < _HEADER.itemsize:
        raise TruncatedError(
            f"{source.size} bytes",
            "at least the 64 bytes of an ELF header",
            "Fetch the file again.",
            where=source.where,
        )
    raw = bytes(source.read(0, _HEADER.itemsize))
    if raw[:4] != ELF_MAGIC:
        raise _malformed(f"a file that starts with {raw[:4].hex()}", source.where)
    if raw[4:6] != b"\x02\x01":
        raise UnsupportedError(
            "a 32-bit or big-endian ELF file", "64-bit little-endian", "Nothing: no GPU code of today is in it.",
            where=source.where,
        )  # fmt: skip
    head = np.frombuffer(raw, _HEADER)[0]
    machine, flags = int(head[2]), int(head[7])
    headers, names_at = _section_headers(source, int(head[6]), int(head[11]), int(head[12]), int(head[13]))
    return Elf(source, machine, flags, raw[7], _sections(source, headers, names_at))


def _section_headers(
    source: ByteSource, offset: int, entry: int, count: int, names_at: int
) -> tuple[npt.NDArray[np.void], int]:
    """All section headers, and the index of the section that holds their names."""
    if offset == 0:
        return np.zeros(0, _SECTION), 0
    if entry != _SECTION.itemsize:
        raise _malformed(f"section headers of {entry} bytes", source.where)
    first = np.frombuffer(source.read(offset, entry), _SECTION)[0]
    count = int(first["size"]) if count == 0 else count
    names_at = int(first["link"]) if names_at == _EXTENDED_INDEX else names_at
    if count > MAX_SECTIONS:
        raise _malformed(f"{count} sections", source.where)
    return np.frombuffer(source.read(offset, entry * count), _SECTION), names_at


def _sections(source: ByteSource, headers: npt.NDArray[np.void], names_at: int) -> tuple[Section, ...]:
    names: list[str] = [""] * len(headers)
    if 0 < names_at < len(headers):
        at = headers[names_at]
        strings = _read_strings(source, int(at["offset"]), int(at["size"]))
        names = _names(source.where, strings, headers["name"].tolist())
    fields = (headers[field].tolist() for field in ("type", "flags", "offset", "size", "link", "info"))
    return tuple(
        Section(index, name, *numbers) for index, (name, *numbers) in enumerate(zip(names, *fields, strict=True))
    )


def _names(where: str, strings: bytes, offsets: list[int]) -> list[str]:
    """Names at the given offsets; their sum is bounded, since many may share one long string."""
    names, total = [], 0
    for offset in offsets:
        name = _name(strings, offset)
        total += len(name)
        if total > MAX_STRINGS:
            raise _malformed(f"names of more than {MAX_STRINGS} bytes together", where)
        names.append(name)
    return names


def _strings(elf: Elf, section: Section) -> bytes:
    return _read_strings(elf.source, section.offset, 0 if section.type == NOBITS else section.size)


def _read_strings(source: ByteSource, offset: int, size: int) -> bytes:
    if size > MAX_STRINGS:
        raise _malformed(f"a string table of {size} bytes", source.where)
    return bytes(source.read(offset, size)) if size else b""


def _name(strings: bytes, offset: int) -> str:
    """The string at ``offset``, up to its zero byte, `MAX_NAME` or the end."""
    end = strings.find(b"\0", offset, offset + MAX_NAME)
    return strings[offset : end if end >= 0 else offset + MAX_NAME].decode("utf-8", "replace")


def _malformed(got: str, where: str) -> TargetError:
    return MalformedError(got, "a consistent ELF file", "Fetch or build the file again.", where=where)
