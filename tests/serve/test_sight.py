"""What can be judged of samples: the same rules for rows that are moments and rows that are jobs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.model.channels import CHANNELS, GROUPS, INDEX, TIERS
from hashwarden.model.sequential_calibration import EvidenceCalibration, TierCalibration
from hashwarden.model.sequential_state import Blind
from hashwarden.model.validity import judge
from hashwarden.serve import sight as module
from hashwarden.serve.sight import Presence, Presences, Sight

C, G = len(CHANNELS), len(GROUPS)
OF = np.array([channel.group for channel in CHANNELS])
FOREIGN = INDEX["foreign_process_count"]


def _tier(name):
    return TierCalibration(groups=TIERS[name], levels=(0.2,), runs=9, hours=1, longest_s=600, origins={})


def _sight(*tiers):
    return Sight(EvidenceCalibration(tiers={name: _tier(name) for name in tiers}, horizon_s=600.0))


def _looked(values, *tiers):
    judged = judge(np.arange(len(values), dtype=np.float64), values)
    return _sight(*tiers).look(judged, module.given(judged))


def _values(size, *groups, foreign=0.0):
    values = np.full((size, C), np.nan, np.float32)
    values[:, np.isin(OF, groups)] = np.random.default_rng(0).uniform(0.4, 0.6, (size, np.isin(OF, groups).sum()))
    values[:, FOREIGN] = foreign
    return values


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 80), st.integers(0, 80))
def test_groups_count_as_there_alike_sample_by_sample_and_in_any_pieces(seed, size, cut):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(rng.choice([1, 60]), size) + 1e-3)
    shown = rng.random((size, G)) < rng.choice([0, 0.02, 0.2, 1], G)
    one, pieces = Presence(), Presence()
    wanted = [one.see(times[i : i + 1], shown[i : i + 1])[0] for i in range(size)]
    found = np.concatenate([pieces.see(times[:cut], shown[:cut]), pieces.see(times[cut:], shown[cut:])])
    np.testing.assert_array_equal(found, np.array(wanted, np.bool_).reshape(-1, G))
    assert found[shown].all()


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 60))
def test_groups_of_many_jobs_count_as_there_as_those_of_each_alone(seed, jobs, size):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(rng.choice([1, 60]), (size, jobs)) + 1e-3, axis=0)
    shown = rng.random((size, jobs, G)) < rng.choice([0, 0.02, 0.2, 1], G)
    alone, together = [Presence() for _ in range(jobs)], Presences()
    together.grow(jobs)
    for i in range(size):
        rows = rng.permutation(jobs)[: rng.integers(1, jobs + 1)]
        if rng.random() < 0.05:
            alone[rows[0]] = Presence()
            together.restart(rows[0])
        wanted = [alone[row].see(times[i : i + 1, row], shown[i : i + 1, row])[0] for row in rows]
        np.testing.assert_array_equal(together.see(rows, times[i, rows], shown[i, rows]), wanted)


def test_a_group_is_held_for_three_times_its_spacing():
    times = np.arange(300.0)
    shown = np.zeros((300, G), np.bool_)
    shown[[20, 50], 0] = True  # then known to come every 30 s
    shown[40, 1] = True  # its spacing is never known
    held = Presence().see(times, shown)
    assert np.flatnonzero(held[:, 0]).tolist() == list(range(20, 141))
    assert np.flatnonzero(held[:, 1]).tolist() == list(range(40, 141))
    assert not held[:, 2:].any()


@pytest.mark.parametrize(
    ("groups", "tiers", "tier", "why"),
    [
        (("nvml", "gpm"), ("nvml", "gpm"), 1, Blind.NO),
        (("nvml",), ("nvml", "gpm"), 0, Blind.NO),
        (("gpm",), ("nvml", "gpm"), -1, Blind.NO_CALIBRATION),
        ((), ("nvml", "gpm"), -1, Blind.FEW),
        (GROUPS, ("nvml", "gpm+code"), 1, Blind.NO),
    ],
)
def test_the_tier_is_the_richest_that_is_all_there(groups, tiers, tier, why):
    seen = _looked(_values(5, *groups), *tiers)
    assert (seen.tiers == tier).all()
    assert (seen.blind == why).all()
    shown = np.isin(OF, TIERS[tiers[tier]]) if tier >= 0 else np.ones(C, np.bool_)
    assert not seen.masks[:, ~shown].any()


def test_a_shared_gpu_needs_the_code_and_dead_counters_are_the_stronger_reason():
    assert (_looked(_values(5, "nvml", foreign=1.0), "nvml").blind == Blind.SHARED).all()
    assert (_looked(_values(5, *GROUPS, foreign=1.0), "gpm+code").blind == Blind.NO).all()
    values = _values(5, "nvml", foreign=1.0)
    values[2:, OF == "nvml"] = 9.223372036854776e18
    assert _looked(values, "nvml").blind.tolist() == [Blind.SHARED] * 2 + [Blind.DEAD] * 3


def test_a_stale_sample_is_called_so_before_all_else():
    judged = judge(np.array([0.0, 1.0, 1.0]), _values(3))
    assert _sight("nvml").look(judged, module.given(judged)).blind.tolist() == [Blind.FEW, Blind.FEW, Blind.STALE]


def test_rows_are_looked_at_alike_alone_and_together():
    values = np.concatenate([_values(4, "nvml", "gpm", foreign=k) for k in (0, 1)] + [_values(3), _values(4, *GROUPS)])
    judged = judge(np.arange(len(values), dtype=np.float64), values)
    sight = _sight("nvml", "gpm", "gpm+code")
    together = sight.look(judged, module.given(judged))
    for i in range(len(values)):
        one = type(judged)(*(getattr(judged, name)[i : i + 1] for name in type(judged).__slots__))
        for alone, row in zip(sight.look(one, module.given(one)), together, strict=True):
            np.testing.assert_array_equal(alone[0], row[i])
