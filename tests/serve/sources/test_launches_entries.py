"""Processes that have other code where launches are traced: real ones, real eBPF. Needs root."""

from __future__ import annotations

import importlib.util
import os
import platform
import time
from pathlib import Path

import pytest

from hashwarden.serve.jobs.job import Owner
from hashwarden.serve.sources import launches_tracer
from hashwarden.serve.sources.launches_entries import Entry, State, entries, state
from hashwarden.serve.sources.launches_functions import IN_BURSTS
from hashwarden.serve.sources.launches_mappings import mapped_library
from hashwarden.serve.sources.launches_symbols import function_offsets

pytestmark = pytest.mark.bpf


def _helper(name):
    spec = importlib.util.spec_from_file_location(f"{__name__}_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


stand_in, watching = _helper("cuda_stand_in"), _helper("launches_watch")
Watch, kernel, first_byte = watching.Watch, watching.kernel, watching.first_byte


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
    return tmp_path / "image"


def ready(caller, image, name=b"search"):
    caller.ask(f"load {image}")
    return caller.find(name)


@pytest.mark.parametrize("way", ["writable", "restore", "drop", "again"])
def test_a_process_without_its_probe_is_told_and_is_no_process_without_launches(built, image, way):
    library, program = built
    with Watch(library, burst_s=1.0) as watch, stand_in.Caller(program, library) as bad, stand_in.Caller(
        program, library
    ) as good:  # fmt: skip
        watch.owners |= {bad.pid: Owner("slurm:1", ("GPU-a",)), good.pid: Owner("slurm:2", ("GPU-b",))}
        numbers = ready(bad, image), ready(good, image)
        watch.knows(bad.pid, good.pid)
        if way == "writable":
            bad.ask("alter writable cuLaunchKernel")

        def act():
            if way != "writable":
                assert first_byte(bad.pid, library, "cuLaunchKernel") == 0xCC
                assert bad.ask(f"alter {way} cuLaunchKernel") == 0
                assert first_byte(bad.pid, library, "cuLaunchKernel") != 0xCC
            for caller, number in zip((bad, good), numbers, strict=True):
                caller.ask(f"launch cuLaunchKernel {number} 1 1 1 32 1 1 9 2000")

        profiles = watch.during(act)
        assert bad.pid not in profiles
        assert kernel(profiles[good.pid], "search").launches == 9
        assert {key.pid for key in watch.options.board.hidden()} == {bad.pid}
        assert {r.job for r in watch.readings if "launches_per_s" in r.values} == {"slurm:2"}
        assert watch.source.counts["altered_processes"] == 1
        watch.until(lambda: {r.job for r in watch.read()} == {"slurm:2"})  # nor is it said that it loads nothing
    assert watch.options.board.hidden() == frozenset()


def test_a_function_with_a_hook_of_its_own_gets_no_probe_and_goes_on(built, image):
    """With a probe it would crash: the jump would be entered in its middle."""
    library, program = built
    with Watch(library) as watch, stand_in.Caller(program, library) as hooked, stand_in.Caller(
        program, library
    ) as other:  # fmt: skip
        numbers = ready(hooked, image), ready(other, image)
        assert hooked.ask("alter hook cuLaunchKernel") == 0
        watch.knows(hooked.pid, other.pid)
        watch.until(lambda: (watch.read(), {key.pid for key in watch.options.board.hidden()} == {hooked.pid})[1])
        watch.options.board.fresh()
        for _ in range(40):  # of 50 launches in 5 ms, and so through several bursts
            assert hooked.ask(f"launch cuLaunchKernel {numbers[0]} 1 1 1 32 1 1 50 100000") > 0
            time.sleep(0.05)
            watch.read()
        assert first_byte(hooked.pid, library, "cuLaunchKernel") == 0x48
        assert watch.options.board.fresh() == []  # of the other nothing is known either, which is not none
        hooked.process.kill()
        hooked.process.wait()
        watch.forgets(hooked.pid)
        act = lambda: other.ask(f"launch cuLaunchKernel {numbers[1]} 1 1 1 32 1 1 4 2000")  # noqa: E731
        assert kernel(watch.during(act)[other.pid], "search").launches == 4
        assert watch.options.board.hidden() == frozenset()


def test_code_that_was_moved_is_found_again_and_what_was_copied_away_is_not_taken_for_idle(built, image):
    library, program = built
    with Watch(library) as watch, stand_in.Caller(program, library) as one, stand_in.Caller(program, library) as two:
        numbers = ready(one, image), ready(two, image)
        watch.knows(one.pid, two.pid)
        assert one.ask("alter move cuLaunchKernel") == two.ask("alter copy cuLaunchKernel") == 0
        watch.during(lambda: None)

        def act():
            for caller, number in zip((one, two), numbers, strict=True):
                assert caller.ask(f"launch cuLaunchKernel {number} 1 1 1 32 1 1 6 2000") > 0

        profiles = watch.during(act)
        assert kernel(profiles[one.pid], "search").launches == 6
        assert two.pid not in profiles
        assert set(watch.users(one.pid, two.pid)) == {one.pid}
        assert watch.options.board.hidden() == frozenset()


@pytest.mark.parametrize("standing", [True, False], ids=["known before", "found by its processes"])
def test_rare_calls_with_a_hook_get_no_probe_either_and_count_when_it_has_gone(built, image, standing):
    library, program = built
    with stand_in.Caller(program, library) as hooked, stand_in.Caller(program, library) as other:
        assert hooked.ask("alter hook cuModuleGetFunction") == 0
        with Watch(library, standing=standing) as watch:
            watch.until(lambda: (watch.read(), {key.pid for key in watch.options.board.hidden()} == {hooked.pid})[1])
            for caller in (hooked, other):
                caller.ask(f"load {image}")
                assert caller.find(b"search") == 0
            assert first_byte(other.pid, library, "cuModuleGetFunction") != 0xCC
            hooked.process.kill()
            hooked.process.wait()
            watch.knows(other.pid)
            assert first_byte(other.pid, library, "cuModuleGetFunction") == 0xCC
            number = other.find(b"after")
            act = lambda: other.ask(f"launch cuLaunchKernel {number} 1 1 1 32 1 1 4 2000")  # noqa: E731
            assert kernel(watch.during(act)[other.pid], "after").launches == 4


@pytest.fixture
def memory(tmp_path):
    """A process that is a file: 64 bytes, of which two functions are at 16 and at 32."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "mem").write_bytes(bytes(range(64)))
    (tmp_path / "7" / "maps").write_text("00000100-00000200 r-xp 00000000 00:00 0    [uprobes-trampoline]\n")
    (tmp_path / "file").write_bytes(bytes(range(64)))
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    yield tmp_path, entries(fd, {"a": 16, "b": 32, "c": 36}, ["b", "a", "absent"])
    os.close(fd)


def put(proc, at, what):
    with (proc / "7" / "mem").open("r+b") as file:
        file.seek(at)
        file.write(what)


def test_a_function_is_compared_up_to_the_next_one(memory):
    proc, functions = memory
    assert functions == (Entry(16, bytes(range(16, 32))), Entry(32, bytes(range(32, 36))))
    assert state(7, 0, functions, proc) is State.PLAIN
    put(proc, 36, b"other")
    assert state(7, 0, functions, proc) is State.PLAIN
    put(proc, 35, b"\x00")
    assert state(7, 0, functions, proc) is State.ALTERED
    assert state(7, 40, functions, proc) is State.AWAY  # beyond the end
    assert state(8, 0, functions, proc) is State.AWAY
    (proc / "9" / "mem").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        state(9, 0, functions, proc)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the breakpoint of x86-64")
def test_a_breakpoint_or_a_call_into_the_kernels_trampoline_is_a_probe_and_no_other_call_is(memory):
    proc, functions = memory
    put(proc, 16, b"\xcc")
    assert state(7, 0, functions, proc) is State.PLAIN  # one of two
    put(proc, 32, b"\xcc")
    assert state(7, 0, functions, proc) is State.PROBED
    call = lambda target: b"\xe8" + (target - 16 - 5).to_bytes(4, "little", signed=True)  # noqa: E731
    put(proc, 16, call(0x180))
    assert state(7, 0, functions, proc) is State.PROBED
    put(proc, 16, call(0x200))
    assert state(7, 0, functions, proc) is State.ALTERED
    put(proc, 16, call(0x180))
    for forged in ("00:00 0    [anon:[uprobes-trampoline]]", "08:01 77    /tmp/a [uprobes-trampoline]"):
        (proc / "7" / "maps").write_text(f"00000100-00000200 r-xp 00000000 {forged}\n")
        assert state(7, 0, functions, proc) is State.ALTERED
    put(proc, 16, b"\xcc" + bytes(range(17, 31)) + b"\x00")
    assert state(7, 0, functions, proc) is State.ALTERED


def test_a_library_in_memory_is_as_in_its_file(built):
    """GCC's, as loaded by the linker: nothing there is relocated."""
    library, program = built
    with library.open("rb") as file, stand_in.Caller(program, library) as caller:
        offsets = function_offsets(file.fileno(), frozenset(function.name for function in IN_BURSTS))
        functions = entries(file.fileno(), offsets, offsets)
        mapping = mapped_library(caller.pid)
        assert len(functions) == len(offsets) >= 10
        assert state(caller.pid, mapping.base, functions) in {State.PLAIN, State.PROBED}  # another test may look at it
        assert state(caller.pid, mapping.base + 16, functions) is State.ALTERED
