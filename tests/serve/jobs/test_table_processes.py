"""The table over real processes: sessions, daemons that fork twice, programs that replace themselves, storms."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.proc import Proc
from hashwarden.serve.jobs.sessions import Sessions
from hashwarden.serve.jobs.table import JobTable
from hashwarden.serve.sources.source import Device

A = "GPU-aaaaaaaa-0000-0000-0000-000000000000"
DEVICES = (Device(A, 0),)


class Scheduler:
    """Knows the processes of one job by a list, as step daemons do that follow parents."""

    name = "slurm"

    def __init__(self):
        self.pids = set()

    def refresh(self, devices):
        pass

    def job_of(self, process):
        return Job("slurm:7", "slurm", "7", uid=os.getuid()) if process.pid in self.pids else None

    def allotted(self):
        return {}


@pytest.fixture
def scheduler():
    return Scheduler()


@pytest.fixture
def table(scheduler):
    table = JobTable((scheduler, Sessions(Proc())), wait_s=None)
    yield table
    table.close()


@pytest.fixture
def start():
    """Run Python in a session of its own; what it prints are processes, which are ended afterwards."""
    started, pids = [], []

    def run(code, count=1):
        command = [sys.executable, "-S", "-c", f"import os, sys, time\n{code}"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        started.append(process)
        found = [int(process.stdout.readline()) for _ in range(count)]
        pids.extend(found)
        return process, found

    yield run
    for process in started:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


WAIT = "sys.stdin.read()"
FORK = """
print(os.getpid(), flush=True)
if os.fork() == 0:
    {then}
    print(os.getpid(), flush=True)
    time.sleep(60)
"""
"""A parent and a child of it, both of which tell their number."""


def refresh(table, *pids):
    now = time.monotonic()
    return table.refresh({A: frozenset(pids)}, DEVICES, now, time.time())


def only(table):
    (job,) = table.jobs_on(A)
    return job


def test_a_child_is_of_the_session_of_its_parent(table, start):
    _, (parent, child) = start(FORK.format(then="pass") + WAIT, 2)
    refresh(table, parent, child)
    assert only(table).id == str(parent)
    assert {key.pid for key in table.processes(only(table).key)} == {parent, child}


def test_a_child_that_leaves_the_session_of_a_parent_that_is_watched_stays_of_its_job(table, start):
    _, (parent, child) = start(FORK.format(then="os.setsid()") + WAIT, 2)
    refresh(table, parent)
    refresh(table, parent, child)
    assert only(table).id == str(parent)


def test_a_process_that_leaves_its_session_after_it_was_seen_stays_of_its_job(table, start):
    code = "if os.fork(): time.sleep(60)\nprint(os.getpid(), flush=True)\nsys.stdin.readline()\nos.setsid()\n"
    process, (child,) = start(code + "print(os.getpid(), flush=True)\ntime.sleep(60)")
    refresh(table, child)
    before = only(table)
    process.stdin.write(b"\n")
    process.stdin.flush()
    process.stdout.readline()
    assert Proc().stat(child).session == child
    refresh(table, child)
    assert only(table) == before


def test_a_daemon_that_forks_twice_stays_of_the_schedulers_job_by_its_session(table, scheduler, start):
    """The parent between is gone and root's init has adopted it; the session is what it still shares."""
    twice = "if os.fork(): os._exit(0)"
    _, (parent, orphan) = start(FORK.format(then=twice) + WAIT, 2)
    scheduler.pids = {parent}
    refresh(table, parent)
    assert only(table).labels == {}
    assert Proc().stat(orphan).ppid != parent
    refresh(table, parent, orphan)
    assert only(table).key == "slurm:7"
    assert only(table).labels["escaped"] == "1"
    refresh(table, orphan)
    assert only(table).key == "slurm:7"
    assert {key.pid for key in table.processes("slurm:7")} == {parent, orphan}


def test_a_child_of_a_job_that_its_scheduler_does_not_list_is_of_the_job_by_its_parent(table, scheduler, start):
    _, (parent, child) = start(FORK.format(then="os.setsid()") + WAIT, 2)
    scheduler.pids = {parent}
    refresh(table, child)  # the parent was never on a GPU
    assert (only(table).key, only(table).labels["escaped"]) == ("slurm:7", "1")


def test_a_child_of_another_user_is_not_of_the_job(table, scheduler, start):
    _, (parent, child) = start(FORK.format(then="os.setsid(); os.setuid(65534)") + WAIT, 2)
    scheduler.pids = {parent}
    refresh(table, parent)
    refresh(table, parent, child)
    assert {job.kind for job in table.jobs_on(A)} == {"slurm", "process"}


def test_a_program_that_replaces_itself_and_renames_itself_is_the_same_process(table, start):
    code = "print(os.getpid(), flush=True)\nsys.stdin.readline()\nos.execv('/bin/sleep', ['train.py', '60'])"
    process, (pid,) = start(code)
    refresh(table, pid)
    before, keys = only(table), table.processes(only(table).key)
    process.stdin.write(b"\n")
    process.stdin.flush()
    until = time.monotonic() + 10
    while Proc().stat(pid).comm != "sleep":
        assert time.monotonic() < until
        time.sleep(0.01)
    assert refresh(table, pid).ended == []
    assert only(table) == before
    assert table.processes(before.key) == keys


def test_a_storm_of_short_processes_leaves_nothing_behind(table):
    """As fast as this machine makes them, each asked about while it lives, as the tracer does."""
    tracemalloc.start()
    sizes, descriptors, made = [], [], 0
    read, write = os.pipe()
    for _ in range(5):
        for _ in range(60):
            pid = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, read, 0)])
            table.owner(pid)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            made += 1
        refresh(table)
        descriptors.append(len(list(Path("/proc/self/fd").iterdir())))
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    os.close(read)
    os.close(write)
    assert made == 300
    assert len(table._processes) == 0
    assert max(descriptors) == min(descriptors)
    assert sizes[-1] - sizes[2] < 100_000, sizes
    assert table.counts["refused"] < 300


def test_more_processes_than_are_kept_forget_the_oldest(tree, monkeypatch):
    monkeypatch.setattr("hashwarden.serve.jobs.processes.MOST_PROCESSES", 200)
    now = 100.0
    table = JobTable((Sessions(tree.proc),), tree.folder, lambda: now, wait_s=None, own=frozenset())
    for pid in range(10_000, 10_250):
        tree.put(pid, 100, session=7)
        assert table.owner(pid) is not None
    table.refresh({A: frozenset({10_000})}, DEVICES, now, 1e9)
    assert len(table._processes) == 200
    assert table.counts["forgotten"] == 50
    assert next(key.pid for key in table.processes(only(table).key)) == 10_000  # on a GPU: kept
    table.close()
