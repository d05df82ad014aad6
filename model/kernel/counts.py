"""From the kernel mix table to one row of plain counts per kernel.

Counts add up: the counts of two pieces of code run together are the sum of theirs. That is what padding,
dual mining and fusing do, so augmentation and the robustness curves work on counts, and features are
computed from counts afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final, Self, final

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.sass.constants import PRIMITIVES
from hashwarden.kernels.sass.table import MixTable, Ragged
from hashwarden.model.kernel import groups
from hashwarden.model.kernel.groups import FLOW_GROUPS, FLOW_SOURCES, LUT_CLASSES, MEM_GROUPS, OP_GROUPS, WIDTH_CLASSES

__all__ = ["BLOCKS", "DEPTH_WEIGHTS", "SCALAR_FIELDS", "Counts", "block", "counts_of"]

F32 = npt.NDArray[np.float32]
DEPTH_WEIGHTS: Final = (1.0, 6.0, 36.0, 100.0, 100.0)
"""How often an instruction at loop depth 0, 1, ... is taken to run. Trip counts are not in the code; six turns
a level keep the inner loop in front without letting one deep loop hide the rest (chosen on the training folds)."""

_TAINTS: Final = ("clean", "loaded", "hashed")
_FORMS: Final = tuple(f"{s}>{d}" for s in FLOW_SOURCES for d in FLOW_GROUPS)
_LUTS: Final = tuple(f"lut{c:02x}" for c in LUT_CLASSES)
_MEMS: Final = tuple(f"{m}.{t}" for m in MEM_GROUPS for t in _TAINTS)

BLOCKS: Final[dict[str, tuple[str, ...]]] = {
    "op": OP_GROUPS,
    "op_weighted": OP_GROUPS,
    "op_immediate": OP_GROUPS,
    "lut": _LUTS,
    "lut_weighted": _LUTS,
    "rotate": ("rotate", "funnel"),
    "rotate_weighted": ("rotate", "funnel"),
    "mem": _MEMS,
    "mem_weighted": _MEMS,
    "mem_width": tuple(f"{m}.{w}" for m in MEM_GROUPS for w in WIDTH_CLASSES),
    "flow": _FORMS,
    "flow_inner": _FORMS,
}
"""Blocks of count columns, in order: plain counts, or weighted by `DEPTH_WEIGHTS`, or at the deepest loop only."""

SCALAR_FIELDS: Final = (
    "n_instr",
    "n_loops",
    "max_depth",
    "in_loop",
    "regs",
    "shared",
    "longest_alu_run",
    "longest_chain",
)


@cache
def block(name: str) -> slice:
    """The columns of a block in the count matrix."""
    names = list(BLOCKS)
    start = sum(len(BLOCKS[n]) for n in names[: names.index(name)])
    return slice(start, start + len(BLOCKS[name]))


@final
@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of many kernels.

    Attributes
    ----------
    counts : float32 array, shape (kernels, columns of all blocks)
    scalars : float32 array, shape (kernels, 8)
        The fields of `SCALAR_FIELDS`.
    constants : float32 array, shape (kernels, 2 * primitives)
        Distinct known constants by primitive: in the code, then in the module's data.
    """

    counts: F32
    scalars: F32
    constants: F32

    def __len__(self) -> int:
        return len(self.counts)

    def take(self, rows: npt.NDArray[np.int64]) -> Self:
        """The given kernels, copied."""
        return type(self)(self.counts[rows], self.scalars[rows], self.constants[rows])


def _sums(ragged: Ragged, column: npt.NDArray[np.int64], size: int, n: npt.NDArray[np.float64] | None = None) -> F32:
    """Sum ``n`` by kernel and column; shape (kernels, size)."""
    kernels = len(ragged.offsets) - 1
    key = ragged.kernel_index() * size + column
    weights = ragged.columns["n"] if n is None else n
    return np.bincount(key, weights, kernels * size).reshape(kernels, size).astype(np.float32)


def _of_ops(table: MixTable, weights: npt.NDArray[np.float64]) -> list[F32]:
    op = table.nested["op"]
    group = groups.op_group_of_opcode()[op.columns["op12"] & 511]
    n, size = op.columns["n"], len(OP_GROUPS)
    immediate = np.isin(op.columns["op12"] >> 9 & 7, (2, 4))
    weighted = n * weights[op.columns["depth"]]
    return [_sums(op, group, size, each) for each in (n.astype(float), weighted, n * immediate)]


def _of_luts(table: MixTable, weights: npt.NDArray[np.float64]) -> list[F32]:
    lut = table.nested["lut"]
    kind = groups.lut_class()[lut.columns["lut"] & 255]
    return [_sums(lut, kind, len(LUT_CLASSES), n) for n in (None, lut.columns["n"] * weights[lut.columns["depth"]])]


def _of_memory(table: MixTable, weights: npt.NDArray[np.float64]) -> list[F32]:
    mem = table.nested["mem"]
    group = groups.mem_group_of_kind()[mem.columns["kind"]]
    tainted = group * 3 + np.minimum(mem.columns["taint"], 2)
    width = group * 4 + groups.width_class()[mem.columns["width"] & 7]
    weighted = mem.columns["n"] * weights[mem.columns["depth"]]
    return [
        _sums(mem, tainted, len(_MEMS)),
        _sums(mem, tainted, len(_MEMS), weighted),
        _sums(mem, width, len(BLOCKS["mem_width"])),
    ]


def _of_flow(table: MixTable) -> list[F32]:
    flow = table.nested["flow"]
    of_opcode = groups.flow_group_of_opcode()
    place = np.array([FLOW_SOURCES.index(g) if g in FLOW_SOURCES else -1 for g in FLOW_GROUPS])
    source = place[of_opcode[flow.columns["src"] & 511]]
    known = source >= 0
    column = np.maximum(source, 0) * len(FLOW_GROUPS) + of_opcode[flow.columns["dst"] & 511]
    return [_sums(flow, column, len(_FORMS), flow.columns[name] * known) for name in ("n", "inner")]


def counts_of(table: MixTable) -> Counts:
    """The counts of every kernel of a table.

    Parameters
    ----------
    table : MixTable

    Returns
    -------
    Counts
        One row per kernel, in order.
    """
    weights = np.array(DEPTH_WEIGHTS)
    rotates = [np.stack([f(table.rotate), f(table.funnel)], 1) for f in (lambda r: r.sum(1), lambda r: r @ weights)]
    parts = [
        *_of_ops(table, weights),
        *_of_luts(table, weights),
        *rotates,
        *_of_memory(table, weights),
        *_of_flow(table),
    ]
    constants = [
        _sums(table.nested[name], table.nested[name].columns["primitive"], len(PRIMITIVES))
        for name in ("const_code", "const_module")
    ]
    scalars = np.stack([table.scalars[name] for name in SCALAR_FIELDS], 1).astype(np.float32)
    return Counts(np.concatenate(parts, 1).astype(np.float32), scalars, np.concatenate(constants, 1))
