"""The checks of the memory-hard workloads: they pass what the kernels computed, and nothing that was tampered with."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from hashwarden.errors import CheckError, UsageError
from hashwarden.kernels.workloads.engines.base import Results
from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.mining import cuckatoo, ethash

RESULTS = {
    "autolykos": ("table", "digests"),
    "chachapad": ("results", "digests"),
    "cuckatoo": ("alive",),
    "equihash": ("counts", "indices"),
    "ethash": ("cache", "digests"),
    "fishhash": ("cache", "digests"),
    "scratchpad": ("states",),
    "tilepow": ("noised_a", "noised_b", "product", "digests", "hits"),
}


@pytest.fixture(scope="module", params=sorted(RESULTS))
def carried_out(request):
    workload = import_module(f"hashwarden.kernels.workloads.mining.{request.param}").WORKLOADS[0]
    engine = CpuEngine(workload.build(workload.settings("small"), seed=7))
    engine.setup()
    engine.step()
    return request.param, engine.plan, dict(Results(engine))


def test_check_fails_for_a_wrong_result(carried_out):
    family, plan, results = carried_out
    plan.check(results)
    for name in RESULTS[family]:
        with pytest.raises(CheckError):
            plan.check({**results, name: results[name] ^ results[name].dtype.type(1)})


def test_later_steps_take_other_nonces(carried_out):
    _, plan, _ = carried_out
    first, second = (
        [tuple(item for item in launch.arguments if not isinstance(item, str)) for launch in plan.step(i)]
        for i in (0, 1)
    )
    assert first != second


def test_both_ethash_programs_agree():
    digests = []
    for workload in ethash.WORKLOADS:
        engine = CpuEngine(workload.build(workload.settings("small"), seed=1))
        engine.check()
        digests.append(engine.read("digests"))
    assert np.array_equal(*digests)


@pytest.fixture(scope="module")
def trimmed():
    workload = cuckatoo.WORKLOADS[0]
    settings = workload.settings("trace", {"edge_bits": 21, "edges": 1 << 21, "rounds": 3})
    engine = CpuEngine(workload.build(settings, seed=5))
    engine.step()
    return engine


def test_cuckatoo_sample_agrees_with_theory(trimmed, monkeypatch):
    trimmed.plan.check(Results(trimmed))
    monkeypatch.setattr(cuckatoo, "_EXACT_EDGES", 0)
    trimmed.plan.check(Results(trimmed))


@pytest.mark.parametrize(("name", "change"), [("alive", np.uint32(0)), ("nodes", np.uint32(0))])
def test_cuckatoo_sample_finds_errors(trimmed, monkeypatch, name, change):
    monkeypatch.setattr(cuckatoo, "_EXACT_EDGES", 0)
    results = dict(Results(trimmed))
    with pytest.raises(CheckError):
        trimmed.plan.check({**results, name: results[name] & change})


def test_cuckatoo_refuses_more_edges_than_nodes():
    workload = cuckatoo.WORKLOADS[0]
    with pytest.raises(UsageError, match=r"edges = 2,048"):
        workload.build(workload.settings("small", {"edges": 2048}), 0)
