"""The kernel mix tables of the repository as one labelled data set, split by lineage, never by row."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hashwarden.errors import DataError
from hashwarden.kernels.sass.parquet import from_arrow
from hashwarden.kernels.sass.table import MixTable
from hashwarden.model.kernel.counts import Counts, counts_of
from hashwarden.model.kernel.taxonomy import HASH_FAMILIES, MIN_INSTRUCTIONS, MINING, OTHER, PLAIN

__all__ = ["KIN", "LEARNED_ONLY", "NUMBA_SOURCE", "Dataset", "folds_by_lineage", "load", "tables"]

KIN: Final = {
    "ifdefelse/ProgPOW": "progpow-kin",
    "dominant-strategies/quai-gpu-miner": "progpow-kin",
    "ethereum-mining/ethminer": "progpow-kin",
    "tpruvot/ccminer": "ccminer-kin",
    "cbuchner1/CudaMiner": "ccminer-kin",
    "karlsen-network/karlsen-miner": "karlsen-kin",
    "Pyrinpyi/pyrin-miner": "karlsen-kin",
}
"""Repositories that share code or descent; the others are a lineage of their own."""


NUMBA_SOURCE: Final = "hashwarden-numba/"
"""How the sources of this project's Numba kernels begin."""

LABELS: Final = ("source", "origin", "family", "role")

LEARNED_ONLY: Final = (
    "kernel_mix_more_packages.parquet",
    "kernel_mix_numba.parquet",
    "kernel_mix_workloads.parquet",
)
"""The tables that are only learned from; the rows of all others are held out in turn and scored."""


@final
@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled kernels.

    Attributes
    ----------
    table : MixTable
    counts : Counts
    group : int64 array, shape (kernels,)
        `PLAIN`, `OTHER` or `MINING`.
    family, lineage, source : str array, shape (kernels,)
    usable : bool array, shape (kernels,)
        Rows with a label worth learning: no helpers of miners, none under `MIN_INSTRUCTIONS`.
    own : bool array, shape (kernels,)
        Rows that are only learned from, never held out: those of the tables of `LEARNED_ONLY`.
    digests : dict of str to str
        SHA-256 of each file that was read.
    """

    table: MixTable
    counts: Counts
    group: npt.NDArray[np.int64]
    family: npt.NDArray[np.str_]
    lineage: npt.NDArray[np.str_]
    source: npt.NDArray[np.str_]
    usable: npt.NDArray[np.bool_]
    own: npt.NDArray[np.bool_]
    digests: dict[str, str]

    def __len__(self) -> int:
        return len(self.group)

    @classmethod
    def of(cls, table: MixTable, digests: dict[str, str], measured: npt.NDArray[np.bool_]) -> Self:
        """Derive labels and counts of a labelled table; ``measured`` marks the rows that are held out in turn."""
        family, source = table.text["family"].astype(str), table.text["source"].astype(str)
        mining = np.zeros(len(table), bool) if table.is_mining is None else table.is_mining
        other = np.isin(family, sorted(HASH_FAMILIES)) & ~mining
        group = np.where(mining, MINING, np.where(other, OTHER, PLAIN))
        doubtful = np.isin(table.text["role"].astype(str), ("helper", "small"))
        return cls(
            table=table,
            counts=counts_of(table),
            group=group,
            family=family,
            lineage=np.array([KIN.get(name, name) for name in source]),
            source=source,
            usable=~doubtful & (table.scalars["n_instr"] >= MIN_INSTRUCTIONS),
            own=~measured,
            digests=digests,
        )


def tables(folder: Path) -> list[Path]:
    """The Parquet tables of a folder, by name.

    Raises
    ------
    DataError
        If there is none.
    """
    found = sorted(folder.glob("*.parquet"))
    if not found:
        raise DataError("no .parquet file", "kernel mix tables", "Name the folder data/kernel_mix.", where=str(folder))
    return found


def load(folder: Path) -> Dataset:
    """Read all tables of a folder.

    Raises
    ------
    DataError
        If a table breaks the schema or has no labels.
    """
    parts: list[MixTable] = []
    digests: dict[str, str] = {}
    measured: list[bool] = []
    for path in tables(folder):
        part = _labelled(path)
        parts.append(part)
        measured += [path.name not in LEARNED_ONLY] * len(part)
        digests[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return Dataset.of(MixTable.concat(parts), digests, np.array(measured, bool))


def _labelled(path: Path) -> MixTable:
    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise DataError(
            f"a file that Parquet cannot read ({error})", "a kernel mix table", "Copy it again.", where=str(path)
        ) from error
    part = from_arrow(table, str(path))
    missing = [name for name in LABELS if name not in part.text] + ["is_mining"] * (part.is_mining is None)
    if missing:
        raise DataError(
            f"a table without labels: {', '.join(missing)}", "all label columns", "Label it.", where=str(path)
        )
    return part


def folds_by_lineage(data: Dataset, seed: int = 0) -> tuple[npt.NDArray[np.int64], list[str]]:
    """One fold per mining lineage; the sources of the negatives are dealt out over the folds.

    Rows of further tables are training data in every fold and get -1.

    Returns
    -------
    fold : int64 array, shape (kernels,)
        The fold that holds a row out.
    lineages : list of str
        The mining lineage of each fold.
    """
    outside = ~data.own
    lineages = sorted(set(data.lineage[(data.group == MINING) & data.usable & outside]))
    rest = sorted(set(data.lineage[outside]) - set(lineages))
    np.random.default_rng(seed).shuffle(rest)
    fold_of = {name: index for index, name in enumerate(lineages)}
    fold_of |= {name: index % len(lineages) for index, name in enumerate(rest)}
    return np.array([fold_of.get(name, -1) for name in data.lineage]), lineages
