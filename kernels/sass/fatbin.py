"""Fat binaries: several cubins and PTX texts behind one header, plain or compressed.

They lie in the section .nv_fatbin or __nv_relfatbin of host files, alone in .fatbin files, and in
the memory of running processes. Nothing that an entry says about itself is believed beyond the limits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from hashwarden.errors import LimitError, MalformedError, TargetError, TruncatedError
from hashwarden.kernels.sass.inflate import inflate
from hashwarden.kernels.sass.limits import Limits
from hashwarden.kernels.sass.source import ByteSource

__all__ = ["FATBIN_MAGIC", "FATBIN_SECTIONS", "FatbinEntry", "iter_fatbin"]

FATBIN_MAGIC = struct.pack("<I", 0xBA55ED50)
FATBIN_SECTIONS = (".nv_fatbin", "__nv_relfatbin")

_HEADER = struct.Struct("<IHHQ")
_ENTRY = struct.Struct("<HHIQIIHHIIIQQQ")
_KINDS = {1: "ptx", 2: "elf"}
_COMPRESSION = {0x2000: "lz4", 0x8000: "zstd"}
_VERSION = 1
_MAX_HEADER = 1 << 16
_PIECE = 4 << 20


@final
@dataclass(frozen=True, slots=True)
class FatbinEntry:
    """One code object of a fat binary.

    Attributes
    ----------
    source : ByteSource
        What the fat binary was read from.
    kind : str
        ``ptx``, ``elf`` (a cubin), or ``other-N`` for kind N (intermediate code, for example).
    arch : int
        Compute capability times 10.
    offset, size : int
        Where the payload lies in the source, in bytes, without padding.
    expanded : int
        Bytes after decompression, as the entry says.
    compression : str
        ``plain``, ``lz4`` or ``zstd``.
    limits : Limits
        What `data` may cost.
    """

    source: ByteSource
    kind: str
    arch: int
    offset: int
    size: int
    expanded: int
    compression: str
    limits: Limits

    @property
    def where(self) -> str:
        """Name for messages."""
        return f"{self.source.where}@{self.offset:#x}"

    def data(self) -> bytes | memoryview:
        """The code object, decompressed.

        Raises
        ------
        LimitError
            If it is larger than ``limits.object_bytes``, or grows beyond ``limits.expansion_ratio``.
        MalformedError
            If it does not decompress to what the entry says.
        TruncatedError
            If the source ends before it.
        """
        if self.size > self.limits.object_bytes:
            raise LimitError(
                f"a code object of {self.size} bytes", f"at most {self.limits.object_bytes}",
                "Raise the limit on the object size if you trust the file.", where=self.where,
            )  # fmt: skip
        payload = self.source.read(self.offset, self.size)
        if self.compression == "plain":
            return payload
        return inflate(payload, self.compression, self.expanded, self.limits, self.where)


def iter_fatbin(source: ByteSource, limits: Limits) -> Iterator[FatbinEntry | TargetError]:
    """Walk all entries of all fat binaries in ``source``.

    Parameters
    ----------
    source : ByteSource
        A section, a .fatbin file, a whole file or raw memory: headers are searched for.
    limits : Limits
        Bounds on size and number.

    Yields
    ------
    FatbinEntry or TargetError
        An error stands for an entry that cannot be read; the walk goes on behind it.
    """
    found, position = 0, 0
    while (start := _find_header(source, position)) is not None:
        walk = _Walk(source, limits)
        for item in walk.entries(start):
            found += 1
            if found > limits.objects:
                yield LimitError(
                    f"more than {limits.objects} code objects", "fewer objects in one target",
                    "Raise the limit on the number of objects.", where=source.where,
                )  # fmt: skip
                return
            yield item
        position = walk.position


def _find_header(source: ByteSource, position: int) -> int | None:
    """Where the next header with our version and a possible size starts."""
    while position + _HEADER.size <= source.size:
        piece = bytes(source.read(position, min(_PIECE, source.size - position)))
        at = piece.find(FATBIN_MAGIC)
        while at >= 0 and at + _HEADER.size <= len(piece):
            if _is_header(*_HEADER.unpack_from(piece, at)):
                return position + at
            at = piece.find(FATBIN_MAGIC, at + 1)
        # The end of a piece may cut a header: the next piece starts with what was not looked at.
        step = at if at > 0 else len(piece) - _HEADER.size + 1
        position += max(step, 1)
    return None


def _is_header(magic: int, version: int, header_size: int, size: int) -> bool:
    del magic
    return version == _VERSION and header_size == _HEADER.size and size >= _ENTRY.size


@final
class _Walk:
    """The entries behind one header; ``position`` is where the search for the next header goes on."""

    def __init__(self, source: ByteSource, limits: Limits) -> None:
        self.source, self.limits, self.position = source, limits, 0

    def entries(self, start: int) -> Iterator[FatbinEntry | TargetError]:
        size = _HEADER.unpack(bytes(self.source.read(start, _HEADER.size)))[3]
        self.position, end = start + _HEADER.size, start + _HEADER.size + size
        while self.position + _ENTRY.size <= min(end, self.source.size):
            try:
                entry, following = self._entry(end)
            except TargetError as problem:
                # What follows is unknown: search on from inside, so that a forged size hides nothing.
                yield problem
                return
            self.position = following
            yield entry
        if end > self.source.size:
            yield _truncated(f"a fat binary of {size} bytes at offset {start}", self.source)
        elif self.position < end:
            self.position = end

    def _entry(self, end: int) -> tuple[FatbinEntry, int]:
        raw = bytes(self.source.read(self.position, _ENTRY.size))
        kind, _, header, payload, packed, _, _, _, arch, _, _, flags, _, expanded = _ENTRY.unpack(raw)
        if not _ENTRY.size <= header <= _MAX_HEADER or self.position + header + payload > end:
            raise self._bad(f"an entry header of {header} and a payload of {payload} bytes, beyond its fat binary")
        start = self.position + header
        if start + payload > self.source.size:
            raise _truncated(f"an entry of {payload} bytes at offset {start}", self.source)
        compression = next((name for flag, name in _COMPRESSION.items() if flags & flag), "plain")
        if compression != "plain" and not 0 < packed <= payload:
            raise self._bad(f"{packed} compressed bytes in a payload of {payload}")
        size = payload if compression == "plain" else packed
        entry = FatbinEntry(
            self.source, _KINDS.get(kind, f"other-{kind}"), arch, start, size,
            payload if compression == "plain" else expanded, compression, self.limits,
        )  # fmt: skip
        return entry, start + payload

    def _bad(self, got: str) -> TargetError:
        return MalformedError(
            got, "entries that fit their fat binary", "Fetch or build the file again.",
            where=f"{self.source.where}@{self.position:#x}",
        )  # fmt: skip


def _truncated(what: str, source: ByteSource) -> TargetError:
    return TruncatedError(
        f"{what}, the object has {source.size}", "an object as long as its headers say",
        "Fetch or copy the file again.", where=source.where,
    )  # fmt: skip
