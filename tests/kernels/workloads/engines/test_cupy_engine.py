"""The CuPy engine over a driver that only remembers, and its driver over a stand-in for CuPy."""

from __future__ import annotations

import ctypes
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from hashwarden.errors import MemoryShortError, MissingExtraError, NoDeviceError, UsageError
from hashwarden.kernels.workloads import catalogue, compiler
from hashwarden.kernels.workloads.engines import cupy_driver
from hashwarden.kernels.workloads.engines.cupy import CupyEngine
from hashwarden.kernels.workloads.engines.cupy_driver import CupyDriver, arch_of, mangled, nvrtc_options
from hashwarden.kernels.workloads.native.launches import fill, store
from hashwarden.kernels.workloads.plan import Empty, Launch, NativeLaunch, Plan, Work
from hashwarden.kernels.workloads.registry import workloads


class Remembering:
    """A driver whose memory is the host's and whose kernels do nothing."""

    def __init__(self, free: int = 1 << 30, good: int = 100) -> None:
        self.free, self.good, self.calls = free, good, []

    def free_bytes(self):
        return self.free

    def take(self, array):
        self.good -= 1
        if self.good < 0:
            raise MemoryShortError("nothing left", "more", "Take less.")
        return np.zeros(array.shape, array.dtype) if isinstance(array, Empty) else array.copy()

    def read(self, array):
        return array.copy()

    def fill(self, array, byte):
        self.calls.append(("fill", array.shape, byte))

    def load(self, source, variant, symbols):
        self.calls.append(("load", source, variant, symbols))
        return f"{source}/{variant}"

    def store(self, module, symbol, data):
        self.calls.append(("store", module, symbol, data.tolist()))

    def launch(self, module, launch, arguments):
        self.calls.append(("launch", module, launch.kernel, arguments))

    def wait(self):
        self.calls.append(("wait",))

    def close(self):
        self.calls.append(("close",))


def plan(*, step=lambda _: (), symbols=None) -> Plan:
    arrays = {"a": np.arange(6, dtype=np.uint32).reshape(3, 2), "b": Empty((4,), np.uint64)}
    return Plan(arrays, step=step, work=Work(1), check=lambda _: None, symbols=symbols or {})


def launch(variant: str = "", source: str = "s", *arguments) -> NativeLaunch:
    return NativeLaunch(source, "k", (2,), (32,), arguments, variant)


def test_a_source_is_compiled_once_and_its_constants_are_written_then() -> None:
    driver, symbols = Remembering(), {("s", "c"): np.array([7, 8]), ("other", "d"): np.array([9])}
    engine = CupyEngine(plan(symbols=symbols), driver)
    for variant in ("", "", "X=1", ""):
        engine.launch(launch(variant))
    loads = [call for call in driver.calls if call[0] == "load"]
    assert loads == [("load", "s", "", ("c",)), ("load", "s", "X=1", ("c",))]
    assert [call[1:] for call in driver.calls if call[0] == "store"] == [("s/", "c", [7, 8]), ("s/X=1", "c", [7, 8])]
    assert [call[1] for call in driver.calls if call[0] == "launch"] == ["s/", "s/", "s/X=1", "s/"]


def test_arguments_are_arrays_parts_of_them_and_scalars() -> None:
    driver = Remembering()
    engine = CupyEngine(plan(), driver)
    engine.launch(launch("", "s", "a", "a[2]", np.uint32(5)))
    whole, part, scalar = driver.calls[-1][-1]
    assert whole.shape == (3, 2)
    assert part.tolist() == [4, 5]
    assert scalar == np.uint32(5)
    assert np.shares_memory(whole, part)


@pytest.mark.parametrize("word", ["c", "c[0]"])
def test_an_unknown_array_is_named(word) -> None:
    with pytest.raises(UsageError, match=r"c"):
        CupyEngine(plan(), Remembering()).launch(launch("", "s", word))


def test_fills_and_copies_to_constant_memory() -> None:
    driver = Remembering()
    engine = CupyEngine(plan(), driver)
    engine.launch(fill("b", 255))
    engine.launch(store("s", "V", "c", "a[1]"))
    assert driver.calls == [("fill", (4,), 255), ("load", "s", "V", ()), ("store", "s/V", "c", [2, 3])]


def test_old_modules_go_after_their_kernels_have_ended() -> None:
    driver = Remembering()
    engine = CupyEngine(plan(), driver)
    for period in range(40):
        engine.launch(launch(f"PERIOD={period}"))
    assert driver.calls.count(("wait",)) == 8
    before = len(driver.calls)
    engine.launch(launch("PERIOD=39"))
    engine.launch(launch("PERIOD=0"))
    assert [call[0] for call in driver.calls[before:]] == ["launch", "load", "wait", "launch"]


def test_a_numba_body_is_refused() -> None:
    with pytest.raises(TypeError, match="Numba"):
        CupyEngine(plan(), Remembering()).launch(Launch(print, 1, ()))


def test_too_little_memory_is_told_before_any_is_taken() -> None:
    driver = Remembering(free=100)
    with pytest.raises(MemoryShortError, match="100 bytes free"):
        CupyEngine(plan(), driver)
    assert driver.good == 100


def test_nothing_stays_when_an_allocation_fails() -> None:
    driver = Remembering(good=1)
    with pytest.raises(MemoryShortError):
        CupyEngine(plan(), driver)
    assert driver.calls == [("close",)]


def test_closing_gives_everything_back() -> None:
    driver = Remembering()
    engine = CupyEngine(plan(), driver)
    engine.launch(launch())
    engine.close()
    assert driver.calls[-1] == ("close",)
    assert not engine.arrays


def test_results_are_read_by_name() -> None:
    engine = CupyEngine(plan(), Remembering())
    assert engine.read("a").tolist() == [[0, 1], [2, 3], [4, 5]]
    assert not engine.read("b").any()


# ---- the driver, over a stand-in for CuPy


class DeviceArray:
    def __init__(self, content) -> None:
        self.content, self.nbytes = np.array(content), np.array(content).nbytes
        self.data = SimpleNamespace(ptr=self.content.ctypes.data)


class CudaError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class Module:
    def load(self, cubin) -> None:
        self.cubin = cubin

    def get_function(self, name):
        return SimpleNamespace(ptr=hash(name) % 1000, name=name)

    def get_global_var(self, name):
        assert name == "_ZN1n1sE"
        return self.constant.ctypes.data


class StandIn:
    """CuPy's names, on the host."""

    def __init__(self, devices=1, driver=13000, runtime=13020, capability="90", error=None) -> None:
        self.log, self.sizes, self.memory = [], [], 1 << 30
        self.zeros, self.asarray = lambda shape, kind: self._make(np.zeros(shape, kind)), self._make
        self.asnumpy = lambda array: array.content
        self.RawModule = self._raw
        calls = SimpleNamespace(
            getDeviceCount=lambda: self._count(devices, error),
            driverGetVersion=lambda: driver,
            runtimeGetVersion=lambda: runtime,
            memGetInfo=lambda: (self.memory, self.memory),
            memcpy=lambda to, at, size, kind: ctypes.memmove(to, at, size),
            memcpyAsync=lambda to, at, size, kind, stream: ctypes.memmove(to, at, size),
            memsetAsync=lambda at, byte, size, stream: ctypes.memset(at, byte, size),
            memcpyHostToDevice=1,
            memcpyDeviceToDevice=3,
            CUDARuntimeError=CudaError,
        )
        pool = SimpleNamespace(malloc=None, free_all_blocks=lambda: self.log.append("freed"))
        stream = SimpleNamespace(ptr=77, synchronize=lambda: self.log.append("waited"))
        self.cuda = SimpleNamespace(
            runtime=calls,
            driver=SimpleNamespace(launchKernel=self._launch, funcSetAttribute=lambda *it: self.log.append(it)),
            function=SimpleNamespace(Module=Module),
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            Device=lambda: SimpleNamespace(compute_capability=capability),
            MemoryPool=lambda: pool,
            using_allocator=lambda _: nullcontext(),
            get_current_stream=lambda: stream,
        )

    @staticmethod
    def _count(devices, error):
        if error is not None:
            raise CudaError(error)
        return devices

    def _make(self, array):
        if array.nbytes > self.memory:
            raise OutOfMemoryError("Out of memory allocating 4,096 bytes")
        return DeviceArray(array)

    def _launch(self, function, gx, gy, gz, bx, by, bz, shared, stream, parameters, extra):
        table = (ctypes.c_void_p * len(self.sizes)).from_address(parameters)
        values = [ctypes.string_at(at, size) for at, size in zip(table, self.sizes, strict=True)]
        self.log.append(((gx, gy, gz), (bx, by, bz), shared, stream, values, extra))

    def _raw(self, code, options, backend):
        self.log.append((code, options, backend))
        return SimpleNamespace(module="compiled by CuPy")


def test_arguments_are_passed_as_a_driver_wants_them() -> None:
    cupy = StandIn()
    array, by_value = DeviceArray(np.arange(4)), np.frombuffer(bytes(range(40)), [("w", "<u8", 5)])[0]
    cupy.sizes = [8, 4, 40, 1]
    wide = NativeLaunch("s", "k", (3, 2), (32,), (), shared_bytes=1024)
    CupyDriver(cupy).launch(Module(), wide, (array, np.uint32(7), by_value, np.int8(-1)))
    pointer = array.data.ptr.to_bytes(8, "little")
    values = [pointer, (7).to_bytes(4, "little"), bytes(range(40)), b"\xff"]
    assert cupy.log == [((3, 2, 1), (32, 1, 1), 1024, 77, values, 0)]


def test_much_shared_memory_is_asked_for_first() -> None:
    cupy, module = StandIn(), Module()
    CupyDriver(cupy).launch(module, NativeLaunch("s", "k", (1,), (32,), (), shared_bytes=100 << 10), ())
    assert cupy.log[0] == (module.get_function("k").ptr, 8, 100 << 10)
    assert cupy.log[1][2] == 100 << 10


def test_constants_fills_and_reads() -> None:
    driver, module = CupyDriver(StandIn()), Module()
    module.constant = np.zeros(2, np.uint64)
    driver.store(module, "n::s", np.array([3, 4], np.uint64))
    assert module.constant.tolist() == [3, 4]
    driver.store(module, "n::s", DeviceArray(np.array([5, 6], np.uint64)))
    assert module.constant.tolist() == [5, 6]
    array = driver.take(Empty((4,), np.uint8))
    driver.fill(array, 255)
    assert driver.read(array).tolist() == [255] * 4
    assert driver.read(driver.take(np.arange(3))).tolist() == [0, 1, 2]


def test_memory_that_runs_out_is_told() -> None:
    cupy = StandIn()
    driver, cupy.memory = CupyDriver(cupy), 10
    assert driver.free_bytes() == 10
    with pytest.raises(MemoryShortError, match="Out of memory allocating"):
        driver.take(Empty((4096,), np.uint8))
    driver.wait()
    driver.close()
    assert cupy.log == ["waited", "freed"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"devices": 0}, "no CUDA GPU is visible"),
        ({"error": "cudaErrorInsufficientDriver: too old", "driver": 0}, "no NVIDIA driver answers"),
        (
            {"error": "cudaErrorInsufficientDriver: too old", "driver": 12080},
            "a driver for CUDA 12.8; expected one for CUDA 13.0 or newer .driver 580.65.. Update the driver.*cuda12",
        ),
        ({"error": "cudaErrorNoDevice: nothing"}, "cudaErrorNoDevice: nothing"),
        ({"capability": "70"}, "a GPU of compute capability 7.0"),
    ],
)
def test_why_there_is_no_device(options, words) -> None:
    with pytest.raises(NoDeviceError, match=words):
        CupyDriver(StandIn(**options))


@pytest.mark.parametrize(
    ("capability", "arch"),
    [((8, 0), "sm_80"), ((8, 7), "sm_86"), ((9, 0), "sm_90"), ((10, 1), "sm_100"), ((12, 1), "sm_120")],
)
def test_the_nearest_older_architecture_of_the_major_version(capability, arch) -> None:
    assert arch_of(*capability) == arch


@pytest.mark.parametrize("capability", [(7, 0), (11, 0), (13, 0)])
def test_no_architecture_of_the_major_version(capability) -> None:
    with pytest.raises(NoDeviceError, match="compute capability"):
        arch_of(*capability)


def test_names_of_variables() -> None:
    assert mangled("c_header") == "c_header"
    assert mangled("gold::c_outer") == "_ZN4gold7c_outerE"


def test_a_missing_cupy_names_its_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(MissingExtraError, match=r"hashwarden\[cuda13\]"):
        CupyEngine(plan())


def test_cubins_are_compiled_once(monkeypatch) -> None:
    made = []
    monkeypatch.setattr(compiler, "compile_cubin", lambda *it: made.append(it) or b"cubin")
    cupy_driver._cubin.cache_clear()
    modules = [CupyDriver(StandIn()).load("blake3_nonce", "NONCES=2", ()) for _ in range(2)]
    cupy_driver._cubin.cache_clear()
    assert [module.cubin for module in modules] == [b"cubin"] * 2
    assert [(it[0].name, it[1].name, it[2]) for it in made] == [("blake3_nonce", "NONCES=2", "sm_90")]


def test_cupy_compiles_where_cuda_core_is_missing(monkeypatch) -> None:
    def missing(*_):
        raise MissingExtraError.of("cuda-core", "cuda13")

    monkeypatch.setattr(compiler, "compile_cubin", missing)
    cupy_driver._cubin.cache_clear()
    cupy = StandIn()
    assert CupyDriver(cupy).load("poseidon2_pow", "WIDTH=16 -O1", ()) == "compiled by CuPy"
    code, options, backend = cupy.log[0]
    assert "poseidon_search" in code
    assert options[:2] == ("-DWIDTH=16", "--ptxas-options=-O1")
    assert options[2].startswith("-I")
    assert backend == "nvrtc"


def test_options_of_a_variant() -> None:
    variant = catalogue.parse_variant("UNROLL HASHES=4 -maxrregcount=64 -O0")
    assert nvrtc_options(variant) == ("-DUNROLL=1", "-DHASHES=4", "-maxrregcount=64", "--ptxas-options=-O0")


def test_cupy_has_what_the_driver_calls() -> None:
    cupy = pytest.importorskip("cupy")
    names = "zeros asarray asnumpy RawModule.module cuda.Device.compute_capability cuda.MemoryPool.malloc"
    names += " cuda.MemoryPool.free_all_blocks cuda.using_allocator cuda.get_current_stream cuda.Stream.synchronize"
    names += " cuda.memory.OutOfMemoryError cuda.function.Module.load cuda.function.Module.get_function"
    names += " cuda.function.Module.get_global_var cuda.function.Function.ptr cuda.driver.launchKernel"
    names += " cuda.driver.funcSetAttribute cuda.runtime.CUDARuntimeError"
    calls = "getDeviceCount driverGetVersion runtimeGetVersion memGetInfo memcpy memcpyAsync memsetAsync"
    names += "".join(f" cuda.runtime.{it}" for it in (*calls.split(), "memcpyHostToDevice", "memcpyDeviceToDevice"))
    for name in names.split():
        found = cupy
        for part in name.split("."):
            found = getattr(found, part)


@pytest.mark.gpu
@pytest.mark.parametrize("workload", [it for it in workloads() if it.native], ids=lambda it: it.name)
def test_programs_pass_their_checks_on_a_gpu(workload) -> None:
    engine = CupyEngine(workload.native(workload.settings("small"), 3))
    try:
        engine.check()
    finally:
        engine.close()
