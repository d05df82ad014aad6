"""The kernel mix table: one row per GPU kernel, held as flat columns, exchanged as Arrow.

Everything downstream reads this: the engines fill it, the model's feature transform reads it, the
training tables in data/ are its Parquet form. Nested columns are `Ragged`: flat arrays and offsets,
so that a table of 600,000 kernels is a few dozen arrays and never a million Python objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

__all__ = ["MEM_KINDS", "NESTED", "SCALARS", "TEXT", "MixTable", "Ragged"]

IntArray = npt.NDArray[np.int64]

TEXT = ("source", "version", "origin", "file", "kernel", "family", "role", "code_sha1")
"""Text columns; all but ``file``, ``kernel`` and ``code_sha1`` are labels that only training tables have."""

SCALARS = (
    "arch",
    "n_instr",
    "n_loops",
    "max_depth",
    "in_loop",
    "regs",
    "shared",
    "longest_alu_run",
    "longest_chain",
)
"""Whole numbers, one per kernel. Units: arch = compute capability times 10, shared = bytes, else counts."""

MEM_KINDS = ("ldg", "ld", "lds", "ldl", "atom", "stg", "st", "sts", "stl", "ldgsts", "tex")
"""Names of the memory kinds; a kind is stored as its index here."""

NESTED: dict[str, tuple[str, ...]] = {
    "op": ("op12", "depth", "n"),
    "lut": ("lut", "depth", "n"),
    "mem": ("kind", "width", "taint", "depth", "n"),
    "flow": ("src", "dst", "inner", "n"),
    "const_code": ("primitive", "n"),
    "const_module": ("primitive", "n"),
}
"""Nested columns and their fields, in order. Rows of one kernel are sorted by the fields before the counts."""


@final
@dataclass(frozen=True, slots=True)
class Ragged:
    """One list of records per kernel, flat.

    Attributes
    ----------
    offsets : int64 array, shape (kernels + 1,)
        Kernel k owns records ``offsets[k]:offsets[k + 1]``.
    columns : dict of str to int64 array, shape (records,)
        The fields, in the order of `NESTED`.
    """

    offsets: IntArray
    columns: dict[str, IntArray]

    def kernel_index(self) -> IntArray:
        """The kernel that each record belongs to, shape (records,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def take(self, rows: IntArray) -> Ragged:
        """The lists of the given kernels, in the given order."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        starts = np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        picked = starts + np.arange(offsets[-1])
        return Ragged(offsets, {name: column[picked] for name, column in self.columns.items()})

    @classmethod
    def concat(cls, parts: Sequence[Ragged]) -> Ragged:
        """The lists of all parts, one after the other."""
        lengths = np.concatenate([np.diff(part.offsets) for part in parts])
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        names = parts[0].columns
        return cls(offsets, {n: np.concatenate([p.columns[n] for p in parts]) for n in names})

    @classmethod
    def empty(cls, name: str, kernels: int = 0) -> Ragged:
        """No records for each of ``kernels`` kernels, with the fields of nested column ``name``."""
        zeros = np.zeros(kernels + 1, np.int64)
        return cls(zeros, {column: np.zeros(0, np.int64) for column in NESTED[name]})


@final
@dataclass(frozen=True, slots=True)
class MixTable:
    """Kernel mixes of many kernels.

    Attributes
    ----------
    scalars : dict of str to int64 array, shape (kernels,)
        The columns of `SCALARS`.
    rotate, funnel : int64 array, shape (kernels, 5)
        Rotates and funnel shifts by loop depth 0 to 4.
    nested : dict of str to Ragged
        The columns of `NESTED`; ``kind`` is an index into `MEM_KINDS`, ``primitive`` one into
        `hashwarden.kernels.sass.constants.PRIMITIVES`.
    text : dict of str to object array of str, shape (kernels,)
        The columns of `TEXT` that the table has; at least file, kernel, code_sha1.
    is_mining : bool array, shape (kernels,), or None
        The label, where the table has one.
    """

    scalars: dict[str, IntArray]
    rotate: IntArray
    funnel: IntArray
    nested: dict[str, Ragged]
    text: dict[str, npt.NDArray[np.object_]]
    is_mining: npt.NDArray[np.bool_] | None = field(default=None)

    def __len__(self) -> int:
        return len(self.scalars["arch"])

    def take(self, rows: Iterable[int] | npt.NDArray[Any]) -> Self:
        """The given kernels, in the given order (indices or a boolean mask)."""
        index = np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == np.bool_ else index.astype(np.int64)
        return type(self)(
            {name: column[index] for name, column in self.scalars.items()},
            self.rotate[index],
            self.funnel[index],
            {name: column.take(index) for name, column in self.nested.items()},
            {name: column[index] for name, column in self.text.items()},
            None if self.is_mining is None else self.is_mining[index],
        )

    @classmethod
    def concat(cls, parts: Sequence[MixTable]) -> Self:
        """All kernels of all parts; text columns and labels are kept where every part has them."""
        if not parts:
            return cls.empty()
        shared = [name for name in parts[0].text if all(name in part.text for part in parts)]
        labels = [part.is_mining for part in parts if part.is_mining is not None]
        return cls(
            {n: np.concatenate([p.scalars[n] for p in parts]) for n in SCALARS},
            np.concatenate([p.rotate for p in parts]),
            np.concatenate([p.funnel for p in parts]),
            {n: Ragged.concat([p.nested[n] for p in parts]) for n in NESTED},
            {n: np.concatenate([p.text[n] for p in parts]) for n in shared},
            np.concatenate(labels) if len(labels) == len(parts) else None,
        )

    @classmethod
    def empty(cls) -> Self:
        """A table of no kernels."""
        return cls(
            {name: np.zeros(0, np.int64) for name in SCALARS},
            np.zeros((0, 5), np.int64),
            np.zeros((0, 5), np.int64),
            {name: Ragged.empty(name) for name in NESTED},
            {name: np.zeros(0, object) for name in ("file", "kernel", "code_sha1")},
        )
