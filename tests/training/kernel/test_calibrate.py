"""Calibration, thresholds, innocent files and measures, on scores whose truth is known."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hashwarden.model.kernel.joint import company, own_log_odds, sigmoid
from hashwarden.model.kernel.taxonomy import MINING, PLAIN
from hashwarden.training.kernel.calibrate import calibrate, places
from hashwarden.training.kernel.measures import measure_scores
from hashwarden.training.kernel.thresholds import innocent_files, set_thresholds


@pytest.fixture
def rows(small):
    return small.usable & ~small.own


@pytest.fixture
def groups(small, rng):
    """Log-probabilities of a fair but careless network: right on average, too sure of hash work by 1.5."""
    logits = rng.normal(0, 1.5, (len(small), 3)) + 3.0 * np.eye(3)[small.group]
    logits[:, 1:] += 1.5
    return (logits - np.logaddexp.reduce(logits, 1, keepdims=True)).astype(np.float32)


def test_calibrated_probabilities_are_right_on_average(small, groups, rows):
    hashing, mining, kind = own_log_odds(groups, calibrate(small, groups, rows))
    truth = small.group
    assert sigmoid(hashing[rows]).mean() == pytest.approx((truth[rows] != PLAIN).mean(), abs=0.03)
    against_plain = rows & (truth != 1)
    assert sigmoid(mining[against_plain]).mean() == pytest.approx((truth[against_plain] == MINING).mean(), abs=0.02)
    of_hash = rows & (truth != PLAIN)
    assert sigmoid(kind[of_hash]).mean() == pytest.approx((truth[of_hash] == MINING).mean(), abs=0.02)


def test_company_is_given_no_negative_weight(small, groups, rows):
    fitted = calibrate(small, groups, rows)
    assert min(fitted.beside_object, fitted.beside_file, fitted.kind_slope) >= 0
    assert 0 < fitted.background < 1


def test_thresholds_are_passed_as_often_as_they_say(small, groups, rows, rng):
    fitted = calibrate(small, groups, rows)
    novelty = rng.gamma(9, 0.1, len(small)).astype(np.float32)
    limits = set_thresholds(small, groups, novelty, rows, fitted)
    hashing, mining, _ = (sigmoid(z) for z in own_log_odds(groups, fitted))
    plain = rows & (small.group == PLAIN)
    n = plain.sum()
    for values, claim, doubt in (
        (mining, limits.mining, limits.mining_doubt),
        (hashing, limits.hashing, limits.hashing_doubt),
    ):
        assert (values[plain] > claim).sum() <= n * 1e-3
        assert (values[plain] > doubt).sum() <= n * 1e-2
        assert (values[plain] >= doubt).sum() >= n * 1e-2 - 1
    assert (novelty[plain] > limits.novelty).sum() <= n * 1e-3


def test_innocent_files_that_alarm_more_make_alarms_cheaper(small, groups, rows, rng):
    fitted = calibrate(small, groups, rows)
    limits = set_thresholds(small, groups, np.ones(len(small), np.float32), rows, fitted)
    rare = innocent_files(small, groups, rows, fitted, limits)
    loud = groups.copy()
    picked = rng.random(len(small)) < 0.2
    loud[picked] = np.log([1e-6, 1e-3, 0.999])
    often = innocent_files(small, loud, rows, fitted, limits)
    assert often.mining[0] / sum(often.mining) > 5 * rare.mining[0] / sum(rare.mining)


def test_places_are_one_per_architecture(small):
    objects, files, code = places(small)
    arch = small.table.scalars["arch"]
    for file in set(files):
        rows = [i for i, name in enumerate(files) if name == file]
        assert len(set(arch[rows])) == len(set(small.source[rows])) == 1
    assert len(set(zip(objects, files, strict=True))) == len(set(objects))
    assert len(code) == len(small)
    assert company(np.full(len(small), 0.5), files, code, 0.05).max() > 0


def test_measures_against_scikit_learn_and_by_hand(small, rows, rng):
    score = rng.normal(0, 1, len(small)) + 2.0 * (small.group == MINING)
    got = measure_scores(small, score, rows)
    mining, plain = (rows & (small.group == group) for group in (MINING, PLAIN))
    both = mining | plain
    assert got.auroc_plain == pytest.approx(roc_auc_score(mining[both], score[both]))
    passed = sorted(score[plain], reverse=True)[int(plain.sum() / 1000)]
    assert got.found == pytest.approx((score[mining] > passed).mean())
    assert got.lineages == len(got.by_lineage) == 3
    perfect = measure_scores(small, (small.group == MINING).astype(float), rows)
    assert (perfect.auroc_plain, perfect.found, perfect.found_lineages) == (1.0, 1.0, 3)
