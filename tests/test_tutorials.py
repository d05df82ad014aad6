"""The tutorials do what they say: their commands are typed into a shell, their output is compared."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
END = "--- end of a command ---"
LEFT_OUT = ("pip install ", "make ")
"""Commands that set things up, which was done before the tests."""


def sessions(text: str) -> Iterator[tuple[str, str]]:
    """Commands with the output that they should have, from blocks of ``console``."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines(keepends=True)
            size = 1 + next((n for n, line in enumerate(lines[1:]) if not line.startswith("> ")), len(lines) - 1)
            yield "".join([lines[0], *(line[2:] for line in lines[1:size])]).strip(), "".join(lines[size:])


class Shell:
    """A shell in which one command is typed after the other."""

    def __init__(self, folder: Path) -> None:
        program = folder / ".bin" / "hashwarden"
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable}\nfrom hashwarden.cli import main\nmain()\n")
        program.chmod(0o755)
        python = program.with_name("python")
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}", "COLUMNS": "110", "NO_COLOR": "1",
                                    "PS1": "", "LC_ALL": "C.UTF-8"}  # fmt: skip
        self._process = subprocess.Popen(
            ["bash", "--norc"], cwd=folder, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def type(self, command: str) -> tuple[int, str]:
        """Type a command; gives its status and what it printed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n_status=$?; printf '\\n{END} %s\\n' $_status; (exit $_status)\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.startswith(END):
                return int(line.split()[-1]), "".join(lines).removesuffix("\n")
            lines.append(line)
        raise AssertionError(f"the shell ended in {command!r}:\n" + "".join(lines))

    def close(self) -> None:
        """End it with all that it started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    for name in ("data", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    found = Shell(tmp_path)
    yield found
    found.close()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_does_what_it_says(page, shell):
    steps = [step for step in sessions(page.read_text()) if not step[0].startswith(LEFT_OUT)]
    assert len(steps) >= 5
    checker = doctest.OutputChecker()
    for number, (command, wanted) in enumerate(steps):
        status, got = shell.type(command)
        following = steps[number + 1][0] if number + 1 < len(steps) else ""
        assert status == 0 or following == "echo $?", f"$ {command}\n{got}"
        fits = checker.check_output(wanted, got.rstrip("\n") + "\n", doctest.ELLIPSIS) if wanted else got == ""
        assert fits, f"$ {command}\n--- wanted\n{wanted}\n--- got\n{got}"


def test_commands_are_read_as_they_would_be_typed():
    page = "x\n```console\n$ a \\\n>   b\nc\n$ d\n```\n```toml\n$ e\n```\n```console\n$ f\ng\nh\n```\n"
    assert list(sessions(page)) == [("a \\\n  b", "c\n"), ("d", ""), ("f", "g\nh\n")]


def test_a_tutorial_that_lies_is_told(shell):
    assert shell.type("echo one; echo two >&2; false") == (1, "one\ntwo\n")
    assert shell.type("echo $?") == (0, "1\n")
    checker = doctest.OutputChecker()
    assert checker.check_output("one...two\n", "one\n1\ntwo\n", doctest.ELLIPSIS)
    assert not checker.check_output("one...two\n", "one\ntwo\nthree\n", doctest.ELLIPSIS)
