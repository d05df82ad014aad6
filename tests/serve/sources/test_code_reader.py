"""Processes read for real: what they hold in files and memory is found, and no process can do harm by what it holds."""

import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hashwarden.kernels.sass.cubin import read_cubin
from hashwarden.kernels.sass.mix import analyse
from hashwarden.kernels.workloads import catalogue, compiler
from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.scorer import KernelScorer
from hashwarden.serve.sources import code_files, code_reader
from hashwarden.serve.sources.code_index import VALUES, name_key
from hashwarden.serve.sources.code_reader import CodeReader, rows_of
from hashwarden.serve.sources.code_store import CodeStore

SEEDS = runpy.run_path(str(Path(__file__).parents[2] / "fuzz" / "seeds.py"))
HOLDER = Path(__file__).with_name("code_holder.py")


def workload(name):
    found = catalogue.find(name)
    return compiler.compile_cubin(found, found.all_variants()[0], "sm_90")


def cubin(name):
    return SEEDS["compiled"]("cubin", "sm_90", name)


def key_of(pid):
    started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return ProcessKey(pid, started)


class Crowd:
    """Processes that hold what they are told."""

    def __init__(self, folder):
        self.folder, self.processes = folder, {}

    def file(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def start(self, name, *words):
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(HOLDER), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"ready\n"
        self.processes[name] = process
        return key_of(process.pid)

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    made = Crowd(tmp_path_factory.mktemp("crowd"))
    yield made
    made.close()


def read(folder, *keys, seconds=60.0):
    store = CodeStore(folder / "store", "model")
    used = time.process_time() if seconds else 0.0  # a reader counts what its process took; this one has done more
    reader = CodeReader(store, used + seconds)
    answer = reader.read(keys)
    return {told.process: told for told in answer.told}, answer.counts, store


def kernels(store, told, *names):
    """Probabilities of mining by name, of those that were found."""
    found = {}
    for index in filter(None, map(store.open, told.keys)):
        for name, rows in zip(names, index.find(map(name_key, names)), strict=True):
            for row in rows:
                found.setdefault(name, []).append(float(row["values"][VALUES.index("mining")]))
    return found


def forged_table():
    """A table of kernels that says what a miner would like to be believed."""
    return SEEDS["every"]()["parquet"]


@pytest.fixture(scope="module")
def first(crowd, tmp_path_factory):
    """One reading of many processes, hostile ones among them."""
    miner, plain = crowd.file("miner", workload("progpow")), crowd.file("plain", workload("ml_layers"))
    words = {
        "files": [f"mapped={miner}", f"mapped={plain}"],
        "heap": [f"heap={miner}"],
        "deleted": [f"deleted={crowd.file('gone', cubin('was_deleted'))}"],
        "memfd": [f"memfd={crowd.file('m', cubin('in_memfd'))}"],
        "many": ["many=", "huge=", f"heap={crowd.file('needle', cubin('needle'))}"],
        "churn": [f"churn={crowd.file('c', cubin('stays'))}"],
        "bombs": [f"mapped={crowd.file('bomb.zip', SEEDS['zipped']({'b.cubin': bytes(300 << 20)}))}",
                  f"mapped={crowd.file('cut', workload('progpow')[:-5000])}",
                  f"mapped={crowd.file('mixes.parquet', forged_table())}",
                  f"mapped={crowd.file('survivor', cubin('survivor'))}"],
    }  # fmt: skip
    keys = {name: crowd.start(name, *each) for name, each in words.items()}
    keys["reused"] = ProcessKey(keys["files"].pid, keys["files"].started - 1)
    keys["none"] = ProcessKey(2**22 - 3, 1)
    keys["thread"] = key_of(2) if Path("/proc/2/stat").exists() else keys["none"]
    folder = tmp_path_factory.mktemp("first")
    told, counts, store = read(folder, *dict.fromkeys(keys.values()))
    crowd.processes["churn"].kill()  # it keeps a core busy
    return {name: told[key] for name, key in keys.items()}, counts, store, folder, keys


def test_code_in_files_and_in_memory_is_found_and_judged(first):
    told, counts, store, *_ = first
    for name in ("files", "heap"):
        assert told[name].state == "read"
        assert min(kernels(store, told[name], "progpow_search")["progpow_search"]) > 0.9
    assert max(kernels(store, told["files"], "softmax_rows")["softmax_rows"]) < 0.1
    assert not kernels(store, told["heap"], "softmax_rows")
    assert counts["kernels"] >= 15


def test_code_in_files_that_have_no_name_is_found(first):
    told, _, store, *_ = first
    assert kernels(store, told["deleted"], "was_deleted")
    assert kernels(store, told["memfd"], "in_memfd")


def test_thousands_of_mappings_and_terabytes_of_nothing_hide_nothing(first):
    told, counts, store, *_ = first
    assert counts["memory_left_out"] >= 1
    assert told["many"].state == "read"
    assert kernels(store, told["many"], "needle")


def test_memory_that_changes_while_it_is_read_costs_only_itself(first):
    told, _, store, *_ = first
    assert told["churn"].state == "read"
    assert kernels(store, told["churn"], "stays")


def test_bombs_and_damaged_files_cost_only_themselves(first):
    told, counts, store, *_ = first
    assert kernels(store, told["bombs"], "survivor")
    assert sum(count for name, count in counts.items() if name.startswith("problems_")) > 0


def test_a_table_of_kernels_is_nobodys_code(first):
    told, _, store, *_ = first
    assert not kernels(store, told["bombs"], "rounds")


def test_what_is_no_process_or_another_one_is_gone(first):
    told, *_ = first
    assert {told[name].state for name in ("reused", "none")} == {"gone"}
    assert told["reused"].keys == ()


def test_what_is_said_is_what_the_scorer_says(first):
    told, _, store, *_ = first
    table = analyse([read_cubin(workload("progpow"), "x")])
    expected = rows_of(table, KernelScorer())
    rows = [index.find([name_key("progpow_search")])[0] for index in map(store.open, told["files"].keys)]
    (found,) = [each for each in rows if len(each)]
    assert found["values"] == pytest.approx(expected["values"], rel=1e-5)
    assert f"{int(found['code'][0]):016x}" == table.text["code_sha1"][0][:16]


def test_the_second_reading_takes_files_from_the_store_and_sees_what_changed(first, crowd):
    """Also in files whose times of change say nothing, and after the text of a module was dropped."""
    told, counts, _, folder, keys = first
    process = crowd.processes["memfd"]
    process.stdin.write(f"change {crowd.file('m2', cubin('new_code'))}\n".encode())
    process.stdin.flush()
    assert process.stdout.readline() == b"changed\n"
    again, more, store = read(folder, keys["files"], keys["memfd"])
    assert more["files_read"] == 1
    assert more["files_known"] > 10
    assert set(told["files"].keys) <= set(again[keys["files"]].keys)
    assert kernels(store, again[keys["memfd"]], "new_code")
    assert counts["files_read"] > more["files_read"]


def test_a_process_that_dies_while_it_is_read_is_told_and_the_others_are_read(crowd, tmp_path, monkeypatch):
    victim = crowd.start("victim", f"heap={crowd.file('v', cubin('victim'))}")
    other = crowd.start("other", f"heap={crowd.file('o', cubin('other'))}")
    real = code_reader.CodeReader._survey

    def survey(reader, process):
        real(reader, process)
        if process.key == victim:
            os.kill(victim.pid, signal.SIGKILL)
            crowd.processes["victim"].wait()

    monkeypatch.setattr(code_reader.CodeReader, "_survey", survey)
    told, counts, store = read(tmp_path, victim, other)
    assert told[victim].state == "gone"
    assert counts["processes_gone"] == 1
    assert kernels(store, told[other], "other")


def test_without_time_nothing_is_begun_and_all_is_put_off(crowd, tmp_path):
    key = crowd.start("waits", f"mapped={crowd.file('w', cubin('waits'))}")
    start = time.process_time()
    told, counts, _ = read(tmp_path, key, seconds=0.0)
    assert told[key].state == "later"
    assert "kernels" not in counts
    assert time.process_time() - start < 2


def test_a_file_that_is_never_read_to_its_end_is_given_up(tmp_path, crowd, monkeypatch):
    key = crowd.start("slow", f"mapped={crowd.file('slow', cubin('slow'))}")
    store = CodeStore(tmp_path / "store", "model")
    with crowd.folder.joinpath("slow").open("rb") as file:
        content = f"{os.getuid()}/sha256:{code_files.hashed(file.fileno(), 1 << 20)}"
    for _ in range(code_reader.TRIES):
        store.begin(content)
    store.save()
    monkeypatch.setattr(code_reader, "memory_ranges", lambda _: [])
    told, counts, _ = read(tmp_path, key)
    assert counts["files_given_up"] == 1
    assert told[key].keys == ()


def test_content_that_changes_between_the_hash_and_the_reading_poisons_nothing(tmp_path, crowd, monkeypatch):
    """Its owner shows one content to be hashed and another to be parsed: the verdict stays with what was parsed."""
    shown, parsed = cubin("shown"), cubin("parsed_")
    path = crowd.file("swap", shown)
    key = crowd.start("swap", f"mapped={path}")
    real = code_reader.CodeReader._read

    def swap(reader, targets):
        path.write_bytes(parsed)
        real(reader, targets)

    monkeypatch.setattr(code_reader.CodeReader, "_read", swap)
    monkeypatch.setattr(code_reader, "memory_ranges", lambda _: [])
    told, _, store = read(tmp_path, key)
    assert kernels(store, told[key], "parsed_", "shown").keys() == {"parsed_"}
    crowd.file("swapped", shown)
    with path.open("rb") as now, crowd.folder.joinpath("swapped").open("rb") as before:
        hashes = [code_files.hashed(file.fileno(), os.fstat(file.fileno()).st_size) for file in (now, before)]
    assert store.known(f"{os.getuid()}/sha256:{hashes[0]}")
    assert store.known(f"{os.getuid()}/sha256:{hashes[1]}") is None


def test_what_was_read_for_one_user_is_not_believed_for_another(tmp_path, crowd, monkeypatch):
    """Whoever gets a worker to lie about a file gets it to lie of himself only."""
    path = crowd.file("shared", cubin("shared"))
    mine = crowd.start("mine", f"mapped={path}")
    theirs = crowd.start("theirs", f"mapped={path}", "hidden=")
    pools = []
    real = code_reader.read_targets

    def counted(targets, *more, **named):
        pools.append(len(targets))
        return real(targets, *more, **named)

    monkeypatch.setattr(code_reader, "read_targets", counted)
    monkeypatch.setattr(code_reader, "memory_ranges", lambda _: [])
    told, _, store = read(tmp_path, mine, theirs)
    assert len(pools) == 2
    assert [len(told[key].keys) for key in (mine, theirs)] == [1, 1]
    assert told[mine].keys != told[theirs].keys
    assert kernels(store, told[mine], "shared").keys() == kernels(store, told[theirs], "shared").keys() == {"shared"}


def test_a_process_of_another_user_is_refused_without_rights(tmp_path):
    found = os.fork()
    if found == 0:
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        (state,) = [one.state for one in _as_nobody().told]
        os._exit(0 if state == "refused" else 1)
    assert os.waitpid(found, 0)[1] == 0


def _as_nobody():
    class NoStore:
        def load(self):
            pass

        save = load

        def process_key(self, _):
            return ""

        def has(self, _):
            return False

    return CodeReader(NoStore(), 1.0).read([key_of(1)])
