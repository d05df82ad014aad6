"""The ports that servers under test are told beforehand."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path

import ports
from ports import free_port

ASK = "import ports; print(*(ports.free_port() for _ in range(50)), flush=True); input()"


def test_no_two_processes_get_the_same_and_none_is_given_twice():
    """Not even where all begin at the same one."""
    words = [sys.executable, "-c", f"import os; os.getpid = lambda: 7; {ASK}"]
    environment = os.environ | {"PYTHONPATH": str(Path(ports.__file__).parent)}
    asked = [subprocess.Popen(words, stdin=-1, stdout=-1, text=True, cwd="/", env=environment) for _ in range(4)]
    given = [int(port) for each in asked for port in each.stdout.readline().split()]
    for each in asked:
        each.communicate("\n")
    assert len(given) == len(set(given)) == 200


def test_no_connection_takes_one_by_itself():
    end = int(ports.RANGE.read_text().split()[0])
    found = {free_port() for _ in range(500)}
    assert len(found) == 500
    assert max(found) < end
    assert min(found) >= ports.FIRST


def test_one_that_somebody_listens_on_is_passed_over(monkeypatch):
    first = free_port()
    monkeypatch.setattr(ports, "_NEXT", itertools.count(first - ports.FIRST + 1))
    then = free_port()
    monkeypatch.setattr(ports, "_NEXT", itertools.count(then - ports.FIRST + 1))
    with socket.create_server(("127.0.0.1", then + 1)):
        assert free_port() != then + 1
