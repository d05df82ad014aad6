"""What systemd is told of a service of type ``notify``: ready, reloading, stopping, alive (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

__all__ = ["notify", "reloading", "watchdog_s"]


def notify(*lines: str) -> bool:
    """Send lines such as ``READY=1``; False where nobody listens, which is no error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
        link.sendto("\n".join(lines).encode(), "\0" + address[1:] if address[0] == "@" else address)
        return True
    return False


def reloading() -> bool:
    """Say that the configuration is read anew; ``READY=1`` ends that."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_s() -> float:
    """How often systemd wants to hear ``WATCHDOG=1``, with room to spare; 0 if it does not."""
    micro = os.environ.get("WATCHDOG_USEC", "")
    mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(micro) / 2e6 if micro.isdigit() and mine else 0.0
