"""Reading targets for real: workers behind walls, results in order, whatever dies or lies on the way."""

import json
import os
import runpy
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import pytest

from hashwarden import errors
from hashwarden.kernels.sass.limits import Limits
from hashwarden.serve.scan import pipeline
from hashwarden.serve.scan.events import Finished, Kernels, Unreadable
from hashwarden.serve.scan.pipeline import Process, read_targets

SEEDS = runpy.run_path(str(Path(__file__).parents[2] / "fuzz" / "seeds.py"))
EVERY = SEEDS["every"]()
CUBIN = EVERY["cubin"]


def read(*targets, jobs=2, limits=None, **more):
    return list(read_targets(targets, limits or Limits(), jobs=jobs, **more))


def kernels(events):
    return [name for event in events if isinstance(event, Kernels) for name in event.table.text["file"]]


def problems(events):
    return [event.error for event in events if isinstance(event, Unreadable)]


@pytest.fixture
def make(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(path)

    return write


def test_events_come_target_by_target_and_end_with_the_numbers(make):
    a, b = make("a.whl", EVERY["zip"]), make("b.cubin", CUBIN)
    events = read(a, b)
    assert [event.target for event in events] == sorted(event.target for event in events)
    finished = [event for event in events if isinstance(event, Finished)]
    assert [event.name for event in finished] == [a, b]
    assert kernels(events) == [f"{a}!lib/k.so#fatbin1", next(n for n in kernels(events) if "cubin@" in n), b]
    stats = finished[0].stats
    assert (stats.files, stats.bytes_read, stats.objects, stats.kernels) == (1, len(EVERY["zip"]), 2, 2)
    assert stats.code_bytes > 0
    assert stats.ptx_beside_code == 1


def test_mixes_equal_those_computed_here(make):
    from hashwarden.kernels.sass import mix
    from hashwarden.kernels.sass.cubin import read_cubin
    from hashwarden.kernels.sass.parquet import to_arrow

    path = make("k.cubin", CUBIN)
    (event,) = (event for event in read(path) if isinstance(event, Kernels))
    assert to_arrow(event.table).equals(to_arrow(mix.analyse([read_cubin(CUBIN, path)])))


def test_the_order_does_not_depend_on_the_number_of_workers(make, wheel):
    package = str(wheel("xformers==0.0.35"))
    many = make("many.tar", SEEDS["tarred"]({f"{i}.cubin": CUBIN for i in range(40)}))
    found = [kernels(read(package, many, jobs=jobs)) for jobs in (1, 2, 3)]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 150


def test_a_wheel_gives_all_its_kernels(wheel):
    events = read(str(wheel("xformers==0.0.35")))
    assert problems(events) == []
    stats = events[-1].stats
    assert stats.kernels == 150
    assert {name.split("!")[1].split("#")[0] for name in kernels(events)} == {"xformers/_C.so"}


def test_rows_of_a_table_keep_their_order_and_say_where_they_are_from(make):
    path = make("mixes.parquet", EVERY["parquet"])
    events = read(path)
    (event,) = (event for event in events if isinstance(event, Kernels))
    assert event.from_table == path
    assert event.table.scalars["arch"].tolist() == [90, 80]
    assert events[-1].stats.table_rows == 2


def test_a_folder_is_read_whole_and_links_are_not_followed(make, tmp_path):
    make("tree/a/k.cubin", CUBIN)
    make("tree/b/notes.txt", b"nothing")
    outside = make("outside.cubin", CUBIN)
    (tmp_path / "tree" / "link").symlink_to(outside)
    events = read(str(tmp_path / "tree"))
    assert kernels(events) == [str(tmp_path / "tree" / "a" / "k.cubin")]
    assert problems(events) == []
    assert events[-1].stats.files == 2


def bad_targets(make, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    return {
        str(tmp_path / "missing"): errors.MissingTargetError,
        make("empty", b""): errors.EmptyTargetError,
        make("cut.zip", EVERY["zip"][:-40]): errors.TruncatedError,
        make("text", b"hello"): errors.NoGpuCodeError,
        str(tmp_path / "fifo"): errors.UnsupportedError,
        "/dev/null": errors.UnsupportedError,
        "a\0b": errors.MissingTargetError,
    }


def test_bad_targets_are_told_and_the_others_go_on(make, tmp_path):
    bad = bad_targets(make, tmp_path)
    good = make("k.cubin", CUBIN)
    events = read(*bad, good)
    told = {event.target: type(event.error) for event in events if isinstance(event, Unreadable)}
    assert told == dict(enumerate(bad.values()))
    assert kernels(events) == [good]
    assert sum(isinstance(event, Finished) for event in events) == len(bad) + 1


def test_a_wrong_number_of_jobs_is_refused():
    with pytest.raises(errors.UsageError):
        read(jobs=0)


@pytest.mark.parametrize(("jobs", "victim"), [(1, "b.cubin"), (2, "c.cubin")])
def test_a_worker_that_dies_costs_one_object(make, monkeypatch, jobs, victim):
    """A cubin that kills whoever decodes it, as a bug in a library below would."""
    deadly = make("deadly.py", textwrap.dedent(f"""
        import os, signal
        from hashwarden.serve.scan import reader
        real = reader.read_cubin
        def read_cubin(data, where):
            if where.endswith({victim!r}):
                os.abort()
            return real(data, where)
        reader.read_cubin = read_cubin
    """).encode())  # fmt: skip
    infect(monkeypatch, deadly)
    package = make("p.zip", SEEDS["zipped"]({f"{name}.cubin": CUBIN for name in "abcde"}))
    events = read(package, make("other.cubin", CUBIN), jobs=jobs)
    assert [name.rpartition("!")[2] for name in kernels(events)[:4]] == [
        f"{name}.cubin" for name in "abcde" if f"{name}.cubin" != victim
    ]
    (error,) = problems(events)
    assert type(error) is errors.WorkerError
    assert error.where.endswith(victim)
    assert "SIGABRT" in error.got
    assert len(kernels(events)) == 5


def test_a_worker_that_dies_while_it_searches_costs_one_member(make, monkeypatch):
    deadly = make("deadly.py", textwrap.dedent("""
        import os
        from hashwarden.kernels.sass import containers
        real = containers.ar_members
        def ar_members(source, budget):
            os.abort()
        containers.ar_members = ar_members
    """).encode())  # fmt: skip
    infect(monkeypatch, deadly)
    package = make("p.zip", SEEDS["zipped"]({"a.cubin": CUBIN, "b.a": EVERY["ar"], "c.cubin": CUBIN}))
    events = read(package, jobs=1)
    assert kernels(events) == [f"{package}!a.cubin", f"{package}!c.cubin"]
    assert [(type(error), error.where) for error in problems(events)] == [(errors.WorkerError, f"{package}!b.a")]


def infect(monkeypatch, script):
    """Have every nursery run a script before it begins."""
    from hashwarden.serve.scan import pool
    from hashwarden.serve.scan.worker import nursery_command

    def command(descriptor):
        given = nursery_command(descriptor)
        given[3] = given[3].replace("from hashwarden", f"import runpy; runpy.run_path({script!r}); from hashwarden", 1)
        return given

    monkeypatch.setattr(pool, "nursery_command", command)


def test_time_that_is_up_ends_one_target_and_keeps_what_came(make, monkeypatch):
    deadly = make("deadly.py", textwrap.dedent("""
        import time
        from hashwarden.serve.scan import reader
        real = reader.read_cubin
        def read_cubin(data, where):
            if where.endswith("slow.cubin"):
                time.sleep(60)
            return real(data, where)
        reader.read_cubin = read_cubin
    """).encode())  # fmt: skip
    infect(monkeypatch, deadly)
    slow = make("p.zip", SEEDS["zipped"]({"note.7z": b"7z\xbc\xaf\x27\x1c" + bytes(50), "slow.cubin": CUBIN}))
    start = time.monotonic()
    events = read(slow, make("k.cubin", CUBIN), jobs=1, limits=Limits(seconds=1.5))
    assert time.monotonic() - start < 30
    assert [type(error) for error in problems(events)] == [errors.UnsupportedError, errors.LimitError]
    assert "--timeout" in problems(events)[1].remedy
    assert len(kernels(events)) == 1


def test_ptx_alone_is_compiled_where_ptxas_is_and_else_told(make, monkeypatch):
    path = make("k.ptx", EVERY["ptx"])
    monkeypatch.setattr(pipeline, "find_ptxas", lambda: None)
    events = read(path)
    assert kernels(events) == []
    assert "not judged: PTX only" in problems(events)[0].got
    assert events[-1].stats.ptx_not_judged == 1


def test_ptx_is_compiled_behind_walls(make, tmp_path, monkeypatch):
    """A stand-in for ptxas that hands over a cubin: the way is the same whichever compiler is there."""
    from hashwarden.kernels.sass.ptx import Ptxas

    make("out.cubin", CUBIN)
    program = tmp_path / "ptxas"
    program.write_text(f"#!/bin/sh\nfor last; do :; done\ncp {tmp_path}/out.cubin ${{last#--output-file=}}\n")
    program.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:-1]):
        folder.chmod(folder.stat().st_mode | 0o055)
    monkeypatch.setattr(pipeline, "find_ptxas", lambda: Ptxas(str(program)))
    path = make("k.ptx", EVERY["ptx"])
    events = read(path)
    assert problems(events) == []
    assert kernels(events) == [path]
    assert events[-1].stats.ptx_compiled == 1


def test_a_damaged_ptx_is_told_with_what_ptxas_said(make, tmp_path, monkeypatch):
    from hashwarden.kernels.sass.ptx import Ptxas

    program = tmp_path / "ptxas"
    program.write_text("#!/bin/sh\necho 'ptxas fatal: \x1b[2J no' >&2\nexit 3\n")
    program.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:-1]):
        folder.chmod(folder.stat().st_mode | 0o055)
    monkeypatch.setattr(pipeline, "find_ptxas", lambda: Ptxas(str(program)))
    (error,) = problems(read(make("k.ptx", EVERY["ptx"])))
    assert "ptxas fatal: [2J no" in error.got


HOLDER = textwrap.dedent("""
    import mmap, os, sys
    held = []
    if sys.argv[1]:
        file = open(sys.argv[1], "rb")
        held.append(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE))
        if sys.argv[3] == "deleted":
            os.unlink(sys.argv[1])
    if sys.argv[2]:
        data = bytes.fromhex(sys.stdin.readline())
        area = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        area[12345:12345 + len(data)] = data
        del data
    print("ready", flush=True)
    sys.stdin.read()
""")


@pytest.fixture
def holder():
    """Start a process that maps a file, and holds bytes in anonymous memory only."""
    running = []

    def start(path="", data=b"", mode=""):
        process = subprocess.Popen([sys.executable, "-c", HOLDER, path, "x" if data else "", mode],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
        running.append(process)
        if data:
            process.stdin.write(data.hex() + "\n")
            process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.mark.parametrize("mode", ["", "deleted"])
def test_a_process_that_maps_a_real_cuda_library(wheel, tmp_path, holder, mode):
    if mode and os.geteuid() != 0:
        pytest.skip("only root can open a mapped file that is deleted")
    with zipfile.ZipFile(wheel("xformers==0.0.35")) as archive:
        library = Path(archive.extract("xformers/_C.so", tmp_path))
    process = holder(str(library), mode=mode)
    events = read(Process(process.pid))
    of_library = [name for name in kernels(events) if "/xformers/_C.so#" in name]
    assert len(of_library) == 150
    assert events[-1].name == f"pid {process.pid}"
    assert process.poll() is None


@pytest.mark.parametrize("wrap", ["cubin", "fatbin_lz4"])
def test_a_process_that_holds_code_in_anonymous_memory_only(holder, wrap):
    process = holder(data=EVERY[wrap])
    events = read(Process(process.pid))
    in_memory = [name for name in kernels(events) if "![memory 0x" in name]
    assert in_memory
    assert all(name.startswith(f"pid {process.pid}!") for name in in_memory)
    assert events[-1].stats.files > 3


def test_a_process_that_is_not_there_or_goes_away(holder, monkeypatch):
    (error,) = problems(read(Process(2**22 + 5)))
    assert type(error) is errors.MissingTargetError
    process = holder(data=CUBIN)
    reading = read_targets([Process(process.pid)], Limits(), jobs=1)
    told = []
    for event in reading:
        if isinstance(event, Unreadable):
            told.append(type(event.error))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert errors.ProcessGoneError in told


def test_nothing_is_left_behind(make):
    def children():
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()

    before = children(), len(list(Path("/proc/self/fd").iterdir()))
    read(make("a.zip", EVERY["zip"]))
    early = read_targets([make("b.zip", EVERY["zip"])], jobs=2)
    next(early)
    early.close()
    assert (children(), len(list(Path("/proc/self/fd").iterdir()))) == before


def test_progress_names_what_is_read(wheel):
    seen = []
    read(str(wheel("xformers==0.0.35")), progress=seen.append)
    assert seen
    assert seen[-1].target == 0
    assert seen[-1].bytes_read > 0


READING = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from hashwarden.kernels.sass.limits import Limits
from hashwarden.serve.scan.events import Kernels
from hashwarden.serve.scan.pipeline import read_targets
events = list(read_targets([sys.argv[2]], Limits(), jobs=2))
print(sum(len(event.table) for event in events if isinstance(event, Kernels)))
"""
"""A process of its own: that of the tests holds torch and the kernels of many packages."""


def test_two_gigabytes_stay_under_600_megabytes(tmp_path):
    """A sparse library of 2 GB with code at its start and end; the sum over all processes, shared pages once."""
    memory = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "processes.py"))
    path = tmp_path / "big.so"
    with path.open("wb") as file:
        file.write(SEEDS["host_elf"]((".nv_fatbin", SEEDS["fatbin"]((2, CUBIN, "lz4")))))
        file.truncate(2 << 30)
        file.seek(0, os.SEEK_END)
        file.write(CUBIN)
    command = [sys.executable, "-c", READING, json.dumps(sys.path), str(path)]
    reading = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with memory["peak_memory"](reading.pid) as peak:
        told, _ = reading.communicate()
    assert told.split() == ["2"]
    assert peak.samples > 5
    assert peak.pss < 600 << 20
