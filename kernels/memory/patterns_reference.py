"""The reference engine: NumPy, one definition after the other. Slow, and what the others are held to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.memory import patterns_cells as cells
from hashwarden.kernels.memory import reuse
from hashwarden.kernels.memory.log import AddressLog
from hashwarden.kernels.memory.patterns_counts import Counts, IntArray, Runs, Steps
from hashwarden.kernels.memory.patterns_rules import base_of, require_single, scale_of
from hashwarden.kernels.memory.recorder import LINE_BYTES, LOAD, WARP

__all__ = ["count"]

_SECTOR_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Requests:
    """Requests of a log in canonical order: of each access, the first row of its request; of each request more."""

    first_of: IntArray
    first: IntArray
    kind: IntArray
    start: IntArray
    end: IntArray


def count(log: AddressLog, most_lines: int) -> Counts:
    """Count everything in a log of at least one access."""
    rows = log.canonical()
    columns = rows.columns() | {"address": rows.address - base_of(log)}
    _require_single(columns)
    requests = _requests(columns, log.sampling.by_line)
    line_request, line = _touched(requests, LINE_BYTES)
    sector_request, sector = _touched(requests, _SECTOR_BYTES)
    kinds = requests.kind[np.searchsorted(requests.first, line_request)]
    previous, scale = reuse.previous_of(line), scale_of(log.sampling)
    windows = _windows(columns, requests, sector_request)
    windows[:, 5:] = _turnover(line_request * cells.WINDOWS // len(log), previous)
    bits = [int(np.sum(columns["address"] >> cells.FIRST_BIT + bit & 1)) for bit in range(cells.BIT_COUNT)]
    return Counts(
        kinds=np.bincount(columns["kind"], minlength=3),
        widths=np.bincount(np.minimum(np.log2(columns["width"]).astype(np.int64), 5), minlength=6),
        bits=np.array(bits, np.int64),
        depths=np.bincount(columns["depth"], minlength=cells.DEPTHS),
        **_request_counts(requests, sector_request),
        lane_steps=_lane_steps(columns, requests),
        **_thread_counts(columns),
        lines=_runs(line),
        small_pages=_runs(line * LINE_BYTES // 4096),
        large_pages=_runs(line * LINE_BYTES // cells.PAGE),
        sector_set=_runs(sector),
        line_classes=_line_classes(line, kinds),
        windows=windows,
        line_reuse=reuse.reuse(line, previous, scale, most_lines),
        sector_reuse=reuse.reuse(sector, reuse.previous_of(sector), scale, most_lines),
    )


def _require_single(columns: dict[str, IntArray]) -> None:
    same = np.ones(len(columns["thread"]) - 1, bool)
    for name in ("launch", "order", "thread"):
        same &= np.diff(columns[name]) == 0
    require_single(int(same.sum()))


def _starts(*keys: IntArray) -> NDArray[np.bool_]:
    """Where rows differ from the row before."""
    differs = np.ones(len(keys[0]), bool)
    differs[1:] = np.any([np.diff(key) != 0 for key in keys], axis=0)
    return differs


def _requests(columns: dict[str, IntArray], by_line: bool) -> _Requests:
    """Accesses with equal launch, warp, order, site and kind are one request."""
    n = len(columns["thread"])
    keys = [columns["launch"], columns["order"], columns["thread"] // WARP, columns["site"], columns["kind"]]
    order = np.lexsort((np.arange(n), *reversed(keys)))
    begins = _starts(*(key[order] for key in keys))
    first_of = np.empty(n, np.int64)
    first_of[order] = order[begins][np.cumsum(begins) - 1]
    end = columns["address"] + columns["width"]
    if by_line:
        end = np.minimum(end, (columns["address"] // LINE_BYTES + 1) * LINE_BYTES)
    first = np.unique(first_of)
    return _Requests(first_of, first, columns["kind"][first], columns["address"], end)


def _touched(requests: _Requests, size: int) -> tuple[IntArray, IntArray]:
    """Blocks of ``size`` bytes that each request touches: its first row, and the block; sorted by both."""
    low, high = requests.start // size, (requests.end - 1) // size
    repeat = high - low + 1
    within = np.arange(repeat.sum()) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    request, block = np.repeat(requests.first_of, repeat), np.repeat(low, repeat) + within
    order = np.lexsort((block, request))
    request, block = request[order], block[order]
    new = _starts(request, block)
    return request[new], block[new]


def _request_counts(requests: _Requests, sector_request: IntArray) -> dict[str, Any]:
    sectors = np.unique(sector_request, return_counts=True)[1]
    histogram = np.zeros((3, cells.SECTORS), np.int64)
    np.add.at(histogram, (requests.kind, np.minimum(sectors, cells.SECTORS - 1)), 1)
    lanes = np.unique(requests.first_of, return_counts=True)[1]
    return {
        "sectors": histogram,
        "lanes": np.bincount(lanes, minlength=33),
        "asked": int((requests.end - requests.start).sum()),
        "distinct_bytes": len(_touched(requests, 1)[0]),
    }


def _steps(step: IntArray, width: IntArray, chained: NDArray[np.bool_]) -> Steps:
    """Steps in order; one that is ``chained`` has a step before it, which stands before it."""
    size = np.abs(step)
    bits = np.minimum(np.frexp(size.astype(np.float64))[1], cells.STEP_MIDDLE)
    bins = np.bincount(cells.STEP_MIDDLE + np.where(step >= 0, bits, -bits), minlength=cells.STEP_BINS)
    same = np.zeros(len(step), bool)
    same[1:] = step[1:] == step[:-1]
    unit = (size == width) & (step != 0)
    irregular = chained & ~same & ~unit & (step != 0)
    kinds = [np.sum(step == 0), unit.sum(), chained.sum(), np.sum(chained & same), irregular.sum()]
    return Steps(bins, np.array(kinds, np.int64))


def _lane_steps(columns: dict[str, IntArray], requests: _Requests) -> Steps:
    order = np.lexsort((columns["thread"], requests.first_of))
    request, thread = requests.first_of[order], columns["thread"][order]
    neighbours = (np.diff(request) == 0) & (np.diff(thread) == 1)
    step, width = np.diff(columns["address"][order]), columns["width"][order][1:]
    chained = np.zeros(len(step), bool)
    chained[1:] = neighbours[1:] & neighbours[:-1]
    return _steps(step[neighbours], width[neighbours], chained[neighbours])


def _thread_counts(columns: dict[str, IntArray]) -> dict[str, Any]:
    names = ("launch", "thread", "site", "order", "address", "width", "kind")
    order = np.lexsort((columns["order"], columns["site"], columns["thread"], columns["launch"]))
    launch, thread, site, _, address, width, _ = (columns[name][order] for name in names)
    goes_on = ~_starts(launch, thread, site)
    step, chained = np.diff(address), goes_on[1:] & goes_on[:-1]
    here = goes_on[1:]
    keys = np.stack([launch[1:], site[1:], step])[:, here]
    return {
        "thread_steps": _steps(step[here], width[1:][here], chained[here]),
        "gaps": _gaps(columns),
        "differences": _runs(*keys),
        "sites": _runs(*keys[:2]),
    }


def _gaps(columns: dict[str, IntArray]) -> IntArray:
    """Loads that a thread made between two of its stores or atomics, or before the first."""
    order = np.lexsort((columns["order"], columns["thread"], columns["launch"]))
    loads = columns["kind"][order] == LOAD
    begins = _starts(columns["launch"][order], columns["thread"][order])
    before = np.cumsum(loads) - loads
    ends = np.flatnonzero(~loads)
    reset = np.where(begins, before, 0)
    reset[1:] = np.maximum(reset[1:], np.where(~loads[:-1], before[1:], 0))
    gaps = before[ends] - np.maximum.accumulate(reset)[ends]
    bits = np.minimum(np.frexp(gaps.astype(np.float64))[1], cells.GAP_BINS - 1)
    return np.bincount(bits, minlength=cells.GAP_BINS)


def _runs(*keys: IntArray) -> Runs:
    """Distinct values, and the sum of c * log2(c) over their counts."""
    total = len(keys[0])
    if total == 0:
        return Runs()
    order = np.lexsort(keys[::-1])
    places = np.flatnonzero(_starts(*(key[order] for key in keys)))
    each = np.diff(np.append(places, total)).astype(np.float64)
    return Runs(len(places), total, float(np.sum(each * np.log2(each))))


def _line_classes(line: IntArray, kind: IntArray) -> IntArray:
    _, first, inverse = np.unique(line, return_index=True, return_inverse=True)
    seen = [np.bincount(inverse, kind == one, len(first)) > 0 for one in range(3)]
    only_read, only_written = seen[0] & ~seen[1] & ~seen[2], seen[1] & ~seen[0] & ~seen[2]
    changed = ~only_read & ~only_written
    read_first = changed & (kind[first] == LOAD)
    found = [only_read.sum(), only_written.sum(), read_first.sum(), np.sum(changed & ~read_first)]
    return np.array(found, np.int64)


def _windows(columns: dict[str, IntArray], requests: _Requests, sector_request: IntArray) -> IntArray:
    n = len(columns["thread"])
    windows = np.zeros((cells.WINDOWS, cells.WINDOW_CELLS), np.int64)
    here = np.arange(n) * cells.WINDOWS // n
    np.add.at(windows[:, 0], here, 1)
    np.add.at(windows[:, 1], here, columns["kind"] == LOAD)
    np.add.at(windows[:, 2], here, columns["depth"])
    np.add.at(windows[:, 3], requests.first * cells.WINDOWS // n, 1)
    np.add.at(windows[:, 4], sector_request * cells.WINDOWS // n, 1)
    return windows


def _turnover(window: IntArray, previous: IntArray) -> IntArray:
    before = np.where(previous >= 0, window[previous], -1)
    found = np.zeros((cells.WINDOWS, 4), np.int64)
    conditions = (before >= -1, before < window, previous < 0, (before >= 0) & (before == window - 1))
    for column, condition in enumerate(conditions):
        np.add.at(found[:, column], window, condition)
    return found
