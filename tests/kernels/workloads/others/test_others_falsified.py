"""The check of every workload fails when its result is falsified."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from hashwarden.errors import CheckError
from hashwarden.kernels.workloads.engines.base import Results
from hashwarden.kernels.workloads.engines.cpu import CpuEngine

CASES = {
    "aes": ("cipher",),
    "burner": ("products faults", "ends"),
    "compression": ("restored",),
    "dedup": ("digests ends counts unique uses",),
    "fft": ("a",),
    "fhe": ("product result",),
    "graph": ("levels rows out_degrees", "ranks"),
    "hash_table": ("found", "found stashed"),
    "monte_carlo": ("totals",),
    "nbody": ("odd speeds",),
    "password": ("found", "found", "found"),
    "radix_sort": ("keys_b values_b",),
    "smith_waterman": ("best",),
    "stencil": ("even",),
    "zk_msm": ("result",),
    "zk_ntt": ("b",),
}


def _wrong(array):
    if array.dtype.kind == "f":
        return array + array.dtype.type(0.5)
    return array + array.dtype.type(1000 if array.size == 1 else 1)


@pytest.mark.parametrize("module", CASES)
def test_a_falsified_result_fails_the_check(module):
    workloads = import_module(f"hashwarden.kernels.workloads.others.{module}").WORKLOADS
    for workload, names in zip(workloads, CASES[module], strict=True):
        engine = CpuEngine(workload.build(workload.settings("small"), 0))
        engine.check()
        for name in names.split():
            results = dict(Results(engine))
            results[name] = _wrong(results[name])
            with pytest.raises(CheckError):
                engine.plan.check(results)


def test_a_falsified_sort_fails_the_check_that_takes_a_sample():
    (workload,) = import_module("hashwarden.kernels.workloads.others.radix_sort").WORKLOADS
    engine = CpuEngine(workload.build(workload.settings("small", {"keys": 1 << 21, "tile": 64}), 0))
    engine.check()
    results = dict(Results(engine))
    ordered, order = results["keys_b"], results["values_b"]
    twice = order.copy()
    twice[1000] = twice[1001]
    for wrong in ({"keys_b": ordered[::-1]}, {"keys_b": ordered + np.uint32(1)}, {"values_b": twice}):
        with pytest.raises(CheckError):
            engine.plan.check({**results, **wrong})


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("module", CASES)
def test_other_seeds_pass_too(module, seed):
    for workload in import_module(f"hashwarden.kernels.workloads.others.{module}").WORKLOADS:
        CpuEngine(workload.build(workload.settings("small"), seed)).check()


@pytest.mark.parametrize(
    ("module", "changes"),
    [
        ("radix_sort", {"keys": 4, "tile": 1024}),
        ("fft", {"length": 2, "signals": 3}),
        ("fft", {"length": 4}),
        ("stencil", {"edge": 3, "sweeps": 5}),
        ("nbody", {"bodies": 4}),
        ("graph", {"scale": 3, "edges_per_vertex": 1}),
        ("aes", {"blocks": 1}),
        ("zk_ntt", {"length": 2}),
        ("zk_msm", {"points": 1, "window": 1, "run": 1}),
        ("zk_msm", {"points": 40, "scalar_bits": 37, "window": 8, "run": 1 << 16}),
        ("fhe", {"length": 4, "limbs": 1}),
        ("dedup", {"bytes": 1024, "mean_bits": 16}),
        ("dedup", {"bytes": 1 << 14, "mean_bits": 4}),
        ("compression", {"block": 16}),
        ("smith_waterman", {"pairs": 1, "query": 1, "target": 1}),
        ("hash_table", {"keys": 1, "lookups": 1}),
        ("password", {"threads": 1, "candidates": 1, "digests": 1}),
        ("radix_sort", {"keys": 1 << 21, "tile": 64}),  # from here on, sizes whose check takes a sample
        ("hash_table", {"keys": 9 << 17, "lookups": 1 << 12}),
        ("zk_ntt", {"length": 1 << 13}),
    ],
)
def test_extreme_settings_pass(module, changes):
    for workload in import_module(f"hashwarden.kernels.workloads.others.{module}").WORKLOADS:
        engine = CpuEngine(workload.build(workload.settings("small", changes), 0))
        engine.check()
        engine.step()
