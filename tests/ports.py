"""Ports of loopback for servers that must be told theirs before they listen.

A port that the kernel gave and that was closed again is any client's a moment later: connections leave from the same
range, and a server that takes seconds to begin finds it taken. These are below that range, and no two processes of
this network get the same one.
"""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

FIRST = 20_000
"""Above what Ray hands to its workers (10,002 to 19,999), and what services are usually given."""
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")

_END = int(RANGE.read_text().split()[0])
assert _END - FIRST >= 1000, f"connections leave from ports above {_END} here: no room between {FIRST} and that"
_NEXT = itertools.count(os.getpid() * 101)  # somewhere else in each process, so that few are asked for in vain


def _is_ours(port: int) -> bool:
    """Keep a name that only one process can have until it ends; it leaves no file behind."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0hashwarden-test-port-{port}")
    except OSError:
        name.close()
        return False
    name.detach()  # open until the process ends
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody listens on, that no connection takes by itself, and that is given to nobody else."""
    return next(port for number in _NEXT if _is_free(port := FIRST + number % (_END - FIRST)) and _is_ours(port))
