"""Runs become shards: what is refused, what is kept, how it is split."""

import pickle
import resource
from dataclasses import replace

import numpy as np
import pytest

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.job.taxonomy import CLASSES
from hashwarden.model.trace_write import write_runs
from hashwarden.training.job.dataset import Dataset, featurise, hold_out
from hashwarden.training.job.labels import UNKNOWN, check_labels, truth
from hashwarden.training.job.store import CLASS, DT, FIRST_CHANNEL, rows_of, write_shard


@pytest.mark.parametrize("labelled_by", ["construction", "operator:ada", "operator:Ada Lovelace"])
def test_labels_that_somebody_answers_for_are_taken(make, labelled_by):
    check_labels(make("mining", 0, labelled_by=labelled_by))


@pytest.mark.parametrize(
    "labelled_by", ["", "operator:", "operator: ", "operator", "model", "hashwarden 0.1", "self", "Construction",
                    "construction\noperator:x", "user:bob"]
)  # fmt: skip
def test_a_label_that_nobody_answers_for_is_refused(make, labelled_by, tmp_path):
    with pytest.raises(DataError, match="no label"):
        write_shard(tmp_path, "0", [make("mining", 0, labelled_by=labelled_by)], "archive.parquet")
    assert list(tmp_path.glob("*.runs")) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": ""}, "without a label"),
        ({"label": "crypto"}, "the class 'crypto'"),
        ({"family": "dogecoin"}, "family of mining"),
        ({"strategy": "hide"}, "the strategy 'hide'"),
    ],
)
def test_unknown_labels_are_refused_and_named(make, change, words):
    with pytest.raises(DataError, match=words) as caught:
        check_labels(replace(make("mining", 0), **change), "some.parquet")
    assert "some.parquet" in str(caught.value)
    assert "mining-0-plain" in str(caught.value)


def test_rows_hold_time_truth_and_what_is_credible(make):
    run = make("mining", 1, 30, period_s=2.0)
    run.values[5, INDEX["power_ratio"]] = 9e18
    rows = rows_of(run)
    assert rows[0, DT] == 0
    assert (rows[1:, DT] == 2).all()
    assert (rows[:, CLASS] == CLASSES.index("mining")).all()
    assert np.isnan(rows[5, FIRST_CHANNEL + INDEX["power_ratio"]])
    assert rows[6, FIRST_CHANNEL + INDEX["power_ratio"]] == run.values[6, INDEX["power_ratio"]]


def test_runs_come_back_as_they_went_in(some_runs, data):
    assert len(data) == len(some_runs)
    assert data.name.tolist() == [run.name for run in some_runs]
    assert [CLASSES[i] for i in data.label] == [run.label for run in some_runs]
    for place in (0, 17, len(some_runs) - 1):
        np.testing.assert_array_equal(data.read(place), rows_of(some_runs[place]))
        np.testing.assert_array_equal(data.read(place, 7, 19), rows_of(some_runs[place])[7:19])
    assert data.read(3, 50, 999).shape == (10, FIRST_CHANNEL + len(CHANNELS))


def test_a_data_set_survives_pickling_and_closing(data):
    again = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(again.read(4), data.read(4))
    data.close()
    np.testing.assert_array_equal(again.read(4), data.read(4))


def test_digests_follow_the_rows(some_runs, data, tmp_path):
    same = Dataset.of_runs(some_runs, tmp_path / "same", where="made up")
    other = Dataset.of_runs(some_runs[::-1], tmp_path / "other", where="made up")
    assert same.digest == data.digest != other.digest
    assert list(data.digests) == ["made up"]


def test_a_folder_without_runs_and_a_cut_shard_are_told(tmp_path, make):
    with pytest.raises(DataError, match="no runs"):
        Dataset(tmp_path)
    data = Dataset.of_runs([make("idle", 0)], tmp_path)
    path = tmp_path / "000000.rows"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match="fewer rows"):
        data.read(0)


def test_runs_are_found_by_what_they_are(data):
    rows = data.rows(label="mining", strategy="throttle")
    assert len(rows) == 12
    assert set(data.strategy[rows]) == {"throttle"}
    assert len(data.rows(family=("ethash", "integer-hash"))) == len(data.rows(label="mining")) - len(
        data.rows(family="heavyhash")
    )


@pytest.mark.parametrize("seed", range(5))
def test_whole_runs_are_held_out_of_every_kind(data, seed):
    everything = np.arange(len(data))
    kept, held = hold_out(data, everything, 0.25, seed)
    assert sorted([*kept, *held]) == everything.tolist()
    assert abs(len(held) - len(data) / 4) <= 1
    assert set(data.label[kept]) == set(range(len(CLASSES)))
    mining = len(data.rows(label="mining")) / 4
    assert abs((data.label[held] == CLASSES.index("mining")).sum() - mining) <= 1


def test_holding_out_leaves_a_lonely_class_to_the_fit(tmp_path, make):
    data = Dataset.of_runs([make("idle", 0), *(make("mining", n) for n in range(6))], tmp_path)
    for seed in range(8):
        kept, _ = hold_out(data, np.arange(len(data)), 0.9, seed)
        assert set(data.label[kept]) == set(data.label)


def test_memory_does_not_grow_with_the_corpus(tmp_path, make):
    def grown(runs: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        one = make("training", 1, 400)
        data = Dataset.of_runs((replace(one, name=str(n)) for n in range(runs)), tmp_path / str(runs))
        for run in range(0, runs, 7):
            data.read(run, 10, 300)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    grown(20)
    assert (tmp_path / "20" / "000000.rows").stat().st_size > 2 << 20
    assert grown(400) < 20 << 10  # KiB; the rows are 50 MB


def test_a_run_that_hides_its_mining_is_honest_in_between(make):
    run = make("mining", 0, 60, strategy="burst", parameters={"mining_spans_s": [[10, 20], [40, 45]], "cover": "idle"})
    found = truth(run)
    mines = found == CLASSES.index("mining")
    assert np.flatnonzero(mines).tolist() == [*range(10, 20), *range(40, 45)]
    assert set(found[~mines]) == {CLASSES.index("idle")}
    unknown = truth(replace(run, info=run.info.model_copy(update={"parameters": {"mining_spans_s": [[0, 30]]}})))
    assert set(unknown[30:]) == {UNKNOWN}


def test_trace_files_become_shards_in_their_order(some_runs, data, tmp_path, monkeypatch):
    first, second = tmp_path / "b.parquet", tmp_path / "a.parquet"
    write_runs(first, some_runs[:30])
    write_runs(second, some_runs[30:])
    monkeypatch.setattr("hashwarden.model.trace_read.BLOCK_ROWS", 25)  # every run in three pieces
    featurise([first, second], tmp_path / "shards")
    found = Dataset(tmp_path / "shards")
    assert list(found.digests) == [str(first), str(second)]
    assert found.name.tolist() == data.name.tolist()
    for run in range(len(data)):
        np.testing.assert_array_equal(found.read(run), data.read(run))


def test_stale_samples_are_left_out(make):
    run = make("idle", 0, 20)
    run.times[8:10] = run.times[7]
    rows = rows_of(run)
    assert len(rows) == 18
    assert rows[8, DT] == 3


def test_runs_are_found_by_the_groups_that_they_show(make, tmp_path):
    blind = make("idle", 1)
    blind.values[:, [i for i, channel in enumerate(CHANNELS) if channel.group != "nvml"]] = np.nan
    data = Dataset.of_runs([make("idle", 0), blind], tmp_path)
    assert data.showing(np.arange(2), ("nvml", "gpm", "code")).tolist() == [0]
    assert data.showing(np.arange(2), ("nvml",)).tolist() == [0, 1]
    assert data.showing(np.arange(2), ("probe",)).tolist() == [0, 1]
