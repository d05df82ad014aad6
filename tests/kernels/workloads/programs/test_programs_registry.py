"""Every registered workload: described in full, equal to its oracle on the CPU, and clear about bad settings."""

import numpy as np
import pytest

from hashwarden.errors import MemoryShortError, UsageError
from hashwarden.kernels.device import SIMULATED
from hashwarden.kernels.memory.log import Recorder, Sampling
from hashwarden.kernels.memory.recorder import LOAD
from hashwarden.kernels.workloads import registry
from hashwarden.kernels.workloads.engines.base import Engine
from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.plan import Empty
from hashwarden.kernels.workloads.workload import LABELS, SIZES

pytestmark = pytest.mark.skipif(SIMULATED, reason="the simulator has a test file of its own")

WORKLOADS = registry.workloads()
NUMBA = [workload for workload in WORKLOADS if workload.build is not None]
BUILT = [workload for workload in WORKLOADS if workload.build is not None or workload.native is not None]


def by_name(workload):
    return workload.name


def test_names_are_unique():
    names = [workload.name for workload in WORKLOADS]
    assert sorted(set(names)) == sorted(names)


def test_the_families_that_the_project_promises_are_there():
    labels = {label: {w.family for w in WORKLOADS if w.label == label} for label in LABELS}
    assert len(labels["mining"]) >= 13
    assert len(labels["training"]) >= 4
    assert len(labels["inference"]) >= 6
    assert len(labels["hash-other"]) >= 3
    assert len(labels["hpc-other"]) >= 10


@pytest.mark.parametrize("workload", WORKLOADS, ids=by_name)
def test_it_is_described_in_full(workload):
    assert workload.label in LABELS
    assert workload.engines()
    assert set(workload.sizes) == set(SIZES)
    assert workload.summary
    assert not workload.summary.endswith(".")
    for parameter in workload.parameters:
        assert parameter.meaning
        assert parameter.low <= parameter.high
    for size in SIZES:
        settings = workload.settings(size)
        assert set(settings) == {parameter.name for parameter in workload.parameters}


@pytest.mark.parametrize("workload", WORKLOADS, ids=by_name)
def test_bad_settings_name_the_value_and_the_limit(workload):
    with pytest.raises(UsageError, match=r"the size 'huge'.*one of small"):
        workload.settings("huge")
    with pytest.raises(UsageError, match="no parameter 'nothing'"):
        workload.settings("small", {"nothing": 1})
    for parameter in workload.parameters:
        with pytest.raises(UsageError, match=f"{parameter.name} = .*{parameter.low:,} to {parameter.high:,}"):
            workload.settings("small", {parameter.name: parameter.high + 1})


def program(workload):
    return workload.build if workload.build is not None else workload.native


@pytest.mark.parametrize("workload", BUILT, ids=by_name)
def test_the_plan_for_a_gpu_takes_little_host_memory(workload):
    plan = program(workload)(workload.settings("gpu"), 0)
    host = sum(array.nbytes for array in plan.arrays.values() if not isinstance(array, Empty))
    assert host <= 300e6
    assert plan.nbytes <= 24e9
    assert plan.work.units > 0
    assert plan.step(0)


@pytest.mark.parametrize("workload", NUMBA, ids=by_name)
def test_small_equals_its_oracle_and_its_log_repeats(workload):
    logs = []
    for _ in range(2):
        recorder = Recorder(Sampling())
        engine = CpuEngine(workload.build(workload.settings("small"), 3), recorder)
        engine.check()
        logs.append(recorder.log().canonical())
    first, second = logs
    assert first.lost == 0
    assert len(first) > 0
    assert (first.kind == LOAD).any() or workload.bound in ("integer", "float")
    assert all(np.array_equal(first.columns()[name], column) for name, column in second.columns().items())
    check_addresses(engine, first)


def check_addresses(engine, log):
    """Every recorded access lies inside one of the arrays: the recorder is told the truth."""
    starts = np.array([engine.addresses[name] for name in engine.plan.arrays])
    ends = starts + np.array([array.nbytes for array in engine.plan.arrays.values()])
    owner = np.searchsorted(starts, log.address, side="right") - 1
    assert (owner >= 0).all()
    assert (log.address + log.width <= ends[owner]).all()
    assert (log.width > 0).all()


@pytest.mark.parametrize("workload", NUMBA, ids=by_name)
def test_trace_equals_its_oracle(workload):
    plan = workload.build(workload.settings("trace"), 0)
    assert plan.nbytes <= 300e6
    CpuEngine(plan).check()


@pytest.mark.parametrize("workload", NUMBA, ids=by_name)
def test_other_seeds_and_later_steps_run(workload):
    engine = CpuEngine(workload.build(workload.settings("small"), 11))
    engine.check()
    for _ in range(3):
        engine.step()
    engine.wait()


def test_too_little_memory_is_refused_before_any_is_taken(monkeypatch):
    taken = []
    monkeypatch.setattr(CpuEngine, "free_bytes", lambda self: 1_000_000)
    monkeypatch.setattr(CpuEngine, "allocate", lambda self, array: taken.append(array))
    workload = registry.find("hash-join")
    with pytest.raises(MemoryShortError, match="1,000,000 bytes free"):
        CpuEngine(workload.build(workload.settings("trace"), 0))
    assert taken == []


def test_a_failed_allocation_leaves_nothing_behind(monkeypatch):
    engines, take = [], CpuEngine.allocate

    def fail_at_the_third(self, array):
        engines.append(self)
        if len(engines) == 3:
            raise MemoryError("no more")
        return take(self, array)

    monkeypatch.setattr(CpuEngine, "allocate", fail_at_the_third)
    workload = registry.find("hash-join")
    with pytest.raises(MemoryError):
        CpuEngine(workload.build(workload.settings("small"), 0))
    assert engines[0].arrays == {}
    assert isinstance(engines[0], Engine)


def test_an_unknown_name_is_met_with_those_that_are_alike():
    with pytest.raises(UsageError, match="no workload is called 'hash_joins'; expected one of hash-join"):
        registry.find("hash_joins")
