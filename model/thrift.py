"""Thrift's compact protocol, read strictly: what a Parquet file says of itself, before anything believes it.

What two readers could take differently is refused: a field twice, a number beyond its bits, a type that Parquet's own
structures do not use.

References
----------
apache/thrift, ``doc/specs/thrift-compact-protocol.md``.
"""

from __future__ import annotations

from typing import Final, final

__all__ = ["Cursor", "Fields"]

_BOOLEANS: Final = (1, 2)
_BITS: Final = {4: 16, 5: 32, 6: 64}
_I32: Final = 5
_BYTES: Final = {3: 1, 7: 8}
_BINARY, _LIST, _STRUCTURE = 8, 9, 12

Fields = tuple[dict[int, int], dict[int, "Fields"]]
"""Of a structure the 32-bit numbers and the structures, each by its field; what else there is, is skipped."""


@final
class Cursor:
    """A place in bytes that moves on as values are read.

    Parameters
    ----------
    data : bytes
    deepest : int
        Structures and lists within one another.
    entries : int
        Structures and entries of lists that there may be in all.
    """

    __slots__ = ("at", "data", "deepest", "entries")

    def __init__(self, data: bytes, deepest: int, entries: int) -> None:
        self.data, self.deepest, self.entries = data, deepest, entries
        self.at = 0

    def structure(self) -> Fields:
        """Read a structure.

        Raises
        ------
        EOFError
            If it does not end in the bytes.
        ValueError
            If it is none, or beyond the limits.
        """
        try:
            return self._structure(self.deepest)
        except IndexError:
            raise EOFError("a structure without its end") from None

    def _structure(self, deepest: int) -> Fields:
        self._enter(deepest, 1)
        numbers: dict[int, int] = {}
        parts: dict[int, Fields] = {}
        data, at, last = self.data, self.at, 0
        while head := data[at]:
            self.at = at + 1
            field = last + (head >> 4) if head > 15 else self._integer(16)
            if field <= last:
                raise ValueError("fields out of order in a structure")
            last, kind = field, head & 15
            if kind == _I32:
                numbers[field] = self._integer(32)
            elif kind == _STRUCTURE:
                parts[field] = self._structure(deepest - 1)
            else:
                self._skip(kind, deepest - 1)
            at = self.at
        self.at = at + 1
        return numbers, parts

    def _skip(self, kind: int, deepest: int) -> None:
        if kind in _BITS:
            self._integer(_BITS[kind])
        elif kind == _BINARY:
            length = self._natural()
            self.at += length
        elif kind == _LIST:
            self._list(deepest)
        elif kind == _STRUCTURE:
            self._structure(deepest)
        elif kind in _BYTES:
            self.at += _BYTES[kind]
        elif kind not in _BOOLEANS:
            raise ValueError(f"a value of type {kind} in a structure")

    def _list(self, deepest: int) -> None:
        head = self.data[self.at]
        self.at += 1
        kind = head & 15
        length = head >> 4 if head < 0xF0 else self._natural()
        self._enter(deepest, length)
        if kind in _BOOLEANS:
            self.at += length
            return
        for _ in range(length):
            self._skip(kind, deepest - 1)

    def _enter(self, deepest: int, entries: int) -> None:
        self.entries -= entries
        if deepest <= 0 or self.entries < 0:
            raise ValueError("structures too deep or too many")

    def _natural(self) -> int:
        """Seven bits to a byte, the lowest first; the highest bit says that more follow."""
        value = shift = 0
        while (byte := self.data[self.at]) > 0x7F:
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits in a structure")
        self.at += 1
        return value | byte << shift

    def _integer(self, bits: int) -> int:
        """Signed, with the sign in the lowest bit."""
        value = self.data[self.at]
        if value > 0x7F:
            value = self._natural()
        else:  # as `_natural` does, for what most numbers are
            self.at += 1
        if value >> bits:
            raise ValueError(f"a number of more than {bits} bits in a structure")
        return value >> 1 ^ -(value & 1)
