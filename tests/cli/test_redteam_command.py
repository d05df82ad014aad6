"""``hashwarden redteam`` and ``hashwarden evaluate job``: flags, refusals, and a small attack on a network of noise."""

import dataclasses
import json

import pytest
from typer.testing import CliRunner

from hashwarden.cli.app import app
from hashwarden.errors import DataError, ModelError, UsageError
from hashwarden.model.channels import TIERS
from hashwarden.model.sequential_calibration import EvidenceCalibration, TierCalibration
from hashwarden.model.trace_read import read_runs
from hashwarden.training.job.export import export
from hashwarden.training.job.trials import random_runs
from hashwarden.training.job.untrained import untrained, untrained_record

SMALL = [
    "--family", "ethash", "--strategy", "plain", "--strategy", "throttle", "--hours", "0.2", "--screen-minutes", "0",
    "--honest-runs", "2", "--honest-hours", "0.1", "--budget", "4", "--seeds", "1", "--jobs", "1",
]  # fmt: skip


def _calibration():
    tier = {"levels": (0.2,) * 100, "runs": 2000, "hours": 9.0, "longest_s": 600.0, "origins": {"synthesised": 2000}}
    tiers = {name: TierCalibration(groups=groups, **tier) for name, groups in TIERS.items()}
    return EvidenceCalibration(tiers=tiers, horizon_s=600.0).model_dump(mode="json")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two exports of a network of noise, the first with evidence."""
    network, folder = untrained(), tmp_path_factory.mktemp("model")
    record = untrained_record(network)
    for name, evidence in (("good", _calibration()), ("bare", {})):
        told = record.model_copy(update={"evidence": evidence})
        export(network, told, random_runs(4, 20, 1), folder / name)
    return folder


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def attacked(models, tmp_path_factory):
    output = tmp_path_factory.mktemp("report")
    done = call("redteam", "--model", models / "good" / "job.onnx", "--output", output, *SMALL)
    assert done.exit_code == 0, done.output
    return output


def test_an_attack_from_the_command_line(attacked):
    result = json.loads((attacked / "redteam.json").read_text())
    assert list(result["by_tier"]) == list(TIERS)
    assert "one in 1,000 GPU-days" in (attacked / "redteam.md").read_text()


def test_evaders_are_played_again_and_written_as_runs(models, attacked, tmp_path):
    words = ("redteam", "--model", models / "good" / "job.onnx", "--replay", attacked / "redteam-evaders.json")
    done = call(*words, "--seeds", "1")
    assert done.exit_code == 0, done.output
    assert "of the hash rate kept" in done.output
    done = call(*words, "--seeds", "1", "--trace", tmp_path / "t.parquet")
    assert done.exit_code == 0, done.output
    runs = read_runs(tmp_path / "t.parquet")
    assert {run.label for run in runs} == {"mining"}
    assert {run.info.origin for run in runs} == {"synthesised"}


@pytest.mark.parametrize(
    ("words", "error"),
    [(("--family", "gold"), UsageError), (("--tier", "best"), UsageError), (("--replay", "none.json"), DataError)],
)
def test_what_cannot_be_meant_is_refused(models, words, error):
    done = call("redteam", "--model", models / "good" / "job.onnx", *SMALL[:2], *words)
    assert isinstance(done.exception, error)


def test_a_model_without_evidence_is_refused(models):
    done = call("redteam", "--model", models / "bare" / "job.onnx")
    assert isinstance(done.exception, ModelError)


def test_an_axis_that_there_is_not():
    assert isinstance(call("evaluate", "job", "--axis", "colour").exception, UsageError)


def test_evaluate_job_hands_on_what_was_asked(monkeypatch, tmp_path):
    asked = {}
    monkeypatch.setattr(
        "hashwarden.training.job.evaluate.evaluate",
        lambda runs, key, how, output, told: asked.update(dataclasses.asdict(how), key=key, output=output),
    )
    done = call("evaluate", "job", "--quick", "--axis", "gpu", "--work", tmp_path, "--jobs", "1", "--alpha", "0.05")
    assert done.exit_code == 0, done.output
    assert asked["key"] == "runs=300 seconds=300 seed=5000"
    assert (asked["axes"], asked["alpha"], asked["jobs"]) == (("gpu",), 0.05, 1)
