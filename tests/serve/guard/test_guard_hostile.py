"""The guard in odd places, and around commands that mean harm: to it, to others, or to be left alone by it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[3] / "data" / "job" / "demo.parquet"
TRAINING = "training-llm-bf16-plain-90000000"
PROGRAM = (sys.executable, "-c", "from hashwarden.cli import main; main()", "guard")
DRILL = ("--replay", str(DEMO), "--gpu", TRAINING, "--speed", "100")
BOUNDED_S = 60
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
JOIN = "import os, sys, time; os.setpgid(0, int(sys.argv[1])); time.sleep(1.5)"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    tmp_path.chmod(0o755)

    def guarded(*words: str, before: tuple[str, ...] = (), **options: object) -> subprocess.CompletedProcess[str]:
        options = {"capture_output": True, "text": True, "timeout": BOUNDED_S} | options
        return subprocess.run([*before, *PROGRAM, *DRILL, *words], check=False, cwd=tmp_path, **options)  # type: ignore[call-overload, no-any-return]

    return guarded


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours in this session, in a group of its own."""
    process = subprocess.Popen(["sleep", "600"], process_group=0)
    yield process
    process.kill()
    process.wait()


def test_a_command_that_joins_another_process_group_does_not_take_it_along(run, bystander):
    done = run("--", "sh", "-c", f'{sys.executable} -c "{JOIN}" {bystander.pid} & sleep 0.5; exit 5')
    assert done.returncode == 5, done.stderr
    assert "1 process was ended" in done.stderr
    assert bystander.poll() is None


@ROOT
def test_in_a_container_the_guard_may_be_process_1(run):
    done = run("--", "sh", "-c", "(sleep 0.1 &) ; sleep 0.5; exit 5",
               before=("unshare", "--pid", "--fork", "--mount-proc"))  # fmt: skip
    assert done.returncode == 5, done.stderr


@ROOT
def test_without_proc_nothing_is_begun(run, tmp_path):
    hide = 'mount -t tmpfs none /proc && exec "$@"'
    done = run("--", "touch", str(tmp_path / "file"), before=("unshare", "--mount", "sh", "-c", hide, "sh"))
    assert done.returncode == 2
    assert "/proc" in done.stderr
    assert not (tmp_path / "file").exists()


def test_signals_that_were_ignored_stay_so_for_the_command(run):
    """As with nohup(1), and for what scripts start with ``&``."""
    look = ("grep", "SigIgn", "/proc/self/status")
    for before in (("nohup",), ()):
        plain = subprocess.run([*before, *look], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        told = run("--", *look, before=before, stdin=subprocess.DEVNULL).stdout
        assert told == plain.stdout  # who started these tests may ignore some himself
        assert bool(int(told.split()[1], 16) & 1 << (signal.SIGHUP - 1)) or not before


@ROOT
def test_another_user_gets_his_own_environment(run):
    secrets = {"SUDO_USER": "jane", "SUDO_UID": "1", "XDG_RUNTIME_DIR": "/run/user/0", "MAIL": "/var/mail/root",
               "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/0/bus", "KEPT": "1"}  # fmt: skip
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    done = run("--user", "nobody", "--", "/usr/bin/python3", "-c", show, env={**os.environ, **secrets})
    found = json.loads(done.stdout)
    assert set(secrets) & set(found) == {"KEPT"}
    assert (found["USER"], found["LOGNAME"]) == ("nobody", "nobody")
    assert found["SHELL"].endswith("nologin")


def test_a_reader_that_went_away_ends_neither_the_guard_nor_the_command(tmp_path):
    hear, tell = os.pipe()
    os.close(hear)
    words = ("--dry-run", "--gpu", "mining-progpow-plain-90000002", "--", "sh", "-c", "sleep 3; exit 6")
    process = subprocess.Popen([*PROGRAM, "--replay", str(DEMO), "--speed", "100", *words], stderr=tell, cwd=tmp_path)
    os.close(tell)
    assert process.wait(BOUNDED_S) == 6


def test_bytes_pass_as_they_are(tmp_path):
    data = bytes(range(256)) * 4096
    done = subprocess.run([*PROGRAM, *DRILL, "--", "cat"], input=data, capture_output=True, check=False, cwd=tmp_path,
                          timeout=BOUNDED_S)  # fmt: skip
    assert (done.returncode, done.stdout == data) == (0, True)


def test_the_command_inherits_nothing_but_what_the_guard_was_given(run):
    done = run("--", "ls", "/proc/self/fd")
    assert done.stdout.split() == ["0", "1", "2", "3"]  # the last is ls's own


def test_a_supervisor_that_was_stopped_goes_on(run):
    done = run("--", "sh", "-c", "kill -STOP $PPID; sleep 0.5; exit 5")
    assert done.returncode == 5


def test_in_the_background_it_takes_nobody_s_terminal(tmp_path):
    """An interactive shell's ``&``: the terminal stays with whoever is in front."""
    keeper, terminal = pty.openpty()
    script = (
        "import fcntl, os, subprocess, sys, termios\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "guard = subprocess.Popen(sys.argv[1:], process_group=0)\n"
        "guard.wait()\n"
        "print('mine' if os.tcgetpgrp(0) == os.getpgrp() else 'lost', flush=True)\n"
    )
    look = "import os; print('front' if os.tcgetpgrp(0) == os.getpgrp() else 'behind', flush=True)"
    words = [sys.executable, "-c", script, *PROGRAM, *DRILL, "--", sys.executable, "-c", look]
    process = subprocess.Popen(words, stdin=terminal, stdout=subprocess.PIPE, text=True, start_new_session=True,
                               cwd=tmp_path)  # fmt: skip
    out, _ = process.communicate(timeout=BOUNDED_S)
    os.close(terminal)
    os.close(keeper)
    assert out.split() == ["behind", "mine"]


def test_a_terminal_that_lets_nobody_write_from_behind_does_not_stop_the_guard(tmp_path):
    """``stty tostop``: writing to the terminal from the background stops a process, here the one that watches."""
    keeper, terminal = pty.openpty()
    words = ["--dry-run", "--gpu", "mining-progpow-plain-90000002", "--", "sh", "-c", "stty tostop; sleep 4; exit 6"]
    process = subprocess.Popen(
        [*PROGRAM, "--replay", str(DEMO), "--speed", "100", *words], stdin=terminal, stdout=terminal, stderr=terminal,
        cwd=tmp_path, start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),  # noqa: PLW1509
    )  # fmt: skip
    os.close(terminal)
    os.set_blocking(keeper, False)
    deadline, text = time.monotonic() + 30, b""
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
        try:
            text += os.read(keeper, 4096)
        except OSError:
            continue
    process.kill()
    process.wait()
    os.close(keeper)
    assert (process.returncode, b"nothing is done (a dry run)" in text) == (6, True)


def test_a_guard_that_the_command_stopped_counts_that_time_as_unseen(run):
    """Without --user it can be stopped like any other process of that user; it cannot be made to forget it."""
    script = "g=$(awk '{print $4}' /proc/$PPID/stat); sleep 1; kill -STOP $g; sleep 2; kill -CONT $g; sleep 5"
    done = run("--blind", "100s", "--", "sh", "-c", script)
    assert done.returncode == 91, done.stderr
    assert "without being seen" in done.stderr
