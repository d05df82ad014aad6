"""In a real terminal, tmux with 24 lines of 80: locales, no colour, terminals that are none; and in scripts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAM = f"{sys.executable} -c 'from hashwarden.cli import main; main()' top"
WAIT_S = 40
pytestmark = pytest.mark.xdist_group("top")
HEAVY = {"numpy", "pyarrow", "onnxruntime", "pydantic", "numba", "torch", "cheroot"}


class Terminal:
    """A terminal in which a command runs."""

    def __init__(self, folder: Path, command: str, **environment: str) -> None:
        self._tmux = ["tmux", "-f", "/dev/null", "-S", str(folder / "tmux")]
        kept = {name: value for name, value in os.environ.items()
                if name not in ("NO_COLOR", "TMUX", "LC_ALL", "LC_CTYPE", "COLUMNS", "LINES")}  # fmt: skip
        given = " ".join(f"{name}={value}" for name, value in environment.items())
        line = f"env {given} {command}; echo code=$?; sleep 600"
        subprocess.run([*self._tmux, "new-session", "-d", "-x", "80", "-y", "24", line], check=True,
                       env={**kept, "LANG": "C.UTF-8"})  # fmt: skip

    def ask(self, *words: str) -> str:
        return subprocess.run([*self._tmux, *words], check=True, capture_output=True, text=True).stdout

    def press(self, *keys: str) -> None:
        self.ask("send-keys", *keys)

    def text(self, *flags: str) -> str:
        return self.ask("capture-pane", "-p", *flags)

    def until(self, *words: str) -> str:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            shown = self.text()
            if all(word in shown for word in words):
                return shown
            time.sleep(0.1)
        raise AssertionError(f"{words} do not stand in\n{self.text()}")

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    if shutil.which("tmux") is None:
        assert "CI" not in os.environ, "CI installs Debian's package tmux"
        pytest.skip("tmux is not installed: apt-get install tmux")
    made: list[Terminal] = []

    def make(command: str, **environment: str) -> Terminal:
        made.append(Terminal(tmp_path, command, **environment))
        return made[-1]

    yield make
    for one in made:
        one.close()


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from hashwarden.cli import main; main()", "top", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_it_shows_follows_keys_and_leaves_the_terminal_as_it_was(agent, terminal):
    one = terminal(f"{PROGRAM} --socket {agent.peer.where}", LANG="C.UTF-8")
    shown = one.until("STATE▼", "q Quit", "confirmed")
    assert "H100 SXM ━" in shown
    one.press("Enter")
    one.until("  evidence ", "q Back")
    one.press("PageDown", "PageDown")
    one.until("GPU time by class")
    one.press("q")
    one.until("6 jobs", "q Quit")
    one.press("/", "llm", "Enter")
    one.until("2 of 6 hold 'llm'")
    one.ask("resize-window", "-x", "130", "-y", "40")
    one.until("WATCHED", "WHY")
    one.press("q")
    assert "STATE" not in one.until("code=0")


def test_without_colour_and_without_unicode_it_says_the_same(agent, terminal):
    one = terminal(f"{PROGRAM} --socket {agent.peer.where}", LANG="C", NO_COLOR="1")
    one.until("# confirmed", "STATEv", "######")
    shown = one.text("-e")
    assert shown.isascii()
    colours = [f"\x1b[{part}{digit}" for part in (3, 4, 9) for digit in range(8)]
    assert [colour for colour in colours if colour in shown] == []
    assert "\x1b[7m" in shown  # what is chosen stands out all the same


@pytest.mark.parametrize("kind", ["dumb", "vt100"])
def test_a_terminal_that_is_none_gets_plain_tables(agent, terminal, kind):
    one = terminal(f"{PROGRAM} --socket {agent.peer.where} --every 0.5", LANG="C", TERM=kind)
    one.until("drill:mining-progpow")
    assert one.text().isascii()
    one.press("C-c")
    one.until("code=0")


def test_an_agent_that_is_killed_screams_on_the_terminal(mortal, terminal):
    one = terminal(f"{PROGRAM} --socket {mortal.peer.where}", LANG="C.UTF-8")
    one.until("q Quit")
    mortal.process.kill()
    shown = one.until("!!! NO ANSWER")
    assert "○ clear" not in shown
    assert "\x1b[7m\x1b[31m" in one.text("-e") or "\x1b[1;7m\x1b[31m" in one.text("-e")
    one.press("q")
    one.until("code=0")


def test_once_prints_one_table_and_json_the_pages(agent):
    done = run("--once", "--socket", agent.peer.where, LANG="C.UTF-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "6 GPUs, 6 jobs" in done.stdout.splitlines()[0]
    (node,) = json.loads(run("--json", "--socket", agent.peer.where).stdout)["nodes"]
    assert len(node["jobs"]["jobs"]) == 6
    assert node["error"] is None


def test_nobody_there_is_an_error_and_one_of_two_is_one_after_the_rest(agent):
    done = run("--once", "--socket", "/nonexistent")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no agent answers" in done.stderr
    done = run("--once", "--socket", "/nonexistent", "--socket", agent.peer.where)
    assert done.returncode == 2
    assert "NO ANSWER at all" in done.stdout
    assert "drill:" in done.stdout


def test_a_service_is_asked_with_its_token(liar, tmp_path):
    page = {"node": "n7", "gpus": 1, "ready": {"ready": True}}
    url = liar({"/v1/status": page, "/v1/jobs": {"jobs": []}, "/v1/cases": {"cases": []}}, token="s3cret")
    (tmp_path / "token").write_text("s3cret\n")
    done = run("--once", "--url", url, "--token-file", str(tmp_path / "token"))
    assert done.stdout.startswith("n7 ")
    done = run("--once", "--url", url)
    assert done.returncode == 9
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--url", "ftp://h"), "http:// or https://"),
        (("--url", "http://user:pw@h/"), "http:// or https://"),
        (("--url", "http://192.0.2.1:1", "--token-file", "TOKEN"), "would have the token"),
        (("--url", "https://h:1", "--token-file", "/nonexistent"), "a file with one token"),
    ],
)
def test_what_cannot_be_meant_is_refused(words, told, tmp_path):
    (tmp_path / "token").write_text("s3cret")
    done = run("--once", *(str(tmp_path / "token") if word == "TOKEN" else word for word in words))
    assert done.returncode == 2
    assert told in done.stderr


def test_what_is_shown_needs_none_of_the_heavy_packages():
    code = "import sys, hashwarden.cli.run_top, hashwarden.serve.top.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()
