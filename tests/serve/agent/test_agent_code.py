"""The whole path of the code tier: a real process loads and launches real code, the agent names it and nobody else.

NVIDIA's two libraries are stand-ins; the processes, the probes, the machine code, its reader and the models are real.
"""

from __future__ import annotations

import importlib.util
import signal
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_policy import ENFORCE

from hashwarden.kernels.workloads import catalogue, compiler
from hashwarden.model.channels import INDEX
from hashwarden.serve.agent.config import SourcesSection
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.policy.observation import Blindness

pytestmark = pytest.mark.bpf

SPEC = importlib.util.spec_from_file_location(
    "agent_cuda_stand_in", Path(__file__).parents[1] / "sources" / "cuda_stand_in.py"
)
stand_in = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(stand_in)

MINER, TRAINING = "mining-progpow-plain", "training-llm-bf16-plain"
GPU = "GPU-00000000-stand-in"
WORK = {"miner": ("progpow", b"progpow_search"), "trainer": ("ml_layers", b"softmax_rows")}
SOURCES = SourcesSection.model_construct(names=("nvml", "launches", "code"), burst_s=0.3, every_s=1.2)
"""More often than a configuration may ask: the GPU's seconds pass in a fraction of real ones."""

TICK_S, LONGEST_S = 0.03, 60.0


@pytest.fixture(scope="module")
def cubins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("cubins")
    for who, (name, _) in WORK.items():
        workload = catalogue.find(name)
        (folder / who).write_bytes(compiler.compile_cubin(workload, workload.all_variants()[0], "sm_90"))
    return {who: folder / who for who in WORK}


class Site:
    """An agent, and processes on its one GPU."""

    def __init__(self, rig: Callable[..., Any], callers: dict[str, Any]) -> None:
        self.callers, self.second = callers, 0
        self.rig = rig(ENFORCE, sources=SOURCES, schedulers={"names": ("process",), "grace_s": 1.0})
        self.parts = self.rig.agent.parts
        self.keys = {}
        self.states = {who: set() for who in callers}

    def play(self, run: Any, holds: Callable[[], bool]) -> None:
        """Let the GPU say what a run says until something holds."""
        end = time.monotonic() + LONGEST_S
        while not holds():
            assert time.monotonic() < end, (self.rig.agent.show.jobs(), self.parts.runner.counts)
            alive = {who: caller.pid for who, caller in self.callers.items() if caller.process.poll() is None}
            self.rig.more = [f"pid {pid}" for pid in alive.values()]
            self.rig.play(run, 1, self.second)
            self.keys |= {who: owner.job for who, pid in alive.items() if (owner := self.parts.table.owner(pid))}
            self.second += 1
            for who in alive:
                self.states[who] |= {verdict.state for verdict in self.seen(who).verdicts.values()}
            time.sleep(TICK_S)

    def seen(self, who: str) -> Any:
        """What policy knew of it last."""
        return next(one for one in self.rig.agent.show._seen if one.job.key == self.keys[who])

    def sees_all(self) -> bool:
        """Whether policy knows of each by now."""
        return set(self.keys) == set(self.callers) and set(self.keys.values()) <= {
            one.job.key for one in self.rig.agent.show._seen
        }

    def strangers(self) -> set[str]:
        """Jobs that use a libcuda beside this test."""
        ours = {caller.pid for caller in self.callers.values()}
        owners = [self.parts.table.owner(key.pid) for key in users(self.parts) if key.pid not in ours]
        return {owner.job for owner in owners if owner is not None}

    def tier(self, who: str) -> str:
        """By which it was judged last."""
        return next((verdict.tier for verdict in self.seen(who).verdicts.values()), "")

    def newest(self, who: str, channel: str) -> float:
        """The newest value of a channel of it, among those that were kept for a case."""
        [run] = self.parts.window.runs(self.keys[who])
        values = run.values[:, INDEX[channel]]
        return float(values[~np.isnan(values)][-1])


def users(parts: Any) -> tuple[Any, ...]:
    """Processes that use a libcuda with probes, of the whole machine: tests beside this one may use one too."""
    source = parts.runner._workers["launches"]._source
    return () if source is None else tuple(source._tracer.libraries.users)


@pytest.fixture
def site(rig: Any, cubins: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("HASHWARDEN_CACHE", str(tmp_path / "cache"))
    library, program = stand_in.build(tmp_path)
    with ExitStack() as stack:

        def make(run: Any, *who: str, alter: str = "") -> Site:
            callers = {one: stack.enter_context(stand_in.Caller(program, library, prefix=("setsid",))) for one in who}
            made = Site(rig, callers)
            pids = {caller.pid for caller in callers.values()}
            made.play(run, lambda: pids <= {key.pid for key in users(made.parts)} and made.sees_all())
            for one, caller in callers.items():  # names are known from then on
                caller.ask(f"load {cubins[one]}")
                assert not alter or caller.ask(f"alter {alter} cuLaunchKernel") == 0
                caller.launch(caller.find(WORK[one][1]), 10_000_000, 1_000_000)
            return made

        yield make


def inside(bundle: str, words: bytes) -> bool:
    with tarfile.open(bundle) as tar:
        return any(words in tar.extractfile(member).read() for member in tar if member.isfile())


def test_of_two_on_one_gpu_the_code_names_the_one_that_mines_and_nothing_befalls_the_other(site, demo):
    one = site(demo[MINER], "miner", "trainer")
    one.play(demo[MINER], lambda: one.seen("miner").code_mining > 0.9)
    there = {key for key in one.parts.table.jobs if one.parts.table.processes(key)}  # what ended just before lingers
    assert there - one.strangers() == set(one.keys.values()), "jobs that are none"
    one.play(demo[MINER], lambda: "confirmed" in one.states["miner"])
    assert one.tier("miner") == one.tier("trainer") == "gpm+code"
    assert one.seen("miner").blind == frozenset()
    assert one.seen("trainer").blind == {Blindness.SHARED}
    assert one.seen("trainer").code_mining < 0.1
    assert 300 < one.newest("miner", "launches_per_s") < 1100
    assert one.newest("miner", "threads_per_launch") == 64
    assert one.newest("miner", "distinct_kernels") == 1
    assert one.newest("miner", "foreign_process_count") == 1
    one.play(demo[MINER], lambda: one.callers["miner"].process.poll() is not None)
    assert one.callers["miner"].process.wait() == -signal.SIGTERM

    gone = one.second
    one.play(demo[TRAINING], lambda: one.second > gone + 90)
    assert one.callers["trainer"].process.poll() is None
    assert one.tier("trainer") == "gpm+code"
    assert one.states["trainer"] == {"abstain", "clear"}
    assert {record.body()["job"] for record in one.rig.records(EventKind.INTENT)} == {one.keys["miner"]}
    cases = [record.body() for record in one.rig.records(EventKind.CASE)]
    files = [case["file"] for case in cases if case.get("event") == "bundle"]
    assert any(inside(file, b"progpow_search") for file in files)
    assert not any(inside(file, b"softmax_rows") for file in files)


def test_who_keeps_its_launches_from_being_seen_is_told_and_no_safer_for_it(site, demo):
    one = site(demo[MINER], "miner", alter="writable")
    told = lambda: [blind for blind in one.rig.agent.blinds if blind.kind is Blindness.LAUNCHES]  # noqa: E731
    one.play(demo[MINER], lambda: told() != [])
    (blind,) = [blind for blind in told() if blind.subject == one.keys["miner"]]
    assert blind.detail == f"process {one.callers['miner'].pid} has other code where launches are traced"
    assert one.parts.board.of([key for key in users(one.parts) if key.pid == one.callers["miner"].pid]) == []
    one.play(demo[MINER], lambda: "confirmed" in one.states["miner"])
    assert "code" not in one.tier("miner")
    one.play(demo[MINER], lambda: one.callers["miner"].process.poll() is not None)
    records = [record.body() for record in one.rig.records(EventKind.BLIND)]
    assert next(r["began"] for r in records if (r["kind"], r["subject"]) == ("launches", one.keys["miner"]))
    one.play(demo[TRAINING], lambda: not told())
