"""The features of an address log: one frozen table of what each means, in which unit, and from where.

Features tell how memory is touched, not how long a run was: shares, means over accesses, entropies, and sizes
as log2. What a sampling leaves unknown is NaN there, never 0; `Feature.unknown` says which sampling that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["BIT_GROUPS", "CACHES", "DISTANCE_EDGES", "FEATURES", "REACHES", "Feature"]

CACHES: Final = (("32k", 32 << 10), ("1m", 1 << 20), ("32m", 32 << 20))
"""Caches whose miss ratio is estimated: about an SM's first level, a slice, a second level."""

DISTANCE_EDGES: Final = (0, 1, 3, 5, 7, 9, 11, 13, 15, 17)
"""First log2 bin of each group of reuse distances: 0, 1 to 3, 4 to 15, ... 65,536 and more."""

REACHES: Final = (("sector", 0, 5), ("line", 6, 7), ("small_page", 8, 12), ("large_page", 13, 21), ("far", 22, 40))
"""Groups of steps by log2 bins of their size: under 32 bytes, 128 bytes, 4 KiB, 2 MiB, or more."""

BIT_GROUPS: Final = (("low", 5, 11), ("middle", 12, 20), ("high", 21, 36))
"""Address bits within a 4 KiB page, within a 2 MiB page, and above."""

_WARPS: Final = "every_warp"
_ACCESSES: Final = "every_access"
_LINES: Final = "by_line"


@dataclass(frozen=True, slots=True)
class Feature:
    """One number of the vector.

    Attributes
    ----------
    name : str
        Unique, lower case.
    unit : str
        "share", "log2 bytes", ...
    low, high : float
        Range, both ends possible.
    definition : str
        One sentence.
    source : str
        Where the definition is from; "own" if from nowhere else.
    unknown : tuple of str
        Samplings that make it NaN: "every_warp" (one warp in several), "every_access" (one request in
        several), "by_line" (one line in several).
    note : str
        What sampling does to it where it stays known.
    """

    name: str
    unit: str
    low: float
    high: float
    definition: str
    source: str = "own"
    unknown: tuple[str, ...] = ()
    note: str = "unbiased"


def _share(name: str, definition: str, source: str = "own", unknown: tuple[str, ...] = ()) -> Feature:
    return Feature(name, "share", 0, 1, definition, source, unknown)


_GUIDE: Final = "CUDA C++ Best Practices Guide, coalesced access"
_PROFILER: Final = "Nsight Compute, sectors per request"


def _requests() -> Iterator[Feature]:
    no = (_LINES,)
    yield Feature("lanes", "lanes", 1, 32, "Mean lanes of a request.", _PROFILER, no)
    yield _share("full_requests", "Requests of all 32 lanes.", _PROFILER, no)
    for kind in ("load", "store", "atomic"):
        text = f"Mean sectors of 32 bytes that a {kind} request touches, more than 32 counted as 32."
        yield Feature(f"sectors_{kind}", "sectors", 1, 32, text, _PROFILER, no)
    for low, high in ((1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 32)):
        text = (
            f"Requests that touch {low} to {high} sectors." if low < 17 else "Requests that touch 17 or more sectors."
        )
        yield _share(f"sectors_{low}_{high}", text, _PROFILER, no)
    text = "Bytes that lanes asked for, to bytes of the touched sectors, as log2; above 0 where lanes share bytes."
    yield Feature("efficiency_log2", "log2 ratio", -5, 5, text, _GUIDE, no)
    yield _share("useful_bytes", "Different bytes asked for, to bytes of the touched sectors.", _GUIDE, no)
    for width in (1, 2, 4, 8, 16, 32):
        text = f"Accesses of {width} bytes" + (" or more." if width == 32 else "; in between, rounded down.")
        yield _share(f"width_{width}", text)


def _steps(prefix: str, what: str, unknown: tuple[str, ...]) -> Iterator[Feature]:
    source = "Wu, PLDI 2002 (stride profiles)" if prefix == "stride" else _GUIDE
    yield _share(f"{prefix}_zero", f"{what} of 0 bytes.", source, unknown)
    yield _share(f"{prefix}_unit", f"{what} of the width of the access, up or down.", source, unknown)
    chained = f"{what} that have another before them: the share that"
    yield _share(f"{prefix}_constant", f"{chained} equals it.", source, unknown)
    yield _share(f"{prefix}_irregular", f"{chained} neither equals it, nor is 0 or one width.", source, unknown)
    yield _share(f"{prefix}_upwards", f"{what} of more than 0 bytes.", source, unknown)
    for name, low, high in REACHES:
        ends = f"{1 << low >> 1:,} to {(1 << high) - 1:,} bytes" if high < 40 else "2 MiB or more"
        yield _share(f"{prefix}_in_{name}", f"{what} of {ends}, up or down.", source, unknown)


def _reuse(unit: str, size: int) -> Iterator[Feature]:
    no, source = (_WARPS, _ACCESSES), "Mattson and others 1970; SHARDS, FAST 2015"
    note = "distances scaled"
    for group, first in enumerate(DISTANCE_EDGES):
        last = DISTANCE_EDGES[group + 1] - 1 if group + 1 < len(DISTANCE_EDGES) else None
        low = 1 << first >> 1
        name = f"{unit}_reuse_{low}" if last is not None else f"{unit}_reuse_far"
        ends = f"{low:,} to {(1 << last) - 1:,}" if last else f"{low:,} or more" if last is None else "no"
        text = f"References with {ends} other {unit}s since the last one to the same {unit}."
        yield Feature(name, "share", 0, 1, text, source, no, note)
    yield Feature(f"{unit}_cold", "share", 0, 1, f"References to a {unit} never touched before.", source, no, note)
    for name, capacity in CACHES:
        text = f"Misses of a cache of {capacity // size:,} {unit}s, fully associative, least recently used."
        yield Feature(f"{unit}_miss_{name}", "share", 0, 1, text, source, no, note)


def _footprint() -> Iterator[Feature]:
    no, own, note = (_WARPS, _ACCESSES), "own", "count scaled"
    yield Feature("footprint_lines", "log2 lines", 0, 62, "Different lines of 128 bytes.", "Denning 1968", no, note)
    yield Feature(
        "footprint_sectors", "log2 sectors", 0, 62, "Different sectors of 32 bytes.", "Denning 1968", no, note
    )
    pages = (*no, _LINES)
    yield Feature("footprint_pages", "log2 pages", 0, 62, "Different pages of 2 MiB.", "Denning 1968", pages)
    yield _share("sectors_of_line", "Sectors touched, of all in touched lines.", own, no)
    yield _share("lines_of_small_page", "Lines touched, of all in touched 4 KiB pages.", own, pages)
    yield _share("lines_of_large_page", "Lines touched, of all in touched 2 MiB pages.", own, pages)
    text = "References to lines, by different lines."
    yield Feature("references_of_line", "log2 references", 0, 62, text, own, no)
    for name, part in (("quarter", "quarter"), ("half", "half"), ("three_quarters", "three quarters")):
        text = f"Lines touched in the first {part} of the log, of all that it touches."
        yield _share(f"footprint_at_{name}", text, "Denning 1968", no)
    yield _share("lines_read_only", "Lines that are only loaded.", own, no)
    yield _share("lines_write_only", "Lines that are only stored to.", own, no)
    yield _share("lines_read_then_written", "Lines loaded first, and changed later.", own, no)


def _entropies() -> Iterator[Feature]:
    biased = "low if few are kept"
    for name, size in (("small_page", "4 KiB"), ("large_page", "2 MiB")):
        text = f"Entropy of the {size} page of a reference to a line"
        yield Feature(f"{name}_entropy", "bits", 0, 62, f"{text}.", "Shannon 1948", (_LINES,), biased)
        text = f"{text}, to the log2 of the touched pages; 1 if there is one."
        yield Feature(f"{name}_evenness", "share", 0, 1, text, "Pielou 1966", (_LINES,), biased)
    text = (
        "Entropy of the step from one access of a thread to its next at a site, given launch and site, to the largest "
    )
    text += "that so many steps can have: 0 if all are equal, 1 if all differ."
    yield _share("difference_entropy", text, "Shannon 1948", (_ACCESSES, _LINES))
    note = "of what is kept"
    for name, low, high in BIT_GROUPS:
        text = f"Mean of the entropies of address bits {low} to {high}."
        yield Feature(f"bit_entropy_{name}", "bits", 0, 1, text, "Shannon 1948", (), note)
    for bit in range(5, 37):
        text = f"Binary entropy of bit {bit} of the address, counted from the log's first 2 MiB page."
        yield Feature(f"bit_entropy_{bit:02}", "bits", 0, 1, text, "Shannon 1948", (), note)


def _kinds() -> Iterator[Feature]:
    yield _share("read_share", "Accesses that load.")
    yield _share("write_share", "Accesses that store.")
    yield _share("atomic_share", "Accesses that are atomic operations.")
    source = "own; pointer-chasing depth of loads"
    yield _share("dependent_share", "Accesses whose address came from a load.", source)
    yield Feature("depth_mean", "log2(1 + loads)", 0, 16, "Mean chain of loads that an address waits for.", source)
    for name, which in (("median", "Median"), ("p90", "90th percentile"), ("p99", "99th percentile")):
        text = f"{which} of the chain of loads that an address waits for."
        yield Feature(f"depth_{name}", "log2(1 + loads)", 0, 16, text, source)
    text = "Longest chain of loads that an address waits for."
    yield Feature("depth_longest", "log2(1 + loads)", 0, 16, text, source, (), "low")
    no = (_ACCESSES, _LINES)
    text = "Mean of the log2 bin (0, 1, 2 to 3, ...) of a thread's loads before each of its stores or atomics."
    yield Feature("loads_before_store", "log2 bin", 0, 32, text, "own", no)
    yield _share("stores_in_a_row", "Stores and atomics with no load of their thread since its last one.", "own", no)


def _phases() -> Iterator[Feature]:
    noisy = "high if few are kept"
    cut = "over 32 equal parts of the log"
    source = "Sherwood and others, ASPLOS 2002 (phases)"
    no, lines = (_WARPS, _ACCESSES), (_LINES,)
    text = f"Standard deviation by mean of the different lines, {cut}."
    yield Feature("footprint_variation", "ratio", 0, 6, text, source, no, noisy)
    text = f"Standard deviation of the share of loads, {cut}."
    yield Feature("read_share_deviation", "share", 0, 0.5, text, source, (), noisy)
    text = f"Standard deviation by mean of the sectors per request, {cut}."
    yield Feature("sectors_variation", "ratio", 0, 6, text, source, lines, noisy)
    text = f"Standard deviation of log2(1 + mean depth), {cut}."
    yield Feature("depth_deviation", "log2(1 + loads)", 0, 16, text, source, (), noisy)
    text = "Mean over neighbouring parts of the share of lines that only one of the two touches."
    yield _share("working_set_distance", text, "Dhodapkar and Smith, ISCA 2002", no)
    text = (
        "Borders between parts where the share of loads changes by more than 0.1, sectors per request or lines by more "
    )
    text += "than half their log2, or log2(1 + mean depth) by more than 1; of what is known."
    yield Feature("phase_changes", "share", 0, 1, text, source, (), "by what is known")


def _table() -> tuple[Feature, ...]:
    thread = ("Steps from an access of a thread to its next at the same site", (_ACCESSES, _LINES))
    lanes = ("Steps from a lane of a request to the next lane", (_LINES,))
    lost = "Accesses that should have been recorded but were lost; where it is not 0, all others are in doubt."
    return (
        *_requests(),
        *_steps("stride", *thread),
        *_steps("lane", *lanes),
        *_reuse("line", 128),
        *_reuse("sector", 32),
        *_footprint(),
        *_entropies(),
        *_kinds(),
        *_phases(),
        Feature("lost_share", "share", 0, 1, lost, "own", (), "exact"),
    )


FEATURES: Final = _table()
"""The vector, in its order."""
