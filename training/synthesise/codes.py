"""The machine code of a part: rows of the kernel tables that could be it, one drawn for a run.

Different authors and compilers write the same kernel; a run draws one of them, so that no part has a mix of its own.
What the kernel model says of the drawn row is what it said without having learned that family or that source
(`hashwarden.training.synthesise.score_kernels`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hashwarden.errors import DataError
from hashwarden.kernels.sass.parquet import from_arrow
from hashwarden.kernels.sass.table import MixTable
from hashwarden.model.kernel.counts import counts_of
from hashwarden.model.kernel.shares import SHARES, shares_of
from hashwarden.training.synthesise.pipes import CORES, PIPES, pipe_shares

__all__ = ["CODE_CHANNELS", "DATA", "Code", "Pick", "candidates", "draw_code", "read_rows", "rows_for", "source_of"]

F64 = npt.NDArray[np.float64]
DATA: Final = Path(__file__).resolve().parents[2] / "data"
"""Where the tables lie in a checkout of the repository."""

CODE_CHANNELS: Final = ("p_mining", "p_hash", "novelty", *SHARES)
"""What the code tier says of a kernel, in the order of `Code.channels`."""


@final
@dataclass(frozen=True, slots=True)
class Pick:
    """Which rows may stand for a part: regular expressions searched in source, kernel and family; empty matches all.

    ``role`` is compared as a whole; empty takes every role but ``small``.
    """

    source: str = ""
    kernel: str = ""
    family: str = ""
    role: str = ""


@final
@dataclass(frozen=True, slots=True)
class Code:
    """One drawn kernel.

    Attributes
    ----------
    source, kernel : str
        Where its machine code comes from.
    instructions : int
        Its length.
    pipes : float64 array, shape (len(PIPES),)
        Share of its instructions by unit, inner loops in front.
    load_bytes, store_bytes, shared_bytes : float
        Bytes a lane for each instruction.
    channels : float64 array, shape (len(CODE_CHANNELS),)
        What the code tier says.
    """

    source: str
    kernel: str
    instructions: int
    pipes: F64
    load_bytes: float
    store_bytes: float
    shared_bytes: float
    channels: F64


@cache
def _scores() -> dict[str, npt.NDArray[np.object_]]:
    """The table of scores, as one array a column."""
    path = DATA / "job" / "kernel_scores.parquet"
    if not path.exists():
        raise DataError(
            "no kernel scores", "data/job/kernel_scores.parquet",
            "Synthesis needs a checkout of the repository, with its data.", where=str(path),
        )  # fmt: skip
    table = pq.read_table(path)
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names} | {
        "kernel": np.concatenate([_kernels(str(name)) for name in table["table"].unique().to_pylist()])
    }


def _kernels(name: str) -> npt.NDArray[np.object_]:
    names: npt.NDArray[np.object_] = pq.read_table(DATA / "kernel_mix" / name, columns=["kernel"])["kernel"].to_numpy(
        zero_copy_only=False
    )
    return names


def _matches(pick: Pick) -> npt.NDArray[np.bool_]:
    columns = _scores()
    found = columns["role"] == pick.role if pick.role else columns["role"] != "small"
    for name in ("source", "kernel", "family"):
        pattern = getattr(pick, name)
        if pattern:
            found = found & pc.match_substring_regex(_text(name), pattern).to_numpy(zero_copy_only=False)
    return np.asarray(found, bool)


@cache
def _text(name: str) -> pa.Array:
    """One text column of the scores as Arrow, for regular expressions."""
    return pa.array(_scores()[name].astype(str))


@cache
def candidates(picks: tuple[Pick, ...], architecture: int) -> npt.NDArray[np.int64]:
    """Rows of the scores that may stand for a part on an architecture, each pick in its newest suitable code.

    A GPU runs code of its own architecture; where a table holds none of it, that of the next older one.
    """
    arch = _scores()["arch"].astype(np.int64)
    found = []
    for pick in picks:
        rows = np.flatnonzero(_matches(pick) & (arch <= architecture))
        found.append(rows[arch[rows] == arch[rows].max()] if len(rows) else rows)
    result = np.unique(np.concatenate(found))
    if not len(result):
        raise DataError(f"no kernel for {picks} on sm_{architecture}", "rows of the kernel tables", "Widen the picks.")
    return result


@cache
def _table(name: str) -> MixTable:
    path = DATA / "kernel_mix" / name
    return from_arrow(pq.read_table(path), str(path))


def read_rows(rows: npt.NDArray[np.int64]) -> list[MixTable]:
    """The kernels of rows of the scores, one table each."""
    columns = _scores()
    return [_table(str(columns["table"][row])).take([int(columns["row"][row])]) for row in rows]


@cache
def _code(row: int, core: str) -> Code:
    kernel, columns = read_rows(np.array([row]))[0], _scores()
    pipes, moved = pipe_shares(kernel, core)
    scored = [float(columns[f"{name}_out"][row]) for name in CODE_CHANNELS[:3]]
    loads, stores, shared = moved.tolist()
    return Code(
        str(columns["source"][row]), str(columns["kernel"][row]), int(kernel.scalars["n_instr"][0]), pipes,
        loads, stores, shared, np.array([*scored, *shares_of(counts_of(kernel))[0].tolist()]),
    )  # fmt: skip


def rows_for(picks: tuple[Pick, ...], core: str, architecture: int) -> npt.NDArray[np.int64]:
    """The rows that a draw is from; parameters as for `draw_code`."""
    return _with_core(picks, core, architecture) if core else candidates(picks, architecture)


def source_of(row: int) -> str:
    """The repository, package, own workload or Numba program that a row comes from."""
    return str(_scores()["source"][row])


def draw_code(picks: tuple[Pick, ...], core: str, architecture: int, rng: np.random.Generator) -> Code:
    """Draw a source, then one of its kernels.

    Parameters
    ----------
    picks : tuple of Pick
    core : str
        One of `hashwarden.training.synthesise.pipes.CORES`: only kernels that have such instructions will do.
    architecture : int
    rng : Generator

    Raises
    ------
    DataError
        If no kernel fits.
    """
    rows = rows_for(picks, core, architecture)
    sources = _scores()["source"][rows]
    source = rng.choice(np.unique(sources.astype(str)))
    return _code(int(rng.choice(rows[sources == source])), core)


@cache
def _with_core(picks: tuple[Pick, ...], core: str, architecture: int) -> npt.NDArray[np.int64]:
    rows = candidates(picks, architecture)
    places = [PIPES.index(name) for name in CORES[core]]
    kept = [row for row in rows if _code(int(row), core).pipes[places].sum() > LEAST[core]]
    if not kept:
        raise DataError(f"no {core} kernel for {picks} on sm_{architecture}", "rows with some", "Widen the picks.")
    return np.array(kept)


LEAST: Final = {"tensor": 0.003, "int8": 0.003, "fma": 0.25, "double": 0.1}
"""Share of the core's instructions at their loop level under which a kernel will not do; wgmma is rare but long."""
