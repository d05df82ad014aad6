"""The question whether launches go through what is traced, asked of a stand-in for the driver, with real eBPF."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

QUESTIONS = Path(__file__).parents[2] / "benchmarks" / "gpu" / "questions"
SOURCES = Path(__file__).parents[1] / "serve" / "sources"
pytestmark = pytest.mark.bpf

CHILD = """
import ctypes, json, sys
cuda = ctypes.CDLL({library!r})
sys.stdin.readline()
module, function = ctypes.c_void_p(), ctypes.c_void_p()
assert cuda.cuModuleLoadData(ctypes.byref(module), b"code") == 0
assert cuda.cuModuleGetFunction(ctypes.byref(function), module, b"one") == 0
launch = lambda: cuda.cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, None, None, None)
launch()
print(json.dumps({{"ready": 1}}), flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    launch()
    {more}
print(json.dumps({{"launched": int(sys.argv[2])}}), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def launching(monkeypatch):
    monkeypatch.syspath_prepend(str(QUESTIONS))
    import launching as module

    monkeypatch.setattr(module, "BURST_S", 0.5)
    return module


@pytest.fixture
def library(tmp_path):
    spec = importlib.util.spec_from_file_location("launching_stand_in", SOURCES / "cuda_stand_in.py")
    tools = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tools)
    return tools.build(tmp_path)[0]


class Said:
    def __init__(self):
        self.sentences = []

    def say(self, sentence):
        self.sentences.append(sentence)


def test_addresses_of_what_is_exported_are_told_from_others(library, launching):
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import launching;"
        "print(json.dumps(launching.addresses(sys.argv[2])))"
    )  # in a process of its own: this one keeps no libcuda
    words = [sys.executable, "-c", code, str(QUESTIONS), str(library)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = found["functions"]
    assert {name for name, row in rows.items() if row["given"] != "same"} == {"cuLaunchGrid"}
    assert rows["cuLaunchGrid"]["given"] == "other"
    assert all(row["linked"] and row["begins"].startswith("55") for row in rows.values())
    assert {"cuLaunchKernel", "cuLaunchKernel_ptsz", "cuGraphLaunch"} <= set(rows)
    assert "cuLaunchGridAsync" in found["missing"]
    assert found["memory"] in {"plain", "probed"}
    said = Said()
    launching.tell_addresses(said, found)
    assert "another for cuLaunchGrid, none for none" in said.sentences[0]
    assert "(push %rbp)" in said.sentences[2]


@pytest.mark.parametrize(("more", "times"), [("", 1), ("cuda.cuLaunchKernelEx(0, function, None, None)", 2)])
def test_launches_are_counted_once_or_said_to_be_twice(library, launching, tmp_path, more, times):
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(library=str(library), more=more.replace("(0,", "(bytes(64),")))
    row = launching.counted("stand-in", library, script)
    assert (row["launched"], row["counted"]) == (launching.TIMES, times * launching.TIMES)
    assert row["kernels"][0][1] == "one"
    assert (row["unnamed"], row["altered"]) == (0, False)
    said = Said()
    launching.tell_counted(said, "torch", row)
    assert said.sentences == [f"counted: torch: {times * 1000:,} of 1,000 launches, 0 of them without a name."]


def test_without_a_gpu_it_is_named_as_open(tmp_path):
    words = [sys.executable, str(QUESTIONS / "launching.py"), "--out", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 6, done.stderr
    assert "no NVIDIA GPU" in json.loads((tmp_path / "launching.json").read_text())["open"][0]
