"""The sampler's logic on a collector that plays recorded samples, and what it says where it cannot sample."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hashwarden.errors import HashwardenError, MissingExtraError, NoDeviceError, PrivilegeError, UsageError
from hashwarden.kernels.streams import metric_sets, sampler
from hashwarden.kernels.streams.collector import CuptiDriver, SamplerBusyError
from hashwarden.kernels.streams.profiler import SharedCollector
from hashwarden.kernels.streams.sampler import Block, Sampler

WIDTH = len(metric_sets.METRIC_SETS["sm_90"])


@pytest.fixture
def driver(fakes: ModuleType) -> Any:
    return fakes.FakeDriver()


@pytest.fixture
def make(driver: Any, tmp_path: Path) -> Callable[..., Sampler]:
    parameters = tmp_path / "params"
    parameters.write_text('ResmanDebugLevel: 4294967295\nRmProfilingAdminOnly: 0\nRegistryDwords: ""\n')

    def build(**changes: Any) -> Sampler:
        settings: dict[str, Any] = {"driver": driver, "parameters": parameters, "locks": tmp_path / "locks"}
        return Sampler(**{**settings, **changes})

    return build


def test_samples_become_blocks(make: Callable[..., Sampler], driver: Any, fakes: ModuleType) -> None:
    driver.made.decodings = [fakes.samples(0, 5, WIDTH), [], fakes.samples(5, 3, WIDTH, value=60)]
    with make() as source:
        first, none, second = source.poll(), source.poll(), source.poll()
    assert none == []
    assert [len(block.values) for block in first + second] == [5, 3]
    assert first[0].names == tuple(metric_sets.METRIC_SETS["sm_90"])
    assert first[0].values[0].tolist() == [50.0 + i for i in range(WIDTH)]
    span = second[0].start_ns - fakes.SINCE_NS, second[0].end_ns - fakes.SINCE_NS
    assert (span, second[0].lost) == ((2_500_000, 4_000_000), 0)
    assert source.loss == sampler.Loss(samples=8)


def test_the_configuration(make: Callable[..., Sampler], driver: Any) -> None:
    with make(rate_hz=20_000, poll_s=0.05):
        configured = driver.made.configured
    assert configured["interval"] == 50_000
    assert configured["trigger"] == "time"
    assert configured["append"] == "keep oldest"
    assert configured["metrics"] == list(metric_sets.metric_set("sm_90").values())
    assert configured["buffer"] == 2 * 1000 * sampler.SAMPLE_BYTES
    assert driver.made.calls == ["enable", "configure", "start", "stop", "disable"]


@pytest.mark.parametrize(
    ("rate", "poll", "expected"), [(1, 0.1, sampler.LEAST_BUFFER), (100_000, 10, sampler.MOST_BUFFER)]
)
def test_the_buffer_has_limits(rate: float, poll: float, expected: int) -> None:
    assert sampler.buffer_bytes(rate, poll) == expected


def test_lost_samples_are_counted_and_cut_blocks(make: Callable[..., Sampler], driver: Any, fakes: ModuleType) -> None:
    driver.made.decodings = [
        fakes.samples(0, 4, WIDTH) + fakes.samples(9, 2, WIDTH),
        fakes.FakeCounterData(fakes.samples(12, 3, WIDTH), incomplete=2),
    ]
    with make() as source:
        state = source.state(1.0)
        blocks = source.poll() + source.poll()
    assert [(len(block.values), block.lost) for block in blocks] == [(4, 0), (2, 5), (3, 1)]
    assert source.loss == sampler.Loss(samples=9, lost=6, incomplete=2)
    assert state.samples == 15
    assert state.features()["sm_active.coverage"] == pytest.approx(9 / 15)
    assert state.features()["sm_active.mean"] == 50


def test_samples_without_a_time_of_their_own_are_left_out(
    make: Callable[..., Sampler], driver: Any, fakes: ModuleType
) -> None:
    """The first of a session may start at 0, before and after a full buffer; a decoding may repeat the last."""
    startless, *rest = fakes.samples(0, 4, WIDTH)
    startless = replace(startless, start_timestamp=0)
    again = [replace(one, start_timestamp=0) for one in fakes.samples(20, 1, WIDTH)]
    backwards = replace(rest[-1], end_timestamp=rest[-1].start_timestamp)
    driver.made.decodings = [
        [startless, *rest],
        [rest[-1], backwards, *fakes.samples(4, 2, WIDTH)],
        MemoryError("Record overflow"),
        again + fakes.samples(21, 2, WIDTH),
    ]
    with make() as source:
        first, second, none, third = (source.poll() for _ in range(4))
    assert [len(blocks[0].values) for blocks in (first, second, third)] == [3, 2, 2]
    assert none == []
    assert first[0].start_ns == fakes.SINCE_NS + 500_000
    assert [blocks[0].lost for blocks in (first, second, third)] == [0, 0, 15]
    assert source.loss == sampler.Loss(samples=7, lost=15, overflows=1, odd=4)


def test_samples_that_overlap_are_counted_once(make: Callable[..., Sampler], driver: Any, fakes: ModuleType) -> None:
    made = fakes.samples(0, 6, WIDTH)
    nudged = replace(made[3], start_timestamp=made[3].start_timestamp - 100_000)  # a clock that is not exact is none
    driver.made.decodings = [[*made[:3], made[1], made[2], nudged, *made[4:]]]
    with make() as source:
        (block,) = source.poll()
    assert (len(block.values), source.loss.odd, source.loss.lost) == (6, 2, 0)


def test_an_overflow_is_counted_and_survived(make: Callable[..., Sampler], driver: Any, fakes: ModuleType) -> None:
    driver.made.decodings = [fakes.samples(0, 4, WIDTH), MemoryError("Record overflow"), fakes.samples(104, 1, WIDTH)]
    with make() as source:
        source.poll()
        assert source.poll() == []
        assert driver.made.started
        (block,) = source.poll()
    assert block.lost == 100
    assert (source.loss.overflows, source.loss.lost) == (1, 100)


def test_every_user_gets_every_block(make: Callable[..., Sampler], driver: Any, fakes: ModuleType) -> None:
    driver.made.decodings = [fakes.samples(0, 700, WIDTH)]
    seen: list[Block] = []
    with make(rate_hz=2000, poll_s=1) as source:
        source.attach(seen.append)
        states = [source.state(0.25), source.state(10.0)]
        blocks = source.poll()
    assert [id(block) for block in seen] == [id(block) for block in blocks]
    assert [state.held for state in states] == [500, 700]
    assert states[0].interval_s == 5e-4


def test_a_user_that_fails_costs_the_others_nothing(
    make: Callable[..., Sampler], driver: Any, fakes: ModuleType
) -> None:
    def fail(block: Block) -> None:
        raise KeyError(len(block.values))

    driver.made.decodings = [fakes.samples(0, 3, WIDTH) + fakes.samples(5, 2, WIDTH)]
    with make() as source:
        source.attach(fail)
        state = source.state(1.0)
        with pytest.raises(KeyError, match="3"):
            source.poll()
    assert state.samples == 7


def test_a_refused_wide_set_becomes_the_core(make: Callable[..., Sampler], driver: Any) -> None:
    driver.made.fails = {"configure": [ValueError("not supported")]}
    with make() as source:
        assert source.names == metric_sets.CORE
        assert driver.made.configured["metrics"] == list(metric_sets.metric_set("sm_90", "core").values())
    driver.made.fails = {"configure": [ValueError("not supported"), ValueError("not supported")]}
    with pytest.raises(UsageError), make():
        pass
    assert not driver.made.enabled


def test_ga100_counts_cycles(make: Callable[..., Sampler], driver: Any, fakes: ModuleType) -> None:
    driver.name = "GA100"
    width = len(metric_sets.METRIC_SETS["sm_80"])
    driver.made.decodings = [fakes.samples(0, 50, width, interval=355_000)]
    with make() as source:
        assert driver.made.configured["trigger"] == "clock"
        source.poll()
        assert source.interval_s == pytest.approx(355e-6)


@pytest.mark.parametrize("chip", ["TU102", "GB110", "", "GR100"])
def test_unknown_chips_are_refused(make: Callable[..., Sampler], driver: Any, chip: str) -> None:
    driver.name = chip
    with pytest.raises(NoDeviceError, match="GH100"), make():
        pass
    assert driver.made.calls == ["enable", "disable"]


class CuptiError(Exception):
    """As cupti.cupti.cuptiError: a status with a name."""

    def __init__(self, name: str) -> None:
        self.status = SimpleNamespace(name=name)
        super().__init__(f"{name} (0)")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PermissionError("Insufficient privileges for PM sampling"), PrivilegeError),
        (CuptiError("ERROR_VIRTUALIZED_DEVICE_INSUFFICIENT_PRIVILEGES"), PrivilegeError),
        (RuntimeError("PM sampling is already enabled on this device."), SamplerBusyError),
        (CuptiError("ERROR_HARDWARE_BUSY"), SamplerBusyError),
        (CuptiError("ERROR_MIG_DEVICE_NOT_SUPPORTED"), NoDeviceError),
        (RuntimeError("CUDA driver is not found (libcuda.so.1)"), NoDeviceError),
        (RuntimeError("CUPTI could not load the nvperf* libraries"), NoDeviceError),
        (ValueError("Invalid device_index: 7"), NoDeviceError),
        (OSError("something new"), NoDeviceError),
    ],
)
@pytest.mark.parametrize("where", ["enable", "start"])
def test_refusals_are_clear_and_leave_nothing(
    make: Callable[..., Sampler], driver: Any, error: Exception, kind: type[HashwardenError], where: str
) -> None:
    driver.made.fails = {where: [error]}
    source = make()
    with pytest.raises(kind) as caught, source:
        pass
    assert type(caught.value) is kind
    assert caught.value.got.startswith("GPU 0: ")
    assert str(error) in caught.value.got
    assert driver.made.calls[-1] == "disable"
    with make():  # the lock was let go, so that it can be tried again
        assert driver.made.started


def test_nothing_stays_enabled_when_the_user_fails(make: Callable[..., Sampler], driver: Any) -> None:
    source = make()
    with pytest.raises(ZeroDivisionError), source:
        _ = 1 / 0
    assert driver.made.calls[-2:] == ["stop", "disable"]
    source.close()
    assert driver.made.calls.count("disable") == 1
    driver.made.fails = {"stop": [RuntimeError("already stopped")]}
    with make():
        pass
    assert not driver.made.enabled


def test_a_gpu_that_goes_away(make: Callable[..., Sampler], driver: Any) -> None:
    driver.made.fails = {"decode": [CuptiError("ERROR_UNKNOWN")]}
    with make() as source, pytest.raises(NoDeviceError, match="ERROR_UNKNOWN"):
        source.poll()
    assert not driver.made.enabled


def test_one_sampler_for_a_gpu(make: Callable[..., Sampler], fakes: ModuleType) -> None:
    with make(), make(device=1, driver=fakes.FakeDriver()):
        second = fakes.FakeDriver()
        with pytest.raises(SamplerBusyError, match=f"by process {os.getpid()} already"), make(driver=second):
            pass
        assert second.made.calls == []
    with make():
        pass


def test_another_process_holds_the_gpu(make: Callable[..., Sampler], tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hashwarden.kernels.streams.privilege import DeviceLock\n"
        "with DeviceLock(0, Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "locks")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SamplerBusyError, match=f"by process {other.pid} already"), make():
            pass
        other.kill()
    with make():  # a killed process holds nothing
        pass


def test_the_lock_is_in_a_folder_of_ones_own(make: Callable[..., Sampler], tmp_path: Path, driver: Any) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for folder in (tmp_path / "link", tmp_path / "params" / "inside"):
        with pytest.raises(PrivilegeError, match="lock"), make(locks=folder):
            pass
    assert driver.made.calls == []


@pytest.mark.parametrize(
    ("admin_only", "capabilities", "refused"),
    [
        ("1", "0000000000000000", True),
        ("1", "000001ffffffffff", False),
        ("1", f"{1 << 21:016x}", False),
        ("1", f"{0x1FFFFFFFFFF & ~(1 << 21):016x}", True),
        ("0", "0000000000000000", False),
        ("", "0000000000000000", True),
    ],
)
def test_privilege(
    make: Callable[..., Sampler], tmp_path: Path, driver: Any, admin_only: str, capabilities: str, refused: bool
) -> None:
    parameters, status = tmp_path / "driver", tmp_path / "status"
    parameters.write_text(f"RmProfilingAdminOnly: {admin_only}\n" if admin_only else "Other: 1\n")
    status.write_text(f"Name:\tpython\nCapEff:\t{capabilities}\n")
    source = make(parameters=parameters, status=status)
    if refused:
        with pytest.raises(PrivilegeError, match="RmProfilingAdminOnly"), source:
            pass
        assert driver.made.calls == []
    else:
        with source:
            assert driver.made.started


def test_without_a_driver(make: Callable[..., Sampler], tmp_path: Path, driver: Any) -> None:
    with pytest.raises(NoDeviceError, match="NVIDIA's driver"), make(parameters=tmp_path / "absent"):
        pass
    assert driver.made.calls == []


def test_without_the_package(make: Callable[..., Sampler], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupti", None)
    monkeypatch.setitem(sys.modules, "cupti.cupti", None)
    with pytest.raises(MissingExtraError, match="hashwarden\\[pm\\]"), make(driver=None):
        pass


@pytest.mark.parametrize("settings", [{"rate_hz": 0.5}, {"rate_hz": 1e6}, {"rate_hz": float("nan")}, {"poll_s": 0}])
def test_settings_that_cannot_be_meant(make: Callable[..., Sampler], settings: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        make(**settings)


def test_a_sampler_is_used_inside_of_its_context(make: Callable[..., Sampler]) -> None:
    source = make()
    with pytest.raises(UsageError, match="does not run"):
        source.poll()
    with source, pytest.raises(UsageError, match="runs already"):
        source.__enter__()
    with pytest.raises(UsageError, match="does not run"):
        source.state(1.0)


def test_the_fake_is_like_the_package(fakes: ModuleType) -> None:
    """Breaks when cupti-python changes what the sampler relies on. Imports without a GPU; only calls need one."""
    pm = pytest.importorskip("cupti.pm_sampling", reason="cupti-python is not installed: pip install 'hashwarden[pm]'")
    for name in ("__init__", "enable", "configure", "start", "stop", "decode", "disable"):
        real, fake = (inspect.signature(getattr(kind, name)).parameters for kind in (pm.Collector, fakes.FakeCollector))
        assert list(real) == list(fake), name
        assert [p.kind for p in real.values()] == [p.kind for p in fake.values()], name
    assert set(inspect.signature(pm.Sample).parameters) == set(inspect.signature(fakes.FakeSample).parameters)
    counted = {"num_total_samples", "num_populated_samples", "num_completed_samples"}
    assert counted <= set(inspect.signature(pm.CounterData).parameters)
    assert callable(pm.CounterData.__iter__)
    driver = CuptiDriver()
    assert driver.trigger_mode(by_clock=True).name == "GPU_SYSCLK_INTERVAL"
    assert driver.trigger_mode(by_clock=False).name == "GPU_TIME_INTERVAL"
    assert driver.append_mode().name == "KEEP_OLDEST"
    driver.collector(3).disable()  # of what was never enabled
    assert isinstance(driver.collector(0), SharedCollector)
    assert driver.collector(0)._profiler is CuptiDriver().collector(1)._profiler, "one for the process"
    host = pytest.importorskip("cupti.profiler_host")
    assert list(inspect.signature(host.ProfilerHost.get_metric_properties).parameters) == ["self", "metric_name"]
    assert driver._low.ProfilerType.PM_SAMPLING.name == "PM_SAMPLING"


def test_the_real_package_without_a_driver(make: Callable[..., Sampler]) -> None:
    pytest.importorskip("cupti.pm_sampling", reason="cupti-python is not installed: pip install 'hashwarden[pm]'")
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is a GPU: test_the_real_thing samples it")
    with pytest.raises(NoDeviceError, match="libcuda"), make(driver=CuptiDriver()):
        pass


@pytest.mark.gpu
def test_the_real_thing(tmp_path: Path) -> None:
    import cupy

    try:
        with Sampler(rate_hz=1000, locks=tmp_path) as source:
            state = source.state(10.0)
            matrix = cupy.ones((4096, 4096), cupy.float32)
            for _ in range(20):
                for _ in range(20):
                    matrix = matrix @ matrix * np.float32(0)
                cupy.cuda.runtime.deviceSynchronize()
                source.poll()
    except (PrivilegeError, SamplerBusyError) as error:
        pytest.skip(str(error))
    assert source.loss.samples > 10
    assert state.features()["sm_active.max"] > 50
