"""Many streams judged at once are judged as each by itself, to the last bit, in any order of coming and going."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.validity import Judged, Validity
from hashwarden.model.validity_many import Validities
from hashwarden.model.validity_rules import Reason

C = len(CHANNELS)
VALUES = [np.nan, np.inf, 0.0, 1.0, 0.5, 0.25, 0.9, 1.02, -1.0, 2.0**63, 5e5]


def streams(rng, count, size, keep):
    """Few different values, most of which stay, so that everything freezes, dies, goes blind and comes back."""
    shape = (size, count, C)
    kinds = rng.choice(VALUES, shape, p=[0.04, 0.01, 0.25, 0.1, 0.3, 0.1, 0.16, 0.01, 0.01, 0.01, 0.01])
    held = rng.random(shape) < keep
    source = np.maximum.accumulate(np.where(held, 0, np.arange(size)[:, None, None]), axis=0)
    values = np.take_along_axis(kinds, source, axis=0).astype(np.float32)
    values[:, rng.random((count, C)) < rng.choice([0.0, 0.3, 0.8])] = np.nan
    steps = rng.choice([0.1, 1.0, 10.0, 0.0, -3.0, np.inf], (size, count), p=[0.2, 0.4, 0.3, 0.05, 0.04, 0.01])
    return np.where(np.isinf(steps), np.inf, np.cumsum(np.where(np.isinf(steps), 0, steps), axis=0)), values


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 50), st.sampled_from([0.5, 0.9, 0.99]))
def test_many_at_once_are_judged_as_each_alone(seed, count, size, keep):
    rng = np.random.default_rng(seed)
    times, values = streams(rng, count, size, keep)
    alone, together = [Validity() for _ in range(count)], Validities()
    together.grow(count - count // 2)
    for sample in range(size):
        if sample == size // 2:
            together.grow(count // 2)  # room for those that come later
        rows = rng.permutation(len(together))[: rng.integers(1, len(together) + 1)]
        if rng.random() < 0.05:
            alone[rows[0]] = Validity()
            together.restart(rows[0])
        got = together.step(rows, times[sample, rows], values[sample, rows])
        for place, row in enumerate(rows):
            wanted = alone[row].step(times[sample, row], values[sample, row])
            for name in Judged.__slots__:
                np.testing.assert_array_equal(getattr(got, name)[place], getattr(wanted, name), err_msg=name)


def test_what_freezes_and_dies_in_one_stream_does_not_in_another():
    rng, together = np.random.default_rng(0), Validities()
    together.grow(3)
    channels = [i for i, c in enumerate(CHANNELS) if c.group in {"nvml", "gpm"}]
    for second in range(60):
        values = np.full((3, C), np.nan, np.float32)
        values[:, channels] = rng.uniform(0.4, 0.9, (3, len(channels)))
        values[1, INDEX["integer_active_ratio"]] = 0.321
        values[2, INDEX["graphics_active_ratio"]] = 0
        judged = together.step(np.arange(3), np.full(3, float(second)), values)
    found = [{Reason(code) for code in np.unique(row) if code >= Reason.MISSING} for row in judged.reasons]
    assert found == [{Reason.MISSING}, {Reason.MISSING, Reason.FROZEN}, {Reason.MISSING, Reason.DEAD}]
