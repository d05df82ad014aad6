"""Measures against cases worked out by hand."""

import math

import numpy as np
import pytest

from hashwarden.training.job.measures import (
    DAY_S,
    Outcome,
    alarms,
    at_rate,
    auroc,
    by,
    found,
    other_hash,
    poisson_interval,
    records,
    share_interval,
)


def outcome(label="mining", share=1.0, alarm_s=math.inf, days=1.0, top=0.0, **changes):
    rises = np.array([[0.0, -1.0], [days * DAY_S / 2, top]])
    facts = {"name": "r", "family": "ethash", "strategy": "plain", "gpu": "H100 SXM", "origin": "synthesised"} | changes
    return Outcome(**facts, label=label, share=share, seconds=days * DAY_S, score=0.5, alarm_s=alarm_s, rises=rises)


def test_false_alarms_are_counted_per_thousand_days_watched():
    honest = [outcome("training", 0, days=10, name=f"t{n}") for n in range(49)]
    honest.append(outcome("idle", 0, alarm_s=10 * DAY_S, days=20, name="i"))
    got = alarms([*honest, outcome(alarm_s=1.0)])
    assert (got.count, got.gpu_days, got.rate) == (1, 500.0, 2.0)
    # Garwood: 0.0253 and 5.5716 expected events for one seen
    assert got.low == pytest.approx(0.0253 * 2, rel=0.01)
    assert got.high == pytest.approx(5.5716 * 2, rel=1e-4)


def test_a_run_that_was_watched_twice_is_one_run_for_the_interval():
    once, twice = alarms([outcome("idle", 0, days=10)]), alarms([outcome("idle", 0, days=10)] * 2)
    assert (twice.gpu_days, twice.distinct_days) == (20.0, 10.0)
    assert twice.high == once.high


def test_other_hash_work_is_counted_apart():
    hashing = [outcome("hash-other", 0, alarm_s=5.0), outcome("hash-other", 0, name="quiet")]
    assert other_hash([*hashing, outcome(alarm_s=1.0), outcome("idle", 0)]) == (1, 2)
    got = alarms([*hashing, outcome("idle", 0, days=3)])
    assert (got.count, got.gpu_days) == (0, 3.0)


def test_no_alarm_gives_the_rule_of_three():
    low, high = poisson_interval(0, 10.0)
    assert low == 0
    assert high == pytest.approx(-math.log(0.05) / 10)
    assert poisson_interval(0, 0.0) == (0.0, math.inf)


def test_no_days_give_no_rate():
    assert math.isnan(alarms([outcome()]).rate)
    assert alarms([outcome()]).high == math.inf


def test_share_interval_is_clopper_and_pearsons():
    assert share_interval(8, 10) == pytest.approx((0.4439, 0.9748), abs=1e-4)
    assert share_interval(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert share_interval(10, 10)[1] == 1.0
    assert share_interval(0, 0) == (0.0, 1.0)


def test_time_to_detect_counts_what_was_never_found():
    runs = [outcome(alarm_s=float(s)) for s in (10, 20, 30, 40, 50, 60, 70)] + [outcome(share=0.1)] * 3
    got = found(runs)
    assert (got.runs, got.found, got.share) == (10, 7, 0.7)
    assert got.median_s == 50
    assert got.ninety_s == math.inf
    assert got.residual == pytest.approx(0.03)
    assert got.worst == pytest.approx(0.1)


def test_an_unknown_share_counts_as_full_speed():
    assert found([outcome(share=math.nan)]).worst == 1.0


def test_nothing_to_find_is_not_a_success():
    assert math.isnan(found([outcome("idle", 0)]).share)


def test_auroc_with_ties():
    assert auroc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == pytest.approx(3.5 / 4)
    assert math.isnan(auroc(np.array([]), np.array([1.0])))


def test_records_keep_each_new_height_and_any_threshold_can_be_asked():
    rises = records(np.arange(6.0), np.array([0.0, 2.0, 1.0, 2.0, 5.0, 3.0]))
    assert rises.tolist() == [[0, 0], [1, 2], [4, 5]]
    run = Outcome("r", "mining", "f", "s", "g", "synthesised", 1.0, 6.0, 0.5, math.inf, rises)
    assert [run.alarm_at(x) for x in (-1, 0.5, 2, 2.5, 6)] == [0, 1, 1, 4, math.inf]


def test_a_threshold_for_a_rate_and_the_rate_that_few_runs_can_show():
    honest = [outcome("training", 0, days=100, top=float(t), name=f"t{t}") for t in range(20)]  # 2,000 GPU-days
    threshold, rate = at_rate(honest, 1.0)
    assert rate == 1.0
    assert alarms(honest, threshold).count == 2
    few = honest[:5]
    threshold, rate = at_rate(few, 1.0)
    assert alarms(few, threshold).count == 0
    assert rate == pytest.approx(2.0)


def test_grouping_is_sorted():
    assert list(by([outcome(family="b"), outcome(family="a"), outcome(family="b")], lambda o: o.family)) == ["a", "b"]
