"""The source: launches on the board, code in real processes, readings of jobs. The reader is a real process too."""

import runpy
import time
from pathlib import Path

import numpy as np
import pytest

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads import catalogue, compiler
from hashwarden.model.channels import CHANNELS
from hashwarden.serve.jobs.job import Owner, ProcessKey
from hashwarden.serve.launch_board import KernelLaunches, LaunchBoard, LaunchProfile
from hashwarden.serve.sources import code
from hashwarden.serve.sources.code import CodeSource
from hashwarden.serve.sources.code_wire import Answer, Told
from hashwarden.serve.sources.registry import find_source
from hashwarden.serve.sources.source import NoData, Options, vector

READER = runpy.run_path(str(Path(__file__).with_name("test_code_reader.py")))
GROUP = {channel.name for channel in CHANNELS if channel.group == "code"}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Asked:
    """A reader that answers when it is told to, in place of the process."""

    def __init__(self):
        self.questions, self.outcomes, self.ready = [], [], True

    def ask(self, question):
        self.questions.append(question)
        self.ready = False

    def poll(self):
        self.ready |= bool(self.outcomes)
        return self.outcomes.pop() if self.outcomes else None

    def close(self):
        pass


def profile(key, *names, loads=0, start=0.0):
    kernels = tuple(KernelLaunches(name, 100, 100 * 256) for name in names)
    return LaunchProfile(key, start, 1.0, kernels, module_loads=loads)


def readings(source):
    try:
        return list(source.read())
    except NoData:
        return []


def until(source, wanted, seconds=60.0):
    """Read on until a reading is as wanted."""
    end, found = time.monotonic() + seconds, []
    while time.monotonic() < end:
        found = readings(source)
        if any(wanted(reading) for reading in found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing came; counts: {source.counts}")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    made = READER["Crowd"](tmp_path_factory.mktemp("crowd"))
    yield made
    made.close()


def workload(name):
    found = catalogue.find(name)
    return compiler.compile_cubin(found, found.all_variants()[0], "sm_90")


def test_a_miner_beside_a_training_in_one_job(crowd, tmp_path):
    """Two processes of one job on two GPUs, one of which mines; one's code is in a file, the other's in memory."""
    miner = crowd.start("miner", f"heap={crowd.file('m', workload('progpow'))}")
    trainer = crowd.start("trainer", f"mapped={crowd.file('t', workload('ml_layers'))}")
    gpus = {miner.pid: ("GPU-1",), trainer.pid: ("GPU-0", "GPU-1")}
    board = LaunchBoard()
    options = Options(
        board=board, owner=lambda pid: Owner("slurm:7", gpus[pid]) if pid in gpus else None,
        architecture=lambda _: 90,
    )  # fmt: skip
    source = CodeSource(options, tmp_path / "store")
    assert source.open() == ()
    with pytest.raises(NoData):
        source.read()
    start = time.monotonic()
    board.put([profile(miner, "progpow_search"), profile(trainer, "softmax_rows", "not_there"),
               profile(ProcessKey(1, 1), "somebody")])  # fmt: skip
    before = readings(source)
    assert time.monotonic() - start < 2  # it does not wait for the reader
    assert {(r.job, r.gpu): dict(r.values) for r in before} == {
        ("slurm:7", "GPU-0"): {"code_known_ratio": 0.0}, ("slurm:7", "GPU-1"): {"code_known_ratio": 0.0},
    }  # fmt: skip
    found = {r.gpu: r for r in until(source, lambda r: r.values["code_known_ratio"] > 0)}
    source.close()
    first, second = found["GPU-0"].values, found["GPU-1"].values
    assert set(first) == set(second) == GROUP
    assert first["code_known_ratio"] == 0.5
    assert first["code_mining_ratio"] < 0.1
    assert second["code_known_ratio"] == pytest.approx(2 / 3)
    assert second["code_mining_ratio"] == pytest.approx(0.5, abs=0.1)
    assert second["code_mining_top_ratio"] > 0.9
    assert {"progpow_search", "softmax_rows"} == {kernel.name for kernel in source.evidence("slurm:7")}
    assert source.counts["launches_unknown"] == 300
    assert source.counts["processes_of_nobody"] == 1
    assert source.counts["processes_read"] == 2
    assert source.cpu_seconds > 0.1
    assert np.isfinite(vector(second)).sum() == len(GROUP)


@pytest.fixture
def made(tmp_path):
    board, clock, child = LaunchBoard(), Clock(), Asked()
    source = CodeSource(
        Options(board=board, owner=lambda pid: Owner(f"job:{pid}", (f"GPU-{pid}",))), tmp_path / "store", child, clock,
        clock,
    )  # fmt: skip
    source.open()
    return source, board, clock, child


def answered(source, child, state="read", seconds=2.0, answer=True):
    question = child.questions[-1]
    told = tuple(Told(process, state, ()) for process in question.processes)
    child.outcomes.append(code.Outcome(question, Answer(told, {"files": 1}) if answer else None, seconds))
    return readings(source)


def test_a_reader_that_fails_is_counted_and_blindness_is_said_each_time(made):
    source, board, clock, child = made
    for window in range(3):
        board.put([profile(ProcessKey(5, 1), "k")])
        (reading,) = readings(source)
        assert (reading.job, reading.gpu, dict(reading.values)) == ("job:5", "GPU-5", {"code_known_ratio": 0.0})
        if window == 0:
            answered(source, child, answer=False)
        clock.now += 30.0
    assert source.counts["readings_failed"] == 1
    assert len(child.questions) == 2  # again, after a while


def test_a_process_that_is_gone_says_nothing_more(made):
    source, board, _, child = made
    board.put([profile(ProcessKey(5, 1), "k")])
    readings(source)
    assert answered(source, child, "gone") == []
    assert source.counts["processes_gone"] == 1
    assert readings(source) == []


def test_old_windows_are_not_taken_for_new_ones(made):
    source, board, clock, child = made
    board.put([profile(ProcessKey(5, 1), "k")])
    readings(source)
    clock.now += 300.0
    assert answered(source, child) == []


def test_reading_stops_when_the_processor_time_is_spent_and_goes_on_later(made):
    source, board, clock, child = made
    board.put([profile(ProcessKey(5, 1), "k")])
    readings(source)
    answered(source, child, seconds=500.0)
    assert source.cpu_seconds == 500.0
    asked = len(child.questions)
    for _ in range(300):  # over 10,000 s of debt at half a percent of a core
        clock.now += 30.0
        board.put([profile(ProcessKey(6, 1), "other")])
        readings(source)
    assert len(child.questions) == asked
    for _ in range(600):
        clock.now += 30.0
        board.put([profile(ProcessKey(6, 1), "other")])
        readings(source)
    assert len(child.questions) > asked
    assert child.questions[-1].processes[0].pid == 6


def test_ten_thousand_short_processes_cost_one_reading_at_a_time(made):
    source, board, clock, child = made
    for minute in range(2):
        for second in range(60):
            first = (minute * 60 + second) * 167
            board.put(profile(ProcessKey(first + n, 1), "k") for n in range(167))
            readings(source)
            clock.now += 1.0
    assert len(child.questions) == 1
    assert len(child.questions[0].processes) <= 8
    assert len(source._plan.watched) <= 4096


def test_a_folder_that_is_open_to_others_is_refused(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(0o777)
    with pytest.raises(UsageError):
        CodeSource(Options(), tmp_path / "store").open()


def test_what_processes_of_an_earlier_run_held_is_removed(tmp_path):
    (tmp_path / "store").mkdir(mode=0o700)
    (tmp_path / "store" / "p12-34.code").write_bytes(b"x")
    CodeSource(Options(), tmp_path / "store").open()
    assert list((tmp_path / "store").iterdir()) == []


def test_it_is_registered(tmp_path, monkeypatch):
    monkeypatch.setenv("HASHWARDEN_CACHE", str(tmp_path / "cache"))
    source = find_source("code").make(Options())
    assert source.open() == ()
    source.close()
    assert (tmp_path / "cache" / "code").stat().st_mode & 0o777 == 0o700
