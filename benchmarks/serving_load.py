"""Requests at a constant rate, evenly spaced, for `serving`: each is timed from when it should have been sent.

h2load keeps a rate too, but in ticks of 10 ms, all connections at once: at 400 requests a second from 8 connections
those of a tick leave within 0.1 ms, and all but the first wait for each other. This one sends each in its turn on a
connection that is free, and sleeps in between (a generator that spun took so much of two cores that the service stood
still for milliseconds). A request that finds no free connection waits, and its wait counts: no omission is coordinated.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from collections import deque
from pathlib import Path

CONNECTIONS = 32
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class Connection:
    """One request at a time."""

    def __init__(self, where: str) -> None:
        if where.startswith("unix:"):
            self.link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.link.connect(where.removeprefix("unix:"))
        else:
            host, _, port = where.rpartition("/")[2].partition(":")
            self.link = socket.create_connection((host, int(port)))
            self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due, self._got, self._left = 0.0, b"", 0

    def send(self, request: bytes, due: float) -> None:
        """Begin."""
        self.due, self._got, self._left = due, b"", -1
        self.link.sendall(request)

    def read(self) -> int:
        """Take what came; gives the status when the answer is whole, else 0."""
        part = self.link.recv(1 << 20)
        if not part:
            raise ConnectionError("the service closed a connection")
        if self._left >= 0:
            self._left -= len(part)
        else:
            self._got += part
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return 0
            length = LENGTH.search(self._got, 0, end + 2)
            assert length is not None
            self._left = int(length[1]) - (len(self._got) - end - 4)
        return int(self._got[9:12]) if self._left == 0 else 0


def warm(made: list[Connection], request: bytes) -> None:
    """A request on each connection, one after the other: connecting is no part of what is timed."""
    for each in made:
        each.send(request, 0.0)
        while not each.read():
            pass


def run(where: str, request: bytes, rate: float, seconds: float) -> list[tuple[float, int]]:
    """Milliseconds and status of each request."""
    free = [Connection(where) for _ in range(CONNECTIONS)]
    warm(free, request)
    busy: dict[int, Connection] = {}
    waiting, seen = deque[float](), []
    count, start, sent = int(rate * seconds), time.perf_counter(), 0
    while len(seen) < count:
        now = time.perf_counter()
        while sent < count and start + sent / rate <= now:
            waiting.append(start + sent / rate)
            sent += 1
        while free and waiting:
            each = free.pop()
            each.send(request, waiting.popleft())
            busy[each.link.fileno()] = each
        pause = max(0.0, start + sent / rate - time.perf_counter()) if sent < count else 0.1
        for number in select.select(busy, (), (), pause)[0]:
            status = busy[number].read()
            if status:
                seen.append((1e3 * (time.perf_counter() - busy[number].due), status))
                free.append(busy.pop(number))
    for each in free:
        each.link.close()
    return seen


def request_of(path: str, head: list[str], content: bytes) -> bytes:
    """The bytes of a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(content)}", *head]
    return "\r\n".join([*lines, "", ""]).encode() + content


def main() -> None:
    """Where, path, file of the body, headers as JSON, rate and seconds in; times and statuses as JSON out."""
    where, path, content, head, rate, seconds = sys.argv[1:]
    request = request_of(path, json.loads(head), Path(content).read_bytes())
    json.dump(run(where, request, float(rate), float(seconds)), sys.stdout)
