"""The parts of the source ``launches`` that read what others wrote, or count: without eBPF, on hostile input too."""

from __future__ import annotations

import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.errors import UnsupportedError
from hashwarden.model.channels import CHANNELS
from hashwarden.serve.jobs.job import Owner, ProcessKey
from hashwarden.serve.sources import launches_build, launches_programs
from hashwarden.serve.sources.launches_channels import Novelty, channels, load_rates
from hashwarden.serve.sources.launches_events import LONGEST_NAME, Event, parse
from hashwarden.serve.sources.launches_libraries import MOST_LIBRARIES, MOST_READS, Libraries
from hashwarden.serve.sources.launches_mappings import MOST_BYTES, Mapping, mapped_library
from hashwarden.serve.sources.launches_names import Names
from hashwarden.serve.sources.launches_processes import Processes, life, started
from hashwarden.serve.sources.launches_symbols import function_offsets
from hashwarden.serve.sources.launches_uprobes import Uprobes
from hashwarden.serve.sources.launches_window import Handle, Window, windows

ONE, TWO = ProcessKey(11, 100), ProcessKey(12, 100)
LIBC = next(Path("/").glob("lib/*-linux-gnu/libc.so.6"))
LINE = "7f0000001000-7f0000002000 r-xp 00001000 08:01 77    {}\n"


def test_the_programs_were_made_of_the_source_beside_them():
    assert launches_build.digest() == launches_programs.SOURCE_SHA256, "run launches_build"
    assert set(launches_programs.PACKED) == {"x86_64", "aarch64"}


# Records of the ring


def record(kind=1, pid=5, handle=9, other=0, name=b"abc\0"):
    return struct.pack("<IIQQQII", kind, pid, 1000, handle, other, len(name), 0) + name


def test_records_say_names_and_aliases():
    assert parse(record()) == Event(5, 1000, 9, b"abc")
    assert parse(record(kind=2, other=4, name=b"")) == Event(5, 1000, 9, None, 4)
    assert parse(record(name=b"")) is None
    assert parse(record(kind=3)) is None
    assert parse(record(name=b"x" * 4096)).name == b"x" * LONGEST_NAME


@given(st.binary(max_size=200))
def test_any_record_is_read_or_passed_over(data):
    event = parse(data)
    assert event is None or event.name is None or 0 < len(event.name) <= LONGEST_NAME


# Files


def offsets_of(path, *names):
    with path.open("rb") as file:
        return function_offsets(file.fileno(), frozenset(names))


def test_offsets_of_a_real_library_are_where_the_code_is():
    found = offsets_of(LIBC, "getpid", "no_such_function")
    assert set(found) == {"getpid"}
    code = LIBC.read_bytes()[found["getpid"] :][:16]
    assert b"\x0f\x05" in code or os.uname().machine != "x86_64"  # it is one system call


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_library_gives_nothing_or_places_in_the_file(data):
    body = bytearray(LIBC.read_bytes()[:200_000])
    sections_at = struct.unpack_from("<Q", LIBC.read_bytes(), 40)[0]
    for _ in range(data.draw(st.integers(1, 20))):
        body[data.draw(st.integers(0, 2000))] = data.draw(st.integers(0, 255))
    with tempfile.NamedTemporaryFile() as file:
        file.write(body[: data.draw(st.integers(0, len(body)))])
        if data.draw(st.booleans()):
            file.seek(sections_at)
            file.write(LIBC.read_bytes()[sections_at:])
        file.flush()
        for place in function_offsets(file.fileno(), frozenset(["getpid", "read"])).values():
            assert 0 <= place < os.fstat(file.fileno()).st_size


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 60, b"text" * 100])
def test_what_is_no_library_has_no_functions(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    assert offsets_of(tmp_path / "f", "getpid") == {}


# Mappings


def fake(proc, pid, maps, began=100):
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    (folder / "maps").write_bytes(maps if isinstance(maps, bytes) else maps.encode())
    (folder / "stat").write_bytes(b"%d (a) b) c) S " % pid + b" ".join(b"0" for _ in range(18)) + b" %d 0\n" % began)
    return folder


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/usr/lib/libcuda.so.1", True),
        ("/a b/libcuda.so.560.35.03", True),
        ("/x/libcuda.so", True),
        ("/x/libcuda.so.1 (deleted)", True),
        ("/x/libcudart.so.12", False),
        ("/x/libcuda.so.1/other", False),
        ("/x/libcuda.so.1.txt", False),
        ("[heap]", False),
    ],
)
def test_which_mappings_are_libcuda(tmp_path, path, found):
    fake(tmp_path, 7, LINE.format("/bin/true") + LINE.format(path))
    expected = (
        Mapping("08:01:77", str(tmp_path / "7/map_files/7f0000001000-7f0000002000"), 0x7F0000000000) if found else None
    )
    assert mapped_library(7, tmp_path) == expected
    fake(tmp_path, 7, LINE.format(path).replace("r-xp", "r--p"))
    assert mapped_library(7, tmp_path) is None


def test_mappings_without_end_are_read_up_to_a_limit(tmp_path):
    filler = LINE.format("/bin/true") * 2000
    fake(tmp_path, 7, filler + LINE.format("/x/libcuda.so.1"))
    assert mapped_library(7, tmp_path) is not None  # also across the pieces in which it is read
    fake(tmp_path, 7, b"x" * (MOST_BYTES + 10) + b"\n" + LINE.format("/x/libcuda.so.1").encode())
    assert mapped_library(7, tmp_path) is None


@given(st.binary(max_size=400))
def test_any_mappings_are_read_without_failure(data):
    with tempfile.TemporaryDirectory() as folder:
        fake(Path(folder), 7, data + b"/libcuda.so.1\n")
        mapped_library(7, Path(folder))


# Processes


def test_a_pid_means_who_had_it_at_that_time(tmp_path):
    processes = Processes(tmp_path)
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    fake(tmp_path, 7, "", began=100)
    assert processes.at(7, 99 * tick) is None  # before it began: of one that nobody knew
    assert processes.at(7, 150 * tick) == ProcessKey(7, 100)
    fake(tmp_path, 7, "", began=200)
    assert processes.at(7, 150 * tick) == ProcessKey(7, 100)  # of the one before
    assert not processes.alive(ProcessKey(7, 100))
    assert processes.at(7, 201 * tick) == ProcessKey(7, 200)
    assert processes.at(7, 150 * tick) == ProcessKey(7, 100)  # in any order
    assert processes.alive(ProcessKey(7, 200))
    assert processes.at(8, 10 * tick) is None


@pytest.mark.parametrize("stat", [b"", b"7", b"7 (x) S 1", b"7 (x) S " + b"z " * 30, b"\xff" * 50])
def test_a_stat_that_says_nothing(tmp_path, stat):
    fake(tmp_path, 7, "")
    (tmp_path / "7/stat").write_bytes(stat)
    assert started(7, tmp_path) is None


# Libraries


class NoProbes:
    """Takes note of what is attached; gives real descriptors, as the kernel does."""

    def __init__(self, number):
        self.number = number

    def attach(self, path, offsets, functions):
        assert Path(path).exists()
        return [os.open(os.devnull, os.O_RDONLY)], frozenset()

    def close(self):
        pass


@pytest.fixture
def machine(tmp_path):
    proc = tmp_path / "proc"
    proc.mkdir()

    def run(pid, inode):
        folder = fake(proc, pid, LINE.replace("77", str(inode)).format("/x/libcuda.so.1"), began=pid)
        (folder / "map_files").mkdir()
        (folder / "map_files/7f0000001000-7f0000002000").symlink_to(LIBC)

    return proc, run


def test_libraries_come_and_go_with_their_processes_up_to_a_limit(machine):
    proc, run = machine
    libraries = Libraries(NoProbes, lambda pid: False, proc, ())
    for i in range(MOST_LIBRARIES + 2):
        run(i + 1, inode=i)
    run(100, inode=0)
    libraries.look(0.0)
    assert (len(libraries.libraries), libraries.refused) == (MOST_LIBRARIES, 2)
    assert len(libraries.users) == MOST_LIBRARIES + 3
    shutil.rmtree(proc / "1")
    assert libraries.look(2.0) == {ProcessKey(1, 1)}
    assert len(libraries.libraries) == MOST_LIBRARIES  # another process has it still
    libraries.attach_burst()  # by way of the open file: the process by which it was found is gone
    assert len(libraries.detach_burst()) == MOST_LIBRARIES
    shutil.rmtree(proc / "100")
    libraries.look(4.0)
    assert len(libraries.libraries) == MOST_LIBRARIES - 1
    libraries.close()
    assert libraries.libraries == {}


def test_a_user_whose_pid_comes_again_is_another(machine):
    proc, run = machine
    libraries = Libraries(NoProbes, lambda pid: False, proc, ())
    run(5, inode=3)
    libraries.look(0.0)
    fake(proc, 5, LINE.format("/bin/true"), began=900)
    libraries.see(5, 1.0)
    assert libraries.users == {}
    fake(proc, 5, LINE.format("/x/libcuda.so.1"), began=901)
    libraries.see(5, 2.0)
    assert set(libraries.users) == {ProcessKey(5, 901)}
    libraries.close()


def test_processes_without_libcuda_are_read_seldom_and_a_storm_costs_no_more(machine, monkeypatch):
    proc, _ = machine
    read = []
    monkeypatch.setattr("hashwarden.serve.sources.launches_libraries.mapped_library", lambda pid, _: read.append(pid))
    watched = set()
    libraries = Libraries(NoProbes, watched.__contains__, proc, ())
    for pid in range(1, 4):
        fake(proc, pid, "")
    watched.add(2)
    for second in range(200):
        libraries.look(float(second))
    assert 5 <= read.count(1) <= 10
    assert 19 <= read.count(2) <= 30
    read.clear()
    for pid in range(1000, 1500):
        fake(proc, pid, "")
    libraries.look(200.5)
    assert len(read) == MOST_READS


def test_mappings_are_read_again_only_after_a_page_fault(machine, monkeypatch):
    proc, _ = machine
    read = []
    monkeypatch.setattr("hashwarden.serve.sources.launches_libraries.mapped_library", lambda pid, _: read.append(pid))
    libraries = Libraries(NoProbes, lambda _: True, proc, ())
    fake(proc, 5, "")
    for minor, major, began, times in ((7, 0, 100, 1), (7, 0, 100, 1), (8, 0, 100, 2), (8, 1, 100, 3), (8, 1, 200, 4)):
        fields = [*(b"0",) * 6, b"%d" % minor, b"9", b"%d" % major, *(b"0",) * 9, b"%d" % began]
        (proc / "5/stat").write_bytes(b"5 (a) b) c) S " + b" ".join(fields) + b" 0\n")
        libraries.see(5, 0.0)
        assert len(read) == times
    for _ in range(60):  # another process may have had the fault, in memory that both share
        libraries.see(5, 0.0)
    assert len(read) == 4 + 10


def test_a_real_process_faults_before_code_of_a_new_library_runs(tmp_path):
    code = "import ctypes, sys; input(); ctypes.CDLL(sys.argv[1]); print(1, flush=True); input()"
    command = [sys.executable, "-c", code, shutil.copy(LIBC, tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        before = life(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        after = life(process.pid)
        process.kill()
    assert after.started == before.started
    assert after.faults > before.faults > 0


def test_a_kernel_without_uprobes_is_said(tmp_path):
    with pytest.raises(UnsupportedError, match="no uprobes"):
        Uprobes({}, 1, folder=tmp_path)


# Windows and channels

LAUNCH = [
    ("pid", "u4"),
    ("handle", "u8"),
    *[(n, "u8") for n in ("count", "threads", "first", "last", "gaps", "squares")],
]
BURST = [("pid", "u4"), *[(n, "u8") for n in ("graphs", "dropped", "first")]]


def test_rows_become_windows_and_who_is_gone_is_counted():
    names = Names()
    names.put(ONE, 1, "a", 50)
    rows = np.array(
        [(11, 1, 5, 160, 9, 90, 400, 40_000), (11, 2, 7, 70, 9, 9, 0, 0), (99, 1, 3, 3, 9, 9, 0, 0)], LAUNCH
    )
    bursts = np.array([(12, 4, 0, 9), (11, 0, 2, 9)], BURST)
    who = {11: ONE, 12: TWO}
    idle = ProcessKey(13, 1)
    found, gone = windows(
        rows, bursts, lambda pid, _: who.get(pid), names, [ONE, idle],
        start_s=3.0, seconds=0.5, loads={TWO: 2}, loaded_ns={TWO: 41},
    )  # fmt: skip
    one, nothing, two = found
    assert gone == 3
    assert (one.launches, one.dropped, [h.name for h in one.handles]) == (14, 2, ["", "a"])
    assert one.handles[1].variation == pytest.approx(0)  # gaps of 100, 100, 100, 100
    assert math.isnan(one.handles[0].variation)
    assert (nothing.process, nothing.launches, two.graphs, two.loads) == (idle, 0, 4, 2)
    assert (two.loaded_ns, one.loaded_ns, one.handles[1].last_ns, one.handles[1].looked_up_ns) == (41, 0, 90, 50)
    profile = one.profile()
    assert [(k.name, k.launches, k.threads) for k in profile.kernels] == [("", 7, 70), ("a", 5, 160)]
    assert (profile.launches, profile.start_s, profile.seconds) == (14, 3.0, 0.5)


def handle(number, name, launches, threads=0, variation=0.5, found=0, last=100):
    return Handle(number, name, launches, threads, variation, found, last)


def window(process, *handles, graphs=0, dropped=0, loads=0, loaded=0, seconds=1.0):
    return Window(process, 0.0, seconds, handles, graphs, dropped, loads, loaded)


def test_channels_of_several_processes():
    first = window(ONE, handle(1, "a", 60, 600), handle(2, "", 20, 20, 2.0), graphs=3, seconds=2.0)
    second = window(TWO, handle(1, "a", 40, 400, 0.1), handle(2, "", 20, 20), dropped=20, seconds=2.0)
    said = channels([(first, [True, False], 1.0), (second, [False, True], 0.5)])
    assert said == pytest.approx({
        "launches_per_s": (80 + 40) / 2, "graph_launches_per_s": 1.5, "distinct_kernels": 3,
        "top_kernel_ratio": 80 / 110, "new_kernel_ratio": 70 / 110, "threads_per_launch": 830 / 110,
        "launch_interval_variation": 0.5,
    })  # fmt: skip
    names = {channel.name for channel in CHANNELS if channel.group == "launch"}
    assert set(said) | {"module_loads_per_s"} == names


def test_nothing_launched_is_0_and_says_no_more():
    said = channels([(window(ONE), [], 1.0)])
    assert said == {"launches_per_s": 0, "graph_launches_per_s": 0, "distinct_kernels": 0}
    assert "distinct_kernels" not in channels([(window(ONE, dropped=5), [], 1.0)])  # not 0, but unknown


def test_a_kernel_is_new_once_in_a_job_unless_its_code_is():
    novelty = Novelty(jobs=2)
    assert novelty.new("a", [window(ONE, handle(1, "x", 1)), window(TWO, handle(1, "x", 1))]) == [[True], [True]]
    assert novelty.new("a", [window(ONE, handle(9, "x", 1)), window(TWO, handle(2, "y", 1))]) == [[False], [True]]
    assert novelty.new("b", [window(ONE, handle(1, "x", 1))]) == [[True]]
    again = handle(2, "x", 1, found=111, last=120)  # looked up after the last launch of that name
    assert novelty.new("b", [window(ONE, again)]) == [[False]]  # in the code that was there
    novelty = Novelty(jobs=2)
    novelty.new("a", [window(ONE, handle(1, "x", 1))])
    novelty.new("b", [window(ONE, handle(1, "x", 1))])
    early = handle(2, "x", 1, found=99, last=130)
    assert novelty.new("b", [window(ONE, handle(1, "x", 1), loaded=105)]) == [[False]]  # loaded, but not looked up
    both = window(ONE, handle(1, "x", 1, last=118), handle(2, "x", 1, found=111, last=120), loaded=110)
    assert novelty.new("b", [both]) == [[False, True]]
    assert novelty.new("b", [both]) == [[False, False]]
    assert novelty.new("b", [window(ONE, early, loaded=125)]) == [[False]]
    assert novelty.new("b", [window(TWO, handle(2, "x", 1, found=150), loaded=140)]) == [[False]]  # of another process
    assert novelty.new("b", [window(ONE, handle(5, "", 1)), window(TWO, handle(5, "", 1))]) == [[True], [True]]
    assert novelty.new("b", [window(ONE, handle(5, "", 1))]) == [[False]]
    assert novelty._total == sum(map(len, novelty._jobs.values())) > 0
    novelty.new("c", [])
    assert novelty.new("a", [window(ONE, handle(1, "x", 1))]) == [[True]]  # forgotten: two jobs came since


def test_loads_are_shared_between_the_devices_of_a_process():
    owners = {ONE: Owner("j", ("A", "B")), TWO: Owner("j", ("A",))}
    assert load_rates({ONE: 4, TWO: 1}, owners, 2.0) == {("j", "A"): 1.5, ("j", "B"): 1.0}
    assert load_rates({}, owners, 1.0) == {("j", "A"): 0, ("j", "B"): 0}
