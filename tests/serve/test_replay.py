"""Traces replayed through the real ONNX path (an untrained network) and through one whose answers are known."""

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from hashwarden.cli.app import app
from hashwarden.errors import DataError, ModelError, UsageError
from hashwarden.model.channels import CHANNELS, INDEX, TIERS
from hashwarden.model.job.verdict import JobVerdict
from hashwarden.model.sequential_calibration import EvidenceCalibration, TierCalibration
from hashwarden.model.sequential_state import State
from hashwarden.model.trace import Run, RunInfo
from hashwarden.model.trace_write import write_runs
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.replay import POINTS, Track, replay
from hashwarden.serve.replay_picture import draw
from hashwarden.serve.replay_text import clock, render, sparkline
from hashwarden.training.job.export import export
from hashwarden.training.job.trials import random_runs
from hashwarden.training.job.untrained import untrained, untrained_record

ROOT = Path(__file__).parents[2]


def _calibration(level=0.2):
    levels = tuple((level * np.arange(1, 171) ** -0.3).tolist())
    tier = TierCalibration(
        groups=TIERS["nvml"], levels=levels, runs=2200, hours=300, longest_s=600, origins={"synthesised": 2200}
    )
    return EvidenceCalibration(tiers={"nvml": tier}, horizon_s=600.0)


def _run(name, label="training", samples=200, seed=0, period=1.0):
    rng = np.random.default_rng(seed)
    values = np.full((samples, len(CHANNELS)), np.nan, np.float32)
    for channel, (low, high) in {
        "gpu_util_ratio": (0.5, 1), "memory_util_ratio": (0.1, 0.6), "power_watts": (300, 500),
        "power_ratio": (0.5, 0.8), "energy_power_ratio": (0.5, 0.8), "temperature_celsius": (50, 70),
        "sm_clock_mhz": (1800, 1900),
        "sm_clock_ratio": (0.9, 1), "memory_clock_ratio": (1, 1), "fb_used_mib": (9000, 9000),
        "fb_used_ratio": (0.3, 0.3), "process_count": (1, 1), "foreign_process_count": (0, 0),
    }.items():  # fmt: skip
        values[:, INDEX[channel]] = rng.uniform(low, high, samples)
    info = RunInfo(origin="synthesised", gpu="H100 SXM", period_s=period, labelled_by="construction")
    return Run(name, np.arange(samples) * period, values, label, info=info)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Its probabilities of mining are those of chance, about a sixth: far above a null level of 0.02, far below 0.8."""
    network = untrained()
    record = untrained_record(network).model_copy(update={"evidence": _calibration(0.8).model_dump(mode="json")})
    return export(network, record, random_runs(8, 30), tmp_path_factory.mktemp("model")).step


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace.parquet"
    write_runs(path, [_run("a"), _run("b", "mining", 90, 1), _run("slow", "idle", 20, 2, 30.0)])
    return path


class Known:
    """Mining with the probability that stands in the share of PCIe traffic; nothing else matters."""

    path, identity = Path("known"), {"name": "known", "version": "1", "schema": "1", "sha256": "0" * 64}
    metadata = SimpleNamespace(
        evidence=_calibration().model_dump(mode="json"), novelty_limits={"unlike": 5.0}, measured_on="nothing"
    )

    def initial(self, n):
        return np.zeros((n, 1), np.float32)

    def step(self, sample, mask, dt, state):
        chance = sample[..., INDEX["fb_used_ratio"]]
        classes = np.stack([1 - chance, *[0 * chance] * 5], -1)
        classes[..., 2] = chance
        return SimpleNamespace(
            probabilities=classes, families=np.full((*chance.shape, 12), 1 / 12, np.float32),
            novelty=np.ones(chance.shape, np.float32), state=state,
        )  # fmt: skip

    def sequence(self, samples, masks, dts, state=None):
        return self.step(samples, masks, dts, state)


def _known(name, course, label=""):
    run = _run(name, label, len(course))
    run.values[:, INDEX["fb_used_ratio"]] = course
    return run


def test_runs_of_different_length_end_with_their_verdicts():
    runs = [
        _known("miner", [0.95] * 120, "mining"),
        _known("honest", [0.01] * 300),
        _known("late", [0.01] * 200 + [0.95] * 200),
    ]
    miner, honest, late = replay(runs, Known())
    assert [r.verdict.job for r in (miner, honest, late)] == ["miner", "honest", "late"]
    assert [r.verdict.state for r in (miner, honest, late)] == ["confirmed", "clear", "confirmed"]
    assert miner.verdict.evidence.confirmed_s <= 60
    assert 200 < late.changes[-1].time_s <= 300
    assert [c.state for c in honest.changes] == ["abstain", "clear"]
    assert miner.track.strengths[-1] == 1.0
    assert honest.track.times == sorted(honest.track.times)
    assert len(miner.run.values) == 0
    assert miner.verdict.deciding[0].theme == "device memory held"


def test_many_runs_give_what_each_gives_alone(monkeypatch):
    monkeypatch.setattr("hashwarden.serve.replay.TOGETHER", 3)
    rng = np.random.default_rng(2)
    runs = [_known(f"r{i}", rng.beta(1, 4, int(size))) for i, size in enumerate(rng.integers(0, 90, 8))]
    together = [one.verdict for one in replay(runs, Known())]
    assert together == [next(replay([run], Known())).verdict for run in runs]


def test_an_empty_run_abstains():
    one = next(replay([_known("empty", [])], Known()))
    assert (one.verdict.state, one.verdict.probabilities, one.worst) == ("abstain", {}, State.ABSTAIN)
    render(one, Console(file=io.StringIO()))


def test_a_track_stays_small_and_keeps_its_peaks():
    track = Track()
    for block in range(1, 20_000):
        track.add(block, 10.0 * block, 0.9 if block == 7777 else 0.1, State.SUSPECT if block == 7777 else State.CLEAR)
        track.add(block, 10.0 * block + 5, 1.0, State.CONFIRMED)  # no new block
    assert POINTS / 4 < len(track.times) <= POINTS
    assert max(track.strengths) == 0.9
    assert track.states.count(State.SUSPECT) == 1
    assert track.times == sorted(track.times)


@pytest.mark.parametrize(
    ("strengths", "wanted"), [([], "    "), ([0, 1], "  ██"), ([0, 0.99, 0, 0, 0, 0, 0, 1], "▇  █"), ([0.5], "▄▄▄▄")]
)
def test_a_sparkline_shows_the_highest_of_each_part(strengths, wanted):
    assert sparkline(strengths, 4) == wanted


def test_times_are_read_as_clocks():
    assert [clock(s) for s in (0, 59.6, 3600, 100_000)] == ["0:00:00", "0:01:00", "1:00:00", "27:46:40"]


def test_the_picture_is_drawn_and_says_what_it_is_of(tmp_path):
    runs = [_known("miner", [0.95] * 120, "mining"), _known("honest", [0.01] * 60)]
    path = tmp_path / "evidence.svg"
    draw(list(replay(runs, Known())), path, 1e-3)
    assert b"<svg" in path.read_bytes()[:2000]
    draw([], tmp_path / "none.png", 1e-3)
    for bad in (tmp_path / "no" / "where.png", tmp_path / "evidence.docx"):
        with pytest.raises(UsageError):
            draw([], bad, 1e-3)


# The command, with the real scorer


def _replay(*arguments):
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


def test_every_run_of_a_trace_gets_a_line_and_its_changes(model, trace, tmp_path):
    done = _replay(trace, "--model", model, "--fail-on", "never", "--picture", tmp_path / "e.png")
    assert done.exit_code == 0, done.output
    for name in ("a ", "b ", "slow ", "labelled mining", "abstain"):
        assert name in done.output
    assert (tmp_path / "e.png").stat().st_size > 5000


def test_json_holds_the_same_and_the_exit_code(model, trace):
    done = _replay(trace, "--model", model, "--json", "--fail-on", "watching")
    document = json.loads(done.output)
    assert (document["schema"], document["exit_code"]) == ("hashwarden.replay/1", done.exit_code)
    assert [run["run"] for run in document["runs"]] == ["a", "b", "slow"]
    schema = json.loads((ROOT / "docs" / "job-verdict.schema.json").read_text())
    for run in document["runs"]:
        for verdict in (run["verdict"], *run["changes"]):
            jsonschema.validate(verdict, schema)
        track = run["evidence_over_time"]
        assert len(track["time_s"]) == len(track["strength"]) == len(track["state"])
    assert document["model"] == dict(JobScorer(model).identity)


def test_the_schema_on_file_is_the_one_of_the_code():
    schema = json.loads((ROOT / "docs" / "job-verdict.schema.json").read_text())
    assert schema == JobVerdict.model_json_schema(mode="serialization")


def test_findings_give_code_1_from_the_level_asked_for(model, trace, monkeypatch):
    monkeypatch.setattr("hashwarden.cli.run_replay.JobScorer", lambda _: Known())
    write_runs(trace, [_known("weak", [0.13] * 500), _known("honest", [0.01] * 200)])
    codes = {level: _replay(trace, "--fail-on", level).exit_code for level in ("confirmed", "suspect", "never")}
    assert codes == {"confirmed": 0, "suspect": 1, "never": 0}
    assert _replay(trace, "--only", "honest", "--fail-on", "abstain").exit_code == 0
    write_runs(trace, [_known("short", [0.01] * 5)])
    assert _replay(trace).exit_code == 0
    assert _replay(trace, "--fail-on", "abstain").exit_code == 1


def test_what_cannot_be_meant_is_said(model, trace, tmp_path):
    for wrong, kind in (
        ((trace, "--model", model, "--alpha", "2"), UsageError),
        ((trace, "--model", model, "--only", "nobody"), UsageError),
        ((tmp_path / "none.parquet", "--model", model), DataError),
        ((trace, "--model", trace), ModelError),
    ):
        assert isinstance(_replay(*wrong).exception, kind)


def test_a_model_without_calibration_is_refused():
    bare = Known()
    bare.metadata = SimpleNamespace(evidence={}, novelty_limits={})
    with pytest.raises(ModelError, match="calibration"):
        next(replay([_known("a", [0.1] * 30)], bare))


def test_names_from_a_trace_cannot_write_to_the_terminal(tmp_path):
    run = replace(_known("evil\x1b[2J", [0.1] * 30), label="training")
    path = tmp_path / "out.txt"
    with path.open("w") as out:
        render(next(replay([run], Known())), Console(file=out, width=200))
    assert "\x1b" not in path.read_text()
