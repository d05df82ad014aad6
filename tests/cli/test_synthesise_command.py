import json

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from hashwarden.cli.app import app
from hashwarden.errors import UsageError

RUNNER = CliRunner()


def test_a_plan_becomes_a_trace(tmp_path):
    path = tmp_path / "some.parquet"
    done = RUNNER.invoke(app, ["synthesise", "demo", "--runs", "2", "--output", str(path)])
    assert done.exit_code == 0, done.output
    assert "2 synthesised runs" in done.output
    table = pq.read_table(path)
    assert set(table["label"].to_pylist()) == {"training", "inference"}
    assert set(table["origin"].to_pylist()) == {"synthesised"}
    assert json.loads(pq.read_metadata(path).metadata[b"hashwarden_trace"])


def test_another_seed_gives_other_runs(tmp_path):
    paths = [tmp_path / f"{seed}.parquet" for seed in (5, 6)]
    for path in paths:
        asked = ["synthesise", "reference", "--runs", "1", "--seed", path.stem, "--output", str(path)]
        assert RUNNER.invoke(app, asked).exit_code == 0
    assert pq.read_table(paths[0]) != pq.read_table(paths[1])


def test_an_unknown_plan_is_refused(tmp_path):
    done = RUNNER.invoke(app, ["synthesise", "nonsense", "--output", str(tmp_path / "x.parquet")])
    assert isinstance(done.exception, UsageError)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flags", [["--runs", "0"], ["--workers", "0"], ["--seed", "-1"]])
def test_numbers_that_cannot_be_meant_are_refused(flags, tmp_path):
    done = RUNNER.invoke(app, ["synthesise", "demo", *flags, "--output", str(tmp_path / "x.parquet")])
    assert done.exit_code == 2
