"""The frozen table of features: name, unit, range, definition, source. Models and pages read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

__all__ = ["BANDS", "CHANNEL", "FEATURES", "PAIR", "STREAM", "Feature", "feature_names", "markdown"]

BANDS: Final = 8
"""Octave bands of the spectrum; the lowest takes all that is left down to one cycle per segment."""


@dataclass(frozen=True)
class Feature:
    """One feature.

    Attributes
    ----------
    name : str
        Without the channel; in full it is ``channel.name``, ``a~b.name`` for a pair, the name alone for the stream.
    unit : str
        Unit; "channel" is the unit of the channel, "1" is a ratio.
    low, high : float
        Range; values outside are impossible.
    definition : str
        What it is, and when it is NaN besides missing data.
    source : str
        Where the definition comes from.
    of : {"channel", "pair", "stream"}
        What it describes.
    """

    name: str
    unit: str
    low: float
    high: float
    definition: str
    source: str
    of: Literal["channel", "pair", "stream"] = "channel"


INF: Final = float("inf")
_OWN = "this project"
_WELCH = "Welch 1967, IEEE Trans. Audio Electroacoust. 15, 70"

FEATURES: Final[tuple[Feature, ...]] = (
    Feature("coverage", "1", 0, 1, "share of the window's samples that are present", _OWN),
    Feature("mean", "channel", -INF, INF, "mean", "NumPy"),
    Feature("std", "channel", 0, INF, "standard deviation of the population", "NumPy"),
    Feature("q05", "channel", -INF, INF, "5 % quantile, linear between samples", "NumPy, method linear"),
    Feature("q50", "channel", -INF, INF, "median", "NumPy, method linear"),
    Feature("q95", "channel", -INF, INF, "95 % quantile", "NumPy, method linear"),
    Feature("peak", "channel", -INF, INF, "99 % quantile: the peak that thresholds refer to; 0 where a channel is "
            "above 0 for under 1 % of the window", "NumPy, method linear"),
    Feature("max", "channel", -INF, INF, "largest sample", "NumPy"),
    Feature("cv", "1", 0, INF, "std / mean; NaN where the mean is not above 0", "coefficient of variation"),
    Feature("fano", "channel", 0, INF, "variance over mean of the sums of windows of 64 samples without a gap; 1 for "
            "Poisson counts; NaN under 8 windows or a mean not above 0", "Fano 1947, Phys. Rev. 72, 26"),
    Feature("peak_to_mean", "1", 1, INF, "max / mean; NaN where the mean is not above 0", "crest factor of the mean"),
    Feature("near_zero", "1", 0, 1, "share of samples at or under 5 % of the peak", _OWN),
    Feature("near_peak", "1", 0, 1, "share of samples at or over 90 % of the peak; NaN where the peak is not above 0",
            _OWN),
    Feature("burstiness", "1", -1, 1, "(s - m) / (s + m) of the times from one start of activity to the next "
            "(active: from over 10 % of the peak until at or under 5 %), m their mean, s their deviation: -1 regular, "
            "0 Poisson, towards 1 bursty; NaN under 4 such times", "Goh and Barabasi 2008, EPL 81, 48002"),
    Feature("burst_rate", "Hz", 0, INF, "starts of activity that follow another, per second of window", _OWN),
    Feature("burst_length", "s", 0, INF, "mean length of an activity that starts and ends in the window", _OWN),
    *(Feature(f"band{i}", "1", 0, 1, f"share of the power, without that at frequency 0, {where}", _WELCH)
      for i, where in enumerate([f"in ({2.0 ** -(i + 2):g}, {2.0 ** -(i + 1):g}] of the sampling rate"
                                 for i in range(BANDS - 1)] + [f"up to {2.0 ** -BANDS:g} of the sampling rate"])),
    Feature("spectral_entropy", "1", 0, 1, "entropy of the power over frequencies, as share of its maximum: near 0 for "
            "a tone, near 1 for white noise", "Inouye et al. 1991, Electroenceph. clin. Neurophysiol. 79, 204"),
    Feature("flatness", "1", 0, 1, "geometric over arithmetic mean of the power (Wiener entropy)",
            "Gray and Markel 1974, IEEE Trans. ASSP 22, 207"),
    Feature("centroid", "Hz", 0, INF, "mean frequency, weighted by power", _WELCH),
    Feature("period", "s", 0, INF, "dominant period: first peak of the autocorrelation of at least 90 % of its "
            "highest; NaN where it does not stand out of noise or fits into the window less than three times",
            "after McLeod and Wyvill 2005, ICMC (key maxima)"),
    Feature("period_strength", "1", 0, 1, "autocorrelation at that peak; 0 where there is no peak",
            "after McLeod and Wyvill"),
    Feature("step_rate", "Hz", 0, INF, "whole steps per second of window (rise over 60 % after a fall under 40 % of "
            "the range from q05 to q95 of the smoothed level)", "Schmitt trigger"),
    Feature("step_length", "s", 0, INF, "median length of a step; NaN under 3", _OWN),
    Feature("step_jitter", "1", 0, INF, "coefficient of variation of the lengths of the steps; NaN under 3", _OWN),
    Feature("changes", "count", 0, INF, "phase changes: the means over 1/32 of the window on either side differ by 6 "
            "standard errors and 10 % of the level; NaN under 32 bins",
            "Truong, Oudre and Vayatis 2020, Signal Processing 167, 107299"),
    Feature("change_spacing", "s", 0, INF, "mean time from one phase change to the next; NaN under 2 changes", _OWN),
    Feature("change_spacing_cv", "1", 0, INF, "coefficient of variation of these times; NaN under 3 changes", _OWN),
    Feature("change_size", "1", 0, INF, "largest shift of a phase change, as share of the peak; 0 without one", _OWN),
    Feature("active_mean", "channel", -INF, INF, "mean while the activity channel is over 10 % of its peak: duty "
            "cycling leaves it as it is", _OWN),
    Feature("active_std", "channel", 0, INF, "standard deviation over the same samples", _OWN),
    Feature("correlation", "1", -1, 1, "Pearson's r over samples present in both; NaN where one is constant",
            "Pearson 1895", "pair"),
    Feature("lag_correlation", "1", -1, 1, "r of the bins at the lag, up to 1/8 of the window, where it is largest in "
            "magnitude", "cross-correlation", "pair"),
    Feature("lag", "s", -INF, INF, "that lag; positive where the second channel follows the first",
            "cross-correlation", "pair"),
    Feature("active_share", "1", 0, 1, "share of the activity channel's samples over 10 % of its peak", _OWN, "stream"),
    Feature("window", "s", 0, INF, "length of the window: samples held times the interval", _OWN, "stream"),
)  # fmt: skip
"""All features; channels first, then pairs, then the stream. Their order is that of the values."""

CHANNEL: Final = tuple(f.name for f in FEATURES if f.of == "channel")
PAIR: Final = tuple(f.name for f in FEATURES if f.of == "pair")
STREAM: Final = tuple(f.name for f in FEATURES if f.of == "stream")


def feature_names(channels: Sequence[str]) -> tuple[str, ...]:
    """Full names of the features of some channels.

    Parameters
    ----------
    channels : sequence of str
        Names of the channels.

    Returns
    -------
    tuple of str
        ``channel.name`` for each channel, ``a~b.name`` for each pair, then those of the stream.
    """
    single = [f"{channel}.{name}" for channel in channels for name in CHANNEL]
    pairs = [f"{a}~{b}.{name}" for a, b in combinations(channels, 2) for name in PAIR]
    return (*single, *pairs, *STREAM)


def markdown() -> str:
    """The table for the pages."""
    lines = ["| feature | of | unit | range | definition | source |", "| --- | --- | --- | --- | --- | --- |"]
    for f in FEATURES:
        span = f"{_bound(f.low)} to {_bound(f.high)}"
        lines.append(f"| `{f.name}` | {f.of} | {f.unit} | {span} | {f.definition} | {f.source} |")
    return "\n".join(lines) + "\n"


def _bound(value: float) -> str:
    return {INF: "∞", -INF: "-∞"}.get(value, f"{value:g}")
