"""An agent in this process, on a stand-in for NVIDIA's library and a clock that stands still between ticks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashwarden.model.channels import CHANNELS
from hashwarden.model.trace import Run
from hashwarden.model.trace_read import read_runs
from hashwarden.serve.agent.agent import Agent
from hashwarden.serve.agent.build import build
from hashwarden.serve.agent.clocks import Clocks
from hashwarden.serve.agent.config import load_config
from hashwarden.serve.audit.read import Reader
from hashwarden.serve.audit.record import Record

sys.path.insert(0, str(Path(__file__).parent))
from agent_rig import lines_of

DEMO = Path(__file__).parents[3] / "data" / "job" / "demo.parquet"
GPU = "GPU-00000000-stand-in"


@pytest.fixture(scope="session")
def demo() -> Mapping[str, Run]:
    """The runs of the demo, by the beginning of their names."""
    return {run.name.rsplit("-", 1)[0]: run for run in read_runs(DEMO)}


class Rig:
    """An agent and what it sees."""

    def __init__(self, nvml: Any, folder: Path, **config: Any) -> None:
        self.nvml, self.folder, self.more = nvml, folder, []
        self.unix_ahead = 1.8e9
        nvml.tick(0)
        flags = {"state_dir": folder / "state", "run_dir": folder / "run", "http": {"listen": "", "socket": ""},
                 "log": {"format": "text", "level": "error"}, "jitter": 0.0} | config  # fmt: skip
        self.config = load_config(None, flags)
        self.agent: Agent
        self.begin()

    def begin(self) -> None:
        """Start an agent, as after a boot."""
        clocks = Clocks(1.0, self.nvml, lambda: self.nvml() + self.unix_ahead)
        self.agent = Agent(build(self.config, clocks))
        self.agent.start()

    def drop(self) -> None:
        """Let everything go without a word, as a kill would."""
        self.agent.parts.steps.close()

    def play(self, run: Run, seconds: int, first: int = 0, until: Callable[[], bool] = lambda: False) -> int:
        """Let the GPU say what a run says; gives the seconds that it took until `until` held."""
        for second in range(seconds):
            self.nvml.write(*lines_of(run, (first + second) % len(run)), *self.more)
            self.nvml.tick(1.0)
            self.agent.tick()
            if until():
                return second + 1
        return seconds

    def idle(self, seconds: int) -> None:
        """Let time pass, the GPU says what it said."""
        for _ in range(seconds):
            self.nvml.tick(1.0)
            self.agent.tick()

    def state(self) -> str:
        """The worst state of what is watched."""
        order = ("abstain", "clear", "watching", "suspect", "confirmed")
        states = [one.evidence.state.word for one in self.agent.parts.judge.watched.values()]
        return max(states, key=order.index, default="none")

    def records(self, kind: str = "") -> list[Record]:
        """What the audit log holds."""
        reader = Reader(self.folder / "state" / "audit")
        found = [record for record in reader if not kind or record.kind == kind]
        reader.close()
        return found

    def blind(self) -> set[str]:
        """What cannot be seen now."""
        return {blind.kind.value for blind in self.agent.blinds}


@pytest.fixture
def rig(nvml: Any, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(policy: str = "", **config: Any) -> Rig:
        if policy:
            (tmp_path / "policy.toml").write_text(policy)
            config["policy"] = tmp_path / "policy.toml"
        made.append(Rig(nvml, tmp_path, **config))
        return made[-1]

    yield make
    for one in made:
        one.agent.close()


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """A real process that the driver sees on the GPU, a session of its own."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def noisy(run: Run) -> Run:
    """The run with the channels of NVML and GPM only."""
    values = run.values.copy()
    keep = np.array([channel.group in ("nvml", "gpm") for channel in CHANNELS])
    values[:, ~keep] = np.nan
    return Run(run.name, run.times, values, run.label, run.family, run.strategy, run.info)
