"""A desk behind a real service on a Unix socket, and samples that can be pushed to it."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from serve_rig import Rig, served

from hashwarden.model.channels import CHANNELS
from hashwarden.model.trace import Run
from hashwarden.model.trace_read import read_runs
from hashwarden.serve.agent.config import LogSection
from hashwarden.serve.api.config import DeskSection
from hashwarden.serve.api.desk import Desk, desk_config
from hashwarden.serve.api.jobs import jobs_router
from hashwarden.serve.inbox.batch import Limits

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "data" / "job" / "demo.parquet"
NAMES = tuple(channel.name for channel in CHANNELS)


def demo() -> list[Run]:
    """Six jobs, 18 minutes."""
    return read_runs(DEMO)


def a_desk(folder: Path, limits: Limits | None = None, home: str | None = None, **section: Any) -> Desk:
    """A desk, not started."""
    found = DeskSection(state_dir=folder / "desk", **section)
    return Desk(desk_config(found, log=LogSection(format="text", level="error")), limits, home)


@contextlib.contextmanager
def a_service(
    folder: Path, limits: Limits | None = None, rows: int = 65_536, start: bool = True, access: Any = None,
    home: str | None = None, **section: Any,
) -> Iterator[tuple[Rig, Desk]]:  # fmt: skip
    """A desk that runs, and its service."""
    desk = a_desk(folder, limits, home, **section)
    if start:
        desk.start()
    try:
        router = jobs_router(desk.view, desk.inbox, rows)
        with served(router, http={"socket": str(folder / "serve.sock")}, access=access or {}) as rig:
            yield rig, desk
    finally:
        desk.stop()


def channels(run: Run, row: int) -> dict[str, float]:
    """A sample as JSON has it."""
    values = run.values[row].tolist()
    return {name: value for name, value in zip(NAMES, values, strict=True) if not np.isnan(value)}


def job(run: Run, rows: Sequence[int], start: float, gpu: str = "", **said: Any) -> dict[str, Any]:
    """Samples of a run as a job in JSON."""
    gpu = gpu or f"GPU-{run.name[-8:]}"
    samples = [{"gpu": gpu, "unix_s": start + float(run.times[row]), "channels": channels(run, row)} for row in rows]
    return {"id": run.name, "gpus": [gpu], "samples": samples, **said}


def push(rig: Rig, jobs: Sequence[Any], wait: float = 20.0, **said: Any) -> tuple[int, Any]:
    """Hand them in."""
    body = json.dumps({"jobs": list(jobs), **said})
    return rig.ask(f"/v1/samples?wait={wait}", "POST", body, Content_Type="application/json")


def work(n: int = 1, seed: int = 0) -> np.ndarray:
    """Samples of a busy GPU, shape (n, channels)."""
    run = demo()[0]
    first = 100 + 17 * seed
    return np.array(run.values[first : first + n])


def ago(seconds: float) -> float:
    """Seconds since 1970, then."""
    return time.time() - seconds
