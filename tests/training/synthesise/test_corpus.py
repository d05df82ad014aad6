from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from hashwarden.errors import UsageError
from hashwarden.model.channels import CHANNELS, GROUPS, INDEX, TIERS
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES, STRATEGIES
from hashwarden.model.trace_read import read_runs
from hashwarden.model.validity import judge
from hashwarden.training.synthesise.corpus import PLANS, corpus, make_item, make_run, plan_named, write_corpus
from hashwarden.training.synthesise.kinds import families
from hashwarden.training.synthesise.plans import PERIODS
from hashwarden.training.synthesise.run import SITE
from hashwarden.training.synthesise.sensors import Sensors

TRAIN = plan_named("train")
ITEMS = list(TRAIN.items())
SMALL = replace(TRAIN, runs=5, samples=(20, 40), most_s=300.0)


def test_the_same_settings_give_the_same_run_bit_by_bit():
    one, two = (make_run("mining", "progpow", "duty-cycle", seconds=60.0, seed=4) for _ in range(2))
    assert np.array_equal(one.values, two.values, equal_nan=True)
    assert np.array_equal(one.times, two.times)
    assert one.info == two.info
    other = make_run("mining", "progpow", "duty-cycle", seconds=60.0, seed=5)
    assert not np.array_equal(one.values[:50], other.values[:50], equal_nan=True)


def test_a_change_leaves_the_other_draws_as_they_were():
    one = make_run("mining", "ethash", "throttle", seconds=30.0, seed=4).info.parameters
    two = make_run("mining", "ethash", "throttle", seconds=30.0, seed=4, changes={"share": 0.5}).info.parameters
    assert {name for name in one if one[name] != two[name]} == {"strategy.share"}


def test_provenance_says_how_a_run_was_made():
    run = make_run("mining", "cuckoo", "pad", "H200", 40.0, 2.0, TIERS["gpm"], 9, {"share": 0.4})
    assert (run.label, run.family, run.strategy) == ("mining", "cuckoo", "pad")
    assert (run.info.origin, run.info.labelled_by, run.info.seed) == ("synthesised", "construction", 9)
    assert (run.info.gpu, run.info.architecture, run.info.period_s) == ("H200", 90, 2.0)
    assert run.info.share == pytest.approx(0.4, abs=0.02)
    assert run.info.parameters["strategy.share"] == 0.4
    assert "mining_spans_s" not in run.info.parameters
    assert make_run("idle", "no-process", seconds=20.0).info.share == 0
    shown = {channel.group for channel in CHANNELS if np.isfinite(run.values[:, INDEX[channel.name]]).any()}
    assert shown <= {"nvml", "gpm"}


@pytest.mark.parametrize("label", CLASSES)
def test_without_faults_everything_is_finite_and_credible(label):
    for number, family in enumerate(families(label)):
        strategy = STRATEGIES[number % len(STRATEGIES)] if label == "mining" else "plain"
        run = make_run(label, family, strategy, seconds=90.0, seed=number, sensors=Sensors(faults=0.0))
        there = ~np.isnan(run.values)
        assert np.isfinite(run.values[there]).all()
        judged = judge(run.times, run.values)
        refused = {CHANNELS[c].name for c in np.flatnonzero((there & ~judged.mask).any(0))}
        assert refused == set(), (family, strategy)


def test_plans_are_what_they_say():
    assert [plan.name for plan in PLANS] == ["train", "calibration", "evaluation", "reference", "demo"]
    seeds = [item.seed for plan in PLANS for item in plan.items()]
    assert len(set(seeds)) == len(seeds)
    honest = plan_named("calibration")
    assert honest.runs >= 2200
    assert {item.label for item in honest.items()} == set(CLASSES) - {"mining", "hash-other"}  # what the bound covers
    demo = list(plan_named("demo").items())
    assert [(item.label, item.strategy) for item in demo] == [
        ("training", "plain"), ("inference", "plain"), ("mining", "plain"), ("mining", "mimic-requests"),
        ("hash-other", "plain"), ("mining", "slow-start"),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="no plan"):
        plan_named("nonsense")


def test_train_holds_every_cell():
    assert len(ITEMS) == TRAIN.runs
    assert {item.groups for item in ITEMS} == {GROUPS}  # the fit hides groups itself
    cells = Counter((item.family, item.strategy) for item in ITEMS if item.label == "mining")
    assert set(cells) == {(family, strategy) for family in MINING_FAMILIES for strategy in STRATEGIES}
    assert min(cells.values()) >= 5
    for label in CLASSES:
        seen = Counter(item.family for item in ITEMS if item.label == label)
        assert set(seen) == set(families(label)), label
        assert max(seen.values()) - min(seen.values()) <= 1
    for item in ITEMS:
        count = item.seconds / item.period_s
        assert 100 <= count <= 401
        assert item.seconds <= TRAIN.most_s


def _tables(items, key):
    counts = defaultdict(Counter)
    for item in items:
        counts[item.label][key(item)] += 1
    return counts


@pytest.mark.parametrize(
    ("plan", "name"), [("train", "gpu"), ("train", "period_s"), ("evaluation", "groups"), ("evaluation", "gpu")]
)
def test_how_a_run_is_watched_says_nothing_of_its_class(plan, name):
    """Chi-squared of independence, and every value for every class."""
    counts = _tables(plan_named(plan).items(), lambda item: getattr(item, name))
    values = sorted({value for row in counts.values() for value in row}, key=str)
    table = np.array([[counts[label][value] for value in values] for label in CLASSES], float)
    assert (table > 0).all()
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    statistic, freedom = ((table - expected) ** 2 / expected).sum(), (len(CLASSES) - 1) * (len(values) - 1)
    assert statistic < freedom + 4 * np.sqrt(2 * freedom)


def test_lengths_and_sites_are_drawn_alike():
    def apart(one, two):
        grid = np.sort(np.concatenate([one, two]))
        ranks = (np.searchsorted(np.sort(x), grid, side="right") / len(x) for x in (one, two))
        return np.abs(np.subtract(*ranks)).max() * np.sqrt(len(one) * len(two) / (len(one) + len(two)))

    lengths = {label: np.array([i.seconds / i.period_s for i in ITEMS if i.label == label]) for label in CLASSES}
    for one, two in pairwise(CLASSES):
        assert apart(lengths[one], lengths[two]) < 1.95  # Kolmogorov and Smirnov at 0.001
    fresh = [make_run(label, families(label)[0], seconds=2.0, seed=7, groups=("nvml",)).info.parameters
             for label in CLASSES]  # fmt: skip
    for parameter in SITE:
        assert len({drawn[f"site.{parameter.name}"] for drawn in fresh}) == 1, parameter.name


def test_periods_go_from_a_tenth_of_a_second_to_a_minute():
    assert (min(PERIODS), max(PERIODS)) == (0.1, 60.0)
    for period in (0.1, 60.0):
        run = make_run("training", "rl", seconds=60 * period, period_s=period, seed=1)
        assert np.median(np.diff(run.times)) == pytest.approx(period, rel=0.1)
        assert 45 <= len(run) <= 60


def test_a_corpus_is_the_same_by_one_worker_and_by_two(tmp_path):
    written = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    told = []
    for workers, path in enumerate(written, 1):
        assert write_corpus(SMALL, path, workers, told.append) == 5
    one, two = (read_runs(path) for path in written)
    assert [run.name for run in one] == [run.name for run in two]
    for a, b in zip(one, two, strict=True):
        assert a.info == b.info
        assert np.array_equal(a.values, b.values, equal_nan=True)


def test_a_corpus_needs_a_worker():
    with pytest.raises(UsageError, match="workers"):
        next(corpus(SMALL, 0))


def test_a_cut_plan_begins_like_the_whole_demo():
    cut = replace(plan_named("demo"), runs=1)
    assert [item.family for item in cut.items()] == ["llm-bf16"]


@pytest.mark.parametrize("groups", [("nvml",), GROUPS])
def test_the_miner_hidden_in_the_demo_says_from_when_it_mines(groups):
    item = replace(list(plan_named("demo").items())[5], groups=groups)
    run = make_item(item)
    assert run.info.parameters["mining_spans_s"] == [[480.0, 1080.0]]
    assert run.info.parameters["cover"] == "training"
    assert 0.3 < run.info.share < 0.6
