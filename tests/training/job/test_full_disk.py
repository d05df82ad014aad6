"""A real disk that is full: one error, nothing half-made, and the next call goes on from what is whole."""

from __future__ import annotations

import dataclasses

import pytest

from hashwarden.errors import DataError, UsageError
from hashwarden.model.trace_write import write_runs
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.training.job import evaluate as evaluating
from hashwarden.training.job import prepared, redteam, train
from hashwarden.training.job.checkpoints import Checkpoints
from hashwarden.training.job.evaluate import Evaluation, evaluate
from hashwarden.training.job.material import calibration_plan
from hashwarden.training.job.proof import Calibrated
from hashwarden.training.job.recipe import Recipe
from hashwarden.training.job.storage import room, staged
from hashwarden.training.job.train import Training

RECIPE = Recipe(steps=24, batch=8, length=40, check=12, held_out=0.25, rate=1e-2)


def filling(disk, monkeypatch, module, name, left=0):
    """Let the disk fill up the first time that something is called."""
    true = getattr(module, name)

    def full(*arguments, **named):
        monkeypatch.setattr(module, name, true)
        disk.fill(left)
        return true(*arguments, **named)

    monkeypatch.setattr(module, name, full)


def no_parts(disk) -> bool:
    return not any(".part" in name or ".new-" in name for name in disk.names())


@pytest.fixture(scope="module")
def trace(make, tmp_path_factory):
    path = tmp_path_factory.mktemp("trace") / "own.parquet"
    write_runs(path, [make(("training", "inference", "mining")[n % 3], n, 130) for n in range(54)])
    return path


def order(trace, disk, **more):
    return Training(disk.place / "model", (trace,), recipe=RECIPE, cache=disk.place / "cache", **more)


@pytest.mark.parametrize(
    ("module", "name", "left"),
    [(train, "featurise", 0), (train, "featurise", 100_000), (train, "fit", 0), (train, "export", 0),
     (train, "export", 300_000), (train, "write_card", 0)],
)  # fmt: skip
def test_training_ends_in_one_error_and_resumes(disk, trace, monkeypatch, module, name, left):
    model = disk.place / "model"
    model.mkdir()
    (model / "job.onnx").write_bytes(b"what served before")
    filling(disk, monkeypatch, module, name, left)
    with pytest.raises(UsageError, match="No space left on device") as caught:
        train.run(order(trace, disk), lambda _: None)
    assert caught.value.exit_code == 2
    assert str(model) in str(caught.value)
    assert "--resume" in caught.value.remedy
    assert no_parts(disk)
    assert [path.name for path in model.iterdir() if path.is_file()] == ["job.onnx"]
    assert (model / "job.onnx").read_bytes() == b"what served before"
    disk.free()
    JobScorer(train.run(order(trace, disk, resume=True), lambda _: None)).self_test()
    assert len(disk.names()) == 5


def test_the_last_whole_checkpoint_is_gone_on_from(disk, trace, monkeypatch):
    filling(disk, monkeypatch, train, "export")
    recipe = dataclasses.replace(RECIPE, steps=26)
    with pytest.raises(UsageError):
        train.run(dataclasses.replace(order(trace, disk), recipe=recipe), lambda _: None)
    disk.free()
    true, found = Checkpoints.load, []
    monkeypatch.setattr(Checkpoints, "load", lambda *given: found.append(true(*given)) or found[-1])
    train.run(dataclasses.replace(order(trace, disk, resume=True), recipe=recipe), lambda _: None)
    assert [state["step"] for state in found] == [25]


def test_a_full_cache_is_told_and_holds_no_half_trace(disk, tmp_path):
    plan = dataclasses.replace(calibration_plan(3), runs=3)
    disk.fill(20_000)
    how = Training(tmp_path / "model", plan=plan, recipe=RECIPE, cache=disk.place / "cache")
    with pytest.raises(UsageError, match="No space left on device") as caught:
        train.run(how, lambda _: None)
    assert str(disk.place / "cache") in str(caught.value)
    assert "HASHWARDEN_CACHE" in caught.value.remedy
    assert disk.names() == []


@pytest.fixture(scope="module")
def runs(make):
    honest = [make(label, n, 130) for label in ("training", "inference", "hpc-other") for n in range(16)]
    return honest + [make("mining", n, 130, strategy=way) for n in range(6) for way in ("plain", "throttle", "pad")]


@pytest.mark.parametrize(
    ("module", "name", "made_anew"),
    [(prepared, "_judged", True), (prepared, "_write_features", False), (evaluating, "write_result", False),
     (evaluating, "draw", False)],
)  # fmt: skip
def test_an_evaluation_goes_on_when_there_is_room(disk, runs, monkeypatch, module, name, made_anew):
    recipe = dataclasses.replace(RECIPE, steps=2, check=2)
    how = Evaluation(
        disk.place / "work", Calibrated(0.5), 0.5, axes=("strategy",), recipe=recipe, jobs=1, detectors=("hashwarden",)
    )
    output, read, told = disk.place / "report", [], []
    output.mkdir()
    (output / "job.md").write_text("the report before")
    filling(disk, monkeypatch, module, name)
    with pytest.raises(UsageError, match="No space left on device") as caught:
        evaluate(runs, "tiny", how, output, told.append)
    assert "call it again" in caught.value.remedy
    assert no_parts(disk)
    assert [path.name for path in output.iterdir()] == ["job.md"]
    assert (output / "job.md").read_text() == "the report before"
    disk.free()
    report = evaluate((read.append(one) or one for one in runs), "tiny", how, output, told.append)
    assert bool(read) == made_anew, "runs that were judged are not asked for again"
    assert "# Evaluation of the job model" in report.read_text()
    assert any("folds are there already" in line for line in told) == (name == "draw")


def test_a_red_team_knows_before_it_plays(disk, monkeypatch):
    monkeypatch.setattr(redteam, "_played", lambda *_: pytest.fail("played without room for the report"))
    disk.fill(1_000_000)
    with pytest.raises(UsageError, match="No space left on device"):
        redteam.red_team(None, disk.place / "report", lambda _: None)
    assert disk.names() == []


def test_a_disk_that_fills_up_during_a_search_does_not_cost_it(disk, monkeypatch):
    def played(*_):
        disk.fill()
        return {"tiers": []}, {"evaders": []}

    monkeypatch.setattr(redteam, "_played", played)
    monkeypatch.setattr(redteam, "draw", lambda *_: None)
    monkeypatch.setattr(redteam, "write_report", lambda _, path: path.write_text("x" * 1_500_000))
    assert redteam.red_team(None, disk.place / "report", lambda _: None).stat().st_size == 1_500_000
    assert len(disk.names()) == 3


def test_a_report_that_does_not_fit_leaves_the_old_one(disk):
    (disk.place / "a").write_text("old")
    disk.fill(8192)

    def report():
        with room(disk.place, remedy=""), staged(disk.place) as folder:
            (folder / "a").write_text("new")
            (folder / "b").write_bytes(bytes(20_000))

    with pytest.raises(UsageError, match="No space left"):
        report()
    assert disk.names() == ["a"]
    assert (disk.place / "a").read_text() == "old"


def test_a_folder_that_cannot_be_is_named_and_other_errors_pass(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"Not a directory|File exists"):
        train.run(Training(tmp_path / "file" / "model", (tmp_path / "t.parquet",)))
    with pytest.raises(DataError, match=r"t\.parquet"):
        train.run(Training(tmp_path / "model", (tmp_path / "t.parquet",)))
    with pytest.raises(ConnectionError), room(tmp_path, remedy=""):
        raise ConnectionError
