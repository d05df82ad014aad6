"""Passes over the log in canonical order: columns, requests, and the lines and sectors that requests touch.

A log is rows of three int64 words, as the recorder writes them: address (here from the log's first page on);
thread << 32 | order; launch << 48 | depth << 32 | site << 16 | width << 2 | kind. In canonical order the
lanes of a warp that are at the same access lie together (a turn); lanes of a turn at the same site, with the
same kind of access, are one request. A body's thread takes ``chunk`` rows, and the turns that begin in them.
"""

# ruff: noqa: ANN401, ARG001, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from typing import Any

import numpy as np

from hashwarden.kernels.device import atomic_add, device, local_array
from hashwarden.kernels.memory.patterns_cells import (
    ASKED,
    BIT_COUNT,
    COLUMN_CELLS,
    DISTINCT,
    FIRST_BIT,
    LANES,
    REQUEST_CELLS,
    REQUEST_STEPS,
    SECTORS,
    TWINS,
    WIDTHS,
    WINDOW_CELLS,
    WINDOWS,
)
from hashwarden.kernels.memory.patterns_tools import add_step, bit_length, clear, flush

__all__ = ["columns", "emit", "gather", "pack", "requests", "sort_keys"]

_TAG = 0xFFFF0003
_SECTOR = 5
_LINE = 7


@device
def pack(
    thread: Any, log: Any, address: Any, lane: Any, order: Any, launch: Any, depth: Any, site: Any, width: Any,
    kind: Any, base: Any, n: Any, chunk: Any, rows: Any,
) -> None:  # fmt: skip
    """Write the columns as rows, addresses counted from ``base``."""
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        rows[i, 0] = address[i] - base
        rows[i, 1] = (lane[i] << 32) | order[i]
        rows[i, 2] = (launch[i] << 48) | (depth[i] << 32) | (site[i] << 16) | (width[i] << 2) | kind[i]


@device
def sort_keys(
    thread: Any, log: Any, rows: Any, n: Any, chunk: Any, launch_at: Any, order_at: Any, thread_at: Any, keys: Any
) -> None:
    """Write what rows are sorted by: the fields, shifted to their places; a negative place leaves one out."""
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        key = np.int64(0)
        if launch_at >= 0:
            key |= (rows[i, 2] >> 48) << launch_at
        if order_at >= 0:
            key |= (rows[i, 1] & 0xFFFFFFFF) << order_at
        if thread_at >= 0:
            key |= (rows[i, 1] >> 32) << thread_at
        keys[i] = key


@device
def gather(thread: Any, log: Any, rows: Any, order: Any, n: Any, chunk: Any, sorted_rows: Any) -> None:
    """Copy rows in a new order."""
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        for word in range(3):
            sorted_rows[i, word] = rows[order[i], word]


@device
def columns(thread: Any, log: Any, rows: Any, n: Any, chunk: Any, cells: Any, depths: Any, windows: Any) -> None:
    """Count kinds, widths, address bits and depths; per window accesses, loads and the sum of depths."""
    mine = local_array(COLUMN_CELLS, np.int64)
    clear(mine, COLUMN_CELLS)
    window, accesses, loads, deep = np.int64(-1), np.int64(0), np.int64(0), np.int64(0)
    level, same = np.int64(-1), np.int64(0)
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        here, what = i * WINDOWS // n, rows[i, 2]
        depth, kind = (what >> 32) & 0xFFFF, what & 3
        if here != window:
            _add_window(windows, window, 0, accesses, loads, deep)
            window, accesses, loads, deep = here, np.int64(0), np.int64(0), np.int64(0)
        if depth != level:
            if same > 0:
                atomic_add(depths, level, same)
            level, same = depth, np.int64(0)
        accesses, loads, deep, same = accesses + 1, loads + (1 if kind == 0 else 0), deep + depth, same + 1
        mine[kind] += 1
        mine[WIDTHS + min(bit_length((what >> 2) & 0x3FFF) - 1, 5)] += 1
        for bit in range(BIT_COUNT):
            mine[WIDTHS + 6 + bit] += (rows[i, 0] >> (FIRST_BIT + bit)) & 1
    _add_window(windows, window, 0, accesses, loads, deep)
    if same > 0:
        atomic_add(depths, level, same)
    flush(mine, cells, COLUMN_CELLS)


@device
def _add_window(windows: Any, window: Any, first: Any, one: Any, two: Any, three: Any) -> None:
    if window >= 0:
        atomic_add(windows, window * WINDOW_CELLS + first, one)
        atomic_add(windows, window * WINDOW_CELLS + first + 1, two)
        if first == 0:
            atomic_add(windows, window * WINDOW_CELLS + 2, three)


@device
def _same_turn(rows: Any, i: Any, k: Any) -> Any:
    who, other = rows[i, 1], rows[k, 1]
    return (
        who >> 37 == other >> 37 and (who & 0xFFFFFFFF) == (other & 0xFFFFFFFF) and rows[i, 2] >> 48 == rows[k, 2] >> 48
    )


@device
def _first_turn(rows: Any, place: Any, last: Any) -> Any:
    """First place from ``place`` on, up to ``last``, where a turn begins."""
    i = np.int64(place)
    while 0 < i < last and _same_turn(rows, i - 1, i):
        i += 1
    return i


@device
def _turn_end(rows: Any, first: Any, n: Any) -> Any:
    end = first + 1
    while end < n and end - first < 32 and _same_turn(rows, first, end):
        end += 1
    return end


@device
def _collect(rows: Any, turn: Any, first: Any, end: Any, by_line: Any, done: Any, starts: Any, ends: Any) -> Any:
    """Sort the byte ranges of the request that row ``first`` begins; return the rows that are done, and its lanes.

    Under ``by_line`` a range ends with its first line: only that line decided whether the access was kept.
    """
    tag, lanes = rows[first, 2] & _TAG, np.int64(0)
    for k in range(first, end):
        if rows[k, 2] & _TAG == tag:
            done |= np.int64(1) << (k - turn)
            start = rows[k, 0]
            stop = start + ((rows[k, 2] >> 2) & 0x3FFF)
            if by_line:
                stop = min(stop, ((start >> _LINE) + 1) << _LINE)
            place = lanes
            while place > 0 and starts[place - 1] > start:
                starts[place], ends[place] = starts[place - 1], ends[place - 1]
                place -= 1
            starts[place], ends[place] = start, stop
            lanes += 1
    return done, lanes


@device
def _units(starts: Any, ends: Any, lanes: Any, shift: Any) -> Any:
    """How many different blocks of ``2**shift`` bytes the ranges touch."""
    count, last = np.int64(0), np.int64(-1)
    for lane in range(lanes):
        low, high = max(starts[lane] >> shift, last + 1), (ends[lane] - 1) >> shift
        if high >= low:
            count += high - low + 1
            last = high
    return count


@device
def _lane_steps(rows: Any, first: Any, end: Any, mine: Any) -> None:
    """Count the steps from each lane of a request to the next, where no lane is missing between them."""
    before: Any = np.int64(first)
    tag, previous, chained = rows[first, 2] & _TAG, np.int64(0), False
    for k in range(first + 1, end):
        if rows[k, 2] & _TAG == tag:
            if rows[k, 1] >> 32 == (rows[before, 1] >> 32) + 1:
                step = rows[k, 0] - rows[before, 0]
                add_step(mine, REQUEST_STEPS, step, (rows[k, 2] >> 2) & 0x3FFF, chained, previous)
                previous, chained = step, True
            else:
                chained = False
            before = k


@device
def _add_request(mine: Any, starts: Any, ends: Any, lanes: Any, kind: Any, sectors: Any) -> None:
    mine[kind * SECTORS + min(sectors, 32)] += 1
    mine[LANES + lanes] += 1
    mine[DISTINCT] += _units(starts, ends, lanes, 0)
    for lane in range(lanes):
        mine[ASKED] += ends[lane] - starts[lane]


@device
def requests(
    thread: Any, log: Any, rows: Any, n: Any, chunk: Any, by_line: Any, cells: Any, windows: Any, counts: Any
) -> None:
    """Count lanes, sectors, bytes and steps of requests; ``counts`` gets the sectors and lines of each chunk."""
    mine = local_array(REQUEST_CELLS, np.int64)
    starts, ends = local_array(32, np.int64), local_array(32, np.int64)
    clear(mine, REQUEST_CELLS)
    last = min((thread + 1) * chunk, n)
    i: Any = _first_turn(rows, thread * chunk, last)
    window, seen, touched = np.int64(-1), np.int64(0), np.int64(0)
    all_sectors, all_lines = np.int64(0), np.int64(0)
    while i < last:
        end, done = _turn_end(rows, i, n), np.int64(0)
        for first in range(i, end):
            if first > i and rows[first, 1] == rows[first - 1, 1]:
                mine[TWINS] += 1
            if (done >> (first - i)) & 1:
                continue
            done, lanes = _collect(rows, i, first, end, by_line, done, starts, ends)
            sectors = _units(starts, ends, lanes, _SECTOR)
            _add_request(mine, starts, ends, lanes, rows[first, 2] & 3, sectors)
            _lane_steps(rows, first, end, mine)
            here = first * WINDOWS // n
            if here != window:
                _add_window(windows, window, 3, seen, touched, 0)
                window, seen, touched = here, np.int64(0), np.int64(0)
            seen, touched = seen + 1, touched + sectors
            all_sectors, all_lines = all_sectors + sectors, all_lines + _units(starts, ends, lanes, _LINE)
        i = end
    _add_window(windows, window, 3, seen, touched, 0)
    counts[2 * thread], counts[2 * thread + 1] = all_sectors, all_lines
    flush(mine, cells, REQUEST_CELLS)


@device
def _write(starts: Any, ends: Any, lanes: Any, shift: Any, place: Any, found: Any, when: Any, mark: Any) -> Any:
    """Write the different blocks of a request, ascending, and its mark beside each; return the next place."""
    last: Any = np.int64(-1)
    at: Any = np.int64(place)
    for lane in range(lanes):
        for unit in range(max(starts[lane] >> shift, last + 1), ((ends[lane] - 1) >> shift) + 1):
            found[at] = unit
            if mark >= 0:
                when[at] = mark
            at += 1
            last = unit
    return at


@device
def emit(
    thread: Any, log: Any, rows: Any, n: Any, chunk: Any, by_line: Any, offsets: Any, sectors: Any, lines: Any,
    when: Any,
) -> None:  # fmt: skip
    """Write the references of the requests, in order: sectors; lines, with first row << 2 | kind in ``when``."""
    starts, ends = local_array(32, np.int64), local_array(32, np.int64)
    last = min((thread + 1) * chunk, n)
    i: Any = _first_turn(rows, thread * chunk, last)
    sector_at, line_at = offsets[2 * thread], offsets[2 * thread + 1]
    while i < last:
        end, done = _turn_end(rows, i, n), np.int64(0)
        for first in range(i, end):
            if (done >> (first - i)) & 1:
                continue
            done, lanes = _collect(rows, i, first, end, by_line, done, starts, ends)
            sector_at = _write(starts, ends, lanes, _SECTOR, sector_at, sectors, when, np.int64(-1))
            line_at = _write(starts, ends, lanes, _LINE, line_at, lines, when, (first << 2) | (rows[first, 2] & 3))
        i = end
