"""The members of tar and ar archives, read header by header; nothing is extracted and no link is followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from hashwarden.errors import MalformedError, TruncatedError, UnsupportedError
from hashwarden.kernels.sass.limits import Budget
from hashwarden.kernels.sass.source import ByteSource

__all__ = ["Member", "ar_members", "is_tar", "tar_members"]

_BLOCK = 512
_MAX_EXTENSION = 1 << 20
"""Bytes of a pax header or a long name; real ones have a few hundred."""
_AR_HEADER = 60


@final
@dataclass(frozen=True, slots=True)
class Member:
    """One member: name, and where its bytes lie in the archive."""

    name: str
    offset: int
    size: int


def is_tar(head: bytes) -> bool:
    """Whether the first block of a file is a tar header: its checksum is right."""
    return len(head) >= _BLOCK and head[0] != 0 and _checksum_fits(head[:_BLOCK])


def _checksum_fits(block: bytes) -> bool:
    try:
        stated = _number(block[148:156])
    except ValueError:
        return False
    return stated == sum(block) - sum(block[148:156]) + 8 * 32


def _number(field: bytes) -> int:
    """An octal field, or one in base 256 as GNU tar writes large sizes."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & (1 << 8 * len(field) - 1) - 1
    text = field.split(b"\0", 1)[0].strip()
    return int(text, 8) if text else 0


def tar_members(source: ByteSource, budget: Budget) -> Iterator[Member]:
    """All regular members of a tar archive; sparse ones as the bytes that are stored.

    Raises
    ------
    MalformedError
        At a header that is none.
    TruncatedError
        If the archive ends inside a member.
    """
    position = 0
    named: dict[str, str] = {}
    while position + _BLOCK <= source.size:
        block = bytes(source.read(position, _BLOCK))
        if not any(block):
            return
        budget.count(source.where)
        if not _checksum_fits(block):
            raise _bad(f"a header at {position} with a wrong checksum", source.where)
        kind, size = block[156:157], _number(block[124:136])
        size = int(named.get("size", size))
        position += _BLOCK + (_sparse_maps(source, position + _BLOCK, block) if kind == b"S" else 0)
        if position + size > source.size:
            raise _short(f"a member of {size} bytes at {position}, the archive has {source.size}", source.where)
        if kind in (b"x", b"L"):
            named |= _extension(source, kind, position, size)
        elif kind != b"g":
            if size and kind in (b"0", b"\0", b"7", b"S"):
                yield Member(named.get("path") or _name(block), position, size)
            named = {}
        # Links and devices have no bytes, whatever their size says.
        position += 0 if kind in (b"1", b"2", b"3", b"4", b"5", b"6") else -(-size // _BLOCK) * _BLOCK
    if position < source.size or position == 0:
        raise _short(f"{source.size - position} bytes where a header should be", source.where)


def _sparse_maps(source: ByteSource, position: int, block: bytes) -> int:
    """Bytes of the further sparse maps between a header and its data."""
    more, total = block[482:483] == b"\1", 0
    while more and position + total + _BLOCK <= source.size:
        more = bytes(source.read(position + total + 504, 1)) == b"\1"
        total += _BLOCK
    return total


def _name(block: bytes) -> str:
    name, prefix = block[:100].split(b"\0", 1)[0], b""
    if block[257:263] == b"ustar\0":
        prefix = block[345:500].split(b"\0", 1)[0]
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


def _extension(source: ByteSource, kind: bytes, position: int, size: int) -> dict[str, str]:
    """What a pax header or a GNU long name says about the next member."""
    if size > _MAX_EXTENSION:
        raise _bad(f"an extended header of {size} bytes", source.where)
    data = bytes(source.read(position, size))
    if kind == b"L":
        return {"path": data.split(b"\0", 1)[0].decode("utf-8", "replace")}
    said: dict[str, str] = {}
    at = 0
    while at < len(data):
        length, space, _ = data[at : at + 20].partition(b" ")
        if not space or not length.isdigit() or int(length) <= len(length) + 1:
            raise _bad("a pax header that cannot be read", source.where)
        key, _, value = data[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        if key in (b"path", b"GNU.sparse.name") or (key == b"size" and value.isdigit() and len(value) < 20):
            said["size" if key == b"size" else "path"] = value.decode("utf-8", "replace")
        at += int(length)
    return said


def ar_members(source: ByteSource, budget: Budget) -> Iterator[Member]:
    """All members of an ar archive (``.a``, ``.deb``) but its tables.

    Raises
    ------
    UnsupportedError
        For a thin archive, whose members lie elsewhere.
    MalformedError, TruncatedError
        At a header that is none, or if the archive ends inside a member.
    """
    if bytes(source.read(0, 8)) == b"!<thin>\n":
        raise UnsupportedError("a thin archive, whose members lie elsewhere", "an archive with its members",
                               "Scan the folder with the object files.", where=source.where)  # fmt: skip
    position, names = 8, b""
    while position + _AR_HEADER <= source.size:
        budget.count(source.where)
        head = bytes(source.read(position, _AR_HEADER))
        text = head[48:58].strip()
        if head[58:60] != b"`\n" or not text.isdigit():
            raise _bad(f"a header at {position} that is none", source.where)
        start, size = position + _AR_HEADER, int(text)
        if start + size > source.size:
            raise _short(f"a member of {size} bytes at {start}, the archive has {source.size}", source.where)
        name = head[:16].rstrip()
        if name == b"//":
            names = bytes(source.read(start, min(size, 64 << 20)))
        elif name not in (b"/", b"/SYM64/") and size:
            yield _ar_member(source, name, names, start, size)
        position = start + size + (size & 1)
    if position < source.size:
        raise _short(f"{source.size - position} bytes where a header should be", source.where)


def _ar_member(source: ByteSource, name: bytes, names: bytes, start: int, size: int) -> Member:
    if name.startswith(b"#1/") and name[3:].isdigit():  # BSD: the name stands before the data
        length = min(int(name[3:]), size)
        text = bytes(source.read(start, min(length, 4096))).rstrip(b"\0")
        return Member(text.decode("utf-8", "replace"), start + length, size - length)
    if name[:1] == b"/" and name[1:].isdigit() and len(name) < 17:  # GNU: an offset into the table of names
        at = int(name[1:])
        name = names[at : at + 4096].split(b"\n", 1)[0]
    return Member(name.removesuffix(b"/").decode("utf-8", "replace"), start, size)


def _bad(got: str, where: str) -> MalformedError:
    return MalformedError(got, "a consistent archive", "Fetch or build it again.", where=where)


def _short(got: str, where: str) -> TruncatedError:
    return TruncatedError(got, "a whole archive", "Fetch the file again.", where=where)
