"""Every CUDA C program is run on the CPU at size small, passes its own check, and fails it when falsified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import hashwarden.kernels.workloads.native
from hashwarden.errors import CheckError
from hashwarden.kernels.workloads.engines.base import Results
from hashwarden.kernels.workloads.workload import LABELS

PACKAGE = "hashwarden.kernels.workloads.native"
MODULES = sorted(path.stem for path in Path(hashwarden.kernels.workloads.native.__path__[0]).glob("*.py"))
FAMILIES = [module for name in MODULES if hasattr(module := import_module(f"{PACKAGE}.{name}"), "WORKLOADS")]
WORKLOADS = [workload for module in FAMILIES for workload in module.WORKLOADS]
NAMES = [workload.name for workload in WORKLOADS]
STEPS = 3


class Falsified(Mapping[str, np.ndarray]):
    """Results of which one array has its first element changed; remembers what was asked for."""

    def __init__(self, results: Mapping[str, np.ndarray], name: str = "") -> None:
        self.results, self.name, self.asked = results, name, []

    def __getitem__(self, name: str) -> np.ndarray:
        self.asked.append(name)
        found = np.array(self.results[name])
        if name == self.name:
            first = found.reshape(-1)[:1]
            first[:] = first + 1 if found.dtype.kind == "f" else first ^ 1
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)


def test_there_are_programs() -> None:
    assert len(WORKLOADS) >= 1
    assert len(set(NAMES)) == len(NAMES)
    assert all(workload.label in LABELS and workload.native and not workload.build for workload in WORKLOADS)


@pytest.mark.parametrize("workload", WORKLOADS, ids=NAMES)
def test_it_passes_its_own_check_and_fails_it_when_falsified(native_engine, workload) -> None:
    plan = workload.native(workload.settings("small"), 3)
    with native_engine(plan) as engine:
        engine.check()
        honest = Falsified(Results(engine))
        plan.check(honest)
        assert honest.asked, "the check looks at nothing"
        for name in dict.fromkeys(honest.asked):
            with pytest.raises(CheckError):
                plan.check(Falsified(Results(engine), name))
        for _ in range(STEPS):
            engine.step()
        engine.wait()


@pytest.mark.parametrize("workload", WORKLOADS, ids=NAMES)
def test_it_is_reproducible_and_its_work_is_counted(workload) -> None:
    one, two = (workload.native(workload.settings("small"), 5) for _ in range(2))
    assert all(
        np.array_equal(one.arrays[name], two.arrays[name]) for name in one.arrays if hasattr(one.arrays[name], "sum")
    )
    assert one.work.units > 0
    assert one.work.int_ops + one.work.float_ops + one.work.tensor_ops + one.work.dram_bytes > 0
    assert set(one.symbols) == set(two.symbols)
