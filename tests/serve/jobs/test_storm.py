"""A real storm: hundreds of processes, each in a session of its own, one after the other and many at once."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from hashwarden.serve.jobs.proc import Proc
from hashwarden.serve.jobs.sequences import MOST_APART, MOST_YOUNG
from hashwarden.serve.jobs.sessions import Sessions
from hashwarden.serve.jobs.table import JobTable
from hashwarden.serve.sources.source import Device

A = "GPU-aaaaaaaa-0000-0000-0000-000000000000"


@pytest.fixture
def table():
    table = JobTable((Sessions(Proc()),), wait_s=None)
    yield table
    table.close()


@pytest.fixture
def spawn():
    """Start a process that waits, in a session of its own."""
    read, write = os.pipe()
    alive = set()

    def start():
        kept = [(os.POSIX_SPAWN_DUP2, read, 0), (os.POSIX_SPAWN_CLOSE, write)]
        pid = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=kept, setsid=True)
        alive.add(pid)
        return pid

    def end(*pids):
        for pid in pids:
            alive.discard(pid)
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)

    yield start, end
    with contextlib.suppress(ProcessLookupError):
        end(*alive)
    os.close(read)
    os.close(write)


def refresh(table, *pids):
    return table.refresh({A: frozenset(pids)}, (Device(A, 0),), time.monotonic(), time.time())


def test_hundreds_of_sessions_one_after_the_other_are_one_job(table, spawn):
    start, end = spawn
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(300):
        pid = start()
        if number % 2:
            assert table.owner(pid) is not None  # launch tracing asks before a driver shows it
        refresh(table, pid)
        end(pid)
    refresh(table)
    assert table.counts["began"] == 1
    assert table.counts["continued"] == 299
    assert len(table._processes) == 0
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_crowds_of_sessions_are_as_many_jobs_as_a_user_may_have(table, spawn):
    start, end = spawn
    for _ in range(6):
        pids = [start() for _ in range(50)]
        for pid in pids:
            table.owner(pid)
        refresh(table, *pids)
        assert len({table.owner(pid).job for pid in pids}) == MOST_YOUNG + 1
        for job in table.jobs:
            alive = {process.pid for process in table.processes(job)}
            assert alive <= set(pids)
        end(*pids)
    refresh(table)
    assert table.counts["began"] == MOST_YOUNG + 1 < MOST_APART
    assert table.counts["pooled"] == 6 * (50 - MOST_YOUNG)
    assert len(table._processes) == 0
