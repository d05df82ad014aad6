"""Real processes, ended: those that save first, that do not listen, that fork, and those that are somebody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hashwarden.serve.jobs.job import Job, ProcessKey
from hashwarden.serve.schedulers.options import SchedulerOptions
from hashwarden.serve.schedulers.process import make
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Result, SchedulerAway
from hashwarden.serve.schedulers.signals import end_processes, facts_of, with_relatives

JOB = Job("session:1", "process", "1")
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
SAVING = (
    "import signal, sys, time, pathlib\n"
    "def end(*_): pathlib.Path(sys.argv[1]).write_text('saved'); sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(60)"
)
FAMILY = (
    "import os, signal, time\n"
    "ready, told = os.pipe()\n"
    "for _ in range(3):\n"
    "    if os.fork() == 0:\n"
    "        os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN); os.write(told, b'x')\n"
    "        time.sleep(60); os._exit(0)\n"
    "for _ in range(3): os.read(ready, 1)\n"
    "print('up', flush=True); time.sleep(60)"
)
FORKING = (
    "import os, signal, time\n"
    "def again(*_):\n"
    "    for _ in range(5):\n"
    "        if os.fork() == 0: time.sleep(60); os._exit(0)\n"
    "signal.signal(signal.SIGTERM, again); print('up', flush=True)\n"
    "while True: time.sleep(1)"
)


def key_of(pid: int) -> ProcessKey:
    facts = facts_of(pid)
    assert facts is not None
    return facts.key


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    begun: list[subprocess.Popen[bytes]] = []

    def run(code: str, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
        options.setdefault("process_group", 0)
        process = subprocess.Popen(  # type: ignore[call-overload]
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, **options
        )
        begun.append(process)
        assert process.stdout.readline() == b"up\n"
        return process  # type: ignore[no-any-return]

    yield run
    for process in begun:
        process.kill()
        process.wait()
        process.stdout.close()


def action(kind: ActionKind = ActionKind.TERMINATE) -> Action:
    return Action("c1/1", kind, JOB, "c1", "it mines", 0.0, 1e12)


def scheduler(*keys: ProcessKey, grace_s: float = 5.0) -> object:
    return make(SchedulerOptions(grace_s=grace_s, processes=lambda job: keys if job == JOB.key else ()))


def test_one_that_listens_has_the_time_to_save(start, tmp_path: Path):
    process = start(SAVING, str(tmp_path / "file"))
    outcome = scheduler(key_of(process.pid)).apply(action())
    assert (outcome.result, outcome.detail) == (Result.DONE, "1 sent SIGTERM, 0 SIGKILL")
    assert process.wait(5) == 0
    assert (tmp_path / "file").read_text() == "saved"


def test_one_that_does_not_is_killed(start):
    process = start(STUBBORN)
    assert scheduler(key_of(process.pid), grace_s=0.2).apply(action()).detail == "1 sent SIGTERM, 1 SIGKILL"
    assert process.wait(5) == -signal.SIGKILL


def test_children_in_sessions_of_their_own_go_too(start):
    process = start(FAMILY)
    members = with_relatives([key_of(process.pid)])
    assert len(members) == 4
    ended = end_processes(lambda: [key_of(process.pid)] if facts_of(process.pid) else [], 0.2)
    assert ended.left == ()
    assert (ended.asked, ended.forced) == (4, 3)
    assert all((now := facts_of(key.pid)) is None or now.key != key for key in members)


def test_what_is_forked_in_answer_to_sigterm_goes_too(start):
    process = start(FORKING)
    group = os.getpgid(process.pid)
    ended = end_processes(lambda: [key_of(process.pid)] if facts_of(process.pid) else [], 0.5)
    assert ended.left == ()
    assert ended.forced >= 6
    process.wait(5)
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    assert [pid for pid in pids if (facts := facts_of(pid)) is not None and facts.group == group] == []


def test_a_pid_that_was_given_anew_is_left_alone(start):
    process = start(STUBBORN)
    real = key_of(process.pid)
    outcome = scheduler(ProcessKey(real.pid, real.started - 1)).apply(action())
    assert outcome.result is Result.ALREADY
    assert process.poll() is None


def test_a_job_whose_processes_are_gone_needs_nothing(start):
    process = start(STUBBORN)
    key = key_of(process.pid)
    process.kill()
    process.wait()
    assert scheduler(key).apply(action()).result is Result.ALREADY
    assert scheduler().apply(action()).result is Result.ALREADY


def test_nothing_but_ending_is_done(start):
    process = start(STUBBORN)
    for kind in set(ActionKind) - {ActionKind.TERMINATE}:
        assert scheduler(key_of(process.pid)).apply(action(kind)).result is Result.REFUSED
    assert process.poll() is None


def test_this_program_its_group_and_its_ancestors_are_spared(start):
    process = start(STUBBORN, process_group=None)  # in the group of this test
    members = with_relatives([key_of(process.pid), key_of(os.getpid()), key_of(os.getppid())])
    assert process.pid in {key.pid for key in members}
    assert {os.getpid(), os.getppid(), 1} & {key.pid for key in members} == set()


def test_one_that_cannot_be_killed_is_told(start, monkeypatch):
    process = start(STUBBORN)
    monkeypatch.setattr("hashwarden.serve.schedulers.signals.ROUNDS", 2)
    monkeypatch.setattr("hashwarden.serve.schedulers.signals.KILL_S", 0.05)
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: None)  # as one in a call into the driver
    with pytest.raises(SchedulerAway, match="1 processes are still there"):
        scheduler(key_of(process.pid), grace_s=0.05).apply(action())


@pytest.mark.parametrize("comm", [b"a) S 1 1 1", b"((((", b"\n\n", b"x" * 15])
def test_names_cannot_lie_about_the_rest(start, comm):
    named = f"import pathlib, time; pathlib.Path('/proc/self/comm').write_bytes({comm!r}); "
    code = named + "print('up', flush=True); time.sleep(60)"
    process = start(code)
    facts = facts_of(process.pid)
    assert facts is not None
    assert (facts.parent, facts.group) == (os.getpid(), process.pid)
    assert abs(facts.key.started / os.sysconf("SC_CLK_TCK") - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60


def test_a_process_that_is_gone_has_no_facts(tmp_path):
    assert facts_of(2**22 - 1) is None
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_bytes(b"7 (x) Z 1 2 3")
    assert facts_of(7, tmp_path) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_job_that_joins_the_process_group_of_another_user_does_not_take_it_along(start):
    """setpgid(2) lets anybody into any group of his session, whoever leads it."""
    victim = start("import time; print('up', flush=True); time.sleep(60)")
    joins = "import os, sys, time; os.setpgid(0, int(sys.argv[1])); os.setresuid(65534, 65534, 65534); {}"
    ended = start(joins.format("print('up', flush=True); time.sleep(60)"), str(victim.pid), process_group=None)
    key = key_of(ended.pid)
    assert set(with_relatives([key])) == {key}
    end_processes(lambda: [key], 0.5)
    assert ended.wait(10) == -signal.SIGTERM
    assert victim.poll() is None
