import os
import subprocess
import sys
from pathlib import Path

import pytest

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.jobs.lives import Lives
from hashwarden.serve.jobs.proc import Proc

SRC = str(Path(__import__("hashwarden").__file__).parent.parent)


def sleeper() -> subprocess.Popen:
    return subprocess.Popen(["sleep", "60"])


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("most", [0, 1, 100])
def test_the_end_of_real_processes_is_told_once_with_descriptors_and_without(most):
    before = open_files()
    lives, processes = Lives(Proc(), most), [sleeper() for _ in range(3)]
    keys = [Proc().stat(p.pid).key for p in processes]
    assert all(lives.watch(key) for key in keys)
    assert lives.ended() == set()
    for process in processes[:2]:
        process.kill()
    os.waitid(os.P_PID, processes[0].pid, os.WEXITED | os.WNOWAIT)  # a zombie has ended too
    processes[1].wait()
    assert lives.ended() == set(keys[:2])
    assert lives.ended() == set()
    assert len(lives) == 1
    lives.close()
    for process in processes:
        process.kill()
        process.wait()
    assert open_files() == before


def test_a_process_that_ended_before_is_not_watched():
    process = sleeper()
    key = Proc().stat(process.pid).key
    process.kill()
    process.wait()
    lives = Lives(Proc())
    assert not lives.watch(key)
    assert not lives.watch(ProcessKey(os.getpid(), 1))  # its number is ours now
    assert len(lives) == 0
    lives.close()


REUSE = """
import os, subprocess, sys
sys.path.insert(0, {src!r})
from hashwarden.serve.jobs.lives import Lives
from hashwarden.serve.jobs.proc import Proc
from pathlib import Path
import time
most = int(sys.argv[1])
last = Path("/proc/sys/kernel/ns_last_pid")
proc, lives = Proc(), Lives(Proc(), most)
one = subprocess.Popen(["sleep", "60"])
key = proc.stat(one.pid).key
assert lives.watch(key)
one.kill(); one.wait()
time.sleep(0.05)  # some ticks, so that the two differ
last.write_text(str(one.pid - 1))
two = subprocess.Popen(["sleep", "60"])
assert two.pid == one.pid, (one.pid, two.pid)
again = proc.stat(two.pid).key
assert again != key
assert not proc.alive(key)
assert lives.ended() == {{key}}
assert lives.watch(again) and not lives.watch(key)
two.kill(); two.wait()
print("told apart")
"""


@pytest.mark.parametrize("most", [0, 100])
def test_a_number_that_comes_again_is_another_process(most):
    """In a PID namespace of its own, whose last PID can be set."""
    command = ["unshare", "--fork", "--pid", "--mount-proc", sys.executable, "-c", REUSE.format(src=SRC), str(most)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "told apart\n", done.stderr


def test_a_descriptor_that_a_child_has_a_copy_of_is_gone_when_it_is_given_back():
    """Programs that are just being started hold copies of all descriptors for a moment."""
    lives = Lives(Proc())
    first, second = (subprocess.Popen(["sleep", "60"]) for _ in range(2))
    keys = [Proc().stat(process.pid).key for process in (first, second)]
    for key in keys:
        assert lives.watch(key)
    copy = os.dup(lives._files[keys[0]])
    lives.forget(keys[0])
    first.kill()
    first.wait()
    assert lives.ended() == set()
    second.kill()
    second.wait()
    assert lives.ended() == {keys[1]}
    os.close(copy)
    lives.close()


def test_those_that_are_held_can_be_asked_about_alone():
    lives = Lives(Proc(), most=1)
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    keys = [Proc().stat(process.pid).key for process in processes]
    assert [lives.watch(key) for key in keys] == [True, True]
    for process in processes:
        process.kill()
        process.wait()
    assert lives.ended(held=True) == {keys[0]}
    assert lives.ended() == {keys[1]}
    lives.close()
