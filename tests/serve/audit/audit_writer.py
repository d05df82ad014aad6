"""Lets writers of one log run and kills them with SIGKILL, again and again; says what they acknowledged, as JSON.

Each writer is a process of its own, forked off here so that Python need not start anew for each.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.keys import load_or_make
from hashwarden.serve.audit.log import AuditLog, Limits


def write(folder: Path, key: Path, pipe: int) -> None:
    """Write as fast as it goes, and say each number when it is acknowledged."""
    with AuditLog(folder, load_or_make(key), limits=Limits(rotate_bytes=6000, every=5, reserve_bytes=4096)) as log:
        os.write(pipe, b"ready\n")
        for number in range(1_000_000):
            if number % 7 == 3:
                first, *_ = log.append_many([(EventKind.CASE, {"case": f"{number}.{part}"}) for part in range(3)])
            else:
                first = log.append(EventKind.VERDICT, {"job": str(number), "pad": "x" * (number % 300)})
            os.write(pipe, b"%d\n" % first)


def killed(folder: Path, key: Path, count: int, seconds: float) -> list[int]:
    """What one writer acknowledged before it was killed, some time after it had said `count` numbers."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        write(folder, key, writing)
        os._exit(1)
    os.close(writing)
    data = b""
    while data.count(b"\n") <= count and (more := os.read(reading, 65536)):
        data += more
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    while more := os.read(reading, 65536):
        data += more
    os.close(reading)
    if not data.startswith(b"ready") or os.WTERMSIG(status) != signal.SIGKILL:
        raise SystemExit(f"the writer did not work: {data[:200]!r}, status {status}")
    return [int(line) for line in data[: data.rindex(b"\n")].split(b"\n")[1:]]


def main(folder: Path, key: Path, kills: int) -> None:
    chance = random.Random(5)
    acknowledged = [killed(folder, key, chance.randrange(30), chance.random() * 0.02) for _ in range(kills)]
    sys.stdout.write(json.dumps([number for numbers in acknowledged for number in numbers]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
