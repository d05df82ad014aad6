"""From counts to the values of the features: the small end that all engines share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from hashwarden.kernels.memory import features, reuse
from hashwarden.kernels.memory.features import FEATURES
from hashwarden.kernels.memory.log import Sampling
from hashwarden.kernels.memory.patterns_counts import Counts, FloatArray, IntArray, Reuse, Runs, Steps

__all__ = ["evaluate", "unknown_under"]

_NAN: Final = math.nan


def unknown_under(sampling: Sampling) -> set[str]:
    """Names of `features.Feature.unknown` that a sampling makes true."""
    found = {"every_warp"} if sampling.every_warp > 1 else set()
    if sampling.every_access > 1:
        found.add("by_line" if sampling.by_line else "every_access")
    return found


def evaluate(counts: Counts, sampling: Sampling, lost: int) -> FloatArray:
    """Compute the vector of features.

    Parameters
    ----------
    counts : Counts
        Of the whole log.
    sampling : Sampling
        What the log kept.
    lost : int
        Accesses that the log lost.

    Returns
    -------
    float64, shape (features,)
        In the order of `FEATURES`; NaN where the sampling, or the lack of such accesses, leaves it unknown.
    """
    missing = unknown_under(sampling)
    scale = sampling.every_access if sampling.by_line else 1
    values = {
        **_requests(counts),
        **_steps("stride", counts.thread_steps),
        **_steps("lane", counts.lane_steps),
        **_reuse("line", counts.line_reuse, 128),
        **_reuse("sector", counts.sector_reuse, 32),
        **_footprint(counts, scale),
        **_entropies(counts),
        **_kinds(counts),
        **_phases(counts, missing),
        "lost_share": _ratio(lost, lost + int(counts.kinds.sum())),
    }
    known = [_NAN if missing & set(feature.unknown) else values[feature.name] for feature in FEATURES]
    return np.array(known, np.float64)


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else _NAN


def _log2(value: float) -> float:
    return math.log2(value) if value > 0 else _NAN


def _requests(counts: Counts) -> dict[str, float]:
    all_, lanes = counts.sectors.sum(0), counts.lanes
    total, moved = int(lanes.sum()), 32 * int(counts.windows[:, 4].sum())
    found = {
        "lanes": _ratio(float(lanes @ np.arange(33)), total),
        "full_requests": _ratio(lanes[32], total),
        "efficiency_log2": _log2(_ratio(counts.asked, moved)),
        "useful_bytes": _ratio(counts.distinct_bytes, moved),
    }
    for name, histogram in zip(("load", "store", "atomic"), counts.sectors, strict=True):
        found[f"sectors_{name}"] = _ratio(float(histogram @ np.arange(33)), int(histogram.sum()))
    for low, high in ((1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 32)):
        found[f"sectors_{low}_{high}"] = _ratio(all_[low : high + 1].sum(), total)
    for index, width in enumerate((1, 2, 4, 8, 16, 32)):
        found[f"width_{width}"] = _ratio(counts.widths[index], counts.widths.sum())
    return found


def _steps(prefix: str, steps: Steps) -> dict[str, float]:
    total, (zero, unit, chained, constant, irregular) = int(steps.bins.sum()), steps.kinds.tolist()
    up = steps.bins[40:]
    both = up + steps.bins[40::-1]
    both[0] = up[0]
    found = {
        f"{prefix}_zero": _ratio(zero, total),
        f"{prefix}_unit": _ratio(unit, total),
        f"{prefix}_constant": _ratio(constant, chained),
        f"{prefix}_irregular": _ratio(irregular, chained),
        f"{prefix}_upwards": _ratio(up[1:].sum(), total),
    }
    for name, low, high in features.REACHES:
        found[f"{prefix}_in_{name}"] = _ratio(both[low : high + 1].sum(), total)
    return found


def _reuse(unit: str, found: Reuse, size: int) -> dict[str, float]:
    bins, cold = reuse.shares(found)
    edges = (*features.DISTANCE_EDGES, len(bins))
    names = [feature.name for feature in FEATURES if feature.name.startswith(f"{unit}_reuse_")]
    values = {name: float(bins[low:high].sum()) for name, low, high in zip(names, edges, edges[1:], strict=False)}
    values[f"{unit}_cold"] = cold
    for name, capacity in features.CACHES:
        values[f"{unit}_miss_{name}"] = reuse.miss_ratio(found, capacity // size)
    return values


def _footprint(counts: Counts, scale: int) -> dict[str, float]:
    lines, small, large = counts.lines.distinct, counts.small_pages.distinct, counts.large_pages.distinct
    new = np.cumsum(counts.windows[:, 7])
    read, written, changed, _ = counts.line_classes.tolist()
    return {
        "footprint_lines": _log2(lines * scale),
        "footprint_sectors": _log2(counts.sector_set.distinct * scale),
        "footprint_pages": _log2(large),
        "sectors_of_line": _ratio(counts.sector_set.distinct, 4 * lines),
        "lines_of_small_page": _ratio(lines, 32 * small),
        "lines_of_large_page": _ratio(lines, 16384 * large),
        "references_of_line": _log2(_ratio(counts.lines.total, lines)),
        "footprint_at_quarter": _ratio(new[7], lines),
        "footprint_at_half": _ratio(new[15], lines),
        "footprint_at_three_quarters": _ratio(new[23], lines),
        "lines_read_only": _ratio(read, lines),
        "lines_write_only": _ratio(written, lines),
        "lines_read_then_written": _ratio(changed, lines),
    }


def _entropy(runs: Runs) -> float:
    return max(math.log2(runs.total) - runs.weight / runs.total, 0.0) if runs.total else _NAN


def _evenness(runs: Runs) -> float:
    if runs.distinct == 1:
        return 1.0
    return min(_ratio(_entropy(runs), math.log2(runs.distinct)), 1.0) if runs.total else _NAN


def _entropies(counts: Counts) -> dict[str, float]:
    found = {}
    for name, runs in (("small_page", counts.small_pages), ("large_page", counts.large_pages)):
        found[f"{name}_entropy"], found[f"{name}_evenness"] = _entropy(runs), _evenness(runs)
    spread = _ratio(counts.differences.weight, counts.sites.weight)
    found["difference_entropy"] = min(max(1 - spread, 0.0), 1.0) if not math.isnan(spread) else _NAN
    total = int(counts.kinds.sum())
    bits = [_binary_entropy(_ratio(int(ones), total)) for ones in counts.bits]
    for name, low, high in features.BIT_GROUPS:
        found[f"bit_entropy_{name}"] = float(np.mean(bits[low - 5 : high - 4]))
    return found | {f"bit_entropy_{bit + 5:02}": value for bit, value in enumerate(bits)}


def _binary_entropy(share: float) -> float:
    if share in {0.0, 1.0}:
        return 0.0
    return -share * math.log2(share) - (1 - share) * math.log2(1 - share)


def _kinds(counts: Counts) -> dict[str, float]:
    total, depths = int(counts.kinds.sum()), counts.depths
    below = np.cumsum(depths)
    gaps = int(counts.gaps.sum())
    found = {
        "read_share": _ratio(counts.kinds[0], total),
        "write_share": _ratio(counts.kinds[1], total),
        "atomic_share": _ratio(counts.kinds[2], total),
        "dependent_share": _ratio(total - int(depths[0]), total),
        "depth_mean": math.log2(1 + _ratio(float(depths @ np.arange(len(depths))), total)),
        "loads_before_store": _ratio(float(counts.gaps @ np.arange(len(counts.gaps))), gaps),
        "stores_in_a_row": _ratio(counts.gaps[0], gaps),
    }
    for name, percent in (("median", 50), ("p90", 90), ("p99", 99), ("longest", 100)):
        found[f"depth_{name}"] = _depth_at(below, percent) if total else _NAN
    return found


def _depth_at(below: IntArray, percent: int) -> float:
    """log2(1 + depth) of the shallowest depth that so many percent of the accesses do not exceed."""
    rank = -(-int(below[-1]) * percent // 100)
    return math.log2(1 + int(np.searchsorted(below, rank)))


def _phases(counts: Counts, missing: set[str]) -> dict[str, float]:
    """What varies over the windows that hold any access."""
    windows = counts.windows[counts.windows[:, 0] > 0].astype(np.float64)
    accesses, loads, deep, requests, sectors, _, lines, _, common = windows.T
    busy = requests > 0
    series = {
        "read": loads / np.maximum(accesses, 1),
        "depth": np.log2(1 + deep / np.maximum(accesses, 1)),
        "sectors": sectors[busy] / requests[busy],
        "lines": lines,
    }
    either = lines[1:] + lines[:-1] - common[1:]
    distance = 1 - common[1:][either > 0] / either[either > 0]
    return {
        "footprint_variation": _ratio(float(lines.std()), float(lines.mean())) if len(lines) else _NAN,
        "read_share_deviation": float(series["read"].std()) if len(accesses) else _NAN,
        "sectors_variation": _ratio(float(series["sectors"].std()), float(series["sectors"].mean()))
        if busy.any()
        else _NAN,
        "depth_deviation": float(series["depth"].std()) if len(accesses) else _NAN,
        "working_set_distance": float(distance.mean()) if len(distance) else _NAN,
        "phase_changes": _changes(series, missing),
    }


def _changes(series: Mapping[str, FloatArray], missing: set[str]) -> float:
    """Share of the borders between windows where something that is known changes by much."""
    borders = len(series["read"]) - 1
    if borders < 1:
        return _NAN
    changed = np.abs(np.diff(series["read"])) > 0.1
    changed |= np.abs(np.diff(series["depth"])) > 1
    if "by_line" not in missing and len(series["sectors"]) == borders + 1:
        changed |= np.abs(np.diff(np.log2(series["sectors"]))) > 0.5
    if not missing & {"every_warp", "every_access"}:
        changed |= np.abs(np.diff(np.log2(np.maximum(series["lines"], 1)))) > 0.5
    return float(changed.mean())
