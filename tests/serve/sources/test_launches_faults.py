"""What the source ``launches`` survives: real processes, real eBPF. Needs root."""

from __future__ import annotations

import importlib.util
import os
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
from hashwarden.serve.sources import launches_libraries, launches_tracer
from hashwarden.serve.sources.launches import LaunchesSource
from hashwarden.serve.sources.launches_functions import ALWAYS
from hashwarden.serve.sources.launches_processes import started
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import Options, SourceLost

pytestmark = pytest.mark.bpf


def _helper(name):
    spec = importlib.util.spec_from_file_location(f"{__name__}_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


stand_in, watching = _helper("cuda_stand_in"), _helper("launches_watch")
Watch, kernel, first_byte = watching.Watch, watching.kernel, watching.first_byte
BURST_S, WAIT_S = watching.BURST_S, watching.WAIT_S


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
        watch.until(lambda: {name: bytes_(name) for name in plain} == plain)  # the kernel takes its time
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


def descendant(pid):
    """The last of a line of only children."""
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        (pid,) = map(int, children)
    return pid


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
            pids = gone.pid, descendant(hidden.process.pid)
            watch.knows(*pids)
            inodes = set(watch.users(*pids).values())
            assert len(inodes) == 2
            for caller, name in ((gone, b"of_deleted"), (hidden, b"of_container")):
                caller.ask(f"load {image}")
                caller.find(name)

            def act():
                gone.ask("launch cuLaunchKernel 0 1 1 1 32 1 1 5 2000")
                hidden.ask("launch cuLaunchKernel 0 1 1 1 32 1 1 6 2000")

            found = watch.during(act)
            seen = {k.name: k.launches for pid in pids for k in found[pid].kernels}
            assert seen == {"of_deleted": 5, "of_container": 6}
        watch.forgets(*pids)
        watch.until(lambda: not inodes & set(watch.source._tracer.libraries.libraries))


def test_a_library_that_is_probed_twice_counts_once(built, image, tmp_path):
    library, program = built
    with Watch(library, burst_s=2.0) as watch, stand_in.Caller(program, library) as caller:
        libraries = watch.source._tracer.libraries
        watch.knows(caller.pid)
        known = libraries.libraries[watch.users(caller.pid)[caller.pid]]
        twin = launches_libraries.Library(libraries._probes(99), os.dup(known.file), known.offsets, standing=True)
        twin.always, _ = twin.uprobes.attach(twin.path, twin.offsets, ALWAYS)
        libraries.libraries = {**libraries.libraries, "ff:ff:1": twin}
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
    commands = f"load {image}\nfind 0 {b'short'.hex()}\nlaunch cuLaunchKernel 0 1 1 1 32 1 1 9 2000\n" * 3
    pids = set()
    with Watch(library) as watch:
        for i in range(60):
            with subprocess.Popen([program, library], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
                process.communicate(commands.encode())
            assert process.returncode == 0
            pids.add(process.pid)
            if i % 20 == 0:
                watch.read()
        watch.forgets(*pids)
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
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable]
    done = subprocess.run([*command, "-c", code], capture_output=True, text=True, check=False)
    assert "CAP_BPF" in done.stdout, done.stderr


def test_another_pid_namespace_is_refused(monkeypatch):
    monkeypatch.setattr(Path, "readlink", lambda self: Path("pid:[4026532000]"))
    with pytest.raises(PrivilegeError, match="hostPID"):
        LaunchesSource(Options()).open()


def test_a_process_that_gets_the_pid_of_one_that_ended_is_another(built, image):
    library, program = built
    last = Path("/proc/sys/kernel/ns_last_pid")
    with Watch(library, burst_s=4.0) as watch:
        watch.until(lambda: not watch.counting())
        watch.until(watch.counting)
        with stand_in.Caller(program, library) as first:
            first.ask(f"load {image}")
            first.find(b"first")
            first.ask("launch cuLaunchKernel 0 1 1 1 32 1 1 5 2000")
            watch.until(lambda: watch.names(first.pid) == 1)
            keys = [ProcessKey(first.pid, started(first.pid))]
        time.sleep(0.05)  # the kernel tells starts in hundredths of a second
        for _ in range(100):  # others start processes too
            last.write_text(str(first.pid - 1))
            with stand_in.Caller(program, library) as second:
                if second.pid == first.pid:
                    second.ask("launch cuLaunchKernel 0 1 1 1 32 1 1 0 0")
                    keys.append(ProcessKey(second.pid, started(second.pid)))
                    handle = second.ask("handle 77")
                    second.ask(f"launch cuLaunchKernel {handle} 1 1 1 32 1 1 7 2000")
                    assert watch.counting(), "the window was too short for this machine"
                    watch.until(lambda: not watch.counting())
                    watch.until(lambda: watch.read() or watch.options.board._fresh)
                    break
        found = {p.process: p.kernels for p in watch.options.board.fresh() if p.process in keys}
        assert found == {keys[0]: (KernelLaunches("first", 5, 160),), keys[1]: (KernelLaunches("", 7, 224),)}


def test_a_tracer_that_is_held_up_is_given_up(built):
    library, _ = built
    with Watch(library) as watch:
        watch.until(lambda: watch.source.counts["libraries"])
        watch.source._clock = lambda: time.monotonic() + 100
        with pytest.raises(SourceLost, match="stuck"):
            watch.source.read()
