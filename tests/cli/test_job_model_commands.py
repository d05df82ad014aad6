"""Train, score, promote and roll back, by the command line's own path, on a corpus that fits in a test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from hashwarden.cli.app import app
from hashwarden.errors import CheckError, DataError, ModelError, UsageError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES
from hashwarden.model.trace import Run, RunInfo
from hashwarden.model.trace_write import write_runs
from hashwarden.serve.job_scorer import JobScorer, shipped_job_model
from hashwarden.serve.model_compare import shipped_reference
from hashwarden.training.job import material
from hashwarden.training.job.recipe import Recipe
from hashwarden.training.job.train import Training, run
from hashwarden.training.synthesise.plans import plan_named

RECIPE = Recipe(steps=160, batch=8, length=60, check=80, rate=1e-2)
LEVELS = dict(zip(CLASSES, (0.5, 0.2, 0.95, 0.8, 0.35, 0.02), strict=True))


def _run(label: str, number: int, labelled_by: str = "operator:ada") -> Run:
    """A run that its integer pipe and its code tell."""
    rng, length = np.random.default_rng([number, CLASSES.index(label)]), 80
    values = np.full((length, len(CHANNELS)), np.nan, np.float32)
    for name in ("gpu_util_ratio", "integer_active_ratio", "sm_active_ratio", "code_mining_ratio", "power_ratio"):
        values[:, INDEX[name]] = np.clip(LEVELS[label] * rng.normal(1, 0.2, length), 0, 1)
    info = RunInfo(origin="recorded", gpu="NVIDIA H100", period_s=10.0, labelled_by=labelled_by)
    family = MINING_FAMILIES[number % 12] if label == "mining" else "own"
    return Run(f"{label} {number}", 10.0 * np.arange(length), values, label, family, "plain", info)


def _trace(path: Path, first: int, count: int, labels: tuple[str, ...] = CLASSES, **how: str) -> Path:
    write_runs(path, [_run(label, first + n, **how) for n in range(count) for label in labels])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """Learned from an operator's trace and some synthesised runs; evidence and card on others."""
    how = Training(
        folder / "model", (_trace(folder / "own.parquet", 0, 8),), _small(replace(plan_named("train"), runs=24)),
        calibration=_small(material.calibration_plan(6)), card=_small(material.card_plan(30)), recipe=RECIPE,
        cache=folder / "cache", apart=(_trace(folder / "tuesday.parquet", 500, 3),),
    )  # fmt: skip
    told: list[str] = []
    path = run(how, told.append)
    assert any(line.startswith("step 80 of 160") for line in told)
    return path


def _small(plan):
    """The same runs, shorter and seen less often."""
    items = [replace(item, seconds=180.0, period_s=10.0, changes={}) for item in plan.items()]
    return replace(plan, items_given=tuple(item for item in items if item.strategy != "slow-start"))


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, trained: Path):
    """The program, with the trained model as the one that it ships with."""
    monkeypatch.setattr("hashwarden.serve.job_scorer.shipped_job_model", lambda: trained)

    def invoke(*arguments: object) -> str:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return invoke


def test_training_leaves_whole_files_and_a_card(trained):
    scorer = JobScorer(trained)
    scorer.self_test()
    assert 0.5 < scorer.metadata.origins["recorded"] < 1
    assert "recorded" in scorer.metadata.measured_on
    assert sorted(path.name for path in trained.parent.iterdir()) == [
        "job.json", "job.md", "job.onnx", "job_known_answers.json", "job_sequence.onnx",
    ]  # fmt: skip
    card = (trained.parent / "job.md").read_text()
    assert "own.parquet" in card
    assert " synthesised." in card
    assert "| recorded: mining | 8 |" in card


def test_the_card_tells_of_runs_that_were_kept_apart_first(trained):
    text = (trained.parent / "job.md").read_text()
    apart, unseen = text.index("## On runs kept apart: 18 recorded"), text.index("## On runs that neither")
    assert apart < unseen < text.index("## What it learned from")
    assert "18 runs, " in text[apart:unseen]
    assert "18 recorded; NVIDIA H100. " in text[apart:unseen]
    (told,) = json.loads((trained.parent / "job.json").read_text())["measured_apart"]
    assert told["by_class"] == {f"recorded: {label}": 3 for label in sorted(CLASSES)}
    for figures in told["figures"].values():
        assert sum(map(sum, figures["classes"])) == 18
    assert JobScorer(trained).metadata.measured_on.endswith("measured on recorded and synthesised runs")
    learned = json.loads((trained.parent / "job.json").read_text())["learned_from"]["by_class"]
    assert learned["recorded: mining"] == 8, "nothing of it was learned from"


@pytest.mark.parametrize(
    ("runs", "kind", "said"),
    [
        ((0, 8, CLASSES), UsageError, "to learn from and to measure"),
        ((500, 2, ("mining",)), DataError, "2 of 2 runs"),
    ],
)
def test_what_cannot_measure_is_refused_before_the_fit(folder, trained, tmp_path, runs, kind, said):
    first, count, labels = runs
    how = Training(tmp_path / "out", (folder / "own.parquet",), cache=folder / "cache",
                   apart=(_trace(tmp_path / "apart.parquet", first, count, labels),))  # fmt: skip
    with pytest.raises(kind, match=said):
        run(how)


def test_what_must_not_teach_is_refused(folder, tmp_path):
    for labelled_by, words in (("", "no label"), ("hashwarden", "no label")):
        trace = _trace(tmp_path / "self.parquet", 0, 1, ("mining",), labelled_by=labelled_by)
        with pytest.raises(DataError, match=words):
            run(Training(tmp_path / "out", (trace,), None, cache=folder / "cache"))
    with pytest.raises(UsageError, match="no traces and no plan"):
        run(Training(tmp_path / "out"))
    assert not list((tmp_path / "out").glob("job.onnx"))


def test_score_writes_a_row_for_each_sample(command, folder, tmp_path):
    archive = tmp_path / "archive"
    (archive / "deep").mkdir(parents=True)
    _trace(archive / "a.parquet", 50, 2)
    _trace(archive / "deep" / "b.parquet", 60, 1, ("mining",))
    said = command("score", archive, "--output", tmp_path / "scores.parquet", "--store", tmp_path / "store")
    assert said.startswith("1040 samples of 2 traces")
    table = pq.read_table(tmp_path / "scores.parquet")
    assert len(table) == 13 * 80
    assert table.schema.metadata[b"hashwarden_model_sha256"].decode() == JobScorer().identity["sha256"]
    columns = [f"p_{name.replace('-', '_')}" for name in CLASSES]
    total = sum(table[name].to_numpy() for name in columns)
    np.testing.assert_allclose(total, 1, atol=1e-5)
    mining = np.array([name.startswith("mining") for name in table["run"].to_pylist()])
    chance = table["p_mining"].to_numpy()
    assert chance[mining].mean() > 2 * chance[~mining].mean()
    assert set(table["state"].to_pylist()) <= {"abstain", "clear", "watching", "suspect", "confirmed"}


def test_score_tells_what_it_cannot_read(command, tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        command("score", tmp_path / "nowhere", "--store", tmp_path)
    with pytest.raises(DataError, match="no trace in the folder"):
        command("score", tmp_path, "--store", tmp_path / "store")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError):
        command("score", broken, "--output", tmp_path / "scores", "--store", tmp_path / "store")
    assert not (tmp_path / "scores").exists()


def _copied(model: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in model.parent.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder / "job.onnx"


def test_promote_list_and_roll_back(command, trained, tmp_path):
    store, reference = tmp_path / "store", _trace(tmp_path / "reference.parquet", 100, 3)
    said = command("model", "promote", trained, "--store", store, "--reference", reference)
    assert "AUROC, mining or not" in said
    assert "worse" not in said.replace("may be worse by", "")
    assert "serves, generation 1" in said
    listed = command("model", "list", "--store", store).splitlines()
    assert listed[0].strip().startswith("0  shipped")
    assert listed[1].startswith("* 1")
    command("score", reference, "--store", store, "--output", tmp_path / "scores.parquet")
    assert "shipped serves again" in command("model", "rollback", "--store", store)
    assert command("model", "list", "--store", store).splitlines()[2].startswith("* 2  shipped  rollback")


def test_a_fresh_install_can_promote_wherever_it_is_called(command, tmp_path, monkeypatch):
    """What models are compared on is part of the package; nothing of a clone is needed."""
    monkeypatch.chdir(tmp_path)
    model = _copied(shipped_job_model(), tmp_path / "model")
    said = command("model", "promote", model, "--store", tmp_path / "store")
    assert "serves, generation 1" in said
    assert shipped_reference().parent == shipped_job_model().parent
    assert shipped_reference().stat().st_size < 1_000_000


def test_a_worse_model_stays_out_of_service(command, trained, tmp_path):
    from hashwarden.training.job.export import export
    from hashwarden.training.job.trials import random_runs
    from hashwarden.training.job.untrained import untrained, untrained_record

    network = untrained()
    record = untrained_record(network).model_copy(update={"evidence": JobScorer(trained).metadata.evidence})
    export(network, record, random_runs(8, 24, 0), tmp_path / "worse")
    store, reference = tmp_path / "store", _trace(tmp_path / "reference.parquet", 100, 3)
    with pytest.raises(CheckError, match=r"worse in .*log loss"):
        command("model", "promote", tmp_path / "worse" / "job.onnx", "--store", store, "--reference", reference)
    assert "* 0  shipped" in command("model", "list", "--store", store)


def test_wrong_known_answers_cannot_be_forced(command, trained, tmp_path):
    model = _copied(trained, tmp_path / "copy")
    answers = model.with_name("job_known_answers.json")
    text = answers.read_text()
    start = text.index('"probabilities": "') + 30
    answers.write_text(text[:start] + text[start : start + 8][::-1] + text[start + 8 :])
    reference = _trace(tmp_path / "reference.parquet", 100, 2)
    with pytest.raises((CheckError, ModelError)):
        command("model", "promote", model, "--store", tmp_path / "store", "--reference", reference)
    answers.write_text("{}")
    with pytest.raises(ModelError):
        command("model", "promote", model, "--store", tmp_path / "store", "--reference", reference)
    assert CliRunner().invoke(app, ["model", "promote", str(model), "--force"]).exit_code == 2


def test_a_reference_without_mining_compares_nothing(command, trained, tmp_path):
    reference = _trace(tmp_path / "reference.parquet", 100, 2, ("training", "idle"))
    with pytest.raises(DataError, match="0 mining runs of 4"):
        command("model", "promote", trained, "--store", tmp_path / "store", "--reference", reference)
