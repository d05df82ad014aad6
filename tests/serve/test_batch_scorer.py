"""`hashwarden.serve.Scorer`: files, traces, tables and arrays, compared with the scorers and commands beneath."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import hashwarden.serve
from hashwarden.errors import DataError, HashwardenError, MissingTargetError, NoGpuCodeError
from hashwarden.kernels.sass.parquet import from_arrow
from hashwarden.kernels.workloads.catalogue import find, parse_variant
from hashwarden.kernels.workloads.compiler import compile_cubin
from hashwarden.model.channels import CHANNELS
from hashwarden.model.kernel.features import FEATURE_NAMES, features_of
from hashwarden.model.kernel.verdict import Verdict
from hashwarden.model.trace_read import read_runs
from hashwarden.serve import KernelScores, RunScores, Scorer
from hashwarden.serve.score_runs import score_run

DATA = Path(__file__).resolve().parents[2] / "data"
TRACE = DATA / "job" / "demo.parquet"


@pytest.fixture(scope="module")
def scorer():
    return Scorer()


@pytest.fixture(scope="module")
def runs():
    return read_runs(TRACE)


@pytest.fixture(scope="module")
def scored(scorer):
    return scorer.jobs(TRACE)


def test_runs_of_a_trace(scorer, scored, runs):
    assert [run.name for run in scored] == [run.name for run in runs]
    for mine, run in zip(scored, runs, strict=True):
        wanted = score_run(scorer.job_model, run)
        np.testing.assert_array_equal(mine.probabilities, wanted.probabilities)
        np.testing.assert_array_equal(mine.evidence, wanted.evidence)
        assert mine.confirmed == wanted.confirmed
        assert mine.confirmed == (run.label == "mining")
        assert mine.likeliest == run.label
        assert mine.state == mine.states[-1]
        assert len(mine.states) == len(mine.times) == len(mine.novelty)
    assert isinstance(scored[0], RunScores)
    miner = next(run for run in scored if "progpow" in run.name)
    assert (miner.family, miner.abstains_for) == ("progpow", "")


def test_a_table_is_scored_as_the_trace_that_it_was_read_from(scorer, scored):
    table = pq.read_table(TRACE)
    found = scorer.jobs(table)
    assert [run.name for run in found] == [run.name for run in scored]
    for mine, wanted in zip(found, scored, strict=True):
        np.testing.assert_array_equal(mine.probabilities, wanted.probabilities)
    one = scorer.jobs(table.filter(pc.equal(table["run"], scored[2].name)).drop_columns(["run"]))
    assert [(run.name, run.state) for run in one] == [("run", "confirmed")]


def test_arrays_of_one_run_and_of_several(scorer, scored, runs):
    run = runs[2]
    (alone,) = scorer.jobs(run.values, times=run.times)
    np.testing.assert_array_equal(alone.probabilities, scored[2].probabilities)
    period = float(np.median(np.diff(run.times)))
    pair = scorer.jobs(np.stack([run.values[:200], runs[0].values[:200]]), period_s=period)
    assert [each.name for each in pair] == ["0", "1"]
    assert [each.likeliest for each in pair] == ["mining", "training"]


@pytest.mark.parametrize(
    "source",
    [
        np.zeros((5, 7)),
        np.zeros(len(CHANNELS)),
        np.zeros((0, len(CHANNELS))),
        pa.table({"power_ratio": [1.0]}),
        pa.table({"time_s": [0.0], "power": [1.0]}),
        pa.table({"time_s": ["now"], "power_ratio": [1.0]}),
        pa.table({"time_s": [1.0, 0.0], "power_ratio": [1.0, 1.0]}),
        "no-such-trace.parquet",
    ],
)
def test_what_cannot_be_meant_is_refused(scorer, source):
    with pytest.raises(DataError):
        scorer.jobs(source)


def test_samples_without_any_value_are_no_clean_run(scorer):
    (run,) = scorer.jobs(np.full((60, len(CHANNELS)), np.nan))
    assert run.state == "abstain"
    assert run.abstains_for


def test_features_and_tables_of_kernels(scorer):
    table = from_arrow(pq.read_table(DATA / "kernel_mix" / "kernel_mix_repositories.parquet").slice(0, 50))
    verdicts, scores = scorer.kernels(table), scorer.features(features_of(table))
    assert isinstance(scores, KernelScores)
    np.testing.assert_allclose(scores.p_mining, [verdict.p_mining for verdict in verdicts], rtol=1e-6)
    np.testing.assert_allclose(scores.groups.sum(1), 1, rtol=1e-5)
    assert scores.families.shape == (50, len(scores.family_names))


@pytest.mark.parametrize("rows", [np.zeros((2, 5)), np.zeros(981), np.full((1, len(FEATURE_NAMES)), np.nan)])
def test_features_that_cannot_be_meant_are_refused(scorer, rows):
    with pytest.raises(DataError):
        scorer.features(rows)


def test_kernels_of_files(scorer, tmp_path):
    (tmp_path / "miner.cubin").write_bytes(compile_cubin(find("ethash"), parse_variant(""), "sm_90"))
    verdicts = scorer.kernels(str(tmp_path / "miner.cubin"))
    assert {verdict.verdict for verdict in verdicts} & {Verdict.MINING}
    assert all(verdict.where.endswith("miner.cubin") for verdict in verdicts)
    nothing = tmp_path / "notes.txt"
    nothing.write_text("no code")
    with pytest.raises(NoGpuCodeError):
        scorer.kernels(nothing)
    with pytest.raises(MissingTargetError):
        scorer.kernels([tmp_path / "gone.so"])
    with pytest.raises(HashwardenError):
        Scorer(kernel=nothing).features(np.zeros((1, len(FEATURE_NAMES))))


def test_importing_the_package_loads_nothing():
    """The names are there, and cost nothing until they are asked for."""
    code = (
        "import sys, hashwarden.serve as s; assert 'numpy' not in sys.modules; s.Scorer; "
        "assert not {'torch', 'pyarrow', 'onnxruntime', 'numba', 'fastapi'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not hasattr(hashwarden.serve, "Scorers")
