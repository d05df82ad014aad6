"""A piece of a target that another worker may read: a few numbers, no bytes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Self, final

__all__ = ["Piece"]

KINDS = ("object", "member", "fatbins", "memory")


@final
@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an open file, and what is to be done with it.

    Attributes
    ----------
    kind : str
        ``object``: find out what it is; ``member``: decompress it, then the same; ``fatbins``: fat binaries at
        ``extents``; ``memory``: the memory of a process, at the address ranges of ``extents``.
    where : str
        Name of the object.
    offset, size : int
        The part of the file, in bytes.
    depth : int
        Containers around it.
    method : str
        Of a member: how it is compressed.
    expanded : int
        Of a member: bytes when decompressed.
    first : int
        Of fat binaries: the number of the first, from 1.
    extents : tuple of (int, int)
        Of fat binaries: offset and size of each, from the start of the file; of memory: first and end address.
    """

    kind: str
    where: str
    offset: int = 0
    size: int = 0
    depth: int = 0
    method: str = ""
    expanded: int = 0
    first: int = 0
    extents: tuple[tuple[int, int], ...] = ()

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def load(cls, said: dict[str, Any]) -> Self:
        """From JSON, which may come from a process that a hostile object took over.

        Raises
        ------
        ValueError, TypeError, KeyError
            If a field is absent, of another type or impossible.
        """
        numbers = {name: _whole(said[name]) for name in ("offset", "size", "depth", "expanded", "first")}
        text = {name: str(said[name])[:4096] for name in ("kind", "where", "method")}
        if text["kind"] not in KINDS:
            raise ValueError(f"no kind of piece: {json.dumps(text['kind'])[:40]}")
        extents = tuple((_whole(a), _whole(b)) for a, b in said["extents"])
        return cls(text["kind"], text["where"], method=text["method"], extents=extents, **numbers)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError("not a whole number")
    return value
