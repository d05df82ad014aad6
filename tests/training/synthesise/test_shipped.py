"""The synthesised traces of the repository: small, labelled, whole."""

from pathlib import Path

import numpy as np
import pytest

from hashwarden.model.job.taxonomy import CLASSES, STRATEGIES
from hashwarden.model.trace_read import read_runs
from hashwarden.serve.model_compare import shipped_reference
from hashwarden.training.synthesise.corpus import plan_named
from hashwarden.training.synthesise.demo_picture import draw

DEMO = Path(__file__).parents[3] / "data" / "job" / "demo.parquet"
TRACES = {"reference": shipped_reference(), "demo": DEMO}
LARGEST = 10_000_000


@pytest.mark.parametrize("name", ["reference", "demo"])
def test_shipped_traces_are_the_runs_of_their_plans(name):
    path = TRACES[name]
    assert path.stat().st_size < LARGEST
    runs, items = read_runs(path), list(plan_named(name).items())
    assert len(runs) == len(items)
    for run, item in zip(runs, items, strict=True):
        assert (run.label, run.family, run.strategy) == (item.label, item.family, item.strategy)
        assert (run.info.origin, run.info.labelled_by, run.info.seed) == ("synthesised", "construction", item.seed)
        assert run.info.gpu == item.gpu
        assert np.isfinite(run.values).any()
        assert (run.info.share > 0) == (run.label == "mining")


def test_the_reference_holds_every_class_and_strategy():
    runs = read_runs(shipped_reference())
    assert {run.label for run in runs} == set(CLASSES)
    assert {run.strategy for run in runs if run.label == "mining"} == set(STRATEGIES)


def test_the_demonstration_is_drawn(tmp_path):
    path = tmp_path / "jobs.png"
    draw(read_runs(DEMO)[:2], path)
    assert path.read_bytes()[:4] == b"\x89PNG"
