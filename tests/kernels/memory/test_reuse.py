"""Reuse distances: exact ones against a plain LRU stack, sampled ones within the error that is stated."""

import math

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="it draws the cases")

from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.kernels.device import SIMULATED
from hashwarden.kernels.memory import reuse
from hashwarden.kernels.memory.log import AddressLog, Sampling
from hashwarden.kernels.memory.patterns import patterns
from hashwarden.kernels.memory.patterns_counts import Reuse


def lru_stack(keys):
    """Mattson's algorithm as it was written down: a stack, searched from the top."""
    stack, found = [], []
    for key in keys:
        found.append(stack.index(key) if key in stack else -1)
        if key in stack:
            stack.remove(key)
        stack.insert(0, key)
    return found


def exact_misses(distances, capacity):
    return float(np.mean((distances < 0) | (distances >= capacity)))


@settings(max_examples=60, deadline=None)
@given(keys=st.lists(st.integers(0, 12), max_size=70))
def test_the_reference_is_the_lru_stack(keys):
    got = reuse.stack_distances(reuse.previous_of(np.array(keys, np.int64)))
    assert got.tolist() == lru_stack(keys)


@pytest.mark.skipif(SIMULATED, reason="compiled for the CPU")
@settings(max_examples=60, deadline=None)
@given(keys=st.lists(st.integers(0, 12), min_size=1, max_size=70))
def test_the_compiled_one_is_too(keys):
    from hashwarden.kernels.memory.patterns_cpu import CpuMachine

    previous = reuse.previous_of(np.array(keys, np.int64))
    assert CpuMachine().distances(previous, len(keys)).tolist() == lru_stack(keys)


def streams():
    random = np.random.default_rng(7)
    zipf = np.minimum(random.zipf(1.2, 400_000), 1 << 20)
    return {
        "uniform": random.integers(0, 1 << 15, 400_000),
        "loop": np.tile(np.arange(40_000), 8),
        "two loops": np.concatenate([np.tile(np.arange(3_000), 40), np.tile(np.arange(60_000), 3)]),
        "skewed": zipf,
    }


def mean_error(keys):
    """Mean over cache sizes of the error of the miss ratio, with 8,192 lines as in the paper."""
    previous = reuse.previous_of(keys)
    exact, sampled = reuse.stack_distances(previous), reuse.reuse(keys, previous, 1, 8192)
    assert sampled.rate < 0.6
    assert sampled.cold <= 8192
    sizes = [1 << level for level in range(6, 20)]
    return np.mean([abs(reuse.miss_ratio(sampled, size) - exact_misses(exact, size)) for size in sizes])


def test_sampled_miss_ratios_are_as_near_to_the_exact_ones_as_the_paper_says():
    errors = {name: mean_error(keys.astype(np.int64) * 977) for name, keys in streams().items()}
    assert np.mean(list(errors.values())) < 0.01
    assert max(errors.values()) < 0.02
    # Where all lines are alike, only the distances are uncertain.
    assert max(errors["uniform"], errors["loop"]) < 0.003


def test_sampled_distances_scatter_as_stated():
    # Every distance in a loop is 39,999; the estimates of many samples scatter by the stated error.
    lines, rate = 40_000, 8192 / 40_000
    estimates = []
    for salt in range(30):
        keys = np.tile(np.arange(lines, dtype=np.int64) + salt * 1_000_003, 2)
        picked = reuse.buckets_of(keys) < int(rate * 65536)
        found = reuse.stack_distances(reuse.previous_of(keys[picked]))
        estimates.append(found[-1] / rate)
    stated = reuse.distance_error(lines - 1, rate)
    scatter = np.std(np.array(estimates) / (lines - 1) - 1)
    assert 0.5 * stated < scatter < 1.7 * stated
    assert abs(np.mean(estimates) / (lines - 1) - 1) < 4 * stated / math.sqrt(30)


def test_without_sampling_nothing_is_estimated():
    keys = np.random.default_rng(3).integers(0, 500, 5000)
    previous = reuse.previous_of(keys)
    found, exact = reuse.reuse(keys, previous, 1, 1 << 16), reuse.stack_distances(previous)
    assert found.rate == 1
    for capacity in (32, 256):
        assert reuse.miss_ratio(found, capacity) == pytest.approx(exact_misses(exact, capacity))


def test_too_few_sampled_references_count_as_near_ones():
    bins = np.zeros(41, np.int64)
    bins[10] = 30
    shares, cold = reuse.shares(Reuse(bins, 10, 1000, 0.1))
    assert shares[0] == pytest.approx(0.6)
    assert cold == pytest.approx(0.1)
    assert all(np.isnan(reuse.shares(Reuse())[0]))


@pytest.mark.skipif(SIMULATED, reason="compiled for the CPU")
def test_a_log_sampled_by_line_gives_the_distances_of_the_whole():
    random = np.random.default_rng(11)
    lines = np.concatenate([np.tile(random.permutation(20_000), 5), random.integers(0, 20_000, 50_000)])
    kept = np.isin(lines, random.choice(20_000, 5_000, replace=False))

    def log(rows, sampling):
        n, zero = len(rows), np.zeros(len(rows), np.int64)
        return AddressLog(rows * 128, zero, np.arange(n), zero, zero, zero, zero + 4, zero, sampling, 0)

    whole = patterns(log(lines, Sampling()))
    part = patterns(log(lines[kept], Sampling(every_access=4, by_line=True)))
    for name in ("line_miss_32k", "line_miss_1m", "line_miss_32m", "line_cold", "footprint_lines"):
        assert part[name] == pytest.approx(whole[name], abs=0.02), name
