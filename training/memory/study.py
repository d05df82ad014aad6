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
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from hashwarden.errors import DataError
from hashwarden.kernels.memory.patterns import NAMES
from hashwarden.training.memory.report import write_report

__all__ = ["FamilyResult", "Study", "Table", "judge_held_out", "kin_of", "load", "recognised", "run", "study"]

F64 = npt.NDArray[np.float64]
Told = Callable[[str], None]
MINING: Final = "mining"
LEARNING: Final = ("training", "inference")
TREES: Final = 300
FOLDS: Final = 5
TEXT: Final = ("workload", "settings", "label", "family")
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
    settings: npt.NDArray[np.str_]
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

    ``auroc``: mining against the rest, over runs, each family weighing the same; ``..._against_learning``: against
    training and inference only; ``auroc_of_learning``: training and inference against the rest. In
    ``..._family_out...`` kin may teach; elsewhere they are held out together. ``recognised``: see `recognised`.
    """

    rows: int
    families: int
    auroc: float
    auroc_family_out: float
    auroc_against_learning: float
    auroc_family_out_against_learning: float
    auroc_of_learning: float
    recognised: float
    balanced_accuracy: float
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
    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise DataError(
            f"a file that Parquet cannot read ({error})", "a whole table", remedy, where=str(path)
        ) from error
    names = tuple(name for name in NAMES if name not in ABOUT_SIZE)
    missing = [name for name in (*names, *TEXT) if name not in table.column_names]
    if missing:
        raise DataError(f"no column {missing[0]!r}", "all columns of this version", remedy, where=str(path))
    features = np.column_stack([table[name].to_numpy() for name in names]).astype(np.float64)
    text = {name: np.array(table[name].to_pylist()) for name in TEXT}
    measured_on = (table.schema.metadata or {}).get(b"measured_on", b"unknown").decode()
    return Table(features, names, **text, measured_on=measured_on)


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


def kin_of(table: Table) -> npt.NDArray[np.str_]:
    """What is held out together, row by row: the kin of a family, or the family itself."""
    return np.array([KIN.get(str(family), str(family)) for family in table.family])


def judge_held_out(
    table: Table, target: npt.NDArray[np.bool_], group: npt.NDArray[np.str_], seed: int = 0, told: Told | None = None
) -> F64:
    """Judge each group by a forest that learned from all others.

    Parameters
    ----------
    table : Table
    target : bool array, shape (rows,)
        What the chance is of.
    group : str array, shape (rows,)
        What is held out together: `kin_of`, or the families.
    seed : int
        Of the forests.
    told : callable, optional
        Is told of each group.

    Returns
    -------
    float64, shape (rows,)
        Chance of ``target``.
    """
    chance = np.zeros(len(table))
    for name in np.unique(group):
        if told is not None:
            told(f"without {name}")
        held = group == name
        chance[held] = _forest(table, ~held, target, seed).predict_proba(table.features[held])[:, 1]
    return chance


def _taken_for(table: Table, seed: int) -> list[str]:
    """The label that each row is taken for by a forest that saw none of its kin."""
    group, taken = kin_of(table), [""] * len(table)
    for name in np.unique(group):
        held = group == name
        labels = _forest(table, ~held, table.label, seed).predict(table.features[held])
        for row, label in zip(np.flatnonzero(held), labels, strict=True):
            taken[row] = str(label)
    return taken


def recognised(table: Table, seed: int = 0) -> float:
    """Share of runs whose family a forest names that saw the family at other settings; families weigh the same."""
    settings = np.unique(np.char.add(np.char.add(table.workload, " "), table.settings), return_inverse=True)[1]
    named = np.zeros(len(table), bool)
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=seed).split(table.features, groups=settings):
        rows = np.isin(np.arange(len(table)), train)
        forest = _forest(table, rows, table.family, seed)
        named[test] = forest.predict(table.features[test]) == table.family[test]
    return float(np.mean([named[table.family == family].mean() for family in np.unique(table.family)]))


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


def study(table: Table, seed: int = 0, told: Told | None = None) -> Study:
    """Hold out each family in turn, with its kin, and sum up."""
    mining, learning = table.label == MINING, np.isin(table.label, LEARNING)
    every, kin = np.ones(len(table), bool), kin_of(table)
    weights = _weights(table, every)
    chance = judge_held_out(table, mining, kin, seed, told)
    looser = judge_held_out(table, mining, table.family, seed, told)
    learns = judge_held_out(table, learning, kin, seed, told)
    families = _results(table, chance, _taken_for(table, seed))
    forest = _forest(table, every, mining, seed)
    ranked = sorted(zip(table.names, forest.feature_importances_, strict=True), key=lambda item: -item[1])
    recall = [np.mean([r.right for r in families if (r.label == MINING) == side]) for side in (True, False)]
    either = mining | learning
    return Study(
        rows=len(table),
        families=len(families),
        auroc=_auroc(mining, chance, weights),
        auroc_family_out=_auroc(mining, looser, weights),
        auroc_against_learning=_auroc(mining[either], chance[either], weights[either]),
        auroc_family_out_against_learning=_auroc(mining[either], looser[either], weights[either]),
        auroc_of_learning=_auroc(learning, learns, weights),
        recognised=recognised(table, seed),
        balanced_accuracy=float(np.mean(recall)),
        chance=tuple(float(value) for value in chance),
        by_family=families,
        importance=tuple((name, float(value)) for name, value in ranked),
        measured_on=table.measured_on,
    )


def _auroc(target: npt.NDArray[np.bool_], chance: F64, weights: F64) -> float:
    return float(roc_auc_score(target, chance, sample_weight=weights)) if 0 < target.sum() < len(target) else np.nan


def run(data: Path, output: Path, seed: int = 0, told: Told | None = None) -> Path:
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
