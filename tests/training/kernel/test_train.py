"""A whole training run on a few hundred kernels, twice."""

import json

import numpy as np
import pytest

from hashwarden.model.kernel.features import FEATURE_NAMES
from hashwarden.model.kernel.verdict import Verdict
from hashwarden.serve.scorer import KernelScorer
from hashwarden.training.kernel.fit import Recipe
from hashwarden.training.kernel.train import run

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """Two runs with one seed, and what was told."""
    told: list[str] = []
    recipe = Recipe(hidden=24, epochs=3, rows=600, batch=64)
    paths = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    for path in paths:
        run(folder, path, seed=5, told=told.append, recipe=recipe)
    return paths, told


def test_a_run_writes_a_model_that_the_scorer_takes(trained, small):
    (path, _), _ = trained
    scorer = KernelScorer(path / "kernel.onnx")
    assert scorer.metadata.seed == 5
    assert scorer.metadata.training_data == small.digests
    assert scorer.metadata.features == list(FEATURE_NAMES)
    verdicts = scorer.judge(small.table)
    assert len(verdicts) == len(small)
    assert any(verdict.verdict is Verdict.MINING for verdict in verdicts)


def test_the_same_seed_gives_the_same_file(trained):
    (first, second), _ = trained
    for name in ("kernel.onnx", "kernel_known_answers.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_the_model_gives_its_known_answers(trained):
    (path, _), _ = trained
    KernelScorer(path / "kernel.onnx").self_test()


def test_the_card_says_what_was_trained_on_what(trained, small):
    (path, _), _ = trained
    card = json.loads((path / "kernel.json").read_text())
    assert card["training_data_sha256"] == small.digests
    assert card["recipe"]["seed"] == 5
    assert card["recipe"]["hidden"] == 24
    assert sum(card["kernels"].values()) == small.usable.sum()
    assert card["lineages"] == ["ccminer-kin", "fireice-uk/xmr-stak", "progpow-kin"]
    record = KernelScorer(path / "kernel.onnx").metadata
    assert (card["thresholds"], card["calibration"]) == (record.thresholds, record.calibration)
    for measured in card["unseen_lineages"].values():
        assert 0 <= measured["auroc_plain"] <= 1
        assert measured["lineages"] == 3
    text = (path / "kernel.md").read_text()
    assert all(digest in text for digest in small.digests.values())


def test_thresholds_are_in_order_and_the_numbers_finite(trained):
    (path, _), _ = trained
    limits = KernelScorer(path / "kernel.onnx").rule.thresholds
    assert limits.mining_doubt <= limits.mining
    assert limits.hashing_doubt <= limits.hashing
    assert 0 < limits.kind <= 0.5
    assert np.isfinite([limits.mining, limits.hashing, limits.novelty]).all()


def test_each_fold_is_told(trained):
    _, told = trained
    assert [line for line in told if line.startswith("fold")] == ["fold 1 of 3", "fold 2 of 3", "fold 3 of 3"] * 2
