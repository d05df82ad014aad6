"""The access patterns of this project's own workloads, executed on the CPU: a labelled table.

``python -m hashwarden.training.memory.table`` writes data/memory_patterns/patterns.parquet again. Real executions of
the Numba programs, of which a sample of warps is recorded; the order of the accesses is that of warps that take
turns. Nothing is recorded on a GPU.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from hashwarden.errors import HashwardenError
from hashwarden.kernels.memory.log import AddressLog, Recorder, Sampling
from hashwarden.kernels.memory.patterns import NAMES, patterns
from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.registry import find, workloads
from hashwarden.kernels.workloads.workload import Settings, Workload
from hashwarden.training.orphans import end_with_parent
from hashwarden.version import __version__

__all__ = ["build", "record", "rows_of", "variations"]

WANTED: Final = 400_000
"""Accesses of a recorded step, about; a sample of warps is taken of what does more."""

MOST_BYTES: Final = 300_000_000
SLOW_S: Final = 40.0
SEEDS: Final = (0, 1)


def variations(workload: Workload) -> Iterator[dict[str, int]]:
    """Settings to run a workload at: its size for traces, and each parameter halved and doubled where it may be."""
    base = workload.settings("trace")
    yield base
    for parameter in workload.parameters:
        for value in (base[parameter.name] // 2, base[parameter.name] * 2):
            try:
                yield workload.settings("trace", {parameter.name: value})
            except HashwardenError:
                continue


def record(workload: Workload, settings: Settings, seed: int) -> AddressLog | None:
    """Run set-up and a step, and record the step that follows.

    Returns
    -------
    AddressLog or None
        None if these settings do not go together, or take too much memory.
    """
    assert workload.build is not None
    try:
        plan = workload.build(settings, seed)
    except (HashwardenError, ValueError):
        return None
    if plan.nbytes > MOST_BYTES:
        return None
    pilot = Recorder(Sampling(every_warp=16, seed=seed + 1), capacity=1 << 20)
    engine = CpuEngine(plan, pilot)
    engine.setup()
    pilot.forget()
    engine.step()
    seen = pilot.log()
    every = max(1, round(16 * (len(seen) + seen.lost) / WANTED))
    engine.close()
    recorder = Recorder(Sampling(every_warp=every, seed=seed + 1), capacity=1 << 22)
    engine = CpuEngine(plan, recorder)
    engine.setup()
    recorder.forget()
    engine.step()
    return recorder.log()


def rows_of(name: str) -> list[dict[str, Any]]:
    """Rows of one workload: all variations and seeds, until it gets slow."""
    workload, start = find(name), time.monotonic()
    rows: list[dict[str, Any]] = []
    for settings in variations(workload):
        for seed in SEEDS:
            if rows and time.monotonic() - start > SLOW_S:
                return rows
            log = record(workload, settings, seed)
            if log is None or len(log) == 0:
                continue
            rows.append(_row(workload, settings, seed, log))
    return rows


def _row(workload: Workload, settings: Mapping[str, int], seed: int, log: AddressLog) -> dict[str, Any]:
    found = patterns(log)
    return {
        "workload": workload.name,
        "label": workload.label,
        "family": workload.family,
        "bound": workload.bound,
        "settings": json.dumps(dict(settings), sort_keys=True),
        "seed": seed,
        "every_warp": log.sampling.every_warp,
        "accesses": len(log),
        "lost": log.lost,
        **{name: np.float64(value) for name, value in zip(NAMES, found.values, strict=True)},
    }


def build(output: Path, processes: int = 2) -> int:
    """Run all workloads that have a Numba program, and write the table.

    Returns
    -------
    int
        How many rows it has.
    """
    names = [workload.name for workload in workloads() if workload.build is not None]
    with ProcessPoolExecutor(processes, get_context("spawn"), end_with_parent) as pool:
        rows = [row for found in pool.map(rows_of, names) for row in found]
    table = pa.Table.from_pylist(rows)
    provenance = {
        "schema": "hashwarden.memory_patterns/1",
        "measured_on": f"Numba programs executed on a CPU ({platform.machine()}), warps in turns; no GPU",
        "hashwarden": __version__,
        "date": datetime.now(UTC).date().isoformat(),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_suffix(".part")  # a full disk or a kill leaves the table that was there
    pq.write_table(table.replace_schema_metadata(provenance), part, compression="zstd")
    part.replace(output)
    return len(rows)


def main(output: Path = Path("data/memory_patterns/patterns.parquet"), processes: int = 2) -> None:
    """Write the table of memory patterns again."""
    typer.echo(f"{build(output, processes)} rows")


if __name__ == "__main__":
    typer.run(main)
