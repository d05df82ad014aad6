"""Means over time against hand-made sums."""

import numpy as np
import pytest

from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.weights import time_mean, time_weights

INTEGER, UTIL, CLOCK = INDEX["integer_active_ratio"], INDEX["gpu_util_ratio"], INDEX["sm_clock_ratio"]


def sampled():
    values = np.full((3, len(CHANNELS)), np.nan, np.float32)
    values[:, INTEGER] = [0.5, 0.1, 0.9]
    values[:, UTIL] = [1, 0, np.nan]
    values[:, CLOCK] = [1, 0.5, 0.5]
    return np.array([10.0, 11.0, 13.0]), values


def test_ratios_of_cycles_are_weighed_by_the_clock_and_others_by_time_alone():
    mean = time_mean(*sampled())
    assert mean[INTEGER] == pytest.approx((0.5 * 1 * 1 + 0.1 * 1 * 0.5 + 0.9 * 2 * 0.5) / (1 + 0.5 + 1))
    assert mean[UTIL] == pytest.approx(0.5)
    assert mean[CLOCK] == pytest.approx((1 + 0.5 + 2 * 0.5) / 4)
    assert np.isnan(mean[INDEX["probe_l2_ratio"]])


def test_an_unknown_clock_counts_as_the_mean_of_the_known_ones():
    times, values = sampled()
    values[0, CLOCK] = np.nan
    assert time_weights(times, values)[:, INTEGER].tolist() == [0.5, 0.5, 1.0]
    values[:, CLOCK] = np.nan
    assert time_weights(times, values)[:, INTEGER].tolist() == [1, 1, 2]


def test_one_sample_is_its_own_mean():
    times, values = sampled()
    mean = time_mean(times[:1], values[:1])
    assert mean[INTEGER] == pytest.approx(0.5)
