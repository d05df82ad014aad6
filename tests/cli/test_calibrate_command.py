"""Calibrate on own runs, promote, roll back, by the command line's own path; without torch, on a full disk, killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hashwarden.cli.app import app
from hashwarden.errors import CheckError, DataError, HashwardenError, UsageError
from hashwarden.model.channels import TIERS
from hashwarden.model.job.record_file import same_network
from hashwarden.model.sequential_calibration import EvidenceCalibration, TierCalibration
from hashwarden.model.sequential_state import State
from hashwarden.model.trace import Run
from hashwarden.model.trace_read import read_runs
from hashwarden.model.trace_write import write_runs
from hashwarden.serve.calibrated import calibration_of
from hashwarden.serve.job_scorer import JobScorer, shipped_job_model
from hashwarden.serve.model_store import ModelStore
from hashwarden.serve.replay import replay
from hashwarden.serve.score_runs import score_run
from hashwarden.training.job.export import export
from hashwarden.training.job.recalibrate_files import HEADING
from hashwarden.training.job.trials import random_runs
from hashwarden.training.job.untrained import untrained, untrained_record
from hashwarden.training.synthesise.run import make_run

FILES = ["job.json", "job.md", "job.onnx", "job_known_answers.json", "job_sequence.onnx"]
KINDS = (("training", "llm-bf16"), ("inference", "llm-bf16"), ("hpc-other", "quantum"), ("idle", "stuck"))
SEEN = ("nvml", "gpm")


def _made(label: str, family: str, seed: int) -> Run:
    return make_run(label, family, gpu="H100 SXM", seconds=240, period_s=4.0, groups=SEEN, seed=seed)


def _honest(first: int, count: int) -> list[Run]:
    return [_made(*KINDS[seed % len(KINDS)], seed) for seed in range(first, first + count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrate")
    write_runs(folder / "own.parquet", _honest(0, 42))
    write_runs(folder / "reference.parquet", [*_honest(100, 2), _made("mining", "ethash", 7)])
    return folder


@pytest.fixture(scope="module")
def base(folder: Path) -> Path:
    """A model whose evidence was calibrated elsewhere, in three tiers: it takes the work of this place for mining."""
    network = untrained()
    tiers = {
        tier: TierCalibration(groups=TIERS[tier], levels=(0.02,) * 160, runs=2000, hours=9, longest_s=240,
                              origins={"synthesised": 2000})
        for tier in ("nvml", "gpm", "gpm+code")
    }  # fmt: skip
    evidence = EvidenceCalibration(tiers=tiers, horizon_s=240.0).model_dump(mode="json")
    record = untrained_record(network).model_copy(update={"evidence": evidence, "novelty_limits": {"unlike": 1e4}})
    export(network, record, random_runs(8, 24, 0), folder / "base")
    return folder / "base" / "job.onnx"


def _said(*words: object) -> str:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False).stdout


@pytest.fixture(scope="module")
def calibrated(base: Path, folder: Path) -> tuple[Path, str]:
    """The folder, and what was said."""
    said = _said("model", "calibrate", folder / "own.parquet", "--output", folder / "mine", "--model", base)
    return folder / "mine", said


def test_all_files_and_the_same_network(base, calibrated):
    mine, said = calibrated
    assert sorted(path.name for path in mine.iterdir()) == FILES
    assert same_network(base, mine / "job.onnx")
    scorer, before = JobScorer(mine / "job.onnx"), JobScorer(base)
    scorer.self_test()
    evidence, was = calibration_of(scorer), calibration_of(before)
    runs = evidence.tiers["gpm"].runs
    assert 36 <= runs <= 42, "one in 20 is shorter than the horizon"
    assert {name: tier.runs for name, tier in evidence.tiers.items()} == {"nvml": runs, "gpm": runs}
    assert evidence.uncalibrated == {"gpm+code": None}
    assert evidence.tiers["gpm"].null(0.1) > was.tiers["gpm"].null(0.1) == 0.02
    assert scorer.metadata.novelty_limits["unlike"] < 1e4
    assert list(scorer.metadata.training_data) == ["calibrated again on own.parquet"]
    assert scorer.metadata.measured_on.endswith(f"evidence calibrated again on {runs} synthesised runs")
    changed = {"evidence", "novelty_limits", "training_data", "measured_on"}
    assert scorer.metadata.model_dump(exclude=changed) == before.metadata.model_dump(exclude=changed)
    told = " ".join(said.split())
    assert "42 runs of 1 trace (0 of other hash work" in told
    assert "out of reach" in told
    assert "gpm+code: too few own runs show it" in told
    assert "takes 1,333 runs" in told
    assert f"hashwarden model promote {mine}" in told


def test_the_card_tells_of_it(calibrated):
    mine, _ = calibrated
    text, card = (mine / "job.md").read_text(), json.loads((mine / "job.json").read_text())
    assert text.count(HEADING) == 1
    tier = card["recalibration"]["tiers"]["gpm"]
    assert f"| gpm | {tier['runs']} | {tier['lowest_alpha']:.1e} | watching | 0.0200 |" in text
    assert "takes 1,333 runs" in text
    assert tier["null_levels"]["before"] == [0.02, 0.02, 0.02]
    assert tier["null_levels"]["now"][2] == 1.0
    assert tier["reached_before"][2] > 20
    assert card["recalibration"]["tiers"]["gpm+code"]["null_levels"]["now"] is None


def test_honest_work_of_the_place_is_confirmed_before_and_not_after(base, calibrated):
    new = _honest(500, 12)
    confirmed = [
        sum(one.worst is State.CONFIRMED for one in replay(new, JobScorer(model), 0.05))
        for model in (base, calibrated[0] / "job.onnx")
    ]
    assert confirmed[0] > 6
    assert confirmed[1] <= 1


def test_promote_refuses_asks_and_rolls_back(base, calibrated, folder, tmp_path):
    mine, store, reference = calibrated[0], tmp_path / "store", folder / "reference.parquet"
    models = ModelStore(store)
    with models.locked():
        models.promote(models.stage(base), {})
    with pytest.raises(CheckError, match="worse in mining runs confirmed") as caught:
        _said("model", "promote", mine, "--store", store, "--reference", reference)
    assert "--own-calibration" in caught.value.remedy
    said = _said("model", "promote", mine, "--store", store, "--reference", reference, "--own-calibration")
    assert "serves, generation 2" in said
    assert "worse" in said.replace("may be worse by", "")
    assert calibration_of(JobScorer(models.current())).names == ("nvml", "gpm")
    assert HEADING in models.current().with_name("job.md").read_text()
    again = tmp_path / "again"
    _said("model", "calibrate", folder / "own.parquet", "--output", again, "--store", store, "--horizon", 200)
    served = JobScorer(again / "job.onnx")
    assert (calibration_of(served).horizon_s, calibration_of(served).names) == (200.0, ("nvml", "gpm"))
    assert served.metadata.measured_on.count("calibrated again") == 1
    assert (again / "job.md").read_text().count(HEADING) == 1
    assert "serves again" in _said("model", "rollback", "--store", store)
    assert calibration_of(JobScorer(models.current())).names == ("nvml", "gpm", "gpm+code")


def test_other_weights_are_never_taken_as_a_calibration(calibrated, folder, tmp_path):
    with pytest.raises(UsageError, match="other weights"):
        _said("model", "promote", calibrated[0], "--store", tmp_path / "store", "--own-calibration", "--reference",
              folder / "reference.parquet")  # fmt: skip


@pytest.mark.parametrize("kind", ["mining", "few", "twice", "nowhere"])
def test_what_is_refused_writes_nothing(base, folder, tmp_path, kind):
    runs = {"mining": [*_honest(0, 2), _made("mining", "ethash", 1)], "few": _honest(0, 12), "twice": _honest(0, 1)}
    traces = [tmp_path / "a.parquet"]
    if kind in runs:
        write_runs(traces[0], runs[kind])
    traces *= 2 if kind == "twice" else 1
    error = UsageError if kind == "nowhere" else DataError
    words = {"mining": "a mining run", "few": "too few honest runs", "twice": "the same samples", "nowhere": "no such"}
    with pytest.raises(error, match=words[kind]):
        _said("model", "calibrate", *traces, "--output", tmp_path / "out", "--model", base)
    assert not (tmp_path / "out").exists()


WITHOUT_TORCH = """
import sys
for name in ("torch", "onnx", "onnxscript", "scipy", "sklearn", "matplotlib", "xgboost"):
    sys.modules[name] = None
from hashwarden.cli import main
main()
"""


def test_the_shipped_model_is_calibrated_without_the_training_extra(folder, tmp_path):
    """And goes into service and out of it again."""
    mine, store = tmp_path / "mine", tmp_path / "store"
    command = ["model", "calibrate", folder / "own.parquet", "--output", mine, "--store", store]
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert same_network(shipped_job_model(), mine / "job.onnx")
    run = read_runs(folder / "reference.parquet")[0]
    scores = [score_run(JobScorer(model), run).probabilities for model in (None, mine / "job.onnx")]
    assert abs(scores[0] - scores[1]).max() < 2e-6
    command = [
        "model",
        "promote",
        mine,
        "--store",
        store,
        "--own-calibration",
        "--reference",
        folder / "reference.parquet",
    ]
    assert "serves, generation 1" in _said(*command)
    assert "shipped serves again" in _said("model", "rollback", "--store", store)


def test_a_full_disk_is_one_error_and_no_half_model(base, folder, small_disk):
    place = small_disk("400k")
    with pytest.raises(HashwardenError, match="No space left on device") as caught:
        _said("model", "calibrate", folder / "own.parquet", "--output", place / "mine", "--model", base)
    assert caught.value.exit_code == 2
    assert str(place) in caught.value.where
    assert list((place / "mine").iterdir()) == []


KILLED = """
import os, pathlib, signal, sys
true, moves = pathlib.Path.replace, []

def replace(self, target):
    moves.append(target)
    if len(moves) == int(os.environ["KILL_AT"]):
        os.kill(os.getpid(), signal.SIGKILL)
    return true(self, target)

pathlib.Path.replace = replace
from hashwarden.cli import main
main()
"""


@pytest.mark.parametrize("move", [1, 5])
def test_whoever_is_killed_leaves_no_half_model(base, calibrated, folder, tmp_path, move):
    command = ["model", "calibrate", folder / "own.parquet", "--output", tmp_path / "mine", "--model", base]
    done = subprocess.run([sys.executable, "-c", KILLED, *command], env={**os.environ, "KILL_AT": str(move)},
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "mine" / "job.onnx").exists()
    with pytest.raises(HashwardenError):
        JobScorer(tmp_path / "mine" / "job.onnx")
    _said(*command)
    for name in FILES:
        assert (tmp_path / "mine" / name).read_bytes() == (calibrated[0] / name).read_bytes()
