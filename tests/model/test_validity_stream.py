"""Live, in blocks and as a whole, samples are judged alike, in memory that stays flat."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.model.channels import CHANNELS, GROUPS, INDEX
from hashwarden.model.validity import BLOCK, Judged, Validity, judge
from hashwarden.model.validity_rules import KEYS, Reason

C = len(CHANNELS)


def working(samples):
    """Noise in every channel of NVML and GPM, and nothing else."""
    values = np.full((samples, C), np.nan, np.float32)
    given_here = [i for i, c in enumerate(CHANNELS) if c.group in {"nvml", "gpm"}]
    values[:, given_here] = np.random.default_rng(0).uniform(0.4, 0.9, (samples, len(given_here)))
    return np.arange(float(samples)), values


def test_another_shape_is_refused():
    times, values = np.arange(3.0), np.ones((3, C), np.float32)
    with pytest.raises(ValueError, match="expected"):
        judge(times, values[:, :-1])
    with pytest.raises(ValueError, match="expected"):
        Validity().step(0.0, values)


def test_double_precision_from_a_source_is_rounded_without_a_warning():
    row = np.full(C, 1e300)
    judged = Validity().step(0.0, row)
    assert (judged.reasons == Reason.MISSING).all()
    assert judged.values.dtype == np.float32


def test_no_samples_give_no_answers():
    judged = judge(np.empty(0), np.empty((0, C), np.float32))
    assert judged.values.shape == (0, C)
    assert judged.blind_since.shape == (0, len(GROUPS))


def test_scratch_memory_does_not_grow_with_the_run():
    times, values = working(6 * BLOCK)
    tracemalloc.start()
    validity = Validity()
    peaks = []
    for k in range(6):
        tracemalloc.reset_peak()
        validity.block(times[k * BLOCK : (k + 1) * BLOCK], values[k * BLOCK : (k + 1) * BLOCK])
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert max(peaks) < 100e6
    assert max(peaks[1:]) < 1.2 * peaks[0]


def test_long_runs_are_judged_in_blocks_that_leave_no_trace():
    times, values = working(3 * BLOCK)
    for start in (BLOCK - 20, 2 * BLOCK - 5, 2 * BLOCK):
        values[start : start + 60, INDEX["integer_active_ratio"]] = 0.321
        values[start : start + 60, INDEX["graphics_active_ratio"]] = 0
        values[start : start + 60, list(KEYS["nvml"])] = np.nan
        values[start : start + 60, INDEX["gpu_util_ratio"]] = 1
    whole, blocks = Validity().block(times, values), judge(times, values)
    assert {Reason.FROZEN, Reason.DEAD} <= set(np.unique(whole.reasons))
    for name in Judged.__slots__:
        np.testing.assert_array_equal(getattr(whole, name), getattr(blocks, name), err_msg=name)


VALUES = [np.nan, np.inf, 0.0, 1.0, 0.5, 0.25, 0.9, 1.02, -1.0, 2.0**63, 5e5]


@st.composite
def streams(draw):
    """Samples of few different values, so that everything freezes, dies, goes blind and comes back."""
    size = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kinds = rng.choice(VALUES, (size, C), p=[0.04, 0.01, 0.25, 0.1, 0.3, 0.1, 0.16, 0.01, 0.01, 0.01, 0.01])
    held = rng.random((size, C)) < draw(st.sampled_from([0.5, 0.9, 0.99]))
    source = np.maximum.accumulate(np.where(held, 0, np.arange(size)[:, None]), axis=0)
    values = np.take_along_axis(kinds, source, axis=0).astype(np.float32)
    values[:, rng.random(C) < draw(st.sampled_from([0.0, 0.3, 0.8]))] = np.nan
    steps = rng.choice([0.1, 1.0, 10.0, 0.0, -3.0], size, p=[0.2, 0.4, 0.3, 0.05, 0.05])
    cuts = sorted(draw(st.lists(st.integers(0, size), max_size=4)))
    return np.cumsum(steps), values, [0, *cuts, size]


def _with_axis(judged):
    return Judged(*(getattr(judged, name)[None] for name in Judged.__slots__))


@settings(max_examples=150, deadline=None)
@given(streams())
def test_live_in_blocks_and_as_a_whole_are_the_same(stream):
    times, values, cuts = stream
    whole = judge(times, values)
    live, blocks, mixed = Validity(), Validity(), Validity()
    steps = [live.step(time, row) for time, row in zip(times, values, strict=True)]
    parts = [blocks.block(times[a:b], values[a:b]) for a, b in pairwise(cuts)]
    half = len(times) // 2
    rest = [mixed.block(times[:half], values[:half])]
    for time, row in zip(times[half:-1], values[half:-1], strict=True):
        rest.append(_with_axis(mixed.step(time, row)))
    rest.append(mixed.block(times[-1:], values[-1:]))
    for name in Judged.__slots__:
        expected = getattr(whole, name)
        np.testing.assert_array_equal(np.stack([getattr(step, name) for step in steps]), expected, err_msg=name)
        np.testing.assert_array_equal(np.concatenate([getattr(p, name) for p in parts]), expected, err_msg=name)
        np.testing.assert_array_equal(np.concatenate([getattr(p, name) for p in rest]), expected, err_msg=name)
    assert str(live.summary()) == str(blocks.summary()) == str(mixed.summary())
    assert str(live.blind(GROUPS)) == str(blocks.blind(GROUPS))
