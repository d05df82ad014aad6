"""The same training on a Ray cluster: Ray Data judges the traces, Ray Train fits with averaged gradients.

Every node needs this package with the extras ``train`` and ``ray``, and sees the same work folder (a shared disk).
A fit draws the same sequences in the same order however many workers share it; what differs from one machine is the
order of a few sums. A worker that dies takes the others down with it; all go on from the last checkpoint, and lose
nothing. Checkpoints are those of one machine, so that a fit can be begun here and ended there.
"""

from __future__ import annotations

import io
import json
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from hashwarden.errors import HashwardenError, UsageError
from hashwarden.model.cluster import quiet_data, received, sent
from hashwarden.model.job.network import JobNet
from hashwarden.model.storage import FULL, replacing
from hashwarden.model.trace_read import iter_blocks
from hashwarden.training.job.checkpoints import Checkpoints
from hashwarden.training.job.dataset import Dataset
from hashwarden.training.job.fit import Fitted, fit
from hashwarden.training.job.recipe import Recipe
from hashwarden.training.job.store import write_shard
from hashwarden.training.job.team import Workers

__all__ = ["WORKERS", "featurise_on_ray", "fit_on_ray"]

I64 = npt.NDArray[np.int64]

WORKERS: Final = "workers.jsonl"
"""File of the work folder that says which worker began when, and from which step."""

_RESTARTS: Final = 5
_RESULT: Final = "fitted.pt"


def featurise_on_ray(sources: Sequence[Path], folder: Path, first: int = 0) -> None:
    """Judge trace files into shards on all nodes, one task a file; call it inside `connected`.

    The shards are those that `hashwarden.training.job.dataset.featurise` writes.

    Raises
    ------
    DataError
        If a file is no trace, or a run in it must not teach.
    """
    import ray

    folder.mkdir(parents=True, exist_ok=True)
    quiet_data()
    items = [{"number": number, "source": str(source)} for number, source in enumerate(sources, first)]
    judge: Any = partial(_judge_file, folder=str(folder))
    judged = ray.data.from_items(items, override_num_blocks=len(items)).map(judge, num_cpus=1)
    received(judged.take_all())


def _judge_file(row: dict[str, Any], folder: str) -> dict[str, Any]:
    """A file into a shard."""
    try:
        write_shard(Path(folder), f"{row['number']:06d}", iter_blocks(Path(row["source"])), row["source"])
    except (HashwardenError, OSError) as error:
        return {"problem": sent(error)}
    return {"problem": b""}


def fit_on_ray(  # noqa: PLR0913
    data: Dataset, rows: I64, recipe: Recipe, work: Path, *, workers: int = 2, every: int = 25, resume: bool = True
) -> Fitted:
    """Fit on several workers; call it inside `connected`.

    Parameters
    ----------
    data : Dataset
        In a folder that every node sees.
    rows : int64 array
    recipe : Recipe
        Its batch is shared by all workers.
    work : Path
        Folder for checkpoint and result; every node sees it.
    workers : int
        Each takes one CPU.
    every : int
        Steps between two checkpoints.
    resume : bool
        Whether to go on from a checkpoint in ``work``.

    Raises
    ------
    UsageError
        If the batch cannot be shared evenly.
    """
    if recipe.batch % workers:
        raise UsageError(f"{workers} workers for batches of {recipe.batch}", "a number that divides the batch",
                         "Choose another number of workers.")  # fmt: skip
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    work.mkdir(parents=True, exist_ok=True)
    if not resume:
        (work / "job.checkpoint").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=work, prefix="ray-") as storage, _full_disk():
        TorchTrainer(
            _loop,
            train_loop_config={"data": str(data.folder), "rows": rows.tolist(), "recipe": asdict(recipe),
                               "work": str(work), "every": every},
            torch_config=TorchConfig(backend="gloo"),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=False, resources_per_worker={"CPU": 1}),
            run_config=RunConfig(name="job", storage_path=storage,
                                 failure_config=FailureConfig(max_failures=_RESTARTS)),
        ).fit()  # fmt: skip
    return _result(work / _RESULT)


@contextmanager
def _full_disk() -> Iterator[None]:
    """Ray tells what a worker died of in words only."""
    try:
        yield
    except Exception as error:
        code = next((code for code in FULL if os.strerror(code) in str(error)), None)
        if code is None:
            raise
        raise OSError(code, os.strerror(code)) from error


def _loop(config: dict[str, Any]) -> None:
    """What each worker does."""
    team, work = Workers(), Path(config["work"])
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config["recipe"].items()}
    recipe = Recipe(**settings)
    began = {"rank": team.rank, "pid": os.getpid(), "host": socket.gethostname()}
    with (work / WORKERS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(began) + "\n")
    checkpoints = Checkpoints(work / "job.checkpoint", config["every"])
    found = fit(Dataset(Path(config["data"])), np.array(config["rows"]), recipe, None, checkpoints, team)
    if team.rank == 0:
        packed = io.BytesIO()
        torch.save({"network": found.network.state_dict(), "kept": found.kept.tolist(), "held": found.held.tolist(),
                    "history": found.history, "temperatures": found.temperatures}, packed)  # fmt: skip
        with replacing(work / _RESULT) as file:
            file.write(packed.getbuffer())


def _result(path: Path) -> Fitted:
    found = torch.load(path, weights_only=True)
    network = JobNet()
    network.load_state_dict(found["network"])
    network.eval()
    history = [(int(step), float(loss), float(held)) for step, loss, held in found["history"]]
    return Fitted(network, np.array(found["kept"]), np.array(found["held"]), history, found["temperatures"])
