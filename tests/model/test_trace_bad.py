"""Traces that are wrong, in every way that a file can be: one clear error each."""

import json
import os
import resource
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.trace import KEY, Run, RunInfo
from hashwarden.model.trace_footer import MAX_JSON
from hashwarden.model.trace_read import iter_blocks, read_runs
from hashwarden.model.trace_write import write_runs

INFO = RunInfo(origin="recorded", gpu="NVIDIA H100 80GB HBM3", period_s=1.0, labelled_by="construction")


def make(name="one", samples=12):
    values = np.full((samples, len(CHANNELS)), np.nan, np.float32)
    values[:, INDEX["power_watts"]] = np.arange(samples) + 300.5
    values[:, INDEX["sm_active_ratio"]] = 0.75
    return Run(name, np.arange(float(samples)), values, "mining", "ethash", "plain", INFO)


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "t.parquet"
    write_runs(path, [make("one"), make("two")])
    return path


def rewrite(path, change, footer=None):
    """Change the table or the footer with pyarrow alone, as any program might."""
    table = pq.read_table(path)
    known = json.loads(pq.read_metadata(path).metadata[KEY.encode()])
    table = change(table)
    text = known if footer is None else footer(known)
    metadata = {} if text is None else {KEY: text if isinstance(text, bytes | str) else json.dumps(text)}
    pq.write_table(table.replace_schema_metadata(metadata), path)


def put(name, array):
    return lambda table: table.set_column(table.column_names.index(name), name, array(table[name]))


def plain(values):
    return pa.array(values, pa.string())


def edit(name, row, value):
    """One value of a column, replaced."""

    def change(table):
        values = table[name].to_pylist()
        values[row] = value
        kind = pa.string() if isinstance(values[0], str) else table.schema.field(name).type
        return table.set_column(table.column_names.index(name), name, pa.array(values, kind))

    return change


def keep(table):
    return table


BAD_TABLES = {
    "no run": (lambda t: t.drop_columns(["run"]), "no column run"),
    "no time": (lambda t: t.drop_columns(["time_s"]), "no column time_s"),
    "no label": (lambda t: t.drop_columns(["label", "gpu"]), "no column label, gpu"),
    "unknown channel": (lambda t: t.append_column("moon_phase_ratio", t["power_watts"]), "'moon_phase_ratio' that is"),
    "a channel twice": (lambda t: t.append_column("power_watts", t["power_watts"]), "'power_watts' twice"),
    "double channel": (put("power_watts", lambda c: c.cast(pa.float64())), "type double"),
    "channel as text": (put("power_watts", lambda c: c.cast(pa.string())), "type string"),
    "float time": (put("time_s", lambda c: c.cast(pa.float32())), "time_s of type float"),
    "time as a date": (put("time_s", lambda c: c.cast(pa.int64()).cast(pa.timestamp("s"))), "timestamp"),
    "run as a number": (put("run", lambda c: pa.array(range(len(c)))), "run of type int64"),
    "nested channel": (put("power_watts", lambda c: pa.array([[1.0]] * len(c))), "of type list"),
    "no rows": (lambda t: t.slice(0, 0), "no samples"),
    "null run": (edit("run", 3, None), "null in run"),
    "null time": (edit("time_s", 3, None), "null in time_s"),
    "null label": (edit("label", 3, None), "null in label"),
    "time runs backwards": (edit("time_s", 5, 1.5), "time 1.5 s after 4.0 s"),
    "time repeats": (edit("time_s", 5, 4.0), "time 4.0 s after 4.0 s"),
    "time is NaN": (edit("time_s", 5, float("nan")), "time nan s"),
    "time is infinite": (edit("time_s", 11, float("inf")), "time inf s"),
    "label varies": (edit("label", 5, "idle"), "a label that changes"),
    "strategy varies": (edit("strategy", 5, "dual"), "a strategy that changes"),
    "gpu varies": (edit("gpu", 5, "A100"), "a gpu that changes"),
    "unknown run": (edit("run", 11, "three"), "'three' without provenance"),
    "run in two places": (edit("run", 5, "two"), "a run in two places"),
    "unknown label": (put("label", lambda c: plain(["winning"] * len(c))), "the label 'winning'"),
    "unknown family": (put("family", lambda c: plain(["dogecoin"] * len(c))), "the family 'dogecoin' of mining"),
    "unknown strategy": (put("strategy", lambda c: plain(["prayer"] * len(c))), "the strategy 'prayer'"),
    "gpu of another": (put("gpu", lambda c: plain(["A100"] * len(c))), "as in the footer"),
    "a run gone": (lambda t: t.slice(0, 12), "runs without samples ('two')"),
    "a long name": (put("run", lambda c: plain(["x" * 5000] * len(c))), "a column of|without provenance"),
    "huge words": (put("family", lambda c: plain(["x" * 200_000] * len(c))), "bytes for 24 rows|the family"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_gives_one_clear_error(trace, case):
    change, expected = BAD_TABLES[case]
    rewrite(trace, change)
    with pytest.raises(DataError) as caught:
        read_runs(trace)
    message = str(caught.value)
    assert any(part in message for part in expected.split("|")), message
    assert str(trace) in caught.value.where
    assert len(message) < 700
    assert caught.value.got
    assert caught.value.expected
    assert caught.value.remedy


def with_run(change):
    def footer(known):
        change(known["runs"]["one"])
        return known

    return footer


BAD_FOOTERS = {
    "none": (lambda _: None, "no entry"),
    "another version": (lambda k: k | {"schema": 2}, "trace schema 2; expected schema 1"),
    "another version of another shape": (lambda _: {"schema": 7, "x": []}, "trace schema 7"),
    "no version": (lambda k: {"runs": k["runs"]}, "breaks its schema (schema"),
    "version as text": (lambda k: k | {"schema": "one"}, "breaks its schema (schema"),
    "no JSON": (lambda _: "hello", "breaks its schema (its whole"),
    "a list": (lambda _: [1], "breaks its schema"),
    "null": (lambda _: "null", "breaks its schema"),
    "deeply nested": (lambda _: "[" * 200_000, "breaks its schema"),
    "deeply nested inside": (lambda _: '{"schema":1,"runs":' + '{"a":' * 100_000, "breaks its schema"),
    "not UTF-8": (lambda _: b'{"schema":1,"channels":"\xff"}', "breaks its schema"),
    "too long": (lambda _: b" " * (MAX_JSON + 1), "footer"),
    "unknown key": (lambda k: k | {"extra": 1}, "breaks its schema (extra"),
    "runs as a list": (lambda k: k | {"runs": []}, "breaks its schema (runs"),
    "no provenance": (lambda k: k | {"runs": {}}, "'one' without provenance"),
    "run too many": (
        lambda k: k | {"runs": k["runs"] | {"ghost": k["runs"]["one"]}},
        "1 runs without samples ('ghost')",
    ),
    "another unit": (lambda k: k | {"units": {"power_watts": "horsepower"}}, "power_watts in 'horsepower'"),
    "origin unknown": (with_run(lambda r: r.update(origin="dreamt")), "runs.one.origin"),
    "period of zero": (with_run(lambda r: r.update(period_s=0)), "runs.one.period_s"),
    "share of 2": (with_run(lambda r: r.update(share=2)), "runs.one.share"),
    "seed as text": (with_run(lambda r: r.update(seed="x")), "runs.one.seed"),
    "another gpu": (with_run(lambda r: r.update(gpu="A100")), "expected 'A100', 'recorded' as in the footer"),
    "unprintable gpu": (with_run(lambda r: r.update(gpu="\x1b[2J")), "printable"),
}


@pytest.mark.parametrize("case", BAD_FOOTERS)
def test_a_bad_footer_gives_one_clear_error(trace, case):
    footer, expected = BAD_FOOTERS[case]
    rewrite(trace, keep, footer)
    with pytest.raises(DataError) as caught:
        read_runs(trace)
    assert expected in str(caught.value), str(caught.value)[:500]
    assert len(str(caught.value)) < 700


def test_shuffled_columns_plain_text_and_small_row_groups_are_fine(trace):
    before = read_runs(trace)
    table = pq.read_table(trace)
    metadata = {KEY: pq.read_metadata(trace).metadata[KEY.encode()]}
    names = table.column_names
    np.random.default_rng(0).shuffle(names)
    table = table.select(names)
    for name in ("run", "label", "family", "strategy", "gpu", "origin"):
        table = put(name, lambda c: c.cast(pa.large_string()))(table)
    pq.write_table(table.replace_schema_metadata(metadata), trace, row_group_size=5, compression="snappy")
    for a, b in zip(before, read_runs(trace), strict=True):
        assert (a.name, a.label, a.family, a.info) == (b.name, b.label, b.family, b.info)
        np.testing.assert_array_equal(a.values, b.values)
        np.testing.assert_array_equal(a.times, b.times)


def test_a_label_that_changes_between_row_groups_is_noticed(trace):
    rewrite(trace, edit("label", 5, "idle"))
    table = pq.read_table(trace)
    labels = plain(["mining"] * 5 + ["idle"] * 19)
    table = table.set_column(table.column_names.index("label"), "label", labels)
    family = plain([""] * 24)
    table = table.set_column(table.column_names.index("family"), "family", family)
    pq.write_table(table, trace, row_group_size=5)
    with pytest.raises(DataError, match="a label that changes within the run"):
        read_runs(trace)


def test_a_channel_that_an_older_table_lacked_reads_as_missing(trace):
    rewrite(trace, lambda t: t.drop_columns(["sm_active_ratio"]), lambda k: k | {"channels": "0" * 64})
    run = read_runs(trace)[0]
    assert np.isnan(run.values[:, INDEX["sm_active_ratio"]]).all()
    assert run.values[0, INDEX["power_watts"]] == 300.5


def test_too_many_columns_and_too_large_row_groups_are_refused_before_they_are_read(trace, monkeypatch):
    rewrite(trace, lambda t: pa.table({f"c{n}": [1] for n in range(5000)}))
    with pytest.raises(DataError, match="5,000 columns"):
        read_runs(trace)
    write_runs(trace, [make()])
    monkeypatch.setattr("hashwarden.model.trace_file.MAX_GROUP_ROWS", 11)
    with pytest.raises(DataError, match="12 rows in one row group"):
        read_runs(trace)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "no Parquet"), (b"PAR1", "without its end"), (b"PAR1PAR1", "without its end"),
        (b"PAR1" + b"\0" * 40 + b"\xff\xff\xff\x7fPAR1", "footer of 2,147,483,647 bytes"),
        (b"PAR1" + b"\0" * 40 + b"\x10\0\0\0PAR1", "cannot be read"), (b"time_s,run\n0,a\n", "no Parquet"),
        (b"PAR1" + b"\0" * 40 + b"\x10\0\0\0PARE", "without its end"), (b"PK\x03\x04" + b"\0" * 99, "no Parquet"),
    ],
)  # fmt: skip
def test_what_is_no_parquet(tmp_path, content, expected):
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=expected):
        read_runs(path)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, expected in (("none", "cannot be opened"), (".", "no regular file"), ("pipe", "no regular file")):
        with pytest.raises(DataError, match=expected):
            read_runs(tmp_path / name)


def test_a_file_that_is_cut_anywhere_gives_an_error(trace):
    whole = trace.read_bytes()
    for size in range(0, len(whole), 97):
        trace.write_bytes(whole[:size])
        with pytest.raises(DataError):
            read_runs(trace)


def test_a_flipped_bit_in_the_data_is_noticed(trace):
    """The checksums of the pages: a wrong value is never read in silence."""
    metadata = pq.read_metadata(trace)
    whole = trace.read_bytes()
    group = metadata.row_group(0)
    for index in range(group.num_columns):
        column = group.column(index)
        damaged = bytearray(whole)
        end = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size
        damaged[end - 2] ^= 4
        trace.write_bytes(damaged)
        with pytest.raises(DataError):
            read_runs(trace)


RUNS_BAD = {
    "name": (lambda r: replace(r, name=""), "run name"),
    "long name": (lambda r: replace(r, name="x" * 201), "run name"),
    "escape in the name": (lambda r: replace(r, name="a\x1b[2Jb"), "run name"),
    "label": (lambda r: replace(r, label="Mining"), "label"),
    "family": (lambda r: replace(r, family="bitcoin"), "family"),
    "family of training": (lambda r: replace(r, label="training", family="A B"), "family"),
    "strategy": (lambda r: replace(r, strategy=""), "strategy"),
    "double values": (lambda r: replace(r, values=r.values.astype(np.float64)), "float64"),
    "shape": (lambda r: replace(r, values=r.values[:, :-1]), "shape"),
    "times": (lambda r: replace(r, times=r.times[:-1]), "shape"),
    "no samples": (lambda r: replace(r, times=r.times[:0], values=r.values[:0]), "without samples"),
    "backwards": (lambda r: replace(r, times=r.times[::-1]), "rise"),
}


@pytest.mark.parametrize("case", RUNS_BAD)
@pytest.mark.parametrize("lazily", [True, False])
def test_a_bad_run_is_not_written(tmp_path, case, lazily):
    change, expected = RUNS_BAD[case]
    runs = [change(make())]
    with pytest.raises(DataError, match=expected):
        write_runs(tmp_path / "t.parquet", iter(runs) if lazily else runs)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "t.parquet"
    write_runs(path, [make("one", 5), make("two", 3)])
    return path, path.read_bytes()


def mutate(content, start, changes):
    """Apply changes, each a kind, a place after ``start`` and bytes that say what or how much."""
    for kind, further, what in changes:
        start = min(start, len(content) - 1)
        place = start + further % (len(content) - start)
        match kind:
            case "flip":
                content[place] ^= 1 << what[0] % 8
            case "set":
                content[place] = (0, 1, 0x7F, 0x80, 0xFF)[what[0] % 5]
            case "cut":
                del content[place : place + len(what)]
            case "insert":
                content[place:place] = what
            case "repeat":
                content[place:place] = content[max(0, place - 16) : place]
        content = content or bytearray(b"P")
    return content


CHANGE = st.tuples(
    st.sampled_from(["flip", "set", "cut", "insert", "repeat"]),
    st.integers(0, 4000),
    st.binary(min_size=1, max_size=16),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(part=0, changes=[("cut", 447, b".."), ("cut", 708, b".")])  # a page that claims to have 899,454,662 bytes
@given(part=st.integers(0, 3), changes=st.lists(CHANGE, min_size=1, max_size=4))
def test_mutated_bytes_give_an_error_or_a_valid_read_and_never_eat_memory(small, part, changes):
    path, whole = small
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    path.write_bytes(mutate(bytearray(whole), (0, 4, footer, len(whole) - 8)[part], changes))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        for piece in iter_blocks(path):
            assert (np.diff(piece.times) > 0).all()
            assert piece.values.shape == (len(piece), len(CHANNELS))
            assert len(piece) <= 8
    except DataError as error:
        assert len(str(error)) < 1000  # noqa: PT017
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
