"""The guard around real commands: its codes, its signals, what it ends, and what it does not let get away."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hashwarden.serve.schedulers.signals import facts_of

DEMO = Path(__file__).parents[3] / "data" / "job" / "demo.parquet"
MINING, TRAINING = "mining-progpow-plain-90000002", "training-llm-bf16-plain-90000000"
PROGRAM = (sys.executable, "-c", "from hashwarden.cli import main; main()", "guard")
BOUNDED_S = 60
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    begun: list[subprocess.Popen[str]] = []

    def start(*words: str, drill: str = "", speed: int = 100, **options: object) -> subprocess.Popen[str]:
        flags = ["--evidence", str(tmp_path / "evidence")]
        if drill:
            flags += ["--replay", str(DEMO), "--gpu", drill, "--speed", str(speed)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        process = subprocess.Popen([*PROGRAM, *flags, *words], cwd=tmp_path, **options)  # type: ignore[call-overload]
        begun.append(process)
        return process  # type: ignore[no-any-return]

    yield start
    for process in begun:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=BOUNDED_S)
    return process.returncode, out, err


def gone(pid: int, within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while facts_of(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    return facts_of(pid) is None


def pids(path: Path, count: int = 1) -> list[int]:
    """What the command wrote down, once it did."""
    deadline = time.monotonic() + BOUNDED_S
    while time.monotonic() < deadline:
        found = path.read_text().split() if path.exists() else []
        if len(found) >= count:
            return [int(word) for word in found]
        time.sleep(0.05)
    raise AssertionError("the command never began")


def test_a_miner_is_ended_with_all_it_started_and_leaves_evidence(guard, tmp_path):
    script = f"(setsid sh -c 'echo $$ >> {tmp_path}/pids; exec sleep 500' &) ; echo $$ >> {tmp_path}/pids; sleep 500"
    code, _, err = finished(guard("--", "sh", "-c", script, drill=MINING))
    assert code == 90, err
    assert "ended: confirmed progpow" in err
    assert "at most one honest job in 1,000" in err
    assert all(gone(pid) for pid in pids(tmp_path / "pids", 2))
    [bundle] = (tmp_path / "evidence").iterdir()
    assert bundle.stat().st_mode & 0o777 == 0o600
    with tarfile.open(bundle) as tar:
        names = tar.getnames()
    assert any(name.endswith(".parquet") for name in names)
    assert any("manifest" in name for name in names)


def test_a_training_job_is_left_alone_and_its_code_is_the_guard_s(guard, tmp_path):
    code, out, err = finished(guard("--", "sh", "-c", "sleep 3; echo done; exit 7", drill=TRAINING))
    assert (code, out) == (7, "done\n")
    assert err == ""
    assert not (tmp_path / "evidence").exists()


def test_a_dry_run_tells_and_keeps_evidence_and_ends_nothing(guard, tmp_path):
    code, out, err = finished(guard("--dry-run", "--", "sh", "-c", "sleep 4; echo lives", drill=MINING))
    assert (code, out) == (0, "lives\n")
    assert "nothing is done (a dry run)" in err
    assert err.count("a dry run") == 1
    assert len(list((tmp_path / "evidence").iterdir())) == 1


def test_evidence_that_cannot_be_written_is_told_and_the_miner_ended_all_the_same(guard, tmp_path):
    (tmp_path / "evidence").write_text("a file where the folder should be")
    code, _, err = finished(guard("--", "sleep", "500", drill=MINING))
    assert code == 90
    assert "the evidence could not be written" in err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("sh", "-c", "kill -TERM $$"), 128 + 15, ""),
        (("no-such-program",), 127, "cannot be started"),
        (("/etc/passwd",), 126, "cannot be started"),
    ],
)
def test_codes_are_those_of_shells(guard, words, code, told):
    found, _, err = finished(guard("--", *words))
    assert (found, told in err) == (code, True)


def test_without_a_source_that_works_the_command_runs_and_that_is_told(guard):
    code, _, err = finished(guard("--", "sleep", "1.5"))
    assert code == 0
    assert "the source nvml cannot be read" in err
    assert "no source worked" in err
    assert "no verdict" in err


def test_unless_being_unseen_ends_it(guard):
    code, _, err = finished(guard("--blind", "1s", "--", "sleep", "500"))
    assert code == 91
    assert "without being seen" in err


def test_signals_reach_the_command(guard, tmp_path):
    script = f"trap 'echo got; exit 3' TERM; echo $$ > {tmp_path}/pids; while :; do sleep 0.1; done"
    process = guard("--", "sh", "-c", script, drill=TRAINING)
    pids(tmp_path / "pids")
    process.send_signal(signal.SIGTERM)
    code, out, _ = finished(process)
    assert (code, out) == (3, "got\n")


def test_the_second_sigterm_ends_a_command_that_does_not_listen(guard, tmp_path):
    script = f"trap '' TERM; echo $$ > {tmp_path}/pids; while :; do sleep 0.1; done"
    process = guard("--grace", "1s", "--", "sh", "-c", script, drill=TRAINING)
    [pid] = pids(tmp_path / "pids")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    finished(process)
    assert gone(pid)


@pytest.mark.parametrize("leave", [False, True])
def test_what_a_command_leaves_behind_is_ended_unless_it_is_to_stay(guard, tmp_path, leave):
    script = f"(setsid sh -c 'echo $$ > {tmp_path}/pids; exec sleep 500' >/dev/null 2>&1 &) ; sleep 0.5"
    flags = ["--leave"] if leave else []
    code, _, err = finished(guard(*flags, "--", "sh", "-c", script, drill=TRAINING))
    [pid] = pids(tmp_path / "pids")
    assert code == 0
    if leave:
        assert "go on, unwatched" in err
        assert facts_of(pid) is not None
        os.kill(pid, signal.SIGKILL)
    else:
        assert gone(pid)


def test_a_guard_that_is_killed_takes_the_command_with_it(guard, tmp_path):
    script = f"(setsid sh -c 'echo $$ >> {tmp_path}/pids; exec sleep 500' &) ; echo $$ >> {tmp_path}/pids; sleep 500"
    process = guard("--", "sh", "-c", script, drill=TRAINING)
    both = pids(tmp_path / "pids", 2)
    process.kill()
    assert all(gone(pid) for pid in both)


def test_a_command_that_kills_its_supervisor_is_lost_and_what_was_seen_is_ended(guard, tmp_path):
    apart = f"(setsid sh -c 'echo $$ >> {tmp_path}/pids; exec sleep 500' &)"
    script = f"{apart}; sleep 2.5; kill -KILL $PPID; echo $$ >> {tmp_path}/pids; sleep 500"
    code, _, err = finished(guard("--grace", "1s", "--", "sh", "-c", script, drill=TRAINING))
    assert code == 91
    assert all(gone(pid) for pid in pids(tmp_path / "pids"))
    assert "the supervisor was killed" in err


@ROOT
def test_as_another_user_it_can_kill_neither(guard, tmp_path):
    tmp_path.chmod(0o755)
    script = "id -u; kill -KILL $PPID || echo refused; echo $HOME"
    code, out, _ = finished(guard("--user", "nobody", "--", "sh", "-c", script, drill=TRAINING))
    assert (code, out.split()[:2]) == (0, ["65534", "refused"])


@ROOT
def test_users_that_are_not_there_are_refused_before_anything_runs(guard, tmp_path):
    code, _, err = finished(guard("--user", "no-such-user", "--", "touch", str(tmp_path / "file")))
    assert code == 2
    assert "no-such-user" in err
    assert not (tmp_path / "file").exists()


def test_a_model_that_fails_its_self_test_guards_nothing(guard, tmp_path):
    (tmp_path / "job.onnx").write_bytes(b"no model")
    code, _, err = finished(guard("--model", str(tmp_path / "job.onnx"), "--", "touch", str(tmp_path / "file")))
    assert code == 4
    assert "job.onnx" in err
    assert not (tmp_path / "file").exists()


def test_on_a_terminal_the_command_has_it_and_gives_it_back(tmp_path):
    keeper, terminal = pty.openpty()
    words = [
        "--replay",
        str(DEMO),
        "--gpu",
        TRAINING,
        "--",
        "sh",
        "-c",
        "read line; echo got $line; kill -STOP $$; echo on",
    ]
    process = subprocess.Popen(
        [*PROGRAM, *words], stdin=terminal, stdout=terminal, stderr=terminal, cwd=tmp_path, start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),  # noqa: PLW1509
    )  # fmt: skip
    os.close(terminal)
    os.write(keeper, b"word\n")
    text, deadline = b"", time.monotonic() + BOUNDED_S
    while b"on\r\n" not in text and time.monotonic() < deadline:
        if select.select([keeper], [], [], 0.2)[0]:
            try:
                text += os.read(keeper, 1000)
            except OSError:
                break
    process.wait(BOUNDED_S)
    os.close(keeper)
    assert b"got word" in text
    assert b"on\r\n" in text  # stopped, it went on: nothing is ever frozen
    assert process.returncode == 0


def test_evidence_says_what_was_guarded(guard, tmp_path):
    finished(guard("--", "sleep", "500", drill=MINING))
    [bundle] = (tmp_path / "evidence").iterdir()
    with tarfile.open(bundle) as tar:
        text = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.name.endswith(".json")}
    said = json.dumps({name: json.loads(body) for name, body in text.items()})
    assert '"sleep"' in said
    assert "progpow" in said
