"""Traces there and back, by our reader, DuckDB and pandas; long ones; and what a crash or a full disk leaves."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.trace import KEY, Run, RunInfo
from hashwarden.model.trace_read import BLOCK_ROWS, iter_blocks, iter_runs, read_runs
from hashwarden.model.trace_write import GROUP_ROWS, TraceWriter, write_runs
from hashwarden.model.validity import judge

C = len(CHANNELS)


def info(**changes):
    known = {"origin": "synthesised", "gpu": "H100 SXM", "period_s": 1.0, "labelled_by": "construction"}
    return RunInfo(**(known | changes))


def make(name="one", samples=20, seed=0, channels=("gpu_util_ratio", "power_watts"), **changes):
    rng = np.random.default_rng(seed)
    values = np.full((samples, C), np.nan, np.float32)
    for channel in channels:
        values[:, INDEX[channel]] = rng.random(samples)
        values[rng.random(samples) < 0.2, INDEX[channel]] = np.nan
    times = np.cumsum(rng.uniform(0.1, 5, samples))
    head = {"label": "mining", "family": "ethash", "strategy": "throttle", "info": info()} | changes
    return Run(name, times, values, **head)


def same(a: Run, b: Run) -> None:
    assert (a.name, a.label, a.family, a.strategy, a.info) == (b.name, b.label, b.family, b.strategy, b.info)
    np.testing.assert_array_equal(a.times, b.times)
    np.testing.assert_array_equal(a.values, b.values)
    assert (a.times.dtype, a.values.dtype) == (np.float64, np.float32)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 50), st.sampled_from(["", "idle", "training"]), st.floats(0, 1), st.integers(0, 99)),
        min_size=1, max_size=6,
    ),
    st.booleans(),
)  # fmt: skip
def test_runs_come_back_as_they_were(tmp_path_factory, drawn, lazily):
    """Garbage and infinite values included: a trace holds what the source gave."""
    path = tmp_path_factory.mktemp("trace") / "t.parquet"
    runs = []
    for number, (samples, label, share, seed) in enumerate(drawn):
        run = make(f"run {number}", samples, seed, label=label, family="", strategy="plain", info=info(share=share))
        run.values[0, :5] = [np.inf, -np.inf, 2.0**63, -1, 1e-42]
        runs.append(run)
    write_runs(path, iter(runs) if lazily else runs)
    for before, after in zip(runs, read_runs(path), strict=True):
        same(before, after)


def test_provenance_comes_back(tmp_path):
    given_info = info(share=float("nan"), seed=7, parameters={"batch": [1, 2], "words": {"x": None}, "rate": 0.5})
    write_runs(tmp_path / "t.parquet", [make(info=given_info)])
    (run,) = read_runs(tmp_path / "t.parquet")
    assert np.isnan(run.info.share)
    assert (run.info.seed, run.info.parameters) == (7, {"batch": [1, 2], "words": {"x": None}, "rate": 0.5})


def test_a_share_that_cannot_be_is_refused():
    with pytest.raises(ValidationError):
        info(share=1.5)


def test_channels_that_nothing_was_seen_of_take_no_column(tmp_path):
    write_runs(tmp_path / "t.parquet", [make("a"), make("b", channels=("dram_active_ratio",))])
    names = pq.read_schema(tmp_path / "t.parquet").names
    seen = ["gpu_util_ratio", "power_watts", "dram_active_ratio"]
    assert names == ["run", "time_s", *seen, "label", "family", "strategy", "gpu", "origin"]


def test_null_is_missing_and_missing_is_null(tmp_path):
    run = make()
    write_runs(tmp_path / "t.parquet", [run])
    column = pq.read_table(tmp_path / "t.parquet")["gpu_util_ratio"]
    assert column.null_count == int(np.isnan(run.values[:, INDEX["gpu_util_ratio"]]).sum()) > 0


def test_a_run_of_nothing_but_missing_values_is_readable(tmp_path):
    empty = make(channels=())
    write_runs(tmp_path / "t.parquet", [empty])
    (run,) = read_runs(tmp_path / "t.parquet")
    same(empty, run)
    assert not judge(run.times, run.values).mask.any()


def test_periods_may_change_within_a_run(tmp_path):
    run = make(samples=4)
    run.times[:] = [0, 0.1, 60, 60.1]
    write_runs(tmp_path / "t.parquet", [run])
    assert np.diff(read_runs(tmp_path / "t.parquet")[0].times).round(3).tolist() == [0.1, 59.9, 0.1]


def test_duckdb_and_pandas_read_a_trace_as_it_is_and_agree(tmp_path):
    path = tmp_path / "t.parquet"
    runs = [make(f"r{n}", 500, n, ("gpu_util_ratio", "integer_active_ratio", "power_watts")) for n in range(7)]
    runs[3].values[:, INDEX["power_watts"]] = np.nan
    write_runs(path, runs)
    query = f"SELECT run, avg(power_watts), avg(integer_active_ratio), count(*) FROM '{path}' GROUP BY run ORDER BY run"
    by_duckdb = duckdb.sql(query).fetchall()
    frame = pd.read_parquet(path)
    by_pandas = frame.groupby("run", observed=True)[["power_watts", "integer_active_ratio"]].mean()
    for run, (name, power, integer, count) in zip(runs, by_duckdb, strict=True):
        ours = [run.values[:, INDEX[c]].astype(np.float64) for c in ("power_watts", "integer_active_ratio")]
        assert (name, count) == (run.name, len(run))
        assert (power is None) == (name == "r3") == bool(np.isnan(by_pandas.loc[name, "power_watts"]))
        np.testing.assert_allclose(power or np.nan, np.nanmean(ours[0]) if name != "r3" else np.nan, rtol=1e-12)
        np.testing.assert_allclose(integer, np.nanmean(ours[1]), rtol=1e-12)
        np.testing.assert_allclose(by_pandas.loc[name, "integer_active_ratio"], integer, rtol=1e-6)


def test_the_query_of_the_page_works(tmp_path, monkeypatch):
    """docs/trace-format.md shows SQL; it runs."""
    monkeypatch.chdir(tmp_path)
    write_runs(Path("trace.parquet"), [make(f"r{n}", 300, n, ("sm_active_ratio", "sm_clock_ratio")) for n in range(3)])
    page = (Path(__file__).parents[2] / "docs/trace-format.md").read_text()
    queries = [part.split("```")[0] for part in page.split("```sql\n")[1:]]
    assert len(queries) >= 3
    answers = [duckdb.sql(query).fetchall() for query in queries]
    assert all(answers)
    assert {row[0] for row in answers[0]} == {"r0", "r1", "r2"}


def test_long_runs_span_row_groups_and_short_ones_share_them(tmp_path):
    path = tmp_path / "t.parquet"
    runs = [make("a", 10), make("b", 2 * GROUP_ROWS + 17), make("c", 30), make("d", 40)]
    write_runs(path, runs)
    metadata = pq.read_metadata(path)
    rows = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
    assert rows == [10, GROUP_ROWS, GROUP_ROWS, 17 + 30 + 40]
    for before, after in zip(runs, iter_runs(path), strict=True):
        same(before, after)
    sizes = [(piece.name, len(piece)) for piece in iter_blocks(path)]
    assert max(size for _, size in sizes) <= BLOCK_ROWS
    assert sum(size for name, size in sizes if name == "b") == 2 * GROUP_ROWS + 17


LONG = """
import resource, sys
import numpy as np
from pathlib import Path
from hashwarden.model.channels import CHANNELS
from hashwarden.model.trace import Run, RunInfo
from hashwarden.model.trace_read import iter_blocks
from hashwarden.model.trace_write import TraceWriter
from hashwarden.model.validity import Validity

path, pieces, size = Path(sys.argv[1]), int(sys.argv[2]), 50_000
info = RunInfo(origin="synthesised", gpu="H100 SXM", period_s=1.0)
values = np.full((size, len(CHANNELS)), np.nan, np.float32)
values[:, : int(sys.argv[3])] = np.random.default_rng(0).random((size, int(sys.argv[3])), np.float32)
with TraceWriter(path) as writer:
    for n in range(pieces):
        writer.write(Run("long", np.arange(size) + float(n * size), values, info=info))
validity = Validity()
rows = sum(int(validity.block(piece.times, piece.values).fresh.sum()) for piece in iter_blocks(path))
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def long_run(path, pieces, channels):
    """Peak memory in KiB of a process that writes, reads and judges a run of ``pieces`` times 50,000 samples."""
    command = [sys.executable, "-c", LONG, str(path), str(pieces), str(channels)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows, peak = map(int, done.stdout.split())
    assert rows == pieces * 50_000
    return peak


def test_memory_does_not_grow_with_the_length_of_a_run(tmp_path):
    """Written, read and judged in pieces: 7 times the samples for the same memory."""
    short, long = (long_run(tmp_path / "long.parquet", pieces, 12) for pieces in (2, 14))
    assert long < short + 60_000, f"{short} and {long} KiB"


@pytest.mark.slow
def test_ten_million_samples_of_every_channel_take_less_than_a_gibibyte(tmp_path):
    assert long_run(tmp_path / "long.parquet", 200, C) < 2**20


def test_a_writer_joins_pieces_of_a_run_and_refuses_what_does_not_fit(tmp_path):
    whole = make(samples=30)
    pieces = [Run("one", whole.times[s], whole.values[s], whole.label, whole.family, whole.strategy, whole.info)
              for s in (slice(0, 7), slice(7, 30))]  # fmt: skip
    with TraceWriter(tmp_path / "t.parquet", ["gpu_util_ratio", "power_watts"]) as writer:
        for piece in pieces:
            writer.write(piece)
        with pytest.raises(DataError, match="rise"):
            writer.write(pieces[0])
        with pytest.raises(DataError, match="no column"):
            writer.write(make("two", channels=("fp32_active_ratio",)))
    same(whole, read_runs(tmp_path / "t.parquet")[0])


@pytest.mark.parametrize("changes", [{"label": "idle", "family": ""}, {"info": info(gpu="A100 SXM 80GB")}])
def test_a_piece_with_other_labels_is_refused(tmp_path, changes):
    first = make(samples=5)
    later = make(samples=5, **changes)
    later.times[:] += 1000
    with TraceWriter(tmp_path / "t.parquet") as writer:
        writer.write(first)
        with pytest.raises(DataError, match="other labels"):
            writer.write(later)
    (run,) = read_runs(tmp_path / "t.parquet")
    same(first, run)


@pytest.mark.parametrize("lazily", [True, False])
def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path, lazily):
    path = tmp_path / "t.parquet"
    write_runs(path, [make("old")])
    before = path.read_bytes()
    bad = [make("a"), make("b"), make("a")]
    with pytest.raises(DataError, match="twice"):
        write_runs(path, iter(bad) if lazily else bad)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize("at", ["write", "fsync"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, at):
    path = tmp_path / "t.parquet"
    write_runs(path, [make("old")])
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if at == "fsync":
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match="No space left"):
            write_runs(path, [make("new")])
    else:
        script = (
            "import resource, signal, sys; from pathlib import Path\n"
            "from hashwarden.errors import DataError\n"
            "from hashwarden.model.trace_read import read_runs\n"
            "from hashwarden.model.trace_write import write_runs\n"
            "runs = read_runs(Path(sys.argv[1]))\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000,) * 2)\n"
            "try: write_runs(Path(sys.argv[2]), runs)\n"
            "except DataError as error: print(error)\n"
        )
        write_runs(tmp_path / "large.parquet", [make("new", 20_000)])
        command = [sys.executable, "-c", script, str(tmp_path / "large.parquet"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "cannot be written (" in done.stdout
        (tmp_path / "large.parquet").unlink()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path):
    path = tmp_path / "t.parquet"
    write_runs(path, [make("old")])
    endless = "for n in range(10**6):\n        print(n, flush=True)"
    script = LONG.split("validity = Validity()", maxsplit=1)[0].replace("for n in range(pieces):", endless)
    process = subprocess.Popen([sys.executable, "-c", script, str(path), "1", "40"], stdout=subprocess.PIPE, text=True)
    with process:
        while process.stdout.readline().strip() != "5":
            assert process.poll() is None
        process.kill()
    assert [run.name for run in read_runs(path)] == ["old"]


def test_no_runs_a_missing_folder_and_provenance_that_is_no_json(tmp_path):
    with pytest.raises(DataError, match="no runs"):
        write_runs(tmp_path / "t.parquet", [])
    with pytest.raises(DataError, match="cannot be written"):
        write_runs(tmp_path / "none" / "t.parquet", [make()])
    with pytest.raises(DataError, match="no JSON"):
        write_runs(tmp_path / "t.parquet", [make(info=info(parameters={"what": object()}))])
    assert list(tmp_path.iterdir()) == []


def test_the_footer_names_the_table_of_channels(tmp_path):
    write_runs(tmp_path / "t.parquet", [make()])
    footer = pq.read_metadata(tmp_path / "t.parquet").metadata[KEY.encode()]
    assert footer.startswith(b'{"schema":1,"channels":"')
    assert b'"power_watts":"watts"' in footer
