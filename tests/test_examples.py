"""The examples do what they say."""

import importlib.util
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hashwarden.kernels.workloads.catalogue import find

EXAMPLES = Path(__file__).parents[1] / "examples"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _kernel(index: int, p_mining: float, code: str) -> dict:
    return {"index": index, "kernel": f"k{index}\x1b", "arch": 90, "p_mining": p_mining, "verdict": "abstain",
            "code_sha1": code, "reasons": ["because"]}  # fmt: skip


def test_read_report_ranks_distinct_kernels(tmp_path):
    kernels = [_kernel(0, 0.1, "a"), _kernel(1, 0.9, "b"), _kernel(2, 0.9, "b"), _kernel(3, 0.5, "")]
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"schema": "hashwarden.scan/1", "kernels": kernels}))
    command = [sys.executable, str(EXAMPLES / "read_report.py"), str(path), "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["0.900", "because", "0.500", "because"]
    assert lines[0].endswith("k1\\x1b")


def test_read_report_refuses_another_format():
    with pytest.raises(ValueError, match=r"hashwarden\.scan/9"):
        _load("read_report").most_suspicious({"schema": "hashwarden.scan/9", "kernels": []}, 1)


@pytest.mark.parametrize(
    ("verdict", "files", "errors", "decision"),
    [
        ("not hash", 1, [], 0),
        ("not judged", 0, ["NoGpuCodeError"], 0),
        ("not judged", 0, ["EncryptedError"], 2),
        ("not judged", 1, ["NoGpuCodeError", "LimitError"], 2),
        ("abstain", 1, [], 2),
        ("hash: other", 1, [], 2),
        ("hash: mining-like", 1, ["LimitError"], 1),
    ],
)
def test_the_registry_hook_admits_nothing_unseen(verdict, files, errors, decision):
    problems = [{"error": error, "got": "got"} for error in errors]
    target = {"target": "a.whl", "verdict": verdict, "n_kernels": 3, "problems": problems}
    target["files"] = [{"kernels": [{"kernel": "k"}]}] * files
    assert _load("registry_hook").decide({"targets": [target]})[0] == decision


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 1), (14, 0), (13, 13), (10, 10)])
def test_the_ci_step_passes_on_what_matters(tmp_path, code, ends):
    stand_in = tmp_path / "hashwarden"
    stand_in.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/arguments"\nexit {code}\n')
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [str(EXAMPLES / "ci_step.sh"), "a.whl", "-b.whl"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == ends
    assert done.stdout
    arguments = (tmp_path / "arguments").read_text()
    assert arguments == "scan --quiet --format sarif --output hashwarden.sarif --fail-on hash -- a.whl -b.whl\n"


def test_the_demo_shows_workloads_of_every_label():
    labels = {find(name).label for name in _load("demo").CUDA_SOURCES}
    assert labels == {"mining", "hash-other", "plain"}


def test_the_demo_s_agent_comes_to_its_cases_and_its_guard_ends_a_process(tmp_path, monkeypatch, capfd):
    demo, program = _load("demo"), tmp_path / "hashwarden"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from hashwarden.cli import main; main()" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(demo, "PROGRAM", program)
    monkeypatch.setattr(demo, "FOLDER", tmp_path / "made")
    monkeypatch.setattr(demo, "SPEED", "250")
    assert demo.watch() == 0
    assert demo.guard() == 0
    out, err = capfd.readouterr()
    cases = [line.split() for line in out.splitlines() if line.startswith("HW-")]
    assert sorted(words[1].split("-")[1] for words in cases) == ["ethash", "matmul", "progpow"]
    assert {words[3] for words in cases} == {"confirmed"}
    assert out.count("warn1 told, act told") == demo.MINERS
    assert "all as it was written" in out
    assert "as it was packed" in out
    assert "ended: confirmed progpow" in err
