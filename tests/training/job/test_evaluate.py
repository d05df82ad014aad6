"""An evaluation of a tiny corpus from runs to report: resumed, repeatable, the same splits for all."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from hashwarden.errors import DataError
from hashwarden.training.job.evaluate import Evaluation, evaluate, measured_on
from hashwarden.training.job.measures import records
from hashwarden.training.job.proof import Calibrated
from hashwarden.training.job.recipe import Recipe
from hashwarden.training.job.report import write_report
from hashwarden.training.job.trial import Course, read_result

RECIPE = Recipe(steps=6, batch=8, length=40, check=6, held_out=0.2, rate=1e-2)
AXES = ("family", "strategy")


class Sums:
    """A stand-in for the evidence: what the chance exceeds the highest honest mean by, summed."""

    def __init__(self, tier, honest, choosing):
        assert {run.label for run in choosing} > {"mining"}
        self.level = max(run.p_mining.mean() for run in honest)

    def judge(self, runs):
        return [self._one(*run) for run in runs]

    def _one(self, times, chance):
        height = np.cumsum(chance - self.level - 0.02)
        over = np.flatnonzero(height > 1.0)
        return Course(records(times, height), float(times[over[0]]) if len(over) else np.inf)


@pytest.fixture(scope="module")
def runs(make):
    honest = [make(label, n) for label in ("training", "inference", "hpc-other") for n in range(16)]
    ways = itertools.product(range(3), ("plain", "throttle", "pad"), range(2))
    return honest + [make("mining", family + 6 * turn, strategy=way) for family, way, turn in ways]


def how(folder, **changes):
    return dataclasses.replace(Evaluation(folder, Sums, 0.1, axes=AXES, recipe=RECIPE, jobs=1), **changes)


@pytest.fixture(scope="module")
def done(runs, tmp_path_factory):
    work, output = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("output")
    told = []
    evaluate(runs, "tiny", how(work), output, told.append)
    return work, output, told


def test_the_report_the_numbers_and_the_pictures_are_there(done):
    _, output, _ = done
    result = json.loads((output / "job-evaluation.json").read_text(), parse_constant=pytest.fail)
    assert {path.name for path in output.glob("*.png")} == {
        "job-auroc.png", "job-time-to-detect.png", "job-false-alarms.png", "job-confusion.png",
    }  # fmt: skip
    assert [f["name"] for f in result["folds"]] == [
        "family=integer-hash", "family=heavyhash", "family=ethash", "strategy=throttle", "strategy=pad",
    ]  # fmt: skip
    text = (output / "job.md").read_text()
    assert "synthesised runs; none was recorded on a GPU" in text
    assert "| recorded | none yet |" in text
    assert "arXiv 2606.19262" in text
    assert "nan" not in text


def test_every_detector_is_tested_on_the_same_runs(done):
    work, _, _ = done
    for path in (work / "folds").glob("*.json"):
        result = read_result(path)
        names = {tuple(o.name for o in some) for tiers in result.outcomes.values() for some in tiers.values()}
        assert len(names) == 1
        assert len(result.outcomes) == 4
        assert set(result.outcomes["XGBoost, all channels"]) == {"nvml", "gpm", "gpm+code", "all"}
        assert set(result.outcomes["random forest, nine counters"]) == {"nvml"}


def test_what_can_be_told_is_told(done):
    _, output, _ = done
    result = json.loads((output / "job-evaluation.json").read_text())
    boosted = result["axes"]["family"]["XGBoost, all channels"]["all"]
    assert boosted["auroc_run"] > 0.9
    assert boosted["found"]["runs"] == 18
    assert result["axes"]["strategy"]["XGBoost, all channels"]["all"]["found"]["runs"] == 12


def test_a_second_call_reads_what_the_first_made(done, tmp_path, monkeypatch):
    work, output, _ = done
    monkeypatch.setattr("hashwarden.training.job.evaluate.play", None)
    told = []
    evaluate((), "tiny", how(work), tmp_path, told.append)
    assert told == ["5 folds are there already"]
    first, second = (json.loads((f / "job-evaluation.json").read_text()) for f in (output, tmp_path))
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_the_report_hangs_on_the_numbers_alone(done, tmp_path):
    _, output, _ = done
    result = json.loads((output / "job-evaluation.json").read_text())
    assert write_report(result, tmp_path / "job.md").read_text() == (output / "job.md").read_text()


def test_another_corpus_in_the_folder_is_refused(done, tmp_path):
    with pytest.raises(DataError, match="tiny"):
        evaluate((), "other", how(done[0]), tmp_path)


def test_the_real_evidence_in_other_processes_says_what_it_says_in_this_one(make, tmp_path):
    honest = [make(label, n, length=150) for label in ("training", "inference") for n in range(16)]
    ways = itertools.product(range(2), ("plain", "throttle", "pad"), range(3))
    mining = [make("mining", family + 6 * turn, length=150, strategy=way) for family, way, turn in ways]
    results = []
    for jobs in (1, 2):
        small = how(tmp_path / f"{jobs}", axes=("strategy",), calibrate=Calibrated(0.3), alpha=0.3, jobs=jobs,
                    detectors=("XGBoost, all channels",))  # fmt: skip
        evaluate(honest + mining, "tiny", small, tmp_path / f"out{jobs}")
        results.append(json.loads((tmp_path / f"out{jobs}" / "job-evaluation.json").read_text()))
    assert results[0]["axes"] == results[1]["axes"]
    assert results[0]["axes"]["strategy"]["XGBoost, all channels"]["all"]["found"]["share"] == 1.0


def test_what_it_was_measured_on_is_said():
    assert measured_on(["recorded", "synthesised", "synthesised"]) == "1 runs recorded on GPUs and 2 synthesised ones"
