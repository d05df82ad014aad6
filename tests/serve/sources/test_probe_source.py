"""The source ``probe``: real sessions, on the CPU in disguise, in processes of their own; and processes that misbehave.

The GPU is a stand-in for NVML's library, the probes' kernels are built for the CPU.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from hashwarden.errors import HashwardenError, MemoryShortError, NoDeviceError, PrivilegeError, UsageError
from hashwarden.kernels.probes.baseline import Baseline
from hashwarden.kernels.probes.probe import PROBES, QUANTILES
from hashwarden.model.channels import CHANNELS
from hashwarden.serve.sources import probe_process
from hashwarden.serve.sources.nvml import NvmlSource
from hashwarden.serve.sources.probe import ProbeSource
from hashwarden.serve.sources.probe_process import ProbeProcess
from hashwarden.serve.sources.source import NoData, Options, SourceLost

FIRST = "GPU-00000000-stand-in"
PARENT = Path(__file__).parents[2] / "kernels" / "probes" / "conftest.py"
PROBE = {channel.name for channel in CHANNELS if channel.group == "probe"}

CHILD = """
import importlib.util, json, os, sys
sys.path[:] = json.loads(sys.argv[1])
spec = importlib.util.spec_from_file_location("probe_child_conftest", sys.argv[2])
conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conftest)
from hashwarden.serve.sources.probe_child import serve
device = conftest.HostDevice(sys.argv[3])
device.costs = dict(conftest.COSTS) | json.loads(open(sys.argv[4]).read())
serve(lambda: device)
"""
READY = json.dumps({"said": "ready", "facts": {"name": "x", "capability": [9, 0], "multiprocessors": 4}})


def wait_until(true, seconds=60.0):
    until = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The probes' kernels, built for the CPU as the tests of the kernels build them."""
    spec = importlib.util.spec_from_file_location("probe_source_conftest", PARENT)
    parent = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(parent)
    return parent.host_library.__wrapped__(tmp_path_factory)


class Clock:
    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.monotonic() + self.ahead


class Bench:
    """Sources whose processes run a script in place of the GPU's."""

    def __init__(self, folder):
        self.folder, self.clock, self.started, self.made = folder, Clock(), [], []
        self.command = None

    def script(self, text, *arguments):
        file = self.folder / f"child-{len(self.started)}.py"
        file.write_text(text)
        self.command = [sys.executable, str(file), *arguments]

    def start(self, gpu):
        self.started.append(ProbeProcess(gpu, self.clock, self.command))
        return self.started[-1]

    def source(self, **options):
        options = {"burst_s": 0.5, "every_s": 30.0, **options}
        made = ProbeSource(
            Options(**options), clock=self.clock, start=self.start, folder=self.folder / "state", uniform=lambda: 0.5
        )
        self.made.append(made)
        made.open()
        return made

    def until(self, source, kind):
        """Read until there are readings, or an error."""
        found = []

        def look():
            try:
                found.extend(source.read())
            except NoData:
                return False
            except HashwardenError as error:
                found.append(error)
            return True

        assert wait_until(look), "nothing came"
        assert isinstance(found[0], kind), found
        return found[0]

    def settle(self, source):
        """Let the process answer what it was told."""

        def look():
            with suppress(NoData):
                source.read()
            return self.started[-1].idle

        assert wait_until(look)


@pytest.fixture
def bench(nvml, tmp_path):
    made = Bench(tmp_path)
    yield made
    for source in made.made:
        source.close()
    assert all(process.gone for process in made.started), "no process is left behind"


def test_a_real_session_in_a_process_of_its_own(nvml, bench, library, tmp_path):
    costs = tmp_path / "costs"
    costs.write_text("{}")
    bench.script(CHILD, json.dumps(sys.path), str(PARENT), str(library), str(costs))
    helpers = Options().helpers
    source = bench.source(helpers=helpers)
    with pytest.raises(NoData):
        source.read()
    pid = bench.started[0].pid
    assert helpers.pids == {pid}
    nvml.write(f"pid {pid}", "pid 4711")
    gap = bench.until(source, object)
    assert set(gap.values) == {"probe_gap_ratio"}, "without a baseline a ratio is missing"
    assert gap.gpu == FIRST
    assert list((tmp_path / "state").glob("*")) == [], "another process is there: the GPU is not idle"

    nvml.write(f"pid {pid}")
    bench.clock.ahead += 31
    bench.settle(source)
    (file,) = (tmp_path / "state").iterdir()
    assert file.name == f"{FIRST}-570.00.stand-in.json", "of this GPU with this driver"
    assert set(Baseline.load(file).quantiles) == {probe.name for probe in PROBES}

    bench.clock.ahead += 31
    same = bench.until(source, object).values
    assert set(same) == PROBE
    assert all(same[name] == pytest.approx(1.0, rel=0.05) for name in PROBE - {"probe_gap_ratio"})
    source.close()
    assert wait_until(lambda: bench.started[0].gone)
    assert helpers.pids == frozenset()

    costs.write_text('{"ldg": 880}')  # a neighbour that fills the caches
    slow = bench.until(bench.source(), object).values
    assert slow["probe_dram_ratio"] > 3
    assert slow["probe_lop3_ratio"] == pytest.approx(1.0, rel=0.05)
    assert len(bench.started) == 2


def saying(*lines, then="sys.stdin.read()"):
    """A child that says these lines, one before it is told anything."""
    text = "import sys, time, os\n"
    for place, line in enumerate(lines):
        text += "sys.stdin.readline()\n" if place else ""
        text += f"sys.stdout.write({line + chr(10)!r}); sys.stdout.flush()\n"
    return text + then + "\n"


def rounds(**changes):
    told = {"said": "rounds", "rounds": 2, "gap": 0.25, "latency": {probe.name: 40.0 for probe in PROBES}, **changes}
    return json.dumps(told)


def test_a_damaged_baseline_and_one_of_another_gpu_are_none(bench, tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    file = folder / f"{FIRST}-570.00.stand-in.json"
    quantiles = {probe.name: (10.0,) * len(QUANTILES) for probe in PROBES}
    for facts, given in ((("x", (9, 0), 4), {"probe_lop3_ratio": 4.0}), (("y", (9, 0), 4), {}), (None, {})):
        if facts is None:
            file.write_text("{")
        else:
            Baseline(*facts, 8, 1000.0, quantiles).save(file)
        bench.script(saying(READY, rounds()))
        source = bench.source()
        found = bench.until(source, object).values
        assert found.items() >= given.items()
        assert ("probe_lop3_ratio" in found) == bool(given)
        source.close()


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        ("import os; os.abort()", NoDeviceError, "it ended"),
        (saying(READY, then="os.abort()"), NoDeviceError, "it ended|does not listen"),
        (saying("<html>"), NoDeviceError, "nonsense"),
        (saying("[" * 60_000), NoDeviceError, "nonsense"),
        (saying("[1]"), NoDeviceError, "nonsense"),
        ("while True: print('x' * 100_000, end='')", NoDeviceError, "a line without an end"),
        (saying(json.dumps({"said": "error", "kind": "MemoryShortError", "got": "\x1b[2J", "expected": "b",
                            "remedy": "c"})), MemoryShortError, r"\\x1b"),
        (saying(json.dumps({"said": "error", "kind": "SystemExit", "got": "a"})), NoDeviceError, "a; expected"),
    ],
    ids=["dies", "dies-later", "html", "deep", "list", "endless", "refuses", "strange"],
)  # fmt: skip
def test_a_process_that_misbehaves_is_ended_and_started_anew_later(bench, script, error, said):
    bench.script(script)
    source = bench.source()
    with pytest.raises(error, match=said):
        raise bench.until(source, error)
    with pytest.raises(error, match=said):
        source.read()
    assert len(bench.started) == 1, "the error stands until it is tried again"
    assert wait_until(lambda: bench.started[0].gone)
    bench.script(saying(READY, rounds()))
    bench.clock.ahead += 61
    assert bench.until(source, object).values == {"probe_gap_ratio": 0.25}
    assert len(bench.started) == 2


@pytest.mark.parametrize("lines", [(), (READY,)], ids=["starting", "probing"])
def test_one_that_hangs_is_killed_without_waiting_for_it(bench, lines):
    bench.script(saying(*lines, then="time.sleep(60)"))
    source = bench.source()

    def told():
        with suppress(NoData):
            source.read()
        return not lines or (bench.started[-1].facts is not None and not bench.started[-1].idle)

    assert wait_until(told)
    bench.clock.ahead += 1 + max(probe_process.START_S, probe_process.ANSWER_S)
    with pytest.raises(NoDeviceError, match="hangs in the driver"):
        source.read()
    assert wait_until(lambda: bench.started[0].gone, 5)


def test_no_second_process_while_the_first_cannot_be_killed(bench, monkeypatch):
    bench.script(saying(READY, then="time.sleep(60)"))
    helpers = Options().helpers
    source = bench.source(helpers=helpers)
    with pytest.raises(NoData):
        source.read()
    first = bench.started[0]
    with monkeypatch.context() as patch:
        patch.setattr(first._process, "kill", lambda: None)  # as one in an uninterruptible call
        bench.clock.ahead += 1 + probe_process.START_S
        with pytest.raises(NoDeviceError):
            source.read()
        bench.clock.ahead += 1000
        for _ in range(3):
            with suppress(NoData):
                source.read()
        assert bench.started == [first]
        assert helpers.pids == {first.pid}
    first._process.kill()
    assert wait_until(lambda: first.gone)
    with suppress(NoData):
        source.read()
    assert len(bench.started) == 2


@pytest.mark.parametrize(("mode", "said"), [(3, "EXCLUSIVE_PROCESS"), (2, "PROHIBITED")])
def test_a_gpu_that_lets_in_one_process_only_is_not_probed(nvml, bench, mode, said):
    nvml.write(f"value compute_mode {mode}")
    with pytest.raises(PrivilegeError, match=said):
        bench.source()
    nvml.write()
    source = bench.source()
    nvml.write(f"value compute_mode {mode}")
    with pytest.raises(PrivilegeError, match=said):
        source.read()
    assert bench.started == []


def test_short_memory_starts_nothing_and_ends_what_runs(nvml, bench):
    nvml.write("value used_gib 80")
    source = bench.source()
    with pytest.raises(MemoryShortError, match="0 bytes free"):
        source.read()
    assert bench.started == []
    nvml.write()
    bench.script(saying(READY, rounds(), rounds()))
    bench.clock.ahead += 61
    bench.until(source, object)
    nvml.write("value used_gib 80")
    bench.clock.ahead += 31
    with pytest.raises(MemoryShortError):
        raise bench.until(source, MemoryShortError)
    assert wait_until(lambda: bench.started[0].gone), "its context is given back"


def test_it_probes_once_in_every_so_long(bench):
    bench.script(saying(READY, *[rounds()] * 9))
    source = bench.source()
    bench.until(source, object)
    times = []
    for second in range(1, 91):
        bench.clock.ahead += 1
        with suppress(NoData):
            source.read()
        if not bench.started[0].idle:
            times.append(second)
            bench.until(source, object)
    assert [round(time / 30) for time in times] == [1, 2, 3]


def test_probes_of_one_gpu_that_fail_cost_the_others_nothing(nvml, bench):
    nvml.write("gpus 2")
    bench.script(
        "import os\nif os.environ['CUDA_VISIBLE_DEVICES'] == 'GPU-00000000-stand-in': os.abort()\n"
        + saying(READY, rounds())
    )
    source = bench.source()
    assert bench.until(source, object).gpu == "GPU-00000001-stand-in"


def test_a_lost_gpu_is_said(nvml, bench):
    source = bench.source()
    nvml.write("lost 0")
    with pytest.raises(SourceLost):
        source.read()


@pytest.mark.parametrize(
    "options", [{"burst_s": 0.0}, {"burst_s": 11.0}, {"every_s": 0.5}, {"burst_s": 20, "every_s": 30}]
)
def test_duty_cycles_that_cannot_be_meant(options):
    with pytest.raises(UsageError, match="Probe less"):
        ProbeSource(Options(**{"burst_s": 0.5, "every_s": 30.0, **options}))


def test_nvml_does_not_count_the_probes_own_process(nvml):
    options = Options(own_pids=lambda _: frozenset({41}))
    nvml.write("pid 41", "pid 42")
    options.helpers.add(42)
    source = NvmlSource(options)
    source.open()
    (reading,) = source.read()
    source.close()
    assert (reading.pids, reading.values["process_count"], reading.values["foreign_process_count"]) == ({41}, 1, 0)


@pytest.mark.gpu
def test_the_real_thing(tmp_path):
    if not Path("/dev/nvidiactl").exists():
        pytest.skip("no NVIDIA GPU answers here")
    source = ProbeSource(Options(burst_s=1.0, every_s=2.0), folder=tmp_path)
    (device, *_) = source.open()
    found = {}

    def look():
        with suppress(NoData):
            found.update(source.read()[0].values)
        return set(found) == PROBE

    try:
        assert wait_until(look, 120), found
        assert all(0.5 < found[name] < 2 for name in PROBE - {"probe_gap_ratio"}), "the GPU is idle"
        assert list(tmp_path.iterdir())
        assert device.gpu.startswith(("GPU-", "MIG-"))
    finally:
        source.close()
