"""Every CUDA C program is run as machine code at size small, passes its own check, and fails it when falsified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from sm_driver import Driver

import hashwarden.kernels.workloads.native
from hashwarden.errors import CheckError, UsageError
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


@pytest.mark.parametrize("arch", ["sm_80", "sm_100"])
@pytest.mark.parametrize("workload", WORKLOADS, ids=NAMES)
def test_machine_code_of_other_architectures_passes_too(native_engine, workload, arch) -> None:
    with native_engine(workload.native(workload.settings("small"), 3), Driver(arch)) as engine:
        engine.check()


@pytest.mark.parametrize("workload", WORKLOADS, ids=NAMES)
def test_it_is_reproducible_and_its_work_is_counted(workload) -> None:
    one, two = (workload.native(workload.settings("small"), 5) for _ in range(2))
    assert all(
        np.array_equal(one.arrays[name], two.arrays[name]) for name in one.arrays if hasattr(one.arrays[name], "sum")
    )
    assert one.work.units > 0
    assert one.work.int_ops + one.work.float_ops + one.work.tensor_ops + one.work.dram_bytes > 0
    assert set(one.symbols) == set(two.symbols)


LARGER = {
    "cuckatoo-lean-native": {"edge_bits": 17, "rounds": 1},
    "cuckaroo-mean-native": {"edge_bits": 17, "bucket_bits": 5, "rounds": 4},
    "equihash-144-5-native": {"n": 96},
    "ethash-native": {"nonces": 256},
    "fishhash-native": {"nonces": 512},
    "gemm-int8-native": {"m": 100, "layers": 1},
    "kawpow-native": {"nonces": 256},
    "scrypt-native": {"nonces": 8192, "log_n": 4},
    "sha256d-native": {"nonces": 1 << 18},
    "stencil-native": {"side": 40},
    "tilepow-native": {"n": 128},
}
"""Sizes at which the checks sample, and compare counts with what chance says."""


@pytest.mark.parametrize("name", LARGER)
def test_checks_that_sample_hold_at_larger_sizes(native_engine, name) -> None:
    workload = next(it for it in WORKLOADS if it.name == name)
    with native_engine(workload.native(workload.settings("small", LARGER[name]), 4)) as engine:
        engine.check()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("cuckaroo-mean-native", {"edge_bits": 26, "bucket_bits": 4}),
        ("equihash-native", {"n": 100}),
        ("scrypt-native", {"nonces": 1 << 20, "log_n": 10}),
    ],
)
def test_settings_that_do_not_go_together_are_refused(name, changes) -> None:
    workload = next(it for it in WORKLOADS if it.name == name)
    with pytest.raises(UsageError):
        workload.native(workload.settings("small", changes), 1)
