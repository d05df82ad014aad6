"""From the kernel mix table to one row of plain counts per kernel.

Counts add up: the counts of two pieces of code run together are the sum of theirs. That is what padding,
dual mining and fusing do, so augmentation and the robustness curves work on counts, and features are
computed from counts afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Self, final

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.sass.constants import PRIMITIVES
from hashwarden.kernels.sass.table import MixTable, Ragged
from hashwarden.model.kernel import groups
from hashwarden.model.kernel.groups import FLOW_GROUPS, FLOW_SOURCES, LUT_CLASSES, MEM_GROUPS, OP_GROUPS, WIDTH_CLASSES

__all__ = ["BLOCKS", "DEPTH_WEIGHTS", "SCALAR_FIELDS", "Counts", "block", "counts_of"]

F32 = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
CHUNK: Final = 512
"""Kernels that are summed at a time: a few MB of sums."""
DEPTH_WEIGHTS: Final = (1.0, 6.0, 36.0, 100.0, 100.0)
"""How often an instruction at loop depth 0, 1, ... is taken to run. Trip counts are not in the code; six turns
a level keep the inner loop in front without letting one deep loop hide the rest (chosen on the training folds; other
constants are hardly nearer to what is executed, docs/interpreter.md)."""

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


def _sums(ragged: Ragged, start: IntArray, column: IntArray, size: int, n: npt.NDArray[Any]) -> F32:
    """Sum ``n`` by kernel and column; shape (kernels, size). ``start`` is kernel times ``size`` of each record."""
    kernels = len(ragged.offsets) - 1
    return np.bincount(start + column, n, kernels * size).reshape(kernels, size).astype(np.float32)


@cache
def _weights() -> npt.NDArray[np.float64]:
    return np.array(DEPTH_WEIGHTS)


@cache
def _is_immediate() -> npt.NDArray[np.bool_]:
    """Whether a 3-bit operand form holds a 32-bit immediate."""
    return np.isin(np.arange(8), (2, 4))


def _of_ops(table: MixTable) -> list[F32]:
    op, size = table.nested["op"], len(OP_GROUPS)
    op12, n = op.columns["op12"], op.columns["n"]
    start, group = op.kernel_index() * size, groups.op_group_of_opcode()[op12 & 511]
    weighted, held = n * _weights()[op.columns["depth"]], n * _is_immediate()[op12 >> 9 & 7]
    return [_sums(op, start, group, size, each) for each in (n, weighted, held)]


def _of_luts(table: MixTable) -> list[F32]:
    lut, size = table.nested["lut"], len(LUT_CLASSES)
    n = lut.columns["n"]
    start, kind = lut.kernel_index() * size, groups.lut_class()[lut.columns["lut"] & 255]
    return [_sums(lut, start, kind, size, each) for each in (n, n * _weights()[lut.columns["depth"]])]


def _of_memory(table: MixTable) -> list[F32]:
    mem, n = table.nested["mem"], table.nested["mem"].columns["n"]
    kernel, group = mem.kernel_index(), groups.mem_group_of_kind()[mem.columns["kind"]]
    tainted = group * 3 + np.minimum(mem.columns["taint"], 2)
    width, widths = group * 4 + groups.width_class()[mem.columns["width"] & 7], len(BLOCKS["mem_width"])
    weighted, start, size = n * _weights()[mem.columns["depth"]], kernel * len(_MEMS), len(_MEMS)
    shares = [_sums(mem, start, tainted, size, each) for each in (n, weighted)]
    return [*shares, _sums(mem, kernel * widths, width, widths, n)]


@cache
def _flow_rows() -> IntArray:
    """The first form of each 9-bit source opcode; those that are no source share one row past the last."""
    rows = [FLOW_SOURCES.index(g) if g in FLOW_SOURCES else len(FLOW_SOURCES) for g in FLOW_GROUPS]
    return (np.array(rows) * len(FLOW_GROUPS))[groups.flow_group_of_opcode()]


def _of_flow(table: MixTable) -> list[F32]:
    flow, size = table.nested["flow"], len(_FORMS) + len(FLOW_GROUPS)
    start = flow.kernel_index() * size
    start += _flow_rows()[flow.columns["src"] & 511]
    column = groups.flow_group_of_opcode()[flow.columns["dst"] & 511]
    return [_sums(flow, start, column, size, flow.columns[n])[:, : len(_FORMS)] for n in ("n", "inner")]


def _of_rotates(table: MixTable) -> list[F32]:
    pair = np.stack([table.rotate, table.funnel], 1)  # (kernels, 2, depths)
    return [each.astype(np.float32) for each in (pair.sum(2), pair @ _weights())]


def _of_constants(table: MixTable) -> F32:
    size, parts = len(PRIMITIVES), [table.nested[name] for name in ("const_code", "const_module")]
    return np.concatenate(
        [_sums(r, r.kernel_index() * size, r.columns["primitive"], size, r.columns["n"]) for r in parts], 1
    )


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
    parts = [_counts_of(_span(table, start)) for start in range(0, max(len(table), 1), CHUNK)]
    return Counts(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("counts", "scalars", "constants")))


def _span(table: MixTable, start: int) -> MixTable:
    """At most `CHUNK` kernels from ``start`` on, as views; only what is counted."""
    rows = slice(start, start + CHUNK)
    nested = {}
    for name, ragged in table.nested.items():
        offsets = ragged.offsets[start : start + CHUNK + 1]
        records = slice(offsets[0], offsets[-1])
        nested[name] = Ragged(
            offsets - offsets[0], {field: column[records] for field, column in ragged.columns.items()}
        )
    scalars = {name: column[rows] for name, column in table.scalars.items()}
    return MixTable(scalars, table.rotate[rows], table.funnel[rows], nested, {})


def _counts_of(table: MixTable) -> Counts:
    """The counts of so few kernels that the sums stay in the cache."""
    blocks = [*_of_ops(table), *_of_luts(table), *_of_rotates(table), *_of_memory(table), *_of_flow(table)]
    scalars = np.stack([table.scalars[name] for name in SCALAR_FIELDS], 1).astype(np.float32)
    return Counts(np.concatenate(blocks, 1), scalars, _of_constants(table))
