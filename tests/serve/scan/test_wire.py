"""What a worker says is bounded and never trusted."""

import socket
import struct

import pytest

from hashwarden.serve.scan.wire import BLOB_BYTES, Inbox, WireError, receive, send


def test_messages_arrive_whole_with_their_bytes_in_pieces_of_any_size():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, {"t": "a"}, b"x" * 1000)
        send(ours, {"t": "b"})
        data, inbox, got = theirs.recv(1 << 16), Inbox(), []
        for at in range(0, len(data), 7):
            got += list(inbox.feed(data[at : at + 7]))
    assert got == [({"t": "a"}, b"x" * 1000), ({"t": "b"}, b"")]


@pytest.mark.parametrize("data", [
    struct.pack("<IQ", 1 << 30, 0),
    struct.pack("<IQ", 2, BLOB_BYTES + 1),
    struct.pack("<IQ", 2, 0) + b"[]",
    struct.pack("<IQ", 2, 0) + b"{]",
    struct.pack("<IQ", 200_000, 0) + b"[" * 200_000,
    struct.pack("<IQ", 2, 0) + b"\xff\xff",
    b"",
])  # fmt: skip
def test_what_breaks_the_protocol_is_refused(data):
    with pytest.raises(WireError):
        list(Inbox().feed(data))


def test_a_side_that_is_gone_is_told():
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        with pytest.raises(WireError):
            receive(ours)
        with pytest.raises(WireError):
            send(ours, {"t": "a"}, b"x" * 10_000_000)
