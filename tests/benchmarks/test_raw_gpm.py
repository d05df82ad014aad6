"""Every GPM metric that a GPU answers, through the real nvidia-ml-py, on a stand-in for the driver's library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = ROOT / "benchmarks" / "gpu" / "questions"
STAND_IN = ROOT / "tests" / "serve" / "sources" / "nvml_stand_in.c"
READ = """
import json, sys, time
from raw_gpm import APART_S, RawGpm
from hashwarden.errors import HashwardenError
try:
    with RawGpm(int(sys.argv[1])) as gpm:
        first = gpm.sample()
        time.sleep(APART_S)
        second = gpm.sample()
        found = gpm.between(first, second)
        gpm.free(first)
        gpm.free(second)
        print(json.dumps({"supported": gpm.supported, "names": gpm.names, "found": found}))
except HashwardenError as error:
    print(json.dumps({"error": type(error).__name__, "said": str(error)}))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", path, STAND_IN], check=True)
    return path


@pytest.fixture
def read(library, tmp_path):
    def run(*lines, index=0):
        control = tmp_path / "control"
        control.write_text("".join(f"{line}\n" for line in lines))
        path = os.pathsep.join([str(QUESTIONS), os.environ.get("PYTHONPATH", "")])
        stand_in = {"LD_LIBRARY_PATH": str(library.parent), "HASHWARDEN_STAND_IN": str(control)}
        done = subprocess.run(
            [sys.executable, "-c", READ, str(index)], env=os.environ | stand_in | {"PYTHONPATH": path},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    return run


def test_every_metric_with_an_answer_is_read_and_no_other(read):
    got = read("gpus 1", "refuse 4 3", "refuse 253 3", "metric 9 61.5")
    most = max(map(int, got["names"]))
    assert got["names"]["4"] == "INTEGER_UTIL"
    assert got["names"]["9"] == "IMMA_TENSOR_UTIL"
    assert got["supported"] == [number for number in range(1, most + 1) if number not in {4, 253}]
    values = {int(number): value for number, value in got["found"].items()}
    assert list(values) == got["supported"]
    assert values[9] == 61.5
    assert values[12] == 12


@pytest.mark.parametrize("unknown", [2, 13, 210, 333])
def test_a_metric_that_spoils_a_list_leaves_the_others(read, unknown):
    got = read("gpus 1", f"unknown {unknown}")
    assert got["supported"] == list(range(1, unknown))
    assert len(got["found"]) == unknown - 1


@pytest.mark.parametrize(
    ("lines", "error", "words"),
    [
        (["gpm 0"], "NoDeviceError", "no GPM"),
        (["lost 0"], "NoDeviceError", "nvmlDeviceGetHandleByIndex"),
        (["gone 1"], "NoDeviceError", "NVML"),
        (["fail nvmlGpmSampleGet 4"], "PrivilegeError", "nvmlGpmSampleGet"),
        (["fail nvmlGpmSampleAlloc 3"], "NoDeviceError", "nvmlGpmSampleAlloc"),
    ],
)
def test_what_is_missing_is_an_error_that_says_so(read, lines, error, words):
    got = read("gpus 1", *lines)
    assert got["error"] == error
    assert words in got["said"]


def test_a_struct_of_another_version_is_not_believed(read):
    assert read("gpus 1", "shift 8")["supported"] == []
