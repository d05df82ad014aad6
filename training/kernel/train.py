"""``hashwarden train kernel``: from the tables in the repository to the shipped model file and its card."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hashwarden.model.kernel.features import features_of_counts
from hashwarden.model.kernel.rule import FileRule
from hashwarden.model.kernel.taxonomy import PLAIN
from hashwarden.training.kernel.answers import known_rows, write_answers
from hashwarden.training.kernel.calibrate import calibrate
from hashwarden.training.kernel.card import write_card
from hashwarden.training.kernel.crossval import Told, cross_validate
from hashwarden.training.kernel.dataset import folds_by_lineage, load
from hashwarden.training.kernel.export import export, record_of
from hashwarden.training.kernel.fit import Recipe, family_groups, fit
from hashwarden.training.kernel.measures import measure
from hashwarden.training.kernel.thresholds import innocent_files, set_thresholds

__all__ = ["run"]

_log = logging.getLogger(__name__)


def run(data: Path, output: Path, seed: int = 0, told: Told | None = None, recipe: Recipe | None = None) -> Path:
    """Train the kernel model and write ``kernel.onnx``, its known answers, ``kernel.json`` and ``kernel.md``.

    Parameters
    ----------
    data : Path
        Folder of kernel mix tables.
    output : Path
        Folder for the files; what lies there is replaced only when all is done.
    seed : int
        Seed of everything random.
    told : callable, optional
        Is told of each step.
    recipe : Recipe, optional
        Another than the shipped model's; its seed is ``seed``.

    Returns
    -------
    Path
        The ONNX file.

    Raises
    ------
    DataError
        If a table breaks the schema.
    """
    told, start, recipe = told or _log.info, time.perf_counter(), replace(recipe or Recipe(), seed=seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # sums in one order: the same seed gives the same file
    dataset = load(data)
    told(f"{len(dataset)} kernels, {int(dataset.usable.sum())} to learn from")
    fold, lineages = folds_by_lineage(dataset, seed)
    groups, novelty = cross_validate(dataset, fold, recipe, told)
    rows = dataset.usable & (fold >= 0)
    calibration = calibrate(dataset, groups, rows)
    limits = set_thresholds(dataset, groups, novelty, rows, calibration)
    rule = FileRule(calibration, limits, innocent_files(dataset, groups, fold >= 0, calibration, limits))
    families, group_of_family = family_groups(dataset)
    network = fit(dataset, np.flatnonzero(dataset.usable), families, group_of_family, recipe)
    features = features_of_counts(dataset.counts)
    plain = features[dataset.usable & (dataset.group == PLAIN)].mean(0)
    record = record_of(families, group_of_family, plain, rule, dataset.digests, seed)
    unseen = measure(dataset, groups, fold, calibration)  # before anything is replaced
    worst = export(network, record, features[:: max(1, len(features) // 2000)], output / "kernel.onnx")
    write_answers(output / "kernel.onnx", features[known_rows(dataset.group, dataset.usable)])
    told(f"exported; largest difference between torch and ONNX {worst:.1e}")
    parameters = sum(p.numel() for p in network.parameters())
    write_card(output, dataset, record, unseen, lineages, recipe, parameters, time.perf_counter() - start)
    return output / "kernel.onnx"
