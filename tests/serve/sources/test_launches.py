"""The source ``launches``: real processes that call a stand-in for libcuda, real eBPF.

Needs root. A launch window is waited for, so that counts are exact.
"""

from __future__ import annotations

import importlib.util
import platform
import time
from pathlib import Path

import pytest

from hashwarden.serve.jobs.job import Owner, ProcessKey
from hashwarden.serve.launch_board import KernelLaunches
from hashwarden.serve.sources import launches_tracer
from hashwarden.serve.sources.launches_functions import ALWAYS, IN_BURSTS
from hashwarden.serve.sources.launches_processes import started
from hashwarden.serve.sources.launches_symbols import function_offsets

pytestmark = pytest.mark.bpf


def _helper(name):
    spec = importlib.util.spec_from_file_location(f"{__name__}_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


stand_in, watching = _helper("cuda_stand_in"), _helper("launches_watch")
Watch, kernel, first_byte = watching.Watch, watching.kernel, watching.first_byte
BURST_S, WAIT_S = watching.BURST_S, watching.WAIT_S
MANGLED = b"_ZN2at6native" + b"29vectorized_elementwise_kernelILi4ENS0_11FillFunctor" * 12


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return stand_in.build(tmp_path_factory.mktemp("cuda"))


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Look for processes more often, so that tests wait less."""
    monkeypatch.setattr(launches_tracer, "LOOK_S", 0.2)


@pytest.fixture
def image(tmp_path):
    (tmp_path / "image").write_bytes(b"code")
    (tmp_path / "broken").write_bytes(b"bad")
    return tmp_path / "image"


@pytest.mark.parametrize("many", [True, False], ids=["links", "single probes"])
def test_every_way_to_launch_is_counted_with_its_name_and_threads(built, image, many):
    library, program = built
    hows = {f.name: f.program for f in IN_BURSTS if f.program != "graph"}
    threads = {
        "launch": 7 * 2 * 3 * 32 * 4 * 2,
        "launch_config": 7 * 2 * 3 * 32 * 4 * 2,
        "launch_grid": 7 * 2,
        "launch_one": 1,
    }
    with library.open("rb") as file:
        there = function_offsets(file.fileno(), frozenset(hows))
    assert {"cuLaunchKernel", "cuLaunchKernelEx_ptsz", "cuLaunchCooperativeKernel", "cuLaunch"} <= set(there)
    with Watch(library, many=many) as watch, stand_in.Caller(program, library) as caller:
        caller.ask(f"load {image}")
        numbers = {how: caller.find(b"kernel_" + how.encode()) for how in there}

        def act():
            for i, (how, number) in enumerate(numbers.items()):
                assert caller.ask(f"launch {how} {number} 7 2 3 32 4 2 {i + 1} 2000") > 0
            caller.ask("graph cuGraphLaunch 3")
            caller.ask("graph cuGraphLaunch_ptsz 4")

        profile = watch.during(act)[caller.pid]
        assert profile.process == ProcessKey(caller.pid, started(caller.pid))
        assert {k.name: (k.launches, k.threads) for k in profile.kernels} == {
            f"kernel_{how}": (i + 1, (i + 1) * threads[hows[how]]) for i, how in enumerate(numbers)
        }
        assert profile.graph_launches == 7
        assert profile.seconds == pytest.approx(BURST_S, rel=1.0)
        assert profile.dropped == 0
        counts = watch.source.counts
        libraries = watch.source._tracer.libraries
        assert set(watch.users(caller.pid)) == {caller.pid}
        assert (counts["libraries"], counts["processes"]) == (len(libraries.libraries), len(libraries.users))
        assert not any(counts[name] for name in counts if name.startswith(("lost", "unreadable", "refused", "gone")))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="instructions of x86-64")
@pytest.mark.parametrize("first", ["mov $0,%eax", "cmpl $x,y(%rip)"])
def test_calls_are_counted_and_come_to_the_same_whatever_the_driver_begins_with(first, image, tmp_path):
    library, program = stand_in.build(tmp_path, stand_in.BEGINNINGS[first])
    opcode = {"mov $0,%eax": 0xB8, "cmpl $x,y(%rip)": 0x81}[first]
    with stand_in.Caller(program, library) as caller:
        assert first_byte(caller.pid, library, "cuLaunchKernel") == opcode
        with Watch(library) as watch:
            caller.ask(f"load {image}")
            number = caller.find(b"search")
            assert caller.ask(f"kernel 0 {b'absent'.hex()}") == -1

            def act():
                caller.ask(f"launch cuLaunchKernel {number} 1 1 1 32 1 1 20 2000")
                caller.ask(f"launch cuLaunchKernelEx {number} 1 1 1 32 1 1 30 2000")

            assert kernel(watch.during(act)[caller.pid], "search").launches == 50
            assert watch.source.counts["altered_processes"] == 0


NAMES = [
    MANGLED,
    b"n" * 4095,
    b'"},{"type": \\ \x1b[31m \n\r\t',
    b"\xff\xfe\xc3\x28 not utf-8",
    "Ünïcode_核".encode(),
    b"a" * 207, b"a" * 208, b"a" * 209, b"b" * 983, b"b" * 984, b"b" * 985,
]  # fmt: skip


def test_names_of_any_bytes_and_up_to_4095_of_them(built, image):
    library, program = built
    assert len(MANGLED) > 600
    with Watch(library) as watch, stand_in.Caller(program, library) as caller:
        caller.ask(f"load {image}")
        numbers = [caller.find(name) for name in NAMES]
        long = caller.find(b"z" * 6000)

        def act():
            for i, number in enumerate(numbers):
                caller.ask(f"launch cuLaunchKernel {number} 1 1 1 32 1 1 {i + 1} 2000")
            caller.ask(f"launch cuLaunchKernel {long} 1 1 1 32 1 1 100 2000")

        profile = watch.during(act)[caller.pid]
        seen = {k.name: k.launches for k in profile.kernels}
        expected = {name.decode("utf-8", "replace"): i + 1 for i, name in enumerate(NAMES)}
        assert seen == expected | {"z" * 4095: 100}  # what is longer is cut, not lost


def test_handles_by_way_of_libraries_and_of_names_told_later(built, image):
    library, program = built
    with stand_in.Caller(program, library) as caller:
        caller.ask(f"library {image}")
        before = caller.ask(f"kernel 0 {b'early'.hex()}")  # nobody traces yet
        with Watch(library) as watch:
            kernel_ = caller.ask(f"kernel 0 {b'late'.hex()}")
            function = caller.ask(f"function {kernel_}")
            unnamed = caller.ask("handle 4660")
            assert caller.ask(f"kernel 0 {b'absent'.hex()}") == -1
            launch = "launch cuLaunchKernel {} 1 1 1 32 1 1 {} 2000".format

            def act():
                for number, times in ((kernel_, 1), (function, 2), (unnamed, 4), (before, 8)):
                    caller.ask(launch(number, times))

            seen = watch.during(act)[caller.pid].kernels
            assert seen == (KernelLaunches("", 12, 384), KernelLaunches("late", 3, 96))
            assert caller.ask(f"name {before}") == 0
            seen = watch.during(act)[caller.pid].kernels
            assert {k.name: k.launches for k in seen} == {"": 4, "early": 8, "late": 3}


def test_readings_are_of_jobs_on_devices_and_novelty_is_of_code(built, image):
    library, program = built
    with Watch(library) as watch, stand_in.Caller(program, library) as one, stand_in.Caller(program, library) as two:
        watch.owners |= {one.pid: Owner("slurm:1", ("GPU-a",)), two.pid: Owner("slurm:1", ("GPU-a", "GPU-b"))}
        for caller in (one, two):
            caller.ask(f"load {image}")
            caller.find(b"search")
        rest = one.find(b"rest")

        def act():
            one.ask("launch cuLaunchKernel 0 4 1 1 64 1 1 60 20000")
            one.ask(f"launch cuLaunchKernel {rest} 1 1 1 32 1 1 20 20000")
            two.ask("launch cuLaunchKernel 0 2 1 1 32 1 1 40 20000")
            two.ask("graph cuGraphLaunch 10")

        profiles = watch.during(act)
        (seconds,) = {p.seconds for p in profiles.values()}
        said = {reading.gpu: reading for reading in watch.readings}
        assert {(r.job, r.pids) for r in said.values()} == {("slurm:1", None)}
        a, b = said["GPU-a"].values, said["GPU-b"].values
        assert a["launches_per_s"] == pytest.approx(100 / seconds)
        assert b["launches_per_s"] == pytest.approx(20 / seconds)
        assert a["graph_launches_per_s"] == b["graph_launches_per_s"] == pytest.approx(5 / seconds)
        assert (a["distinct_kernels"], b["distinct_kernels"]) == (2, 1)
        assert a["top_kernel_ratio"] == pytest.approx(0.8)
        assert a["threads_per_launch"] == pytest.approx((60 * 256 + 20 * 32 + 20 * 64) / 100)
        assert (a["new_kernel_ratio"], b["new_kernel_ratio"]) == (1, 1)
        assert 0 <= a["launch_interval_variation"] < 100

        watch.during(act)
        assert {r.values["new_kernel_ratio"] for r in watch.readings} == {0}
        one.ask(f"load {image}")  # the same name, new code
        again = one.find(b"search", 1)
        watch.during(lambda: one.ask(f"launch cuLaunchKernel {again} 4 1 1 64 1 1 60 20000"))
        assert {r.gpu: r.values["new_kernel_ratio"] for r in watch.readings if "new_kernel_ratio" in r.values} == {
            "GPU-a": 1
        }


def test_no_launches_of_a_known_process_are_a_true_0_and_strangers_have_none(built):
    library, program = built
    with Watch(library) as watch, stand_in.Caller(program, library) as caller:
        watch.owners[caller.pid] = Owner("slurm:7", ("GPU-a",))
        watch.knows(caller.pid)
        profile = watch.during(lambda: None)[caller.pid]
        assert (profile.kernels, profile.launches, profile.graph_launches) == ((), 0, 0)
        (reading,) = watch.readings
        assert reading.values == {
            "launches_per_s": 0, "graph_launches_per_s": 0, "distinct_kernels": 0, "module_loads_per_s": 0,
        }  # fmt: skip
        watch.owners.clear()
        watch.until(lambda: watch.read() == [])  # what was read before may still come


def test_loads_are_counted_all_the_time_and_failed_ones_are_not(built, image):
    library, program = built
    loads = [f.name for f in ALWAYS if f.program == "load"]
    with Watch(library, burst_s=0.05) as watch, stand_in.Caller(program, library) as caller:
        watch.owners[caller.pid] = Owner("slurm:7", ("GPU-a",))
        watch.knows(caller.pid)
        watch.until(watch.read)
        begun = watch.readings[0].time_s
        total = 0.0
        for name in loads:
            assert caller.ask(f"call {name} {image}") >= 0
            assert caller.ask(f"call {name} {image.with_name('broken')}") == -1

        def sum_up():
            nonlocal total, begun
            for reading in watch.read():
                total += reading.values["module_loads_per_s"] * (reading.time_s - begun)
                begun = reading.time_s
            return total > len(loads) - 0.5

        watch.until(sum_up)
        time.sleep(0.5)
        sum_up()
        assert total == pytest.approx(len(loads))
