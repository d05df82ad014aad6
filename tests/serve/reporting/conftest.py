"""A node on which two jobs ran, one of them a miner: watched by a real agent, with hostile names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hashwarden.model.trace_read import read_runs
from hashwarden.model.trace_write import write_runs
from hashwarden.serve.agent.agent import Agent
from hashwarden.serve.agent.build import build
from hashwarden.serve.agent.config import load_config

DEMO = Path(__file__).parents[3] / "data" / "job" / "demo.parquet"
HOSTILE = "<script>alert(1)</script> $\\frac{ & 雪"
POLICY = """
mode = "enforce"
contact = "help@example.org"
[[rules]]
name = "miners"
first_warning_minutes = 0.2
cancel_minutes = 0.5
action = "cancel"
require_approval = ["cancel"]
act_if_warning_refused = true
"""


@dataclass(frozen=True)
class Site:
    """Where the agent kept its things, and the case that it opened."""

    state: Path
    case: str

    @property
    def log(self) -> Path:
        [file] = (self.state / "audit").glob("audit-*.jsonl")
        return file


def watch(folder: Path, trace: Path, seconds: int, say: Callable[[Agent], None] = lambda _: None) -> Agent:
    """Let an agent watch a trace, as fast as it can; gives it, stopped."""
    (folder / "policy.toml").write_text(POLICY)
    config = load_config(None, {
        "state_dir": folder / "state", "run_dir": folder / "run", "policy": folder / "policy.toml",
        "http": {"listen": "", "socket": ""}, "log": {"format": "text", "level": "error"}, "jitter": 0.0,
        "sources": {"names": ("replay",), "trace": trace, "speed": 1000.0}, "jobs": {"providers": ("drill",)},
        "schedulers": {"names": ()},
    })  # fmt: skip
    agent = Agent(build(config))
    agent.start()
    try:
        for _ in range(seconds):
            agent.tick()
        say(agent)
        for _ in range(5):
            agent.tick()
    finally:
        agent.close()
    return agent


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    runs = {run.name.rsplit("-", 1)[0]: run for run in read_runs(DEMO)}
    chosen = [replace(runs["mining-progpow-plain"], name=HOSTILE), runs["training-llm-bf16-plain"]]
    write_runs(folder / "trace.parquet", chosen)

    def approve(agent: Agent) -> None:
        [case] = agent.show.cases()
        agent.show.decide(case["id"], "approve", "jane <i>", "it is & was a miner")

    agent = watch(folder, folder / "trace.parquet", 130, approve)
    [case] = list(agent.parts.engine.cases)
    return Site(folder / "state", case.id)


@pytest.fixture
def site(watched: Site, tmp_path: Path) -> Site:
    """A copy, to be tampered with."""
    shutil.copytree(watched.state, tmp_path / "state")
    return Site(tmp_path / "state", watched.case)
