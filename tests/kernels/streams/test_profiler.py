"""What collectors of one process share, on a stand-in for cupti-python that is as unforgiving as CUPTI was seen to be.

Two GPUs sampled in one process, and one of them refused while the other is sampled: by the package alone the second
end of the profiler crashes, which a stand-in can only say.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hashwarden.errors import NoDeviceError
from hashwarden.kernels.streams.profiler import PrimaryContext, Profiler, SharedCollector, load_perfworks

NEEDS = "cupti-python is not installed: pip install 'hashwarden[pm]'"


class Crashed(BaseException):
    """What would have ended the process."""


class Cupti:
    """One process's CUPTI: a profiler that is begun as often as one likes, and ended once."""

    def __init__(self) -> None:
        self.begun = False
        self.ends = 0
        self.sampling: set[int] = set()
        self.contexts: set[int] = set()
        self.needs_context = False
        self.refuses: dict[int, Exception] = {}

    def sample(self, device: int) -> None:
        self.begun = True
        if self.needs_context and device not in self.contexts:
            raise ValueError(f"Invalid device_index: {device}")
        if device in self.refuses:
            raise self.refuses[device]
        self.sampling.add(device)

    def end(self) -> None:
        if not self.begun:
            raise Crashed("ended twice")
        if self.sampling:
            raise Crashed(f"ended under GPUs {sorted(self.sampling)}")
        self.begun = False
        self.ends += 1


def packaged(cupti: Cupti) -> type:
    """A class as cupti.pm_sampling.Collector is written: static methods that call each other by its name."""

    class Collector:
        def __init__(self, device_index: int = 0) -> None:
            self._device_index = device_index
            self._finalizer: weakref.finalize | None = None

        def enable(self) -> None:
            try:
                cupti.sample(self._device_index)
            except RuntimeError:
                raise
            except Exception:
                Collector._profiler_deinitialize()
                raise
            self._finalizer = weakref.finalize(self, Collector._collector_finalize, self._device_index)

        def decode(self, max_samples: int = 10) -> str:
            assert cupti.begun
            return f"{max_samples} of GPU {self._device_index}"

        def disable(self) -> None:
            if self._finalizer is not None:
                self._finalizer()
            self._finalizer = None

        @staticmethod
        def _collector_finalize(device: int) -> None:
            cupti.sampling.discard(device)
            Collector._profiler_deinitialize()

        @staticmethod
        def _profiler_deinitialize() -> None:
            cupti.end()

    return Collector


class Bench:
    """Collectors of one process."""

    def __init__(self) -> None:
        self.cupti, self.profiler = Cupti(), Profiler()
        self.kind = packaged(self.cupti)

    def collector(self, device: int) -> SharedCollector:
        def named() -> str:
            if self.cupti.needs_context and device not in self.cupti.contexts:
                raise ValueError(f"Invalid device_index: {device}")
            return "GH100"

        return SharedCollector(self.kind(device), named, self.profiler, lambda: self.context(device))

    def context(self, device: int) -> Any:
        self.cupti.contexts.add(device)
        made = type("Context", (), {"release": lambda _: self.cupti.contexts.discard(device)})
        return made()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_package_alone_ends_the_profiler_under_another_gpu(bench: Bench) -> None:
    """What this is all for; if the stand-in forgave it, the tests below would say nothing."""
    first, second = bench.kind(0), bench.kind(1)
    first.enable()
    second.enable()
    with pytest.raises(Crashed, match="under GPUs"):
        first.disable()


def test_the_last_of_several_gpus_ends_the_profiler(bench: Bench) -> None:
    collectors = [bench.collector(device) for device in range(8)]
    for _ in range(3):  # bursts
        for one in collectors:
            one.enable()
        assert bench.cupti.sampling == set(range(8))
        for one in reversed(collectors):
            assert bench.cupti.begun
            one.disable()
        assert not bench.cupti.begun
    assert (bench.cupti.ends, bench.profiler.users) == (3, 0)


def test_what_is_disabled_twice_or_was_never_enabled_counts_once(bench: Bench) -> None:
    first, second = bench.collector(0), bench.collector(1)
    second.disable()
    first.enable()
    second.enable()
    first.disable()
    first.disable()
    assert (bench.cupti.begun, bench.profiler.users) == (True, 1)
    assert second.decode(max_samples=7) == "7 of GPU 1"
    second.disable()
    assert (bench.cupti.ends, bench.profiler.users) == (1, 0)


@pytest.mark.parametrize("error", [PermissionError("privileges"), RuntimeError("already enabled"), KeyError("BUSY")])
def test_a_gpu_that_is_refused_costs_the_others_nothing(bench: Bench, error: Exception) -> None:
    bench.cupti.refuses[1] = error
    first, second = bench.collector(0), bench.collector(1)
    first.enable()
    with pytest.raises(type(error)):
        second.enable()
    second.disable()
    assert (bench.cupti.begun, bench.cupti.sampling, bench.cupti.contexts) == (True, {0}, set())
    first.disable()
    assert bench.cupti.ends == 1


def test_a_refusal_of_the_only_gpu_ends_the_profiler(bench: Bench) -> None:
    bench.cupti.refuses[0] = PermissionError("privileges")
    only = bench.collector(0)
    with pytest.raises(PermissionError):
        only.enable()
    assert bench.cupti.ends == 1
    del bench.cupti.refuses[0]
    only.enable()
    assert bench.cupti.sampling == {0}


def test_a_context_is_made_only_where_cupti_wants_one(bench: Bench) -> None:
    plain = bench.collector(0)
    plain.enable()
    assert bench.cupti.contexts == set()
    plain.disable()
    bench.cupti.needs_context = True
    first, second = bench.collector(0), bench.collector(1)
    first.enable()
    second.enable()
    assert bench.cupti.contexts == {0, 1}
    first.disable()
    assert bench.cupti.contexts == {1}
    second.disable()
    assert bench.cupti.contexts == set()
    assert bench.cupti.ends == 3, "the plain one's, the one of the attempt without a context, and the last"


def test_a_context_that_does_not_help_is_given_back(bench: Bench) -> None:
    bench.cupti.needs_context = True
    bench.cupti.refuses[0] = KeyError("ERROR_UNKNOWN")
    with pytest.raises(KeyError):
        bench.collector(0).enable()
    assert (bench.cupti.contexts, bench.profiler.users) == (set(), 0)


def test_a_collector_that_is_forgotten_ends_nothing(bench: Bench) -> None:
    kept, lost = bench.collector(0), bench.collector(1)
    kept.enable()
    lost.enable()
    del lost
    assert (bench.cupti.sampling, bench.cupti.begun) == ({0}, True)
    kept.disable()
    assert bench.cupti.sampling == set()


STUB = """
static int retained;
int cuInit(unsigned flags) { return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 40 + ordinal; return ordinal < 2 ? 0 : 101; }
int cuDevicePrimaryCtxRetain(void **context, int device) {
    *context = &retained;
    retained = device;
    return device == 41 ? 2 : 0;
}
int cuDevicePrimaryCtxRelease_v2(int device) { retained -= device; return 0; }
int held(void) { return retained; }
"""


@pytest.fixture
def cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A libcuda with two GPUs, of which the second has no memory left; says which it holds."""
    (tmp_path / "cuda.c").write_text(STUB)
    command = ["cc", "-shared", "-fPIC", "-w", "-o", str(tmp_path / "libcuda.so.1"), str(tmp_path / "cuda.c")]
    subprocess.run(command, check=True)
    library = ctypes.CDLL(str(tmp_path / "libcuda.so.1"))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    return lambda: int(library.held())


def test_a_primary_context_is_retained_and_released(cuda: Callable[[], int]) -> None:
    context = PrimaryContext(0)
    assert cuda() == 40
    context.release()
    assert cuda() == 0


@pytest.mark.parametrize(("device", "status"), [(1, 2), (2, 101)])
def test_a_context_that_cuda_refuses(cuda: Callable[[], int], device: int, status: int) -> None:
    with pytest.raises(NoDeviceError, match=f"error {status} for a context on GPU {device}"):
        PrimaryContext(device)


def test_a_context_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with pytest.raises(NoDeviceError, match="libcuda"):
        PrimaryContext(0)


def test_the_package_is_written_as_the_stand_in(fakes: ModuleType) -> None:
    """Breaks when cupti-python ends its profiler in another way than the one that is taken over."""
    pm = pytest.importorskip("cupti.pm_sampling", reason=NEEDS)
    source = Path(pm.__file__).read_text()
    assert source.count("Collector._profiler_deinitialize()") == 2, "after a failure to enable, and when it is disabled"
    assert source.count("profiler_deinitialize(deinit_params.ptr)") == 1
    assert isinstance(pm.Collector.__dict__["_profiler_deinitialize"], staticmethod)


def test_perfworks_is_loaded_from_beside_cupti() -> None:
    pytest.importorskip("cupti.pm_sampling", reason=NEEDS)
    code = (
        "from hashwarden.kernels.streams.profiler import load_perfworks; import ctypes; load_perfworks()\n"
        "for name in ('libnvperf_host.so', 'libnvperf_target.so'): ctypes.CDLL(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [Path(path).name for path in load_perfworks()] == ["libnvperf_host.so", "libnvperf_target.so"]


def test_without_cupti_perfworks_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)
    assert load_perfworks() == []
