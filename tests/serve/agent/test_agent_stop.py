"""The agent ends within seconds, whatever hangs: the driver, a scheduler, mail, clients."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from agent_policy import ENFORCE

PROGRAM = (sys.executable, "-c", "from hashwarden.cli import main; main()", "agent")
STOP_S, WAIT_S = 5.0, 60
DEMO = Path(__file__).parents[3] / "data" / "job" / "demo.parquet"
POLICY = 'admin_emails = ["a@example.org", "b@example.org", "c@example.org"]\n' + ENFORCE
HANGING = """
import sys, time
from hashwarden.serve.schedulers.process import ProcessScheduler
ProcessScheduler.apply = lambda self, action: time.sleep(600)
from hashwarden.cli import main
main()
"""


def ended_after(process: subprocess.Popen[str]) -> float:
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
    assert process.returncode == 0
    return time.monotonic() - start


def wait_for(text: str, process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"it never said {text!r}")


def test_with_a_driver_that_hangs(tmp_path, environment, control):
    control.write()
    flags = ["--state-dir", tmp_path / "s", "--run-dir", tmp_path / "r", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen([*PROGRAM, *map(str, flags), "--source", "nvml"], stderr=subprocess.PIPE, text=True,
                               env=environment)  # fmt: skip
    wait_for("the agent begins", process)
    control.write("hang nvmlDeviceGetUtilizationRates 600000", "hang nvmlDeviceGetPowerUsage 600000")
    time.sleep(2)
    assert ended_after(process) < STOP_S


def test_with_a_scheduler_mail_and_clients_that_hang_all_at_once(tmp_path):
    (tmp_path / "policy.toml").write_text(POLICY)
    mail = tmp_path / "mail"
    mail.write_text(f"#!/bin/sh\ntouch {tmp_path}/mailing\nexec sleep 600\n")
    mail.chmod(0o755)
    flags = ["--state-dir", tmp_path / "s", "--run-dir", tmp_path / "r", "--listen", "127.0.0.1:0", "--policy",
             tmp_path / "policy.toml", "--replay", DEMO, "--speed", "100"]  # fmt: skip
    more = {"HASHWARDEN_AGENT__SCHEDULERS__NAMES": '["process"]',
            "HASHWARDEN_AGENT__SCHEDULERS__MAIL_COMMAND": f'["{mail}", "{{user}}"]'}  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", HANGING, "agent", *map(str, flags)], stderr=subprocess.PIPE,
                               text=True, env={**os.environ, **more})  # fmt: skip
    wait_for("evidence packed", process)
    slow = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for link in slow:
        link.connect(str(tmp_path / "r" / "agent.sock"))
        link.sendall(b"GET /metrics HT")
    deadline = time.monotonic() + WAIT_S
    while not (tmp_path / "mailing").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    try:
        assert ended_after(process) < STOP_S
    finally:
        for link in slow:
            link.close()
