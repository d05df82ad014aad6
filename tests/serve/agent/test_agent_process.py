"""The agent as operators run it: a process with signals, a socket, metrics, and kill -9 at any moment."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from agent_policy import ENFORCE

from hashwarden.serve.audit.read import Reader
from hashwarden.serve.audit.verify import verify_log

DEMO = Path(__file__).parents[3] / "data" / "job" / "demo.parquet"
PROGRAM = (sys.executable, "-c", "from hashwarden.cli import main; main()", "agent")
WAIT_S = 60
KILLS = 12
STOP_S = 5.0


class Running:
    """One agent's folder, and the agents that ran on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.begun = folder, []
        (folder / "policy.toml").write_text(ENFORCE)

    def start(self, *words: str, drill: bool = True, **environment: str) -> subprocess.Popen[str]:
        folder = self.folder
        flags = ["--state-dir", folder / "state", "--run-dir", folder / "run", "--listen", "127.0.0.1:0", "--policy",
                 folder / "policy.toml"]  # fmt: skip
        if drill:
            flags += ["--replay", DEMO, "--speed", "100"]
        process = subprocess.Popen(
            [*PROGRAM, *map(str, flags), *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "HASHWARDEN_AGENT__SCHEDULERS__NAMES": '["process"]', **environment},
        )  # fmt: skip
        self.begun.append(process)
        return process

    def ask(self, path: str, method: str = "GET") -> tuple[int, Any]:
        link = http.client.HTTPConnection("x", timeout=10)
        link.sock = socket.socket(socket.AF_UNIX)
        try:
            link.sock.connect(str(self.folder / "run" / "agent.sock"))
            link.request(method, path, json.dumps({"reason": "a drill"}))
            answer = link.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if "json" in answer.headers["Content-Type"] else body
        finally:
            link.close()

    def until(self, holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()[1]
            try:
                if holds():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError("it never came to that")

    def is_up(self, process: subprocess.Popen[str]) -> None:
        self.until(lambda: self.ask("/readyz")[0] in (200, 503) and self.ask("/v1/status")[1]["jobs"] > 0, process)

    def records(self) -> list[tuple[str, Mapping[str, Any]]]:
        reader = Reader(self.folder / "state" / "audit")
        found = [(record.kind, record.body()) for record in reader]
        reader.close()
        return found


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    one = Running(tmp_path)
    yield one
    for process in one.begun:
        process.kill()
        process.communicate()


def test_it_begins_tells_and_ends_in_order(running):
    process = running.start()
    running.is_up(process)
    running.until(lambda: len(running.ask("/v1/cases")[1]["cases"]) == 3, process)
    assert running.ask("/readyz")[0] == 200
    assert running.ask("/healthz")[0] == 200
    metrics = running.ask("/metrics")[1]
    checked = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    assert b'hashwarden_source_success{source="replay"} 1.0' in metrics
    assert len({line.split(b"{")[0].split()[0] for line in metrics.splitlines() if line[:1] != b"#"}) > 35
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=WAIT_S)
    assert time.monotonic() - start < STOP_S
    assert process.returncode == 0
    lines = [json.loads(line) for line in log.splitlines()]
    steps = [line["step"] for line in lines if line["message"] == "start-up step done"]
    assert steps[:4] == ["lock the state folder", "open the audit log", "load the policy", "load the model"]
    assert "self-test on known answers" in steps
    assert lines[-1]["message"] == "the agent ends"
    kinds = [kind for kind, _ in running.records()]
    assert kinds.count("start") == kinds.count("stop") == 1
    assert verify_log(running.folder / "state" / "audit").ok
    assert not (running.folder / "run" / "agent.sock").exists()


def test_sighup_reads_the_policy_anew_and_a_bad_one_changes_nothing(running):
    process = running.start()
    running.is_up(process)

    def policy() -> str:
        found: str = running.ask("/v1/status")[1]["policy"]["mode"]
        return found

    assert policy() == "enforce"
    (running.folder / "policy.toml").write_text('mode = "dry-run"\n')
    process.send_signal(signal.SIGHUP)
    running.until(lambda: policy() == "dry-run", process)
    (running.folder / "policy.toml").write_text('mood = "enforce"\n')
    process.send_signal(signal.SIGHUP)
    running.until(lambda: b'result="refused"} 1.0' in running.ask("/metrics")[1], process)
    assert policy() == "dry-run"


def test_two_agents_on_one_folder_are_one_too_many(running):
    first = running.start()
    running.is_up(first)
    second = running.start()
    _, log = second.communicate(timeout=WAIT_S)
    assert second.returncode == 2
    assert "another agent uses it" in log
    assert first.poll() is None


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--config", "/nonexistent"), 2, "cannot be read"),
        (("--policy", "/nonexistent"), 2, "/nonexistent"),
        (("--state-dir", "/proc/nowhere"), 5, "/proc/nowhere"),
        (("--listen", "127.0.0.1"), 2, "HOST:PORT"),
        (("--source", "nvml", "--speed", "5"), 2, "live counters"),
        (("--source", "no-such"), 2, "no-such"),
    ],
)
def test_what_cannot_be_meant_ends_it_at_once_with_one_line(running, words, code, told):
    process = running.start(*words, drill=False)
    _, log = process.communicate(timeout=WAIT_S)
    assert process.returncode == code
    assert told in log.splitlines()[-1]
    assert "Traceback" not in log


def test_killed_at_any_moment_it_goes_on_where_it_was(running):
    chance = random.Random(7)
    for _ in range(KILLS):
        process = running.start()
        time.sleep(chance.uniform(0.2, 4.0))
        process.kill()
        process.communicate()
    last = running.start()
    running.is_up(last)
    running.until(lambda: len({b["action"] for k, b in running.records() if k == "action"}) >= 3, last)
    last.send_signal(signal.SIGTERM)
    last.communicate(timeout=WAIT_S)
    assert verify_log(running.folder / "state" / "audit").ok
    done = Counter(body["action"] for kind, body in running.records() if kind == "action")
    assert set(done.values()) == {1}
    cases = Counter(
        body["case"] for kind, body in running.records() if kind == "case" and body.get("change") == "opened"
    )
    assert set(cases.values()) == {1}


def test_check_says_what_it_would_run_with(running):
    process = running.start("--check")
    out, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert "policy: good; enforce, 1 rules" in out
    assert "gives its known answers" in out


def test_it_names_what_it_knows_and_prints_its_schema(running):
    out, _ = running.start("--list", drill=False).communicate(timeout=WAIT_S)
    assert all(word in out for word in ("nvml", "launches", "dcgm", "slurm", "kubernetes", "sessions", "process"))
    out, _ = running.start("--schema", drill=False).communicate(timeout=WAIT_S)
    assert json.loads(out)["properties"]["alpha"]["default"] == 0.001
