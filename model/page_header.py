"""The header of a Parquet page: how large the page says that it is, before anything believes it."""

from __future__ import annotations

from typing import Final, NamedTuple

from hashwarden.model.thrift import Cursor

__all__ = ["DICTIONARY", "PageHeader", "read_header"]

DICTIONARY: Final = 2
"""The kind of a page that holds the distinct values of its column."""

_BODY: Final = {0: 5, DICTIONARY: 7, 3: 8}
"""Field of the header that says more, for each kind of page: data, dictionary, data of version 2."""

_ENCODING: Final = {0: 2, DICTIONARY: 2, 3: 4}
"""Field of the encoding in each of those."""

_STRUCTURES: Final = 3
"""A header holds that of its kind of page, which holds statistics."""


class PageHeader(NamedTuple):
    """What a header says.

    Attributes
    ----------
    kind : int
        As in Parquet's ``PageType``.
    uncompressed, compressed : int
        Bytes of the page that follows.
    values : int
        Values in the page, nulls too.
    encoding : int
        As in Parquet's ``Encoding``.
    length : int
        Bytes of the header itself.
    """

    kind: int
    uncompressed: int
    compressed: int
    values: int
    encoding: int
    length: int


def read_header(data: bytes) -> PageHeader:
    """Read the header that these bytes begin with.

    Parameters
    ----------
    data : bytes
        What follows the header is not looked at.

    Raises
    ------
    EOFError
        If the header does not end in these bytes.
    ValueError
        If it is none, or one of a page that holds no values. Its numbers may still be negative or far too large.

    References
    ----------
    apache/parquet-format, ``parquet.thrift``.
    """
    cursor = Cursor(data, _STRUCTURES, _STRUCTURES)
    try:
        numbers, parts = cursor.structure()
        kind = numbers[1]
        if kind not in _BODY:
            raise ValueError(f"kind {kind}")
        body = parts[_BODY[kind]][0]
        return PageHeader(kind, numbers[2], numbers[3], body[1], body[_ENCODING[kind]], cursor.at)
    except KeyError as error:
        raise ValueError(f"a damaged page header (no field {error})") from error
    except ValueError as error:
        raise ValueError(f"a damaged page header ({error})") from error
