"""Messages between the process that opens and the workers that parse: a JSON header and raw bytes, never a pickle.

What a worker says is hostile: its messages are bounded before they are read, and descriptors are taken from the
parent only.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from typing import Any, Final, final

__all__ = ["BLOB_BYTES", "Header", "Inbox", "WireError", "receive", "send"]

Header = dict[str, Any]

_FRAME: Final = struct.Struct("<IQ")
_HEADER_BYTES: Final = 1 << 20
BLOB_BYTES: Final = (1 << 30) + (64 << 20)
"""Largest blob: a PTX text of the default limit, or a batch of kernels."""
_DESCRIPTORS: Final = 8
_READ: Final = 1 << 20


@final
class WireError(Exception):
    """The other side is gone, or does not keep to the protocol."""


def send(
    channel: socket.socket, header: Header, blob: bytes | memoryview = b"", descriptors: tuple[int, ...] = ()
) -> None:
    """Send one message, all of it.

    Raises
    ------
    WireError
        If the other side is gone, or did not read for as long as the socket's timeout.
    """
    text = json.dumps(header).encode()
    frame = _FRAME.pack(len(text), len(blob)) + text
    try:
        if descriptors:
            sent = socket.send_fds(channel, [frame], list(descriptors))
            frame = frame[sent:]
        channel.sendall(frame)
        if blob:
            channel.sendall(blob)
    except OSError as error:
        raise WireError(f"cannot send: {error}") from error


def receive(channel: socket.socket) -> tuple[Header, list[int]]:
    """Wait for one message without a blob, and its descriptors; for what the parent says to its workers.

    Raises
    ------
    WireError
        If the other side is gone.
    """
    data, descriptors, _, _ = socket.recv_fds(channel, _FRAME.size, _DESCRIPTORS)
    data += _exactly(channel, _FRAME.size - len(data)) if data else b""
    if not data:
        raise WireError("the other side is gone")
    size, _ = _FRAME.unpack(data)
    return json.loads(_exactly(channel, size)), descriptors


def _exactly(channel: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = channel.recv(size)
        if not part:
            raise WireError("the other side is gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


@final
class Inbox:
    """Puts together messages that arrive in pieces, within bounds."""

    def __init__(self) -> None:
        self._data = bytearray()

    def take(self, channel: socket.socket) -> Iterator[tuple[Header, bytes]]:
        """Read what is there, and yield the messages that are whole.

        Raises
        ------
        WireError
            If the other side is gone or breaks the bounds.
        """
        try:
            piece = channel.recv(_READ)
        except (BlockingIOError, TimeoutError):
            return
        except OSError as error:
            raise WireError(f"cannot receive: {error}") from error
        yield from self.feed(piece)

    def feed(self, piece: bytes) -> Iterator[tuple[Header, bytes]]:
        """Take bytes that were received (none: the other side is gone), and yield the messages that are whole."""
        if not piece:
            raise WireError("the other side is gone")
        self._data += piece
        while (message := self._whole()) is not None:
            yield message

    def _whole(self) -> tuple[Header, bytes] | None:
        if len(self._data) < _FRAME.size:
            return None
        head, body = _FRAME.unpack_from(self._data)
        if head > _HEADER_BYTES or body > BLOB_BYTES:
            raise WireError(f"a message of {head} and {body} bytes")
        end = _FRAME.size + head + body
        if len(self._data) < end:
            return None
        try:
            header = json.loads(self._data[_FRAME.size : _FRAME.size + head])
        except (ValueError, RecursionError) as error:
            raise WireError("a message that is no JSON") from error
        blob = bytes(memoryview(self._data)[_FRAME.size + head : end])
        del self._data[:end]
        if not isinstance(header, dict):
            raise WireError("a message that is no object")
        return header, blob
