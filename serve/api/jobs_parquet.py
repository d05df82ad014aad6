"""Samples as a trace (docs/trace-format.md): each run is a job, on the GPU that its provenance names."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from hashwarden.errors import DataError, LimitError, UsageError
from hashwarden.model.trace import Run
from hashwarden.model.trace_read import iter_blocks
from hashwarden.serve.api.jobs_bodies import Told, one_job_each, read_json
from hashwarden.serve.api.jobs_models import EndIn, SampleIn
from hashwarden.serve.inbox.batch import Batch, Part
from hashwarden.serve.inbox.jobs import Facts

__all__ = ["batch_of_parquet"]


def batch_of_parquet(body: bytes, told: Told) -> Batch:
    """Read a trace.

    Parameters
    ----------
    body : bytes
    told : Told
        Its `start_unix_s` is when the runs began that do not say so.

    Raises
    ------
    DataError
        If it is no trace.
    LimitError
        If it holds more samples than a request may.
    UsageError
        If nothing says when a run began.
    """
    with tempfile.NamedTemporaryFile(prefix="hashwarden-pushed-") as file:
        file.write(body)
        file.flush()
        try:
            pieces = _pieces(Path(file.name), told.rows)
        except DataError as error:
            raise DataError(error.got, error.expected, error.remedy, where="the body") from None
    jobs: list[Facts] = []
    parts: list[Part] = []
    for name, mine in groupby(pieces, key=lambda piece: piece.name):
        runs = list(mine)
        gpu = _gpu(runs[0])
        parts.append(_part(len(jobs), gpu, runs, told))
        jobs.append(Facts(id=name, cluster=told.cluster, scheduler=told.scheduler, gpus=(gpu,)))
    return Batch(one_job_each(jobs), tuple(parts))


def _pieces(path: Path, most: int) -> list[Run]:
    found, rows = [], 0
    for piece in iter_blocks(path):
        rows += len(piece)
        if rows > most:
            raise LimitError(f"over {most:,} samples", f"up to {most:,} in one request", "Send fewer at a time.")
        found.append(replace(piece, values=piece.values.copy()))
    return found


def _gpu(run: Run) -> str:
    """The GPU's UUID as the recorder notes it; else the run has one of its own, called as it is."""
    gpu = run.info.parameters.get("gpu_uuid", run.name)
    checked = read_json(SampleIn, json.dumps({"gpu": gpu, "unix_s": 0.0, "channels": {}}).encode())
    read_json(EndIn, json.dumps({"id": run.name}).encode())
    return checked.gpu


def _part(job: int, gpu: str, runs: list[Run], told: Told) -> Part:
    start = runs[0].info.start_unix_s or told.start_unix_s
    if start is None:
        raise UsageError(f"the run {runs[0].name[:60]!r} without a start", "start_unix_s in its provenance",
                         "Add ?start_unix_s=… to the address.")  # fmt: skip
    times = np.concatenate([run.times for run in runs])
    return Part(job, gpu, start + times, np.concatenate([run.values for run in runs]))
