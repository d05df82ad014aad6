"""The record inside a model file: put in place of the one that is there, every other byte left as it is.

An ONNX file is a protobuf message; the record is an entry of its field 14, ``metadata_props`` (onnx.proto, ModelProto).
The fields of a message stand one after the other, each with its number and length, so that one can be exchanged
without reading the graph: no weight can change, and nothing but the standard library is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hashwarden.errors import ModelError
from hashwarden.model.job.metadata import KEY, JobMetadata

__all__ = ["network_of", "same_network", "with_record"]

_PROPERTIES: Final = 14
_BYTES: Final = 2
"""Wire type of what has a length."""
_SIZES: Final = {1: 8, 5: 4}
"""Bytes of the wire types of fixed length."""
_MOST: Final = 10
"""Bytes of a number."""


def with_record(data: bytes, record: JobMetadata) -> bytes:
    """A model file with another record.

    Parameters
    ----------
    data : bytes
        Of the ONNX file.
    record : JobMetadata

    Raises
    ------
    ModelError
        If it is no protobuf message.
    """
    entry = _field(1, KEY.encode()) + _field(2, record.model_dump_json().encode())
    return network_of(data) + _field(_PROPERTIES, entry)


def network_of(data: bytes) -> bytes:
    """A model file without its record: the same for two models that differ in nothing else.

    Raises
    ------
    ModelError
        If it is no protobuf message.
    """
    own = _field(1, KEY.encode())
    return b"".join(
        whole for number, whole, content in _fields(data) if number != _PROPERTIES or not content.startswith(own)
    )


def same_network(one: Path, other: Path) -> bool:
    """Whether two step graphs, and the sequence graphs beside them, have the same weights and differ in records alone.

    Raises
    ------
    ModelError
        If a file cannot be read.
    """
    return all(
        network_of(_read(one.with_name(name(one)))) == network_of(_read(other.with_name(name(other))))
        for name in (lambda path: path.name, lambda path: f"{path.stem}_sequence.onnx")
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"the model file cannot be read ({error.strerror})", "a model with both its graphs",
                         "Name another.", where=str(path)) from error  # fmt: skip


def _fields(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, all bytes and content of each field of a message; the content of what has no length is empty."""
    start = 0
    while start < len(data):
        tag, place = _number(data, start)
        number, kind = tag >> 3, tag & 7
        length = 0
        if kind == 0:
            _, place = _number(data, place)
        elif kind == _BYTES:
            length, place = _number(data, place)
        else:
            place += _SIZES.get(kind, len(data))
        if not number or place + length > len(data):
            raise _damaged(start)
        yield number, data[start : place + length], data[place : place + length]
        start = place + length


def _number(data: bytes, start: int) -> tuple[int, int]:
    """A number in base 128, lowest digits first, and where it ends."""
    value = 0
    for place, byte in enumerate(data[start : start + _MOST]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, start + place + 1
    raise _damaged(start)


def _field(number: int, content: bytes) -> bytes:
    return _coded(number << 3 | _BYTES) + _coded(len(content)) + content


def _coded(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _damaged(place: int) -> ModelError:
    return ModelError(f"no ONNX model: its message breaks off at byte {place}", "a whole ONNX file",
                      "Use the shipped model, or train it again.")  # fmt: skip
