"""The window: bounded, and the same however the stream was cut into blocks; what cannot be meant is refused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.errors import UsageError
from hashwarden.kernels.streams import state, synthetic, table
from hashwarden.kernels.streams.state import StreamState, reduce_window

NAMES = ("sm", "dram")


def stream(samples: int) -> np.ndarray:
    x = np.stack([synthetic.training(samples, 40, 0.1), synthetic.requests(samples, 0.02, 5)], axis=1)
    x[::17, 1] = np.nan
    return x


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 700), max_size=12), st.sampled_from([1, 50, 333, 5000]))
def test_blocks_do_not_change_the_features(cuts: list[int], length: int) -> None:
    x = stream(900)
    whole, parts = (StreamState(NAMES, 0.01, length * 0.01) for _ in range(2))
    whole.push(x)
    edges = sorted({0, 900, *cuts})
    for start, end in pairwise(edges):
        parts.push(x[start:end])
    parts.push(x[:0])
    np.testing.assert_array_equal(parts.window(), x[-length:].astype(np.float32))
    np.testing.assert_array_equal(parts.features().values, whole.features().values)
    assert parts.missing == whole.missing == int(np.isnan(x).sum())


def test_the_window_forgets() -> None:
    x = stream(3000)
    held = StreamState(NAMES, 0.01, 5.0)
    for start in range(0, 3000, 70):
        held.push(x[start : start + 70])
        assert held.window().nbytes <= 500 * 2 * 4
    expected = reduce_window(x[-500:], NAMES, 0.01)
    np.testing.assert_array_equal(held.features().values, expected.values)
    assert (held.samples, held.held) == (3000, 500)


def test_lost_samples_are_missing_not_zero() -> None:
    held = StreamState(NAMES, 0.01, 1.0)
    held.push(np.full((100, 2), 50.0))
    held.skip(50)
    assert held.features()["sm.coverage"] == 0.5
    assert held.features()["sm.mean"] == 50
    held.skip(10_000)
    assert held.samples == 10_150
    assert np.isnan(held.features()["sm.mean"])


def test_an_empty_window_is_unknown() -> None:
    found = StreamState(NAMES, 0.01, 1.0).features()
    assert found.names == table.feature_names(NAMES)
    assert np.isnan(found.values).all()


def test_what_is_infinite_is_missing() -> None:
    found = reduce_window(np.array([[1.0, np.inf], [3.0, -np.inf], [2.0, 1e300]]), NAMES, 1.0)
    assert found["dram.coverage"] == 0
    assert found["sm.mean"] == 2


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (np.zeros(5), "shape (5,)"),
        (np.zeros((5, 3)), "shape (5, 3)"),
        (np.zeros((2, 2, 2)), "shape (2, 2, 2)"),
        (np.zeros((5, 2), complex), "complex128"),
        ([["a", "b"]], "<U1"),
        ([[1.0], [1.0, 2.0]], "different lengths"),
    ],
)
def test_blocks_that_cannot_be_meant(block: object, said: str) -> None:
    held = StreamState(NAMES, 0.01, 1.0)
    with pytest.raises(UsageError) as caught:
        held.push(block)
    assert said in caught.value.got
    assert "(samples, 2)" in caught.value.expected
    assert held.samples == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (((), 0.1, 1.0), "[]"),
        ((("a", "a"), 0.1, 1.0), "['a', 'a']"),
        ((("a", ""), 0.1, 1.0), "['a', '']"),
        ((("a",), 0.0, 1.0), "interval of 0.0 s"),
        ((("a",), float("nan"), 1.0), "interval of nan s"),
        ((("a",), 0.1, -1.0), "window of -1.0 s"),
        ((("a",), 0.1, float("inf")), "window of inf s"),
        ((("a", "b"), 1e-5, 1e6), "100000000000 samples of 2 channels"),
    ],
)
def test_settings_that_cannot_be_meant(arguments: tuple[object, ...], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        StreamState(*arguments)
    assert said in caught.value.got


def test_unknown_engine_channel_and_feature() -> None:
    with pytest.raises(UsageError, match="numba, reference, cupy"):
        StreamState(NAMES, 0.1, 1.0, engine="fortran")
    with pytest.raises(UsageError, match="one of sm, dram"):
        StreamState(NAMES, 0.1, 1.0, activity="l2")
    with pytest.raises(UsageError, match=r"sm\.median"):
        _ = StreamState(NAMES, 0.1, 1.0).features()["sm.median"]
    with pytest.raises(UsageError, match="-1 lost"):
        StreamState(NAMES, 0.1, 1.0).skip(-1)


def test_one_name_is_one_channel() -> None:
    assert StreamState("sm_active", 0.1, 1.0).channels == ("sm_active",)


def test_the_table_is_frozen_and_complete() -> None:
    names = [f.name for f in table.FEATURES]
    assert len(set(names)) == len(names)
    assert [f.of for f in table.FEATURES] == sorted(
        (f.of for f in table.FEATURES), key=["channel", "pair", "stream"].index
    )
    assert all(f.low < f.high and f.definition and f.source and f.unit for f in table.FEATURES)
    with pytest.raises(AttributeError):
        table.FEATURES[0].name = "other"  # type: ignore[misc]
    assert set(state.ENGINES) == {"numba", "reference", "cupy"}
