"""What a round of probes is called outside: a fixed table of features with units and ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from hashwarden.kernels.probes.probe import PROBES, QUANTILES

if TYPE_CHECKING:
    from hashwarden.kernels.probes.baseline import Baseline
    from hashwarden.kernels.probes.session import ProbeRound

__all__ = ["FEATURES", "Feature", "features_of"]

_INF: Final = math.inf


@final
@dataclass(frozen=True, slots=True)
class Feature:
    """One number of a round; NaN where it is missing, never 0.

    Attributes
    ----------
    name : str
        Fixed: a model may rely on it.
    unit : str
        ``cycles``, ``ratio``, ``us``, ``MHz`` or ``count``.
    low, high : float
        What it can be.
    meaning : str
        In a few words.
    """

    name: str
    unit: str
    low: float
    high: float
    meaning: str


def _latencies() -> list[Feature]:
    return [
        Feature(f"probe_{p.name}_{q}_cycles", "cycles", 0.0, _INF, f"{p.times}: {q} of the latency of a link")
        for p in PROBES
        for q in QUANTILES
    ]


def _ratios() -> list[Feature]:
    return [
        Feature(f"probe_{p.name}_{q}_ratio", "ratio", 0.0, _INF, f"{p.times}: {q} over that of the idle GPU")
        for p in PROBES
        for q in QUANTILES
    ]


FEATURES: Final = (
    *_latencies(),
    *_ratios(),
    Feature("probe_gap_count", "count", 0.0, _INF, "gaps that a watching block saw in the round, mean over blocks"),
    Feature("probe_gap_share", "ratio", 0.0, 1.0, "share of the watched time that lay in gaps"),
    Feature("probe_gap_p50_us", "us", 0.0, _INF, "median length of a gap; missing without gaps"),
    Feature("probe_gap_longest_us", "us", 0.0, _INF, "longest gap; missing without gaps"),
    Feature("probe_slice_count", "count", 0.0, 2.0 * len(PROBES), "breaks between probes or inside one"),
    Feature("probe_slice_us", "us", 0.0, _INF, "time that those breaks took, in all"),
    Feature("probe_wait_us", "us", 0.0, _INF, "host time of the round beyond its GPU time: mostly waiting for a turn"),
    Feature("probe_gpu_us", "us", 0.0, _INF, "GPU time of the round, what it stood still included"),
    Feature("probe_clock_mhz", "MHz", 0.0, 10_000.0, "clock of the SMs during the round"),
)
"""Every feature, in a fixed order."""


def features_of(round_: ProbeRound, baseline: Baseline | None = None) -> dict[str, float]:
    """The features of a round, in the order of `FEATURES`.

    Parameters
    ----------
    round_ : ProbeRound
        What was measured.
    baseline : Baseline, optional
        Quantiles of the same GPU when it was idle; without it every ratio is NaN.
    """
    return {feature.name: value for feature, value in zip(FEATURES, _values(round_, baseline), strict=True)}


def _values(round_: ProbeRound, baseline: Baseline | None) -> list[float]:
    latencies = [value for probe in PROBES for value in round_.quantiles[probe.name]]
    if baseline is None:
        ratios = [math.nan] * len(latencies)
    else:
        idle = [value for probe in PROBES for value in baseline.quantiles[probe.name]]
        ratios = [now / then if then > 0 else math.nan for now, then in zip(latencies, idle, strict=True)]
    gaps = round_.gaps
    rest: Mapping[str, float] = {
        "probe_gap_count": gaps.count / gaps.blocks,
        "probe_gap_share": gaps.share,
        "probe_gap_p50_us": gaps.quantiles_us[QUANTILES.index("p50")],
        "probe_gap_longest_us": gaps.longest_us,
        "probe_slice_count": float(gaps.slices),
        "probe_slice_us": gaps.slices_us,
        "probe_wait_us": round_.wait_us,
        "probe_gpu_us": round_.gpu_us,
        "probe_clock_mhz": round_.clock_mhz,
    }
    return [*latencies, *ratios, *(rest[feature.name] for feature in FEATURES[2 * len(latencies) :])]
