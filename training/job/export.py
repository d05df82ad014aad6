"""From the torch network to its two ONNX files with one record inside, proved equal, and their known answers."""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
import onnx
import torch

from hashwarden.errors import ModelError
from hashwarden.model.answers_file import answers_path
from hashwarden.model.job.known_answers import KnownAnswers
from hashwarden.model.job.metadata import KEY, JobMetadata, read_metadata
from hashwarden.model.job.network import JobNet
from hashwarden.model.runtime import onnxruntime
from hashwarden.training.job.graph import sequence_graph, step_graph
from hashwarden.training.job.trials import known_runs, random_runs

__all__ = ["Exported", "Runs", "export"]

TOLERANCE: Final = 1e-5
F32 = npt.NDArray[np.float32]
Runs = tuple[F32, F32, F32]
"""Samples (R, T, C), masks (R, T, C), seconds since the sample before (R, T)."""


@final
@dataclass(frozen=True, slots=True)
class Exported:
    """Where the files are, and the largest difference to torch of any probability or number of a state."""

    step: Path
    sequence: Path
    answers: Path
    difference: float


def export(network: JobNet, record: JobMetadata, runs: Runs, folder: Path) -> Exported:
    """Write ``job.onnx``, ``job_sequence.onnx`` and ``job_known_answers.json``.

    Parameters
    ----------
    network : JobNet
        With its scales, temperature and novelty set.
    record : JobMetadata
        Goes into both files; `state_size` and the temperatures must be the network's.
    runs : Runs
        Judged runs, 0 where the mask is 0, on which the graphs must agree with torch, random runs besides. The first
        eight, at most 24 samples of each, become the known answers, some with channels or samples taken away.
    folder : Path
        Files there are replaced only when all have proved equal.

    Raises
    ------
    ModelError
        If a graph differs from torch by more than 1e-5, or the record is not the network's.
    """
    _check_record(network, record)
    step, sequence = _with_record(step_graph(network), record), _with_record(sequence_graph(network), record)
    worst = max(_difference(network, step, sequence, each) for each in (runs, random_runs(seed=record.seed)))
    if not worst <= TOLERANCE:
        raise ModelError(
            f"ONNX graphs that differ by {worst:.2g}", f"at most {TOLERANCE}", "Report this.", where=str(folder)
        )
    model = folder / "job.onnx"
    result = Exported(model, folder / "job_sequence.onnx", answers_path(model), worst)
    answers = _answers(step, known_runs(*runs)).to_json(hashlib.sha256(step).hexdigest())
    for path, data in ((result.sequence, sequence), (result.answers, f"{answers}\n".encode()), (result.step, step)):
        _replace(path, data)
    return result


def _check_record(network: JobNet, record: JobMetadata) -> None:
    read = read_metadata({KEY: record.model_dump_json()}, "record")
    classes, families = network.temperature.tolist()
    fits = {
        "state_size": record.state_size == network.state_size,
        "temperature": abs(record.temperature - classes) < 1e-6,
        "family_temperature": abs(record.family_temperature - families) < 1e-6,
        "numbers": read == record,  # an infinity or a NaN would not come back from the file
    }
    wrong = [name for name, good in fits.items() if not good]
    if wrong:
        raise ModelError(f"a record with other {', '.join(wrong)}", "the network's", "Make the record anew.")


def _with_record(model: onnx.ModelProto, record: JobMetadata) -> bytes:
    onnx.helper.set_model_props(model, {KEY: record.model_dump_json()})
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _session(data: bytes) -> Any:  # noqa: ANN401  onnxruntime ships no types
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime().InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _steps(session: Any, samples: F32, masks: F32, dts: F32, size: int) -> list[F32]:  # noqa: ANN401
    """Logits, families, novelty over time, and the last state, by the step graph."""
    state, seen = np.zeros((len(dts), size), np.float32), []
    for t in range(dts.shape[1]):
        feed = {"sample": samples[:, t], "mask": masks[:, t], "dt": dts[:, t : t + 1], "state": state}
        *found, state = session.run(["logits", "families", "novelty", "next_state"], feed)
        seen.append(found)
    return [*(np.stack(each, 1) for each in zip(*seen, strict=True)), state]


def _difference(network: JobNet, step: bytes, sequence: bytes, runs: Runs) -> float:
    """The largest difference to torch; what has no upper limit, novelty and state, relative to itself where above 1.

    Torch computes in double precision: what is measured is the graphs' own rounding, not the sum of two.
    """
    samples, masks, dts = runs
    with torch.no_grad():
        exact = copy.deepcopy(network).double()
        logits, families, novelty, state = exact(*(torch.from_numpy(each).double() for each in runs))
    wanted = [logits.exp().numpy(), families.exp().numpy(), np.log1p(novelty.numpy()), state.numpy()]
    feed = {
        "samples": samples,
        "masks": masks,
        "dts": dts,
        "state": np.zeros((len(dts), network.state_size), np.float32),
    }
    by_step = _steps(_session(step), samples, masks, dts, network.state_size)
    whole = _session(sequence).run(["logits", "families", "novelty", "next_state"], feed)
    worst = 0.0
    for got in (by_step, whole):
        shown = [np.exp(got[0]), np.exp(got[1]), np.log1p(got[2]), got[3]]
        size = [1.0, 1.0, 1.0, np.maximum(1.0, np.abs(wanted[3]))]
        apart = [float((np.abs(a - b) / by).max()) for a, b, by in zip(shown, wanted, size, strict=True)]
        worst = max(worst, *apart)
        if not all(np.isfinite(each).all() for each in shown):
            return float("nan")
    return worst


def _answers(step: bytes, runs: Runs) -> KnownAnswers:
    session = _session(step)
    size = session.get_inputs()[3].shape[1]
    logits, families, novelty, _ = _steps(session, *runs, size)
    return KnownAnswers(*runs, np.exp(logits), np.exp(families), novelty)


def _replace(output: Path, data: bytes) -> None:
    """Write a file in one piece."""
    output.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(output)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
