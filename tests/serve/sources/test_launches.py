"""The source ``launches``: real processes that call a stand-in for libcuda, real eBPF.

Needs root. A launch window is waited for, so that counts are exact.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hashwarden.errors import PrivilegeError
from hashwarden.serve.jobs.job import Owner, ProcessKey
from hashwarden.serve.launch_board import KernelLaunches
from hashwarden.serve.sources import launches_libraries
from hashwarden.serve.sources.launches import LaunchesSource
from hashwarden.serve.sources.launches_functions import ALWAYS, IN_BURSTS
from hashwarden.serve.sources.launches_processes import started
from hashwarden.serve.sources.launches_symbols import function_offsets
from hashwarden.serve.sources.launches_tracer import Places
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import NoData, Options, SourceLost

pytestmark = pytest.mark.bpf

SPEC = importlib.util.spec_from_file_location("launches_stand_in", Path(__file__).with_name("cuda_stand_in.py"))
stand_in = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(stand_in)

MANGLED = b"_ZN2at6native" + b"29vectorized_elementwise_kernelILi4ENS0_11FillFunctor" * 12
BURST_S = 0.5
WAIT_S = 20.0


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return stand_in.build(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def image(tmp_path):
    (tmp_path / "image").write_bytes(b"code")
    (tmp_path / "broken").write_bytes(b"bad")
    return tmp_path / "image"


class Watch:
    """A source that looks all the time, and what it said."""

    def __init__(self, library, owners=None, *, many=True, standing=True, burst_s=BURST_S):
        self.owners = {} if owners is None else owners
        self.options = Options(burst_s=burst_s, every_s=burst_s, owner=self.owners.get)
        places = Places(standard=(library,) if standing else (), many=many)
        self.source = LaunchesSource(self.options, places)
        self.readings = []

    def __enter__(self):
        assert self.source.open() == ()
        return self

    def __exit__(self, *_):
        self.source.close()

    def counting(self):
        return self.source._tracer._tables.maps["control"].get(bytes(4)) != bytes(8)

    def read(self):
        try:
            self.readings = self.source.read()
        except NoData:
            self.readings = []
        return self.readings

    def until(self, what, wait_s=WAIT_S):
        end = time.monotonic() + wait_s
        while not (found := what()):
            assert time.monotonic() < end, "it never came"
            time.sleep(0.005)
        return found

    def during(self, action):
        """Act at the start of a window; gives the profiles of that window by PID."""
        self.until(lambda: not self.counting())
        self.until(self.counting)
        begun = time.monotonic()
        action()
        assert self.counting(), "the window was too short for this machine"
        found = {}

        def come():
            self.read()
            found.update({p.process.pid: p for p in self.options.board.fresh() if p.start_s + p.seconds > begun})
            return found

        self.until(come)
        return found

    def knows(self, pid):
        self.until(lambda: any(key.pid == pid for key in self.source._tracer.libraries.users))


def kernel(profile, name):
    return next((k for k in profile.kernels if k.name == name), None)


def first_byte(pid, library, name):
    """What stands at the beginning of a function, in a process's memory: 0xCC where a probe is."""
    with library.open("rb") as file:
        offset = function_offsets(file.fileno(), frozenset([name]))[name]
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if match := re.match(rf"([0-9a-f]+)-([0-9a-f]+) r-xp ([0-9a-f]+) .*{library.name}", line):
            start, end, at = (int(part, 16) for part in match.groups())
            if at <= offset < at + end - start:
                with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
                    memory.seek(start + offset - at)
                    return memory.read(1)[0]
    raise AssertionError("the library is not mapped")


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
        assert counts["libraries"] == counts["processes"] == 1
        assert not any(counts[name] for name in counts if name.startswith(("lost", "unreadable", "refused", "gone")))


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
        assert watch.read() == []


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


def test_probes_of_launches_stay_for_the_burst_only_and_none_outlives_the_agent(built):
    library, program = built
    with stand_in.Caller(program, library) as caller:
        plain = {name: first_byte(caller.pid, library, name) for name in ("cuLaunchKernel", "cuModuleGetFunction")}
        with Watch(library, burst_s=0.2) as watch:
            bytes_ = lambda name: first_byte(caller.pid, library, name)  # noqa: E731
            assert 0xCC not in plain.values()
            watch.until(lambda: bytes_("cuLaunchKernel") == 0xCC)
            watch.until(lambda: bytes_("cuLaunchKernel") == plain["cuLaunchKernel"])
            assert bytes_("cuModuleGetFunction") == 0xCC
        assert {name: bytes_(name) for name in plain} == plain
        code = f"""if True:
            import time
            from pathlib import Path
            from hashwarden.serve.sources.launches import LaunchesSource
            from hashwarden.serve.sources.launches_tracer import Places
            from hashwarden.serve.sources.source import Options
            LaunchesSource(Options(), Places(standard=(Path({str(library)!r}),))).open()
            print("open", flush=True)
            time.sleep(60)"""
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as agent:
            assert agent.stdout.readline() == "open\n"
            watch.until(lambda: bytes_("cuModuleGetFunction") == 0xCC)
            agent.send_signal(signal.SIGKILL)
        watch.until(lambda: bytes_("cuModuleGetFunction") == plain["cuModuleGetFunction"])


def test_a_deleted_library_and_one_in_a_container_are_found_and_let_go(built, image, tmp_path, monkeypatch):
    monkeypatch.setattr(launches_libraries, "_FIRST_WAIT_S", 0.1)
    library, program = built
    copy = Path(shutil.copy(library, tmp_path / "libcuda.so.560.35.03"))
    inner = tmp_path / "container"
    inner.mkdir()
    shell = f"mount -t tmpfs none {inner} && cp {library} {inner}/libcuda.so.1 && exec {program} {inner}/libcuda.so.1"
    prefix = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", shell)
    with Watch(library, standing=False) as watch:
        with stand_in.Caller(program, copy) as gone, stand_in.Caller(program, library, prefix=prefix) as hidden:
            copy.unlink()
            assert hidden.pid < gone.pid  # it lives in PIDs of its own
            assert not (inner / "libcuda.so.1").exists()
            watch.until(lambda: watch.source.counts["libraries"] == 2)
            for caller, name in ((gone, b"of_deleted"), (hidden, b"of_container")):
                caller.ask(f"load {image}")
                caller.find(name)

            def act():
                gone.ask("launch cuLaunchKernel 0 1 1 1 32 1 1 5 2000")
                hidden.ask("launch cuLaunchKernel 0 1 1 1 32 1 1 6 2000")

            seen = {k.name: k.launches for p in watch.during(act).values() for k in p.kernels}
            assert seen == {"of_deleted": 5, "of_container": 6}
        watch.until(lambda: watch.source.counts["libraries"] == watch.source.counts["processes"] == 0)
        watch.until(lambda: watch.source.counts["names"] == 0)


def test_a_library_that_is_probed_twice_counts_once(built, image, tmp_path):
    library, program = built
    with Watch(library) as watch, stand_in.Caller(program, library) as caller:
        libraries = watch.source._tracer.libraries
        (known,) = libraries.libraries.values()
        twin = launches_libraries.Library(libraries._probes(99), os.dup(known.file), known.offsets, standing=True)
        twin.always, _ = twin.uprobes.attach(twin.path, twin.offsets, ALWAYS)
        libraries.libraries["ff:ff:1"] = twin
        watch.owners[caller.pid] = Owner("slurm:7", ("GPU-a",))
        watch.during(lambda: None)

        def act():
            caller.ask(f"load {image}")
            caller.find(b"once")
            caller.ask("launch cuLaunchKernel 0 1 1 1 32 1 1 50 20000")
            caller.ask("graph cuGraphLaunch 1")

        profile = watch.during(act)[caller.pid]
        assert profile.kernels == (KernelLaunches("once", 50, 1600),)
        assert (profile.graph_launches, profile.module_loads) == (1, 1)


def test_a_process_that_calls_too_many_functions_takes_no_room_from_others(built, image):
    library, program = built
    with (
        Watch(library) as watch,
        stand_in.Caller(program, library) as flood,
        stand_in.Caller(program, library) as other,
    ):
        other.ask(f"load {image}")
        other.find(b"quiet")

        def act():
            flood.ask("flood cuLaunchKernel 4200")
            other.ask("launch cuLaunchKernel 0 1 1 1 32 1 1 3 2000")

        found = watch.during(act)
        assert (found[flood.pid].dropped, kernel(found[flood.pid], "").launches) == (104, 4096)
        assert found[flood.pid].launches == 4200
        assert found[other.pid].kernels == (KernelLaunches("quiet", 3, 96),)


def test_forked_children_are_seen_without_names_and_exec_begins_anew(built, image):
    library, program = built
    with Watch(library) as watch, stand_in.Caller(program, library) as caller:
        caller.ask(f"load {image}")
        caller.find(b"before")
        child = caller.ask("fork")
        seen = watch.during(lambda: caller.ask("launch cuLaunchKernel 0 1 1 1 32 1 1 5 2000"))
        assert seen[child].kernels == (KernelLaunches("", 5, 160),)
        assert caller.ask("exec") == child
        caller.ask(f"load {image}")
        caller.find(b"after")
        seen = watch.during(lambda: caller.ask("launch cuLaunchKernel 0 1 1 1 32 1 1 6 2000"))
        assert seen[child].kernels == (KernelLaunches("after", 6, 192),)
        os.kill(child, signal.SIGKILL)


def test_a_storm_of_short_processes_leaves_nothing_behind(built, image):
    library, program = built
    with Watch(library) as watch:
        for i in range(60):
            commands = f"load {image}\nfind 0 {b'short'.hex()}\nlaunch cuLaunchKernel 0 1 1 1 32 1 1 9 2000\n" * 3
            subprocess.run([program, library], input=commands.encode(), stdout=subprocess.DEVNULL, check=True)
            if i % 20 == 0:
                watch.read()
        watch.until(lambda: watch.source.counts["names"] == watch.source.counts["processes"] == 0)
        assert watch.source.counts["lost_loads"] == watch.source.counts["lost_look_ups"] == 0


def test_a_tracer_that_dies_is_opened_again_by_the_runner(built):
    library, _ = built
    made = []

    def make():
        made.append(Watch(library).source)
        return made[-1]

    runner = Runner({"launches": make})
    runner.open()
    try:
        made[0]._tracer._tables.counting = None  # the next burst fails
        end = time.monotonic() + WAIT_S
        while len(made) < 2 and time.monotonic() < end:
            runner.read(0.2)
            time.sleep(0.05)
        assert len(made) == 2
        with pytest.raises(SourceLost, match="not open"):
            made[0].read()
    finally:
        runner.close()


def test_without_privileges_it_says_what_it_needs():
    code = """if True:
        from hashwarden.errors import PrivilegeError
        from hashwarden.serve.sources.launches import make
        from hashwarden.serve.sources.source import Options
        try:
            make(Options()).open()
        except PrivilegeError as error:
            print(error)"""
    command = ["setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", sys.executable]
    done = subprocess.run([*command, "-c", code], capture_output=True, text=True, check=False)
    assert "CAP_BPF" in done.stdout, done.stderr


def test_another_pid_namespace_is_refused(monkeypatch):
    monkeypatch.setattr(Path, "readlink", lambda self: Path("pid:[4026532000]"))
    with pytest.raises(PrivilegeError, match="hostPID"):
        LaunchesSource(Options()).open()
