"""Features of streams whose answers are known, and the oracles: scipy for spectra, NumPy and formulas for the rest."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hashwarden.kernels.streams import synthetic, table
from hashwarden.kernels.streams.state import StreamFeatures, reduce_window

SAMPLES, INTERVAL = 100_000, 1e-4


def features(*channels: np.ndarray, interval: float = INTERVAL) -> StreamFeatures:
    return reduce_window(np.stack(channels, axis=1), tuple("abcdefgh"[: len(channels)]), interval)


@pytest.mark.parametrize("engine", ["numba", "reference", pytest.param("cupy", marks=pytest.mark.gpu)])
def test_levels_of_known_samples(engine: str) -> None:
    x = np.arange(101.0)[:, None]
    found = reduce_window(x, "a", 1.0, engine=engine)
    known = {"mean": 50, "std": np.sqrt((101**2 - 1) / 12), "q05": 5, "q50": 50, "q95": 95, "peak": 99, "max": 100}
    for name, value in known.items():
        assert found[f"a.{name}"] == pytest.approx(value), name
    assert found["a.coverage"] == 1
    assert found["window"] == 101
    assert found["active_share"] == pytest.approx(91 / 101)
    assert found["a.active_mean"] == pytest.approx(55)


@pytest.mark.parametrize("period", [200, 500, 777.3, 5000, 30_000])
def test_period_of_a_sine_in_noise(period: float) -> None:
    found = features(synthetic.sine(SAMPLES, period) + synthetic.noise(SAMPLES, 15))
    assert found["a.period"] == pytest.approx(period * INTERVAL, rel=0.01)
    assert found["a.period_strength"] > 0.9


@pytest.mark.parametrize("second", [0.4, 0.6, 0.9])
def test_a_harmonic_is_not_taken_for_the_period(second: float) -> None:
    """Two humps a period, the second lower: the autocorrelation also peaks at half of the period."""
    t = np.arange(SAMPLES) % 4000
    humps = np.where(t < 900, 90.0, np.where((t >= 2000) & (t < 2900), 90.0 * second, 5.0))
    found = features(humps + synthetic.noise(SAMPLES, 1))
    expected = 0.2 if second == 0.9 else 0.4  # halves that differ by a tenth count as alike
    assert found["a.period"] == pytest.approx(expected, rel=0.01)


def test_multiples_are_not_taken_for_the_period() -> None:
    spikes = np.where(np.arange(SAMPLES) % 1000 < 100, 80.0, 0.0)
    assert features(spikes)["a.period"] == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8])
def test_duty_cycle(share: float) -> None:
    work = synthetic.duty_cycle(SAMPLES, 2000, share)
    found = features(work, work * 0.5)
    assert found["active_share"] == pytest.approx(share, abs=1e-3)
    assert found["a.near_zero"] == pytest.approx(1 - share, abs=1e-3)
    assert found["a.near_peak"] == pytest.approx(share, abs=1e-3)
    assert found["a.period"] == pytest.approx(0.2, rel=0.01)
    assert found["a.burstiness"] == pytest.approx(-1)
    assert found["a.burst_length"] == pytest.approx(share * 0.2)
    assert found["a.step_length"] == pytest.approx(0.2, rel=0.01)
    assert found["a.step_jitter"] < 0.01


def test_levels_while_active_are_the_same_under_duty_cycling() -> None:
    busy = np.stack([90 + synthetic.noise(SAMPLES, 2), 40 + synthetic.noise(SAMPLES, 2, 1)], axis=1)
    steady = reduce_window(busy, ("a", "b"), INTERVAL)
    for share in (0.05, 0.3, 0.7):
        on = synthetic.duty_cycle(SAMPLES, 5000, share)[:, None] > 0
        cycled = reduce_window(np.where(on, busy, 0.0), ("a", "b"), INTERVAL)
        assert cycled["b.mean"] == pytest.approx(share * 40, rel=0.02)
        for name in ("a.active_mean", "b.active_mean"):
            assert cycled[name] == pytest.approx(steady[name], rel=0.002)
        assert cycled["b.active_std"] == pytest.approx(steady["b.active_std"], rel=0.05)


@pytest.mark.parametrize("step", [600, 3000, 9000])
@pytest.mark.parametrize("jitter", [0.0, 0.05])
def test_training_steps(step: float, jitter: float) -> None:
    found = features(synthetic.training(SAMPLES, step, jitter) + synthetic.noise(SAMPLES, 3))
    assert found["a.step_length"] == pytest.approx(step * INTERVAL, rel=0.05)
    assert found["a.period"] == pytest.approx(step * INTERVAL, rel=0.06)
    assert found["a.step_rate"] * found["a.step_length"] == pytest.approx(1, abs=0.25)
    lengths = SAMPLES / step
    spread = 4 * jitter / np.sqrt(lengths)
    assert found["a.step_jitter"] == pytest.approx(jitter, abs=0.005 + spread)


def test_poisson_counts_have_fano_factor_one() -> None:
    counts = np.random.default_rng(3).poisson(2.0, SAMPLES)
    assert features(counts.astype(float))["a.fano"] == pytest.approx(1, abs=0.1)


def test_poisson_requests_are_neither_regular_nor_bursty() -> None:
    found = features(synthetic.requests(SAMPLES, 0.004, 5))
    assert abs(found["a.burstiness"]) < 0.1
    assert np.isnan(found["a.period"])
    assert found["a.burst_rate"] == pytest.approx(0.004 / INTERVAL, rel=0.1)


@pytest.mark.parametrize("length", [5, 60, 400])
def test_long_requests_have_no_period_either(length: int) -> None:
    """Pulses that are alike for long have few independent samples: chance peaks are higher."""
    claimed = [
        not np.isnan(features(synthetic.requests(20_000, 0.3 / length, length, seed), interval=5e-4)["a.period"])
        for seed in range(20)
    ]
    assert sum(claimed) <= 1


def test_clustered_requests_are_bursty() -> None:
    parts = [synthetic.requests(2000, 0.1, 3, seed) for seed in range(5)]
    quiet = np.zeros(18_000)
    x = np.concatenate([half for part in parts for half in (part, quiet)])
    assert features(x)["a.burstiness"] > 0.4


def test_plateau_with_rebuild_blips() -> None:
    found = features(synthetic.plateau(SAMPLES, (20_000, 70_000)))
    assert np.isnan(found["a.period"])
    assert found["a.step_rate"] == 0
    assert found["a.near_peak"] == pytest.approx(0.996, abs=1e-3)
    assert found["a.cv"] < 0.05
    assert found["a.changes"] == 0


def test_chirp_has_no_period_and_a_wide_spectrum() -> None:
    sweep = features(synthetic.chirp(SAMPLES, 0.001, 0.2))
    tone = features(synthetic.sine(SAMPLES, 20))
    assert np.isnan(sweep["a.period"])
    assert sweep["a.spectral_entropy"] > 0.8
    assert tone["a.spectral_entropy"] < 0.25
    assert sweep["a.centroid"] == pytest.approx(0.1005 / INTERVAL, rel=0.02)
    assert tone["a.centroid"] == pytest.approx(500, rel=0.01)


def test_white_noise() -> None:
    found = features(50 + synthetic.noise(SAMPLES, 10))
    assert found["a.spectral_entropy"] > 0.99
    assert found["a.flatness"] > 0.95
    assert np.isnan(found["a.period"])
    assert found["a.step_rate"] == 0
    assert found["a.changes"] == 0
    bands = [found[f"a.band{i}"] for i in range(table.BANDS)]
    assert sum(bands) == pytest.approx(1)
    assert bands[:4] == pytest.approx([1 / 2, 1 / 4, 1 / 8, 1 / 16], rel=0.05)


def test_noise_has_no_period_in_short_windows() -> None:
    for seed in range(40):
        assert np.isnan(features(50 + synthetic.noise(256, 10, seed))["a.period"])


def test_changes_at_known_places() -> None:
    at = (30_000, 60_000, 80_000)
    x = synthetic.levels(SAMPLES, at, (80, 20, 50, 90)) + synthetic.noise(SAMPLES, 8)
    found = features(x)
    assert found["a.changes"] == 3
    assert found["a.change_spacing"] == pytest.approx(2.5, rel=0.01)
    assert found["a.change_spacing_cv"] == pytest.approx(0.2, rel=0.05)
    assert found["a.change_size"] == pytest.approx(60 / found["a.peak"], rel=0.02)


def test_correlation_and_lag() -> None:
    base = np.convolve(synthetic.noise(SAMPLES + 900, 10, 1), np.ones(200) / 14, "valid")[: SAMPLES + 700]
    a, late = base[700:] + 50, base[:-700] + 50
    found = features(a, late[:SAMPLES], 100 - a, 50 + synthetic.noise(SAMPLES, 10, 2))
    assert found["a~b.lag_correlation"] == pytest.approx(1, abs=0.02)
    assert found["a~b.lag"] == pytest.approx(700 * INTERVAL, abs=8 * INTERVAL)
    assert abs(found["a~b.correlation"]) < 0.1
    assert found["a~c.correlation"] == pytest.approx(-1)
    assert found["a~c.lag_correlation"] == pytest.approx(-1)
    assert found["a~c.lag"] == 0
    assert abs(found["a~d.correlation"]) < 0.02


def test_spectrum_is_scipys() -> None:
    from hashwarden.kernels.streams import reference
    from hashwarden.kernels.streams.reduced import Plan

    x = (synthetic.sine(5000, 37) + synthetic.noise(5000, 4)).astype(np.float32)
    plan = Plan(5000, 1, INTERVAL, 0)
    _, expected = scipy.signal.welch(x.astype(np.float64), 1 / INTERVAL, nperseg=plan.segment)
    np.testing.assert_allclose(reference.reduce(x[:, None], plan).psd[:, 0], expected, rtol=1e-9)


def test_missing_samples_leave_the_answers() -> None:
    x = np.stack([synthetic.sine(SAMPLES, 500), synthetic.duty_cycle(SAMPLES, 2000, 0.4)], axis=1)
    whole = reduce_window(x, ("a", "b"), INTERVAL)
    x[np.random.default_rng(0).random(x.shape) < 0.1] = np.nan
    found = reduce_window(x, ("a", "b"), INTERVAL)
    assert found["a.coverage"] == pytest.approx(0.9, abs=0.01)
    for name in ("a.mean", "a.std", "a.q95", "b.near_peak", "b.near_zero", "active_share", "b.active_mean"):
        assert found[name] == pytest.approx(whole[name], rel=0.02), name
    for name in ("a.period", "b.period", "a.step_length", "a.centroid"):
        assert found[name] == pytest.approx(whole[name], rel=0.02) or name == "a.centroid", name
    assert found["a.flatness"] > whole["a.flatness"]  # what is missing at random looks like a little noise


def test_a_gap_makes_no_step_and_no_burst() -> None:
    x = synthetic.duty_cycle(20_000, 1000, 0.5)
    x[5200:9700] = np.nan
    found = features(x)
    assert found["a.burst_length"] == pytest.approx(500 * INTERVAL)
    assert found["a.burstiness"] == pytest.approx(-1)
    assert found["a.step_jitter"] < 0.01


def test_a_dead_channel_is_unknown_and_an_idle_one_is_not() -> None:
    found = features(np.full(5000, np.nan), np.zeros(5000), np.full(5000, 50.0))
    known = {name for name in table.CHANNEL if not np.isnan(found[f"a.{name}"])}
    assert known == {"coverage"}
    assert found["a.coverage"] == 0
    assert found["b.mean"] == 0
    assert found["b.near_zero"] == 1
    assert np.isnan(found["active_share"])
    for name in ("period", "period_strength", "flatness", "spectral_entropy", "band0", "burstiness", "step_length"):
        assert np.isnan(found[f"c.{name}"]), name
    assert found["c.std"] == 0
    assert np.isnan(found["a~b.correlation"])
    assert np.isnan(found["b~c.correlation"])


@pytest.mark.parametrize("samples", [1, 2, 3, 7, 31, 32, 63, 65])
def test_short_windows_are_answered(samples: int) -> None:
    found = features(np.arange(samples, dtype=float), np.ones(samples))
    assert found["a.mean"] == pytest.approx((samples - 1) / 2)
    assert np.isnan(found["a.flatness"]) == (samples < 64)


RANGES = {f.name: (f.low, f.high) for f in table.FEATURES}


def in_range(found: StreamFeatures) -> None:
    for name, value in found.as_dict().items():
        low, high = RANGES[name.rsplit(".", 1)[-1]]
        assert np.isnan(value) or low - 1e-9 <= value <= high + 1e-9, (name, value)


ANY = st.floats(width=32, allow_nan=True, allow_infinity=True)
FEW = st.sampled_from([0.0, 0.0, 1.0, 100.0, np.nan, -3.0, 1e30, -1e30, 1e-30, np.inf])


@settings(deadline=None, max_examples=150)
@given(arrays(np.float32, st.tuples(st.integers(1, 300), st.integers(1, 3)), elements=ANY | FEW, fill=FEW))
def test_any_samples_at_all_give_values_in_range(window: np.ndarray) -> None:
    found = reduce_window(window, tuple("abc"[: window.shape[1]]), 0.01)
    in_range(found)
    for channel, x in zip("abc", window.T, strict=False):
        present = x[np.isfinite(x)].astype(np.float64)
        assert found[f"{channel}.coverage"] == pytest.approx(len(present) / len(x))
        assert np.isnan(found[f"{channel}.mean"]) == (len(present) == 0)
        if len(present):
            assert found[f"{channel}.q50"] == pytest.approx(np.median(present), rel=1e-9)


def test_values_are_in_the_ranges_of_the_table() -> None:
    streams = [
        synthetic.training(8000, 90, 0.1),
        synthetic.requests(8000, 0.01, 7),
        synthetic.noise(8000, 5),
        synthetic.chirp(8000, 0.001, 0.4),
        synthetic.levels(8000, (3000,), (10, 90)),
    ]
    in_range(features(*streams))
