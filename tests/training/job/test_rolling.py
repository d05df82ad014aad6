"""Rolling statistics against a loop over windows, and their causality."""

import numpy as np
import pytest

from hashwarden.training.job.rolling import STATISTICS, rolling, rows_of


def _slowly(times, values, row, window):
    inside = (times > times[row] - window + 1e-9) & (np.arange(len(times)) <= row)
    out = np.full((len(STATISTICS), values.shape[1]), np.nan)
    for c in range(values.shape[1]):
        t, x = times[inside], values[inside, c].astype(float)
        seen = np.isfinite(x)
        if seen.any():
            out[:4, c] = x[seen].mean(), x[seen].std(), x[seen].min(), x[seen].max()
        if seen.sum() > 1:
            out[4, c] = np.polyfit(t[seen], x[seen], 1)[0]
        steps = np.abs(np.diff(x))
        if np.isfinite(steps).any():
            out[5, c] = np.nanmean(steps)
    return out.ravel()


@pytest.mark.parametrize("period", [0.5, 7.0, 60.0])
def test_every_window_equals_a_loop_over_its_samples(period):
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.8, 1.2, 80)) * period
    values = rng.normal(size=(80, 3)).astype(np.float32) * [1, 100, 0.01] + [0, 4000, 1]
    values[rng.random(values.shape) < 0.3] = np.nan
    values[:20, 2] = np.nan
    rows = np.arange(0, 80, 3)
    got = rolling(times, values.astype(np.float32), rows)
    expected = np.array([_slowly(times, values.astype(np.float32), row, 60.0) for row in rows])
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=1e-5)


def test_a_channel_that_never_spoke_stays_nan_and_a_constant_has_no_deviation():
    times = np.arange(50.0)
    values = np.full((50, 2), np.nan, np.float32)
    values[:, 1] = 0.7
    got = rolling(times, values, np.array([49])).reshape(len(STATISTICS), 2)
    assert np.isnan(got[:, 0]).all()
    np.testing.assert_allclose(got[:, 1], [0.7, 0, 0.7, 0.7, 0, 0], atol=1e-6)


def test_what_comes_later_changes_nothing():
    rng = np.random.default_rng(2)
    times, values = np.arange(200.0), rng.random((200, 4)).astype(np.float32)
    rows = rows_of(times)
    whole, part = rolling(times, values, rows), rolling(times[:101], values[:101], rows[rows <= 100])
    np.testing.assert_allclose(part, whole[rows <= 100], rtol=1e-3, atol=1e-6)


def test_one_row_a_block_its_last_sample():
    assert rows_of(np.arange(0, 30, 2.5)).tolist() == [3, 7, 11]
    assert rows_of(np.arange(0, 300, 60.0)).tolist() == [0, 1, 2, 3, 4]
