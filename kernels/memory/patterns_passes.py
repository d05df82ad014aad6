"""From a log to its counts on a machine that can run the bodies: the order of the passes, and their memory.

A machine is a CPU (patterns_cpu.py), CUDA through Numba (patterns_cuda.py) or CUDA C through CuPy
(patterns_cupy.py). The steps are the same; only sorting and stack distances are each machine's own.
"""

# ruff: noqa: ANN401  arrays of several libraries

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hashwarden.kernels.memory import patterns_cells as cells
from hashwarden.kernels.memory.log import AddressLog
from hashwarden.kernels.memory.patterns_counts import Counts, IntArray, Reuse, Runs, Steps
from hashwarden.kernels.memory.patterns_rules import base_of, require_single, scale_of, threshold_of

__all__ = ["Machine", "measure", "merged_distances"]


_Counted = tuple[Any, int]
"""An array, and how many of its entries are meant."""


class Machine(Protocol):
    """Where the bodies run; arrays are int64 unless said otherwise."""

    def chunk(self, n: int) -> int:
        """Entries that one thread takes of ``n``."""
        ...

    def upload(self, array: Any) -> Any:
        """Bring an array to where the bodies run."""
        ...

    def download(self, array: Any) -> Any:
        """Bring an array back; waits for the bodies."""
        ...

    def empty(self, *shape: int) -> Any:
        """Array with any contents."""
        ...

    def zeros(self, *shape: int) -> Any:
        """Array of zeros."""
        ...

    def floats(self, n: int) -> Any:
        """Array of float64 with any contents."""
        ...

    def run(self, name: str, threads: int, *arguments: Any) -> None:
        """Run threads 0 to ``threads`` - 1 of a body."""
        ...

    def order(self, keys: Any, n: int, bits: int) -> tuple[Any, Any]:
        """Sort ``n`` keys of so many bits, stable: places that they came from, and the sorted keys."""
        ...

    def ordered(self, keys: Any, n: int, bits: int) -> Any:
        """Sort ``n`` keys of so many bits."""
        ...

    def distances(self, previous: Any, n: int) -> Any:
        """Reuse distance of each of ``n`` references, from the one before it to the same line; -1 if none."""
        ...


@dataclass(frozen=True, slots=True)
class _Stream:
    """References in order of time, and what follows from sorting them."""

    n: int
    keys: Any
    order: Any
    ordered: Any
    previous: Any


def measure(log: AddressLog, machine: Machine, most_lines: int) -> Counts:
    """Count everything in a log.

    Parameters
    ----------
    log : AddressLog
        At least one access, in any order.
    machine : Machine
        Where to count.
    most_lines : int
        Lines, and sectors, whose reuse distances are taken at most.
    """
    n, by_line = len(log), np.int64(log.sampling.by_line)
    rows, thread_rows = _rows(log, machine)
    windows = machine.zeros(cells.WINDOWS * cells.WINDOW_CELLS)
    columns = _columns(machine, rows, n, windows)
    requests, streams, when = _requests(machine, rows, n, by_line, windows)
    last, scale = int((log.address + log.width).max()) - base_of(log), scale_of(log.sampling)
    lines, sectors = _sorted(machine, streams[0], last >> 7), _sorted(machine, streams[1], last >> 5)
    classes = _line_counts(machine, lines, when, n, windows)
    return Counts(
        **columns,
        **requests,
        **_thread_counts(machine, thread_rows, n, int(log.launch.max())),
        lines=_runs(machine, lines.ordered, lines.n, 0),
        small_pages=_runs(machine, lines.ordered, lines.n, 5),
        large_pages=_runs(machine, lines.ordered, lines.n, 14),
        sector_set=_runs(machine, sectors.ordered, sectors.n, 0),
        line_classes=classes,
        windows=machine.download(windows).reshape(cells.WINDOWS, cells.WINDOW_CELLS),
        line_reuse=_reuse(machine, lines, scale, most_lines),
        sector_reuse=_reuse(machine, sectors, scale, most_lines),
    )


def _columns(machine: Machine, rows: Any, n: int, windows: Any) -> dict[str, Any]:
    """What single accesses tell."""
    chunk, cell, depths = machine.chunk(n), machine.zeros(cells.COLUMN_CELLS), machine.zeros(cells.DEPTHS)
    machine.run("columns", -(-n // chunk), rows, np.int64(n), np.int64(chunk), cell, depths, windows)
    found, bits = machine.download(cell), cells.WIDTHS + 6
    return {
        "kinds": found[: cells.WIDTHS],
        "widths": found[cells.WIDTHS : bits],
        "bits": found[bits:],
        "depths": machine.download(depths),
    }


def _requests(
    machine: Machine, rows: Any, n: int, by_line: np.int64, windows: Any
) -> tuple[dict[str, Any], tuple[_Counted, _Counted], Any]:
    """What requests tell; their references to lines and to sectors, and what stands beside those to lines."""
    chunk, cell = machine.chunk(n), machine.zeros(cells.REQUEST_CELLS)
    threads, size = -(-n // chunk), (np.int64(n), np.int64(chunk))
    counts = machine.empty(2 * threads)
    machine.run("requests", threads, rows, *size, by_line, cell, windows, counts)
    found = machine.download(cell)
    require_single(int(found[cells.TWINS]))
    pairs = machine.download(counts).reshape(-1, 2)
    offsets = machine.upload(np.ascontiguousarray(np.cumsum(pairs, 0) - pairs).reshape(-1))
    sector_n, line_n = (int(total) for total in pairs.sum(0))
    sectors, lines, when = machine.empty(sector_n), machine.empty(line_n), machine.empty(line_n)
    machine.run("emit", threads, rows, *size, by_line, offsets, sectors, lines, when)
    counted = {
        "sectors": found[: cells.LANES].reshape(3, cells.SECTORS),
        "lanes": found[cells.LANES : cells.REQUEST_STEPS],
        "asked": int(found[cells.ASKED]),
        "distinct_bytes": int(found[cells.DISTINCT]),
        "lane_steps": _steps(found[cells.REQUEST_STEPS : cells.TWINS]),
    }
    return counted, ((lines, line_n), (sectors, sector_n)), when


def _steps(found: IntArray) -> Steps:
    return Steps(found[: cells.STEP_BINS], found[cells.STEP_BINS :])


def _rows(log: AddressLog, machine: Machine) -> tuple[Any, Any]:
    """The log as rows in canonical order, and sorted by launch, thread, order."""
    n = len(log)
    chunk = np.int64(machine.chunk(n))
    threads, size = -(-n // int(chunk)), np.int64(n)
    names = ("address", "thread", "order", "launch", "depth", "site", "width", "kind")
    given = [machine.upload(np.ascontiguousarray(getattr(log, name), np.int64)) for name in names]
    rows = machine.empty(n, 3)
    machine.run("pack", threads, *given, np.int64(base_of(log)), size, chunk, rows)
    del given
    wide = {name: int(getattr(log, name).max()).bit_length() for name in ("thread", "order", "launch")}

    def sort(source: Any, launch_at: int, order_at: int, thread_at: int, bits: int) -> Any:
        keys, result = machine.empty(n), machine.empty(n, 3)
        places = (np.int64(launch_at), np.int64(order_at), np.int64(thread_at))
        machine.run("sort_keys", threads, source, size, chunk, *places, keys)
        order, _ = machine.order(keys, n, bits)
        machine.run("gather", threads, source, order, size, chunk, result)
        return result

    if sum(wide.values()) < 63:
        below = wide["order"] + wide["thread"]
        rows = sort(rows, below, wide["thread"], 0, sum(wide.values()))
    else:
        rows = sort(rows, -1, -1, 0, wide["thread"])
        rows = sort(rows, wide["order"], 0, -1, wide["launch"] + wide["order"])
    return rows, sort(rows, wide["thread"], -1, 0, wide["launch"] + wide["thread"])


def _sorted(machine: Machine, counted: _Counted, most: int) -> _Stream:
    keys, n = counted
    order, ordered = machine.order(keys, n, max(most.bit_length(), 1))
    previous, chunk = machine.empty(n), machine.chunk(n)
    machine.run("chain", -(-n // chunk), order, ordered, np.int64(n), np.int64(chunk), previous)
    return _Stream(n, keys, order, ordered, previous)


def _line_counts(machine: Machine, stream: _Stream, when: Any, rows: int, windows: Any) -> IntArray:
    """Classes of lines; adds to the windows what the lines tell."""
    chunk, n = machine.chunk(stream.n), np.int64(stream.n)
    threads, flags, found = -(-stream.n // chunk), machine.zeros(stream.n), machine.zeros(4)
    machine.run("mark", threads, stream.order, stream.ordered, n, np.int64(chunk), when, flags)
    machine.run("classify", threads, stream.order, stream.ordered, n, np.int64(chunk), when, flags, found)
    machine.run("turnover", threads, stream.previous, when, n, np.int64(chunk), np.int64(rows), windows)
    classes: IntArray = machine.download(found)
    return classes


def _runs(machine: Machine, ordered: Any, n: int, shift: int) -> Runs:
    if n == 0:
        return Runs()
    chunk = machine.chunk(n)
    threads = -(-n // chunk)
    heads, weights = machine.empty(threads), machine.floats(threads)
    machine.run("runs", threads, ordered, np.int64(n), np.int64(shift), np.int64(chunk), heads, weights)
    return Runs(int(machine.download(heads).sum()), n, float(machine.download(weights).sum()))


def _thread_counts(machine: Machine, rows: Any, n: int, launches: int) -> dict[str, Any]:
    """What the log says thread by thread."""
    chunk, found = machine.chunk(n), machine.zeros(cells.THREAD_CELLS)
    differences, groups, earlier = machine.empty(n), machine.empty(n), machine.empty(n)
    size = (np.int64(n), np.int64(chunk))
    nothing = 1 << 16 + launches.bit_length()
    machine.run("threads", -(-n // chunk), rows, *size, np.int64(nothing), found, differences, groups, earlier)
    counted = machine.download(found)
    steps = int(counted[: cells.STEP_BINS].sum())
    return {
        "thread_steps": _steps(counted[: cells.STEP_CELLS]),
        "gaps": counted[cells.STEP_CELLS :],
        "differences": _runs(machine, machine.ordered(differences, n, cells.DIFFERENCE_BITS), steps, 0),
        "sites": _runs(machine, machine.ordered(groups, n, nothing.bit_length()), steps, 0),
    }


def _reuse(machine: Machine, stream: _Stream, scale: int, most: int) -> Reuse:
    """Reuse distances by SHARDS: of the lines whose hash lies under a threshold that leaves ``most`` of them."""
    chunk, n = machine.chunk(stream.n), np.int64(stream.n)
    threads, buckets = -(-stream.n // chunk), machine.zeros(cells.BUCKETS)
    machine.run("fill_buckets", threads, stream.ordered, n, np.int64(chunk), buckets)
    distinct = machine.download(buckets)
    (threshold, sampled), lines = threshold_of(distinct, most), int(distinct.sum())
    linked, picked_n = stream.previous, stream.n
    if threshold < cells.BUCKETS:
        linked, picked_n = _picked(machine, stream, threshold)
    found = machine.zeros(cells.DISTANCE_CELLS)
    if picked_n:
        chunk, share = machine.chunk(picked_n), (np.int64(scale * lines), np.int64(sampled))
        distances, size = machine.distances(linked, picked_n), (np.int64(picked_n), np.int64(chunk))
        machine.run("bins", -(-picked_n // chunk), distances, *size, *share, found)
    counted = machine.download(found)
    return Reuse(counted[: cells.DISTANCE_BINS], int(counted[cells.COLD]), stream.n, sampled / lines)


def _picked(machine: Machine, stream: _Stream, threshold: int) -> tuple[Any, int]:
    """For each sampled reference the place of the one before it among the sampled ones; and their number."""
    chunk, n = machine.chunk(stream.n), np.int64(stream.n)
    threads, under = -(-stream.n // chunk), np.int64(threshold)
    counts = machine.empty(threads)
    machine.run("pick", threads, stream.keys, n, np.int64(chunk), under, counts)
    each = machine.download(counts)
    total, offsets = int(each.sum()), machine.upload(np.cumsum(each) - each)
    places, picked, linked = machine.empty(stream.n), machine.empty(total), machine.empty(total)
    machine.run("place", threads, stream.keys, n, np.int64(chunk), under, offsets, places, picked)
    if total:
        chunk = machine.chunk(total)
        size = (np.int64(total), np.int64(chunk))
        machine.run("relink", -(-total // chunk), picked, stream.previous, places, *size, linked)
    return linked, total


def merged_distances(machine: Machine, previous: Any, n: int) -> Any:
    """`Machine.distances` where many threads run at once: by a merge sort, whose passes are bodies too."""
    chunk, width = machine.chunk(n), 1
    threads, size = -(-n // chunk), (np.int64(n), np.int64(chunk))
    values, owners, over = machine.empty(n), machine.empty(n), machine.empty(n)
    new_values, new_owners = machine.empty(n), machine.empty(n)
    machine.run("start_merge", threads, previous, *size, values, owners, over)
    while width < n:
        machine.run("merge", threads, values, owners, *size, np.int64(width), new_values, new_owners, over)
        values, new_values = new_values, values
        owners, new_owners, width = new_owners, owners, 2 * width
    machine.run("distance_of", threads, previous, over, *size, values)
    return values
