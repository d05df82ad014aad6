"""``hashwarden evaluate memory``: what access patterns alone tell of families that were never seen.

A random forest on the features of `hashwarden.kernels.memory.features`; each family is judged by a forest that
saw none of its rows, nor any of its kin. Patterns are one tier of evidence among others: what touches no memory
cannot be told by how it touches memory, and the page says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from hashwarden.errors import DataError
from hashwarden.kernels.memory.patterns import NAMES
from hashwarden.training.memory.report import write_report

__all__ = ["FamilyResult", "Study", "Table", "judge_held_out", "load", "run"]

F64 = npt.NDArray[np.float64]
MINING: Final = "mining"
TREES: Final = 400
ABOUT_SIZE: Final = ("lost_share",)
"""Features that say how a log was taken rather than how memory was touched; not used."""


KIN: Final = {
    **dict.fromkeys(
        ("blake2b", "blake3", "keccak", "kheavyhash", "poseidon2-pow", "progpow", "sha256d", "sha512"), "searches"
    ),
    **dict.fromkeys(("ethash", "fishhash"), "dag"),
    **dict.fromkeys(("scratchpad-aes", "scratchpad-chacha"), "scratchpad"),
}
"""Families whose programs share code that touches memory (a table of hits, a DAG's pages); the others stand alone."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of the table of memory patterns.

    ``features`` has shape (rows, features), NaN where a log cannot tell; the others have shape (rows,).
    """

    features: F64
    names: tuple[str, ...]
    workload: npt.NDArray[np.str_]
    label: npt.NDArray[np.str_]
    family: npt.NDArray[np.str_]
    measured_on: str

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, slots=True)
class FamilyResult:
    """How one family was judged by forests that never saw it."""

    family: str
    label: str
    workloads: int
    rows: int
    chance_of_mining: float
    right: float
    mostly_taken_for: str


@dataclass(frozen=True, slots=True)
class Study:
    """The outcome: pooled figures, families one by one, and what the forest looked at.

    All but ``auroc_family_out`` are with kin held out together.
    """

    rows: int
    families: int
    auroc: float
    auroc_family_out: float
    auroc_of_families: float
    balanced_accuracy: float
    found_at_no_false_family: float
    chance: tuple[float, ...]
    by_family: tuple[FamilyResult, ...]
    importance: tuple[tuple[str, float], ...]
    measured_on: str


def load(path: Path) -> Table:
    """Read the table.

    Raises
    ------
    DataError
        If it is not there, or lacks a column.
    """
    remedy = "Write it: python -m hashwarden.training.memory.table."
    if not path.is_file():
        raise DataError("no such file", "the table of memory patterns", remedy, where=str(path))
    table = pq.read_table(path)
    names = tuple(name for name in NAMES if name not in ABOUT_SIZE)
    missing = [name for name in (*names, "workload", "label", "family") if name not in table.column_names]
    if missing:
        raise DataError(f"no column {missing[0]!r}", "all columns of this version", remedy, where=str(path))
    features = np.column_stack([table[name].to_numpy() for name in names]).astype(np.float64)
    text = {name: np.array(table[name].to_pylist()) for name in ("workload", "label", "family")}
    measured_on = (table.schema.metadata or {}).get(b"measured_on", b"unknown").decode()
    return Table(features, names, text["workload"], text["label"], text["family"], measured_on)


def _weights(table: Table, rows: npt.NDArray[np.bool_]) -> F64:
    """Each family weighs the same, whatever number of rows it has, and mining as much as the rest."""
    weights = np.zeros(len(table))
    for mining in (True, False):
        side = rows & ((table.label == MINING) == mining)
        families = np.unique(table.family[side])
        for family in families:
            kin = side & (table.family == family)
            weights[kin] = 1 / (kin.sum() * len(families))
    chosen: F64 = weights[rows] * rows.sum() / 2
    return chosen


def _forest(table: Table, rows: npt.NDArray[np.bool_], target: npt.NDArray[Any], seed: int) -> RandomForestClassifier:
    forest = RandomForestClassifier(TREES, min_samples_leaf=2, random_state=seed, n_jobs=1)
    return forest.fit(table.features[rows], target[rows], sample_weight=_weights(table, rows))


def judge_held_out(
    table: Table, seed: int = 0, told: Callable[[str], None] | None = None, *, kin: bool = True
) -> tuple[F64, list[str]]:
    """Judge each family by a forest that learned from all others, or, with ``kin``, from all that share no code.

    Returns
    -------
    float64, shape (rows,)
        Chance of mining.
    list of str
        The label that each row is taken for.
    """
    chance, taken = np.zeros(len(table)), [""] * len(table)
    mining = table.label == MINING
    group = np.array([KIN.get(str(family), family) if kin else family for family in table.family])
    for name in np.unique(group):
        if told is not None:
            told(f"without {name}")
        held = group == name
        chance[held] = _forest(table, ~held, mining, seed).predict_proba(table.features[held])[:, 1]
        labels = _forest(table, ~held, table.label, seed).predict(table.features[held])
        for row, label in zip(np.flatnonzero(held), labels, strict=True):
            taken[row] = str(label)
    return chance, taken


def _results(table: Table, chance: F64, taken: list[str]) -> tuple[FamilyResult, ...]:
    found = []
    for family in np.unique(table.family):
        rows = np.flatnonzero(table.family == family)
        labels, counts = np.unique(table.label[rows], return_counts=True)
        guesses, votes = np.unique([taken[row] for row in rows], return_counts=True)
        right = (chance[rows] >= 0.5) == (table.label[rows] == MINING)
        found.append(
            FamilyResult(
                family=str(family),
                label=str(labels[np.argmax(counts)]),
                workloads=len(np.unique(table.workload[rows])),
                rows=len(rows),
                chance_of_mining=float(chance[rows].mean()),
                right=float(right.mean()),
                mostly_taken_for=str(guesses[np.argmax(votes)]),
            )
        )
    return tuple(sorted(found, key=lambda result: (result.label != MINING, result.label, -result.chance_of_mining)))


def study(table: Table, seed: int = 0, told: Callable[[str], None] | None = None) -> Study:
    """Hold out each family in turn, and sum up."""
    chance, taken = judge_held_out(table, seed, told)
    looser, _ = judge_held_out(table, seed, told, kin=False)
    mining = table.label == MINING
    families = _results(table, chance, taken)
    means = np.array([result.chance_of_mining for result in families])
    are_mining = np.array([result.label == MINING for result in families])
    every = np.ones(len(table), bool)
    forest = _forest(table, every, mining, seed)
    ranked = sorted(zip(table.names, forest.feature_importances_, strict=True), key=lambda item: -item[1])
    recall = [np.mean([r.right for r in families if (r.label == MINING) == side]) for side in (True, False)]
    return Study(
        rows=len(table),
        families=len(families),
        auroc=float(roc_auc_score(mining, chance, sample_weight=_weights(table, every))),
        auroc_family_out=float(roc_auc_score(mining, looser, sample_weight=_weights(table, every))),
        auroc_of_families=float(roc_auc_score(are_mining, means)),
        balanced_accuracy=float(np.mean(recall)),
        found_at_no_false_family=float(np.mean(means[are_mining] > means[~are_mining].max())),
        chance=tuple(float(value) for value in chance),
        by_family=families,
        importance=tuple((name, float(value)) for name, value in ranked),
        measured_on=table.measured_on,
    )


def run(data: Path, output: Path, seed: int = 0, told: Callable[[str], None] | None = None) -> Path:
    """Evaluate, and write memory.md, memory-evaluation.json and a picture.

    Returns
    -------
    Path
        The page.
    """
    table = load(data)
    found = study(table, seed, told)
    output.mkdir(parents=True, exist_ok=True)
    plain = {name: value for name, value in asdict(found).items() if name != "chance"}
    (output / "memory-evaluation.json").write_text(json.dumps(plain, indent=1) + "\n")
    return write_report(output, found, table)
