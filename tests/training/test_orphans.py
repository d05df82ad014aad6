"""Workers of a pool do not outlive whoever started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STARTS = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from os import getpid
from hashwarden.training.orphans import end_with_parent

if __name__ == "__main__":
    with ProcessPoolExecutor(2, get_context("spawn"), end_with_parent) as pool:
        pids = {pool.submit(getpid).result() for _ in range(8)}
        pool.submit(time.sleep, 600), pool.submit(time.sleep, 600)
        print(*pids, *pool._processes, flush=True)
        time.sleep(600)
"""


def test_workers_end_when_their_parent_is_killed(tmp_path):
    program = tmp_path / "starts.py"
    program.write_text(STARTS)
    started = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True)
    try:
        pids = {int(word) for word in started.stdout.readline().split()}
        assert len(pids) == 2
        assert all(map(runs, pids))
    finally:
        os.kill(started.pid, signal.SIGKILL)
        started.communicate()
    until = time.monotonic() + 30
    while any(map(runs, pids)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(runs, pids))


def runs(pid):
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
