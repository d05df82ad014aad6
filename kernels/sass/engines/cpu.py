"""The default engine: the scalar core compiled for the CPU by Numba, and dense counting behind it.

A kernel's keys stay in the cache; each column has one cell per possible key, and a list of the cells
that were touched, so that nothing is cleared or searched that was not used.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  compiled code takes arrays, and many of them

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from hashwarden.kernels.sass import isa
from hashwarden.kernels.sass.batch import Batch, Counts
from hashwarden.kernels.sass.constants import PRIMITIVES, constant_table
from hashwarden.kernels.sass.engines import core
from hashwarden.kernels.sass.primitives_scan import constant_filter

__all__ = ["BATCH_BYTES", "CORE_SHA256", "run"]

BATCH_BYTES = 4 << 20

CORE_SHA256 = "32a404088ad17dc3"
"""The first digits for core.py. Numba keeps what it compiled for as long as this file stays as it is, and looks at no
other that is compiled into it: a changed core.py has to change this line."""

IntArray = npt.NDArray[np.int64]

_compile = numba.njit(cache=True, nogil=True)
_code_length = _compile(core.code_length)
_mark_loops = _compile(core.mark_loops)
_instruction_keys = _compile(core.instruction_keys)
_flow_keys = _compile(core.flow_keys)

_NOBODY = core.NOBODY

_CELLS = (core.NOBODY + 1) * 512 * 2
"""Cells of the largest column, flow; the others use the first of them, one column at a time."""

_FEW = 1 << 12

_NO_PAIR = core.NOBODY * 512
"""Pairs from here on start at a register that nobody wrote."""


@_compile
def _tally(keys: Any, n: int, left: int, right: int, cells: Any, entries: Any, counts: Any, at: int) -> int:
    """Count the keys of the columns ``left`` to ``right`` into sorted entries from ``at`` on."""
    end = at
    for column in range(left, right):
        for i in range(n):
            key = keys[column, i]
            if key >= 0:
                if cells[key] == 0:
                    entries[end] = key
                    end += 1
                cells[key] += 1
    if end - at < _FEW:
        entries[at:end].sort()
    else:  # quicksort has orders that it takes for ever on, and hostile code can choose the order
        end = at
        for key in range(_CELLS):
            if cells[key]:
                entries[end] = key
                end += 1
    for j in range(at, end):
        counts[j] = cells[entries[j]]
        cells[entries[j]] = 0
    return end


@_compile
def _merge_pairs(entries: Any, counts: Any, end: int, pairs: Any, numbers: Any, at: int) -> int:
    """Turn sorted flow keys (pair, inner) into pairs with the counts inner and n."""
    last = -1
    for j in range(end):
        pair, inner = entries[j] >> 1, entries[j] & 1
        if pair >= _NO_PAIR:
            break
        if pair != last:
            pairs[at], numbers[at, 0], numbers[at, 1] = pair, 0, 0
            last, at = pair, at + 1
        numbers[at - 1, 0] += inner * counts[j]
        numbers[at - 1, 1] += counts[j]
    return at


@_compile
def _constants(found: Any, members: Any, end: int, sums: Any, entries: Any, counts: Any, at: int) -> int:
    """Turn the distinct constants found into the number per primitive."""
    sums[:] = 0
    for j in range(end):
        for primitive in range(len(sums)):
            sums[primitive] += members[found[j]] >> primitive & 1
    for primitive in range(len(sums)):
        if sums[primitive]:
            entries[at], counts[at] = primitive, sums[primitive]
            at += 1
    return at


@_compile
def _shifts(keys: Any, n: int, rotate: Any, funnel: Any) -> None:
    for i in range(n):
        key = keys[2, i]
        if key >= 5:
            funnel[key - 5] += 1
        elif key >= 0:
            rotate[key] += 1


@_compile
def _run(
    words: Any, starts: Any, new_branch: Any, properties: Any, maybe: Any, values: Any, members: Any, scratch: Any,
    scalars: Any, rotate: Any, funnel: Any, ends: Any, out: Any,
) -> None:  # fmt: skip
    keys, cells, marks, steps, depth, some, some_counts, sums, taint, files = scratch
    (ops, ops_n), (luts, luts_n), (mems, mems_n), (flows, flows_n), (consts, consts_n) = out
    for k in range(len(starts) - 1):
        code = words[4 * starts[k] : 4 * starts[k + 1]]
        n = _code_length(code, 0, len(code) // 4, new_branch[k])
        marks[:n], steps[:n] = 0, 0
        loops, deepest, inside = _mark_loops(code, 0, n, new_branch[k], marks, steps, depth)
        run = _instruction_keys(code, 0, n, depth, properties, maybe, values, keys)
        taint[:], files[:] = 0, _NOBODY
        chain = _flow_keys(code, 0, n, depth, min(deepest, 4), properties, taint, files, keys)
        row = scalars[k]
        row[0], row[1], row[2], row[3], row[4], row[5] = n, loops, deepest, inside, run, chain
        _shifts(keys, n, rotate[k], funnel[k])
        ends[0, k + 1] = _tally(keys, n, 0, 1, cells, ops, ops_n, ends[0, k])
        ends[1, k + 1] = _tally(keys, n, 1, 2, cells, luts, luts_n, ends[1, k])
        ends[2, k + 1] = _tally(keys, n, 4, 5, cells, mems, mems_n, ends[2, k])
        found = _tally(keys, n, 5, 8, cells, some, some_counts, 0)
        ends[3, k + 1] = _merge_pairs(some, some_counts, found, flows, flows_n, ends[3, k])
        found = _tally(keys, n, 3, 4, cells, some, some_counts, 0)
        ends[4, k + 1] = _constants(some, members, found, sums, consts, consts_n, ends[4, k])


def _scratch(most: int) -> tuple[npt.NDArray[Any], ...]:
    """Room for one kernel of ``most`` instructions."""
    registers = core.REGISTERS
    return (
        np.empty((core.KEY_COLUMNS, most), np.int32),
        np.zeros(_CELLS, np.int32),
        np.empty(most, np.int32),
        np.empty(most, np.int32),
        np.empty(most, np.uint8),
        np.empty(3 * most, np.int32),
        np.empty(3 * most, np.int32),
        np.empty(len(PRIMITIVES), np.int64),
        np.empty(registers, np.uint8),
        np.empty(registers, np.int64),
    )


def run(batch: Batch) -> Counts:
    """Compute the counts of a batch.

    Parameters
    ----------
    batch : Batch
        Any number of kernels.
    """
    kernels, total = len(batch), len(batch.words) // 4
    most = int(np.diff(batch.starts).max(initial=1))
    values, members = constant_table()
    scalars = np.zeros((kernels, 6), np.int64)
    rotate, funnel = np.zeros((kernels, 5), np.int64), np.zeros((kernels, 5), np.int64)
    ends = np.zeros((5, kernels + 1), np.int64)
    # One entry per instruction is the most there can be; what is not used is never touched.
    rooms = [total, total, total, 3 * total, len(PRIMITIVES) * kernels]
    entries = [np.empty(room, np.int32) for room in rooms]
    counts = [np.empty((room, 2) if i == 3 else room, np.int32) for i, room in enumerate(rooms)]
    _run(
        batch.words, batch.starts, (batch.arch >= isa.NEW_BRANCH).astype(np.uint8), isa.opcode_properties(),
        constant_filter(), values, members, _scratch(most), scalars, rotate, funnel, ends,
        tuple(zip(entries, counts, strict=True)),
    )  # fmt: skip
    names = ("op", "lut", "mem", "flow", "const_code")
    nested = {
        name: (ends[i], entries[i][: ends[i, -1]].astype(np.int64), counts[i][: ends[i, -1]].astype(np.int64))
        for i, name in enumerate(names)
    }
    return Counts(scalars, rotate, funnel, nested)
