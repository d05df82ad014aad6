"""The members of a zip file or wheel, from its central directory, without trusting a number in it.

The standard library's reader is not used: it holds the whole directory as objects, believes overlapping members, and
decompresses at half the speed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from hashwarden.errors import EncryptedError, MalformedError, TargetError, TruncatedError, UnsupportedError
from hashwarden.kernels.sass.limits import Budget
from hashwarden.kernels.sass.source import ByteSource

__all__ = ["Directory", "ZipMember", "find_directory", "zip_members"]

_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_TAIL = 0xFFFF + _END.size
_BLOCK = 1 << 20
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_METHODS = {0: "stored", 8: "deflate", 12: "bzip2", 14: "lzma-zip", 93: "zstd", 95: "xz"}


@final
@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory lies: first byte, bytes, members, and what precedes the zip file itself."""

    offset: int
    size: int
    members: int
    prefix: int


@final
@dataclass(frozen=True, slots=True)
class ZipMember:
    """One member: name, compressed bytes at ``offset``, ``size`` decompressed, method as `decompress` knows it."""

    name: str
    offset: int
    packed: int
    size: int
    method: str


def find_directory(source: ByteSource) -> Directory | None:
    """The central directory, or None if the source does not end like a zip file.

    Raises
    ------
    MalformedError
        If there is an end record whose numbers cannot be.
    """
    start = max(0, source.size - _TAIL)
    tail = bytes(source.read(start, source.size - start))
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        return None
    _, _, _, _, count, size, offset, _ = _END.unpack_from(tail, at)
    end = start + at
    if 0xFFFF in (count,) or 0xFFFFFFFF in (size, offset):
        end, count, size, offset = _end_64(source, end) or (end, count, size, offset)
    if size > end or count * _ENTRY.size > size or offset > end - size:
        raise _bad(f"a directory of {count} members in {size} bytes at {offset}", source.where)
    return Directory(end - size, size, count, end - size - offset)


def _end_64(source: ByteSource, end: int) -> tuple[int, int, int, int] | None:
    if end < _LOCATOR_64.size:
        return None
    magic, _, at, _ = _LOCATOR_64.unpack(bytes(source.read(end - _LOCATOR_64.size, _LOCATOR_64.size)))
    if magic != b"PK\6\7":
        return None
    if at + _END_64.size > end:
        raise _bad(f"a zip64 end record at {at}", source.where)
    record = _END_64.unpack(bytes(source.read(at, _END_64.size)))
    if record[0] != b"PK\6\6":
        raise _bad("a zip64 locator that points at nothing", source.where)
    return at, record[7], record[8], record[9]


def zip_members(source: ByteSource, directory: Directory, budget: Budget) -> Iterator[ZipMember | TargetError]:
    """All members that hold bytes; an error stands for one that cannot be read.

    Members that share bytes, as in a bomb of overlapping members, end the walk.
    """
    taken = 0
    for raw, name in _entries(source, directory):
        budget.count(source.where)
        flags, method, packed, size, extra_size = raw[3], raw[4], raw[8], raw[9], raw[11]
        offset, text = raw[16], name[: raw[10]]
        if 0xFFFFFFFF in (packed, size, offset):
            size, packed, offset = _sizes_64(name[raw[10] : raw[10] + extra_size], size, packed, offset)
        shown = text.decode("utf-8" if flags & 0x800 else "cp437", "replace")
        taken += _LOCAL.size + packed
        if taken > source.size:
            yield _bad("members that share their bytes", f"{source.where}!{shown}")
            return
        if size and not shown.endswith("/"):
            yield _member(source, shown, flags, method, (directory.prefix + offset, packed, size))


def _entries(source: ByteSource, directory: Directory) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """The fixed fields of each directory entry, and its name and extra field."""
    position, end = directory.offset, directory.offset + directory.size
    block, base = b"", position
    for _ in range(directory.members):
        if position + _ENTRY.size + 3 * 0xFFFF > base + len(block) < end:
            base, block = position, bytes(source.read(position, min(_BLOCK, end - position)))
        if position + _ENTRY.size > end:
            raise _bad("a directory that ends inside an entry", source.where)
        raw = _ENTRY.unpack_from(block, position - base)
        if raw[0] != b"PK\1\2":
            raise _bad(f"a directory entry at {position} that is none", source.where)
        start = position - base + _ENTRY.size
        yield raw, block[start : start + raw[10] + raw[11]]
        position += _ENTRY.size + raw[10] + raw[11] + raw[12]


def _sizes_64(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """The three numbers, each from the zip64 extra field where its own place is full."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            values = iter(struct.unpack(f"<{length // 8}Q", extra[at + 4 : at + 4 + length // 8 * 8]))
            return (
                next(values, size) if size == 0xFFFFFFFF else size,
                next(values, packed) if packed == 0xFFFFFFFF else packed,
                next(values, offset) if offset == 0xFFFFFFFF else offset,
            )
        at += 4 + length
    return size, packed, offset


def _member(
    source: ByteSource, name: str, flags: int, method: int, place: tuple[int, int, int]
) -> ZipMember | TargetError:
    offset, packed, size = place
    where = f"{source.where}!{name}"
    if flags & _ENCRYPTED or method == 99:
        return EncryptedError("an encrypted member", "a member without a password", "Unpack it yourself and scan that.",
                              where=where)  # fmt: skip
    if method not in _METHODS:
        return UnsupportedError(f"compression method {method}", "one of stored, deflate, bzip2, lzma, xz, zstd",
                                "Unpack it yourself and scan that.", where=where)  # fmt: skip
    try:
        local = _LOCAL.unpack(bytes(source.read(offset, _LOCAL.size)))
    except TruncatedError as error:
        error.where = where
        return error
    data = offset + _LOCAL.size + local[9] + local[10]
    if local[0] != b"PK\3\4":
        return _bad(f"no member at offset {offset}", where)
    if data + packed > source.size:
        return TruncatedError(f"a member that ends at {data + packed} of {source.size} bytes", "a whole archive",
                              "Fetch the file again.", where=where)  # fmt: skip
    return ZipMember(name, data, packed, size, _METHODS[method])


def _bad(got: str, where: str) -> MalformedError:
    return MalformedError(got, "a consistent zip file", "Fetch or build it again.", where=where)
