"""``hashwarden evaluate kernel``: what the model does on lineages and families that it never saw.

Every number is of kernels whose lineage (or family) no network that scored them had seen. Rows are never split
at random. Baselines get the same features, the same folds and the same rows in the same run.
"""

from __future__ import annotations

import json
import logging
import platform
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from hashwarden.model.kernel.decide import decide
from hashwarden.model.kernel.joint import own_log_odds, sigmoid
from hashwarden.model.kernel.taxonomy import GROUPS, MINING, PLAIN
from hashwarden.training.kernel import pictures
from hashwarden.training.kernel.baselines import BASELINES, cross_validate_baseline
from hashwarden.training.kernel.calibrate import calibrate
from hashwarden.training.kernel.crossval import Told, cross_validate, folds_by_family
from hashwarden.training.kernel.dataset import NUMBA_SOURCE, Dataset, folds_by_lineage, load
from hashwarden.training.kernel.files import judge_held_out
from hashwarden.training.kernel.fit import Recipe
from hashwarden.training.kernel.measures import Measured, measure_scores, unseen_scores
from hashwarden.training.kernel.report import write_report
from hashwarden.training.kernel.robustness import RATIOS, Padded
from hashwarden.training.kernel.thresholds import set_thresholds

__all__ = ["run"]

_log = logging.getLogger(__name__)
F64 = npt.NDArray[np.float64]
NAME: Final = "hashwarden"


def run(data: Path, output: Path, seed: int = 0, told: Told | None = None) -> Path:
    """Evaluate the kernel model and write ``kernel.md``, ``kernel-evaluation.json`` and pictures.

    Parameters
    ----------
    data : Path
        Folder of kernel mix tables.
    output : Path
        Folder for the report.
    seed : int
        Seed of everything random.
    told : callable, optional
        Is told of each step.

    Returns
    -------
    Path
        The report.
    """
    told, start = told or _log.info, time.perf_counter()
    torch.use_deterministic_algorithms(True)
    dataset, recipe = load(data), Recipe(seed=seed)
    output.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"processor": _processor(), "python": platform.python_version(), "torch": torch.__version__},
        "measured_on": "real machine code; nothing was run or recorded on a GPU",
        "data_sha256": dataset.digests,
        "seed": seed,
    }
    result["unseen_lineages"] = _lineages(dataset, recipe, output, result, told)
    result["unseen_families"] = _families(dataset, recipe, told)
    result["unseen_compiler"] = _compiler(dataset, recipe, told)
    result["seconds"] = round(time.perf_counter() - start)
    (output / "kernel-evaluation.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return write_report(result, output / "kernel.md")


def _lineages(data: Dataset, recipe: Recipe, output: Path, result: dict[str, Any], told: Told) -> dict[str, Any]:
    """Leave one lineage out: with the two measured tables alone, and with the further tables to learn from."""
    fold, _ = folds_by_lineage(data, recipe.seed)
    rows = data.usable & (fold >= 0) & ~data.own
    tables, scores = {}, {}
    for own in (False, True):
        padded = Padded(data)
        groups, novelty = cross_validate(data, fold, recipe, told, use_own=own, visit=padded.visit)
        alone = _raw(groups)
        jointly = unseen_scores(data, groups, fold)[1]
        measured = {
            f"{NAME}, kernel alone": measure_scores(data, alone, rows),
            f"{NAME}, judged together": measure_scores(data, jointly, rows),
        }
        for name in BASELINES:
            score = cross_validate_baseline(name, data, fold, told, use_own=own, seed=recipe.seed)
            measured[f"{name}, kernel alone"] = measure_scores(data, score, rows)
            scores[name] = score
        tables["all tables" if own else "the two measured tables alone"] = {k: asdict(v) for k, v in measured.items()}
    scores = {f"{NAME}, judged together": jointly, f"{NAME}, kernel alone": alone, **scores}
    result["padding"] = {"ratios": RATIOS, "found": padded.found(_threshold(alone, data, rows))}
    result["files"] = [asdict(file) for file in judge_held_out(data, groups, novelty, fold)]
    _draw(data, groups, novelty, fold, rows, scores, padded, output)
    return tables


def _families(data: Dataset, recipe: Recipe, told: Told) -> dict[str, Any]:
    """Leave families out: no repository and no workload of ours teaches a family that is held out."""
    fold = folds_by_family(data, recipe.seed)
    rows = data.usable & ~data.own
    groups, _ = cross_validate(data, fold, recipe, told)
    measured: dict[str, Measured] = {f"{NAME}, kernel alone": measure_scores(data, _raw(groups), rows)}
    for name in BASELINES:
        score = cross_validate_baseline(name, data, fold, told, seed=recipe.seed)
        measured[f"{name}, kernel alone"] = measure_scores(data, score, rows)
    found = _raw(groups) > _threshold(_raw(groups), data, rows)
    by_family = {
        str(name): [float(found[here].mean()), int(here.sum())]
        for name in sorted(set(data.family[rows & (data.group == MINING)]))
        if (here := rows & (data.group == MINING) & (data.family == name)).any()
    }
    return {"measured": {k: asdict(v) for k, v in measured.items()}, "found_by_family": by_family}


def _compiler(data: Dataset, recipe: Recipe, told: Told) -> dict[str, Any]:
    """Leave one compiler's front end out: what Numba makes, judged by networks that saw the work of nvcc and NVRTC."""
    numba = np.char.startswith(data.source, NUMBA_SOURCE)
    fold = np.where(numba, 0, -1)
    rows = data.usable & numba
    groups, _ = cross_validate(data, fold, recipe, told)
    measured = {f"{NAME}, kernel alone": measure_scores(data, _raw(groups), rows)}
    for name in BASELINES:
        score = cross_validate_baseline(name, data, fold, told, seed=recipe.seed)
        measured[f"{name}, kernel alone"] = measure_scores(data, score, rows)
    kernels = {str(name): int((rows & (data.group == group)).sum()) for group, name in enumerate(GROUPS)}
    return {"measured": {k: asdict(v) for k, v in measured.items()}, "kernels": kernels}


def _raw(groups: npt.NDArray[np.float32]) -> F64:
    """The network's own log-odds of mining against plain work: comparable over folds without calibration."""
    score: F64 = (groups[:, MINING] - groups[:, PLAIN]).astype(np.float64)
    return score


def _threshold(score: F64, data: Dataset, rows: npt.NDArray[np.bool_]) -> float:
    plain = np.sort(score[rows & (data.group == PLAIN)])[::-1]
    return float(plain[int(len(plain) * 1e-3)])


def _draw(  # noqa: PLR0913, PLR0917  one call, at the end
    data: Dataset,
    groups: npt.NDArray[np.float32],
    novelty: npt.NDArray[np.float32],
    fold: npt.NDArray[np.int64],
    rows: npt.NDArray[np.bool_],
    scores: dict[str, F64],
    padded: Padded,
    output: Path,
) -> None:
    fitted = calibrate(data, groups, rows)
    limits = set_thresholds(data, groups, novelty, rows, fitted)
    hashing, mining, kind = own_log_odds(groups, fitted)
    alone, jointly = unseen_scores(data, groups, fold)
    sizes = data.table.scalars["n_instr"]
    chances = zip(sigmoid(np.maximum(hashing, jointly)), sigmoid(jointly), sigmoid(kind), novelty, sizes, strict=True)
    called = np.array([str(decide(h, m, k, far, size, limits)) for h, m, k, far, size in chances])
    pictures.roc_curves(scores, data, rows, output / "roc.png")
    pictures.score_by_source(mining, data, rows, _threshold(mining, data, rows), output / "score-by-source.png")
    pictures.confusion(called, data, rows, output / "confusion.png")
    pictures.calibration_curve(sigmoid(alone), data, rows, output / "calibration.png")
    network = scores[f"{NAME}, kernel alone"]
    pictures.padding_curves(padded.found(_threshold(network, data, rows)), output / "padding.png")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
