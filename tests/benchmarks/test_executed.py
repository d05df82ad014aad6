"""The benchmark of executed instructions: what it measures of two workloads, and that nothing passes unchecked."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hashwarden.errors import CheckError
from hashwarden.kernels.device import SIMULATED
from hashwarden.kernels.workloads.registry import find

pytestmark = pytest.mark.skipif(SIMULATED, reason="the simulator compiles nothing")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("executed_benchmark", ROOT / "benchmarks" / "executed.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["fft-native", "fft"])
def test_a_workload_gives_its_kernels_with_what_was_executed(benchmark, name) -> None:
    row = benchmark.ran(name, "small")
    assert "failed" not in row
    kernels = benchmark.of_rows([row])
    assert len(kernels) == {"fft-native": 1, "fft": 3}[name]
    for kernel in kernels:
        assert (kernel.workload, kernel.label, kernel.family) == (name, "hpc-other", find(name).family)
        assert kernel.executed.shape == kernel.words.shape[:1] == kernel.depth.shape
        assert kernel.executed[0] >= kernel.executed.max() / 1000 > 0


def test_wrong_results_are_no_measurement(benchmark, monkeypatch) -> None:
    def wrong(_):
        raise CheckError("1", "2", "It is wrong.")

    workload = find("fft-native")
    changed = replace(workload, native=lambda settings, seed: replace(workload.native(settings, seed), check=wrong))
    monkeypatch.setattr(benchmark, "find", lambda _: changed)
    row = benchmark.ran("fft-native", "small")
    assert "kernels" not in row
    assert row["failed"].startswith("CheckError: 1; expected 2")


def test_the_sum_and_the_page(benchmark) -> None:
    rows = [benchmark.ran(name, "small") for name in ("fft-native", "sha256d-native")]
    rows.append({"workload": "gone", "label": "mining", "family": "gone", "failed": "Fault: it broke"})
    found = json.loads(json.dumps(benchmark.summed_up("small", rows)))
    assert (found["workloads"], found["kernels"], found["families"]) == (2, 3, 2)
    assert found["executed"] == sum(row["executed"] for row in found["by_kernel"])
    for name, row in found["rules"].items():
        assert 0 <= row["median"] <= row["worst"] <= 1, name
    assert found["units"]["32"]["mean"] >= 0
    page = benchmark.table(found)
    assert "2 workloads" in page
    assert "Not carried out: gone: Fault: it broke" in page
    assert all(f"| {name} | {row['mean']:.3f} |" in page for name, row in found["rules"].items())


def test_the_committed_page_is_of_the_committed_numbers(benchmark) -> None:
    results = ROOT / "benchmarks" / "results"
    found = json.loads((results / "executed.json").read_text())
    assert (results / "executed.md").read_text() == benchmark.table(found)
    assert not found["failed"]
    assert np.isclose(sum(row["executed"] for row in found["by_kernel"]), found["executed"])
