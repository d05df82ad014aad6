"""Commands without a shell: what they say, and what they may not."""

from __future__ import annotations

import time

import pytest

from hashwarden.serve.commands import Missing, TooLong, run, words
from hashwarden.serve.jobs.proc import Proc


def test_a_command_says_what_it_says_on_both_outputs_and_hears_its_input():
    said = run(["sh", "-c", "cat; echo told >&2; exit 3"], 20.0, "hello\n")
    assert (said.code, said.text) == (3, "hello\ntold\n")
    assert words("a\n b\x1b[2J") == "a b\\x1b[2J"


def test_arguments_are_no_shell_s_and_the_environment_is_not_ours(monkeypatch):
    monkeypatch.setenv("SQUEUE_FORMAT", "x")
    monkeypatch.setenv("SLURM_CONF", "/x")
    said = run(["env"], 20.0).text.splitlines()
    assert {line.partition("=")[0] for line in said} == {"PATH", "LC_ALL", "SLURM_TIME_FORMAT", "SLURM_CONF"}
    assert run(["echo", "$(id);`id`"], 20.0).text == "$(id);`id`\n"


def test_what_cannot_be_run_is_missing(tmp_path):
    (tmp_path / "x").write_bytes(b"\x7fELF nothing")
    (tmp_path / "x").chmod(0o755)
    for command in ("no-such-command-here", str(tmp_path / "x")):
        with pytest.raises(Missing):
            run([command], 20.0)


@pytest.mark.parametrize("script", ["sleep 1000 & echo $! > {file}; wait", "sleep 1000 & echo $! > {file}; exec yes"])
def test_what_takes_too_long_or_says_too_much_is_ended_with_all_that_it_started(script, tmp_path):
    file = tmp_path / "pid"
    with pytest.raises(TooLong):
        run(["sh", "-c", script.format(file=file)], 2.0 if "wait" in script else 60.0)
    end = time.monotonic() + 20
    while Proc().stat(int(file.read_text())) is not None:
        assert time.monotonic() < end
        time.sleep(0.02)
