"""CuPy's device: against a stand-in for CuPy without a GPU, for real with one."""

from __future__ import annotations

import subprocess
import sys
import types
from contextlib import nullcontext

import numpy as np
import pytest

from hashwarden.errors import MemoryShortError, MissingExtraError, NoDeviceError, PrivilegeError
from hashwarden.kernels.probes import numba_engine
from hashwarden.kernels.probes.cupy_device import SOURCES, CupyDevice, kernels_of
from hashwarden.kernels.probes.device import MEMORY_LIMIT, ComputeMode, Launch
from hashwarden.kernels.probes.probe import PERMILLES, PROBES
from hashwarden.kernels.probes.reference import build_chase, row_quantiles
from hashwarden.kernels.probes.session import ProbeSession

ATTRIBUTES = {75: 9, 76: 0, 16: 132, 38: 50 << 20, 20: 0}


class RefusalError(Exception):
    """CuPy's CUDARuntimeError."""


class Array:
    def __init__(self, shape, dtype, memptr=None) -> None:
        self.data = np.zeros(shape, dtype)

    def set(self, data, stream=None) -> None:
        assert data.shape == self.data.shape
        self.data[...] = data

    def get(self, stream=None):
        return self.data.copy()

    def reshape(self, *shape):
        return self.data.reshape(*shape)


class Stream:
    def __init__(self, non_blocking=False) -> None:
        self.graphs = []
        self.captured = None

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None: ...

    def begin_capture(self) -> None:
        assert self.captured is None
        self.captured = []

    def end_capture(self):
        graph, self.captured = Graph(self.captured), None
        self.graphs.append(graph)
        return graph

    def synchronize(self) -> None: ...


class Graph:
    def __init__(self, launches) -> None:
        self.launches, self.runs = launches, 0

    def launch(self, stream) -> None:
        self.runs += 1


def fake_runtime(attributes, driver, free):
    return types.SimpleNamespace(
        CUDARuntimeError=RefusalError,
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: 13020,
        getDeviceCount=lambda: 1,
        deviceGetAttribute=lambda attribute, index: attributes[attribute],
        deviceGetPCIBusId=lambda index: "0000:01:00.0",
        getDeviceProperties=lambda index: {"name": b"NVIDIA H100"},
        memGetInfo=lambda: (free, 1 << 37),
        cudaDevAttrMultiProcessorCount=16,
        cudaDevAttrL2CacheSize=38,
        cudaDevAttrComputeMode=20,
    )


def fake_cupy(attributes=ATTRIBUTES, driver=13020, free=1 << 36, room=1 << 36):
    """A CuPy that runs nothing and writes down what is asked of it."""
    state = types.SimpleNamespace(taken=0, contexts=0, stream=None, modules=0)

    def memory(size):
        if state.taken + size > room:
            raise RefusalError("cudaErrorMemoryAllocation: out of memory")
        state.taken += size
        return size

    def stream(non_blocking):
        state.stream = Stream()
        return state.stream

    def device(index):
        state.contexts += 1
        return nullcontext()

    class Module:
        def __init__(self, code, options) -> None:
            assert "__global__" in code
            state.modules += 1

        def get_function(self, name):
            return lambda grid, block, arguments: state.stream.captured.append((name, grid, block, arguments))

    event = types.SimpleNamespace(record=lambda stream: None, synchronize=lambda: None)
    cuda = types.SimpleNamespace(
        runtime=fake_runtime(attributes, driver, free),
        Device=device,
        Stream=stream,
        Memory=memory,
        MemoryPointer=lambda memory, offset: memory,
        Event=lambda: event,
        get_elapsed_time=lambda before, after: 0.15,
    )
    return types.SimpleNamespace(cuda=cuda, ndarray=Array, RawModule=Module, state=state)


def use(monkeypatch, cupy) -> CupyDevice:
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    return CupyDevice(0)


def test_without_cupy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(MissingExtraError, match=r"hashwarden\[cuda13\]"):
        CupyDevice(0)


def test_a_round_is_one_graph_with_every_probe_in_it(monkeypatch):
    cupy = fake_cupy()
    with ProbeSession(use(monkeypatch, cupy)) as session:
        assert session.facts.capability == (9, 0)
        assert session.facts.multiprocessors == 132
        first = session.round()
        again = session.round()
        graphs = cupy.state.stream.graphs
    assert cupy.state.modules == len(SOURCES)
    names = [name for name, *_ in graphs[3].launches]
    assert names == [*(probe.kernel for probe in PROBES), "spin_gaps", "gap_totals", "row_quantiles"]
    grids = {grid for name, grid, _, _ in graphs[3].launches if name.startswith("probe_")}
    assert grids == {(8,)}
    assert first.gpu_us == pytest.approx(150)
    assert len(graphs) <= 6, "an unchanged round is captured once"
    assert again.wait_us >= 0
    assert 0 < cupy.state.taken < MEMORY_LIMIT


def test_arguments_of_a_probe_point_into_its_row(monkeypatch):
    cupy = fake_cupy()
    with ProbeSession(use(monkeypatch, cupy)):
        launches = cupy.state.stream.graphs[3].launches
    _, _, block, arguments = launches[1]
    samples, stamps, memory, cursors, repetitions, passes, _ = arguments
    assert block == (128,)
    assert samples.size == 14 * 2048, "all rows but the first"
    assert (stamps.size, cursors.size) == (26, 13 * 32)
    assert memory.data.size == 1024
    assert (repetitions, passes) == (np.uint32(1), np.uint32(PROBES[1].passes))


def test_exclusive_mode_is_refused_without_a_context(monkeypatch):
    cupy = fake_cupy(ATTRIBUTES | {20: int(ComputeMode.EXCLUSIVE_PROCESS)})
    device = use(monkeypatch, cupy)
    with pytest.raises(PrivilegeError, match="EXCLUSIVE_PROCESS"):
        ProbeSession(device)
    assert cupy.state.contexts == 0


def test_an_old_driver_and_no_driver_are_told_apart(monkeypatch):
    with pytest.raises(NoDeviceError, match=r"driver for CUDA 12\.8.*13\.2"):
        ProbeSession(use(monkeypatch, fake_cupy(driver=12080)))
    none = fake_cupy(driver=0)

    def refuse():
        raise RefusalError("cudaErrorInsufficientDriver")

    none.cuda.runtime.getDeviceCount = refuse
    with pytest.raises(NoDeviceError, match="no CUDA driver"):
        ProbeSession(use(monkeypatch, none))


def test_another_number_than_there_are_gpus(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy())
    with pytest.raises(NoDeviceError, match="GPU 3; expected 0 to 0"):
        CupyDevice(3).facts()


def test_memory_that_runs_out_halfway_is_given_back(monkeypatch):
    device = use(monkeypatch, fake_cupy(room=10_000_000))
    with pytest.raises(MemoryShortError, match="out of memory"):
        ProbeSession(device)
    assert not device._arrays
    assert not device._kernels


def test_a_context_that_is_refused(monkeypatch):
    cupy = fake_cupy()

    def refuse():
        raise RefusalError("cudaErrorDevicesUnavailable")

    cupy.cuda.runtime.memGetInfo = refuse
    with pytest.raises(NoDeviceError, match=r"no context on GPU 0.*DevicesUnavailable"):
        ProbeSession(use(monkeypatch, cupy))


def nvml(free: int, mig: int):
    """An NVML that knows one GPU."""

    class NVMLError(Exception):
        pass

    return types.SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByPciBusId=lambda bus: bus,
        nvmlDeviceGetMemoryInfo=lambda handle: types.SimpleNamespace(free=free),
        nvmlDeviceGetMigMode=lambda handle: [mig, mig],
    )


def test_nvml_tells_of_too_little_memory_before_a_context_takes_more(monkeypatch):
    cupy = fake_cupy()
    device = use(monkeypatch, cupy)
    monkeypatch.setitem(sys.modules, "pynvml", nvml(100_000_000, 0))
    with pytest.raises(MemoryShortError, match="NVIDIA H100: 100,000,000 bytes free"):
        ProbeSession(device)
    assert cupy.state.contexts == 0


def test_under_mig_the_memory_of_the_whole_gpu_is_not_asked(monkeypatch):
    device = use(monkeypatch, fake_cupy())
    monkeypatch.setitem(sys.modules, "pynvml", nvml(100_000_000, 1))
    facts = device.facts()
    assert (facts.mig, facts.free_bytes) == (True, None)


def test_a_session_is_imported_without_any_gpu_library():
    code = "import sys, hashwarden.kernels.probes.session, hashwarden.kernels.probes.cupy_device;"
    code += "print(sorted({'cupy', 'numba', 'torch', 'matplotlib', 'cuda'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_kernel_belongs_to_one_source():
    names = [kernel for source in SOURCES for kernel in kernels_of(source)]
    assert len(names) == len(set(names)) == len(PROBES) + 5


@pytest.mark.gpu
def test_all_probes_run_under_budget_within_sane_ranges(gpu_session):
    rounds = [gpu_session.round() for _ in range(12)][4:]
    assert np.median([taken.gpu_us for taken in rounds]) < 200
    middle = {p.name: np.nanmedian([taken.quantiles[p.name][2] for taken in rounds]) for p in PROBES}
    for name in ("lop3", "shf", "imad", "ffma", "hfma2", "dp4a"):
        assert 2 <= middle[name] <= 40, name
    for name in ("mufu", "hmma", "imma", "shared"):
        assert 8 <= middle[name] <= 300, name
    assert 2 <= middle["dfma"] <= 300
    assert 80 <= middle["l2"] <= 1_500
    assert middle["shared"] < middle["l2"] <= 1.2 * middle["dram"] < 10_000
    assert 50 <= middle["atomic"] <= 10_000
    for taken in rounds:
        assert 100 <= taken.clock_mhz <= 4_000
        for values in taken.quantiles.values():
            assert sorted(values) == list(values)


@pytest.mark.gpu
def test_a_session_takes_less_than_its_limit_and_gives_it_back():
    import cupy

    cupy.cuda.Device(0).synchronize()
    with ProbeSession(CupyDevice(0), rounds_per_second=4) as session:  # loads code, which stays with the context
        session.round()
    before = cupy.cuda.runtime.memGetInfo()[0]
    session = ProbeSession(CupyDevice(0), rounds_per_second=4)
    session.round()
    during = cupy.cuda.runtime.memGetInfo()[0]
    session.close()
    after = cupy.cuda.runtime.memGetInfo()[0]
    assert 0 < before - during < MEMORY_LIMIT + (8 << 20), "the driver hands out pages of 2 MiB"
    assert before - after < 8 << 20


@pytest.mark.gpu
def test_traffic_on_the_same_gpu_raises_latencies(gpu_session):
    import cupy

    def median(rounds):
        return np.nanmedian([taken.quantiles["dram"][3] for taken in rounds])

    quiet = median([gpu_session.round() for _ in range(6)])
    stream, data = cupy.cuda.Stream(non_blocking=True), cupy.zeros(1 << 28, cupy.float32)
    loud = []
    for _ in range(6):
        with stream:
            for _ in range(200):
                data += 1
        loud.append(gpu_session.round())
        stream.synchronize()
    assert median(loud) > 1.1 * quiet


@pytest.mark.gpu
def test_the_chases_on_the_device_are_those_of_the_reference():
    device = CupyDevice(0)
    with ProbeSession(device, seed=5):
        for probe in PROBES:
            if probe.chase and probe.name != "dram":
                built = device.read(f"chase_{probe.name}").reshape(-1, probe.chase.stride)[:, 0]
                expected = build_chase(probe.chase, 5).reshape(-1, probe.chase.stride)[:, 0]
                np.testing.assert_array_equal(built, expected)


@pytest.mark.gpu
def test_the_reductions_on_the_device_are_those_of_the_reference():
    generator = np.random.default_rng(6)
    samples = (2 ** generator.uniform(0, 32, (5, 700))).astype(np.uint32)
    counts = np.array([700, 1, 0, 13, 699], np.uint32)
    permilles = np.array(PERMILLES, np.uint32)
    expected = row_quantiles(samples, counts, permilles)
    device = CupyDevice(0)
    device.open()
    try:
        for name, data in (("samples", samples), ("counts", counts), ("permilles", permilles)):
            device.allocate(name, data)
        device.allocate("values", np.zeros((5, len(PERMILLES)), np.uint32))
        arguments = ("samples", "counts", np.uint32(700), "permilles", np.uint32(len(PERMILLES)), "values")
        device.run([Launch("row_quantiles", 5, 128, arguments)])
        np.testing.assert_array_equal(device.read("values"), expected)
    finally:
        device.close()
    found = numba_engine.row_quantiles(samples, counts, permilles, numba_engine.run_on_gpu)
    np.testing.assert_array_equal(found, expected)
