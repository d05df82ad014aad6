"""``hashwarden workloads`` as a process: what it lists, what a run says, how it ends when it cannot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hashwarden.kernels.workloads.evasions import EVASIONS
from hashwarden.kernels.workloads.registry import workloads

PROGRAM = [sys.executable, "-c", "from hashwarden.cli import main; main()", "workloads"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    words = os.environ | {"COLUMNS": "100", "NO_COLOR": "1"} | environment
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, env=words, timeout=120, check=False)


def test_the_list_names_every_workload_and_evasion():
    done = run("list")
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines() if line.split()} >= {w.name for w in workloads()}
    assert all(evasion.name in done.stdout for evasion in EVASIONS)


def test_the_list_as_json_holds_units_and_limits():
    done = run("list", "--label", "hpc-other", "--json")
    listed = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert set(listed) == {w.name for w in workloads() if w.label == "hpc-other"}
    entry = listed["hash-join"]
    assert set(entry["sizes"]) == {"small", "trace", "gpu"}
    assert {parameter["unit"] for parameter in entry["parameters"]} == {"rows"}


def test_a_run_says_what_it_did():
    done = run("run", "hash-join", "--engine", "cpu", "--size", "small", "--seconds", "0.2", "--set", "probe_rows=96")
    assert done.returncode == 0, done.stderr
    rows = {line[:13].strip(): line[13:].strip() for line in done.stdout.splitlines()}
    assert rows["workload"] == "hash-join"
    assert rows["checked"] == "yes"
    assert "probe_rows 96" in rows["settings"]


def test_a_run_under_an_evasion_as_json():
    words = ["--engine", "cpu", "--size", "trace", "--seconds", "1", "--json"]
    done = run("run", "hash-join", *words, "--evasion", "throttle", "--evasion-set", "share=20")
    report = json.loads(done.stdout)
    assert report["built_share"] == 0.2
    assert 0.02 < report["kept_share"] < 0.6
    assert report["steps"] >= 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["hash-jion"], 2, "no workload is called 'hash-jion'; expected one of hash-join"),
        (["hash-join", "--size", "huge"], 2, "the size 'huge'"),
        (["hash-join", "--set", "build_rows=0"], 2, "build_rows = 0 ; expected"),
        (["hash-join", "--set", "build_rows"], 2, "the setting 'build_rows'; expected NAME=NUMBER"),
        (["hash-join", "--engine", "opencl"], 2, "the engine 'opencl'"),
        (["hash-join", "--size", "small", "--set", f"probe_rows={1 << 36}"], 7, "bytes free; expected"),
    ],
)
def test_what_cannot_be_run_ends_with_one_line(words, code, message):
    done = run("run", *words, "--seconds", "0") if "--engine" in words else run("run", *words, "--engine", "cpu")
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert message.replace(" ;", ";") in done.stderr


def test_kernels_are_compiled_into_folders_of_their_labels_and_scanned_as_what_they_are(tmp_path):
    done = run("compile", "ethash", "ml_attention", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    made = [Path(line) for line in done.stdout.split()]
    assert made == [tmp_path / "mining" / "ethash.sm_90.cubin", tmp_path / "plain" / "ml_attention.sm_90.cubin"]
    assert [path.read_bytes()[:4] for path in made] == [b"\x7fELF"] * 2


@pytest.mark.parametrize(("words", "message"), [(["no-such"], "no-such"), (["ethash", "--arch", "sm_1"], "sm_1")])
def test_what_cannot_be_compiled_is_told(words, message, tmp_path):
    done = run("compile", *words, "--output", str(tmp_path))
    assert done.returncode == 2
    assert message in done.stderr
    assert list(tmp_path.rglob("*.cubin*")) == []
