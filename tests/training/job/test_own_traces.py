"""A model from an operator's own traces alone: some classes, some channels, few runs; or one error."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from hashwarden.cli.app import app
from hashwarden.errors import DataError
from hashwarden.model.channels import TIERS
from hashwarden.model.job.taxonomy import CLASSES
from hashwarden.model.sequential_calibration import WITHIN
from hashwarden.model.trace_write import write_runs
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.training.job.dataset import Dataset, featurise
from hashwarden.training.job.own import LEAST_HONEST, parted
from hashwarden.training.job.recipe import Recipe
from hashwarden.training.job.train import Training, run
from hashwarden.training.synthesise.kinds import families
from hashwarden.training.synthesise.run import make_run

RECIPE = Recipe(steps=60, batch=8, length=40, check=30, rate=1e-2)
SEEN = ("training", "inference", "mining")


def _own(number: int, labels=SEEN, groups=TIERS["gpm"], seconds=180.0):
    """A run as an operator has it: recorded, of a few classes, with plain NVML and GPM and nothing else."""
    label = labels[number % len(labels)]
    kinds = families(label)
    family = kinds[number // 3 % min(3, len(kinds))]
    made = make_run(label, family, "plain", "H100 SXM", seconds, 5.0, groups, 4000 + number)
    told = {"origin": "recorded", "labelled_by": "operator:ada", "seed": None, "start_unix_s": 1.7e9 + number}
    return replace(made, name=f"job {number}", info=made.info.model_copy(update=told))


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "own.parquet"
    write_runs(path, [_own(number) for number in range(66)])
    return path


@pytest.fixture(scope="module")
def trained(trace, tmp_path_factory):
    output = tmp_path_factory.mktemp("model")
    return run(Training(output, (trace,), recipe=RECIPE, cache=output / "nothing"), lambda _: None)


def test_it_exports_and_says_what_it_rests_on(trained):
    scorer = JobScorer(trained)
    scorer.self_test()
    assert scorer.metadata.origins == {"recorded": 1.0}
    assert scorer.metadata.measured_on.endswith("measured on recorded runs")
    assert not (trained.parent / "nothing").exists(), "nothing was synthesised"
    card = json.loads((trained.parent / "job.json").read_text(), parse_constant=pytest.fail)
    runs = [card[part]["runs"] for part in ("learned_from", "calibrated_on", "card_measured_on")]
    assert sum(runs) == 66
    assert runs[1] >= LEAST_HONEST
    assert {name for part in ("learned_from", "card_measured_on") for name in card[part]["by_class"]} == {
        f"recorded: {label}" for label in SEEN
    }
    assert "recorded: mining" not in card["calibrated_on"]["by_class"]


def test_only_tiers_that_were_recorded_are_calibrated(trained):
    evidence = JobScorer(trained).metadata.evidence
    assert list(evidence["tiers"]) == ["nvml", "gpm"]
    card = json.loads((trained.parent / "job.json").read_text())
    for tier, told in evidence["tiers"].items():
        assert told["origins"] == {"recorded": told["runs"]}
        assert card["figures"][tier]["attainable_alpha"] == pytest.approx(1 / (WITHIN * (told["runs"] + 1)))
    text = (trained.parent / "job.md").read_text()
    assert "never saw these classes and cannot name them: hash-other, hpc-other, idle." in text
    assert "asked for it, nothing is ever confirmed" in text
    assert "Nothing here was synthesised" in text


def test_replay_judges_with_it(trained, trace):
    words = ["replay", str(trace), "--model", str(trained), "--only", "job 0", "--only", "job 2", "--json"]
    done = CliRunner().invoke(app, [*words, "--alpha", "0.08", "--fail-on", "never"])
    assert done.exit_code == 0, done.output
    runs = json.loads(done.output)["runs"]
    assert [one["verdict"]["state"] for one in runs] != ["abstain", "abstain"]
    done = CliRunner().invoke(app, [*words, "--fail-on", "confirmed"])
    assert done.exit_code == 0, "an alpha that cannot be had never confirms"


def test_what_is_seen_beyond_its_tiers_is_not_shown_to_it(trained, tmp_path):
    write_runs(tmp_path / "t.parquet", [_own(2, groups=TIERS["all"])])
    words = ["replay", str(tmp_path / "t.parquet"), "--model", str(trained), "--json", "--fail-on", "never"]
    done = CliRunner().invoke(app, [*words, "--alpha", "0.08"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["runs"][0]["verdict"]["tier"] == "gpm"


@pytest.fixture
def data(trace, tmp_path):
    featurise([trace], tmp_path / "shards")
    return Dataset(tmp_path / "shards")


def test_every_run_is_in_one_part(data):
    parts = parted(data, 3)
    together = np.concatenate([parts.learn, parts.honest, parts.unseen])
    assert sorted(together) == list(range(66))
    assert CLASSES.index("mining") not in data.label[parts.honest]
    for rows in (parts.learn, parts.unseen):
        assert set(data.label[rows]) == {CLASSES.index(label) for label in SEEN}


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ((0, 1, 2) * 6, "6 mining runs and 12 honest ones"),
        ((0, 1) * 20, "0 mining runs and 40 honest ones"),
        ((2,) * 20, "20 mining runs and 0 honest ones"),
        ((2,), "1 mining runs and 0 honest ones"),
    ],
)
def test_too_little_is_one_error(data, tmp_path, labels, words, make):
    runs = [make(SEEN[label], number, 130) for number, label in enumerate(labels)]
    write_runs(tmp_path / "few.parquet", runs)
    with pytest.raises(DataError, match=words) as caught:
        run(Training(tmp_path / "out", (tmp_path / "few.parquet",), recipe=RECIPE))
    assert "few.parquet" in str(caught.value)
    assert not list((tmp_path / "out").glob("job.onnx"))


def test_short_runs_do_not_calibrate(tmp_path, make):
    write_runs(tmp_path / "short.parquet", [make(SEEN[n % 3], n, 60) for n in range(60)])
    with pytest.raises(DataError, match="0 of them of 120 s to calibrate"):
        run(Training(tmp_path / "out", (tmp_path / "short.parquet",), recipe=RECIPE))


def test_runs_that_hardly_differ_are_exported_too(tmp_path, make):
    """Counters that stand still: a spread so small that single precision would not bear it."""

    def still(one):
        noise = 1e-4 * np.random.default_rng(0).random(one.values.shape)
        return replace(one, values=(one.values[5] * (1 + noise)).astype(np.float32))

    write_runs(tmp_path / "still.parquet", [still(make(SEEN[n % 3], n, 130)) for n in range(60)])
    path = run(Training(tmp_path / "out", (tmp_path / "still.parquet",), recipe=replace(RECIPE, steps=120)))
    JobScorer(path).self_test()
