"""The arithmetic of the probes' benchmark, on numbers whose answer is known."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("probes_on_gpu", ROOT / "benchmarks" / "probes_on_gpu.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["probes_on_gpu"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["probes_on_gpu"]


def test_auroc_is_sklearns(bench):
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(2)
    labels = generator.random(200) < 0.3
    scores = np.round(generator.normal(labels.astype(float)), 1)
    assert bench.auroc(scores, labels) == pytest.approx(metrics.roc_auc_score(labels, scores))


def workloads(generator, shift: float, missing: bool):
    """Ten workloads of 20 rounds; mining raises one feature by ``shift``, and each has an offset of its own."""
    groups = np.repeat([f"w{i}" for i in range(10)], 20)
    labels = np.repeat(np.arange(10) % 2 == 1, 20)
    rows = 100 + generator.normal(size=(200, 6)) + np.repeat(generator.normal(size=(10, 6)), 20, axis=0)
    rows[:, 2] += shift * labels
    if missing:
        rows[:, 5] = np.nan
        rows[::3, 4] = np.nan
    return rows, labels, groups


@pytest.mark.parametrize("missing", [False, True])
def test_what_differs_is_told_apart_in_workloads_never_seen(bench, missing):
    found = bench.auroc_left_out(*workloads(np.random.default_rng(3), 20.0, missing))
    assert found["auroc_rounds"] > 0.95
    assert found["auroc_workloads"] == 1
    assert (found["rounds"], found["workloads"]) == (200, 10)


def test_what_does_not_differ_is_not(bench):
    generator = np.random.default_rng(4)
    found = [bench.auroc_left_out(*workloads(generator, 0.0, False))["auroc_workloads"] for _ in range(20)]
    assert 0.2 < np.mean(found) < 0.7


def test_a_slowdown_is_found_with_its_interval(bench):
    # 100 steps a second, 99 while probes run, in windows of 3 s.
    marks = [(bool(i % 2), 3.0 * i, 3.0 * i + 3) for i in range(12)]
    steps = np.concatenate([np.arange(start, end, 1 / (99 if on else 100)) for on, start, end in marks])
    found = bench.compare_windows(steps, marks)
    assert found["pairs"] == 6
    assert found["slowdown_percent"] == pytest.approx(1, abs=0.02)
    low, high = found["interval_95_percent"]
    assert low <= found["slowdown_percent"] <= high
    assert found["steps_per_second"] == pytest.approx(100, rel=0.001)


def test_too_few_windows_stay_open(bench):
    assert "open" in bench.compare_windows(np.arange(10.0), [(False, 0, 5), (True, 5, 10)])


class Kind:
    def __init__(self, name: str, label: str) -> None:
        self.name, self.label = name, label


@pytest.mark.parametrize("mining", [1, 3])
def test_workloads_are_watched_in_turn_and_a_broken_one_is_named(bench, monkeypatch, mining):
    from hashwarden.errors import UsageError
    from hashwarden.kernels.probes.features import FEATURES
    from hashwarden.kernels.workloads import registry

    kinds = [Kind(f"m{i}", "mining") for i in range(mining)] + [Kind(f"t{i}", "training") for i in range(3)]
    monkeypatch.setattr(registry, "workloads", lambda: [*kinds, Kind("other", "hash-other")])
    asked = []

    def watched(session, name):
        asked.append(name)
        if name == "t2":
            raise UsageError("no memory", "some", "Wait.", where=name)
        level = 50.0 if name[0] == "m" else 5.0
        return [{feature.name: level + i for feature in FEATURES} for i in range(4)]

    monkeypatch.setattr(bench, "watched", watched)
    found = bench.separation(None, 60)
    assert asked[:2] == ["t0", "m0"], "the kinds take turns"
    assert "other" not in asked
    assert found["failed"] == {"t2": "no memory"}
    assert found["watched"] == {"training": ["t0", "t1"], "mining": [f"m{i}" for i in range(mining)]}
    if mining == 1:
        assert "open" in found
    else:
        assert found["auroc_workloads"] == 1
