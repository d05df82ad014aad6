"""Evidence of many samples at a time is evidence sample by sample, whatever the pieces."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.errors import UsageError
from hashwarden.model.sequential import Evidence
from hashwarden.model.sequential_calibration import EvidenceCalibration, Payoff, TierCalibration
from hashwarden.model.sequential_state import Blind, State
from hashwarden.serve.weighing import Weighing


def _tier(*groups: str, payoff: Payoff | None) -> TierCalibration:
    return TierCalibration(
        groups=groups, levels=tuple((0.5 * np.arange(1, 171) ** -0.3).tolist()), runs=2000, hours=1, longest_s=900,
        origins={"synthesised": 2000}, payoff=payoff,
    )  # fmt: skip


CALIBRATION = EvidenceCalibration(
    tiers={"nvml": _tier("nvml", payoff=None), "gpm": _tier("nvml", "gpm", payoff=Payoff(low=-2, high=4))},
    horizon_s=900,
)


def _course(size, period, rng):
    """Scores, times, tiers, blindness in stretches, unknown work in stretches."""
    chance = rng.random(size) ** rng.choice([0.1, 0.3, 1.0, 3.0])
    chance[rng.random(size) < 0.02] = np.nan
    dts = period * rng.uniform(0.9, 1.1, size) * (rng.random(size) > 0.02)
    dts[rng.random(size) < 0.01] = 400.0
    tiers, blind, unlike = np.ones(size, np.int64), np.zeros(size, np.int8), np.zeros(size, np.bool_)
    for column, values in ((tiers, (-1, 0, 1)), (blind, (0, 0, *Blind)), (unlike, (False, True))):
        for start in rng.integers(0, size, rng.integers(0, 6)):
            column[start : start + int(rng.integers(1, size + 1))] = rng.choice(values)
    blind[np.isin(blind, (Blind.STARTING, Blind.UNKNOWN_WORK))] = Blind.SHARED  # these are no reasons of one sample
    return chance, dts, tiers, blind, unlike


def _one_by_one(course):
    evidence, found = Evidence(CALIBRATION, 1e-3), []
    for i in range(len(course[0])):
        now = evidence.update(*(column[i : i + 1] for column in course))
        found.append((now.evidence[0, 2], now.state[0], now.blind[0]))
    return np.array(found).reshape(-1, 3)


def _in_pieces(course, cuts):
    weighing = Weighing(CALIBRATION, 1e-3)
    edges = [0, *sorted(cuts), len(course[0])]
    pieces = [weighing.weigh(*(c[a:b] for c in course)) for a, b in pairwise(edges)]
    return np.stack([np.concatenate(column) for column in zip(*pieces, strict=True)], axis=1)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 300), st.sampled_from([0.1, 0.3, 1.0, 7.0, 10.0, 30.0, 60.0]),
    st.lists(st.integers(0, 300), max_size=5),
)  # fmt: skip
def test_the_same_as_one_by_one_in_any_pieces(seed, size, period, cuts):
    course = _course(size, period, np.random.default_rng(seed))
    wanted, found = _one_by_one(course), _in_pieces(course, [min(cut, size) for cut in cuts])
    np.testing.assert_array_equal(found[:, 1:], wanted[:, 1:])
    np.testing.assert_allclose(found[:, 0], wanted[:, 0], rtol=1e-9)


@pytest.mark.parametrize("period", [0.1, 1.0, 60.0])
def test_a_minute_is_a_minute_however_it_is_summed_up(period):
    size = round(200 / period) + 40
    seconds, blind = np.arange(size) * period, np.zeros(size, np.int8)
    blind[(seconds > 40) & (seconds < 120)] = Blind.DEAD
    course = np.full(size, 0.01), np.diff(seconds, prepend=0.0), np.ones(size, np.int64), blind, np.zeros(size, bool)
    found = _in_pieces(course, [size // 3])
    np.testing.assert_array_equal(found[:, 1:], _one_by_one(course)[:, 1:])
    assert State.ABSTAIN in found[seconds > 100, 1] or period > 40


def test_it_goes_through_every_state():
    chance = np.concatenate([np.full(100, 0.01), np.linspace(0.1, 0.95, 600), np.full(300, 0.999), np.full(200, 0.2)])
    dts, none = np.random.default_rng(3).uniform(0.9, 1.1, len(chance)), np.zeros(len(chance), np.int8)
    course = chance, dts, np.ones(len(chance), np.int64), none, none > 0
    found = _in_pieces(course, range(0, len(chance), 37))
    assert set(found[:, 1]) == set(State)
    np.testing.assert_array_equal(found[:, 1:], _one_by_one(course)[:, 1:])


def test_another_alpha_is_refused():
    with pytest.raises(UsageError, match="alpha"):
        Weighing(CALIBRATION, 0.0)
