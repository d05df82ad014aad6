"""The journal: whatever was written can be read, wherever the writing was cut off."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from hashwarden.errors import DataError, UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.serve import journal as module
from hashwarden.serve.journal import Journal, StorageError, journal_of, recover
from hashwarden.serve.recorder import run_of
from hashwarden.serve.sources.source import Device

WIDTH = len(CHANNELS)
GPU = Device("GPU-1", 0, "Test", 90, "570", "12.8")


def runs(*names):
    return [run_of(GPU, 0.1, name, {"workload": "w"}) for name in names]


def row(value):
    return np.full(WIDTH, value, np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.parquet"


def written(path, count=5):
    journal = Journal(path, runs("a", "b"))
    for i in range(count):
        journal.append(i % 2, 0.1 * i, 1e9 + i, row(i))
    return journal


def test_what_was_written_is_read_run_by_run(path):
    written(path).close()
    first, second = recover(path)
    assert (first.name, second.name) == ("a", "b")
    assert first.times.tolist() == [0.0, 0.2, 0.4]
    assert first.values.dtype == np.float32
    assert first.values[:, 3].tolist() == [0, 2, 4]
    assert second.values.shape == (2, WIDTH)
    assert (first.info.start_unix_s, second.info.start_unix_s) == (1e9, 1e9 + 1)
    assert (first.info.gpu, first.info.driver, first.info.parameters["cuda"]) == ("Test", "570", "12.8")
    assert np.isnan(first.info.share)


def test_missing_and_impossible_values_survive(path):
    journal = Journal(path, runs("a"))
    values = row(np.nan)
    values[:3] = [np.inf, -0.0, 9.2233720e18]
    journal.append(0, 0.0, 1.0, values)
    journal.close()
    (run,) = recover(path)
    np.testing.assert_array_equal(run.values[0], values)


def test_cut_off_at_any_byte_only_the_last_record_is_lost(path):
    written(path).close()
    whole = journal_of(path).read_bytes()
    record = 12 + 20 + 4 * WIDTH
    for cut in range(1, record + 1, 37):
        journal_of(path).write_bytes(whole[:-cut])
        first, second = recover(path)
        assert len(first) + len(second) == 4


def test_a_damaged_record_ends_the_journal(path):
    written(path).close()
    data = bytearray(journal_of(path).read_bytes())
    data[-(2 * WIDTH)] ^= 1
    journal_of(path).write_bytes(data)
    assert sum(len(run) for run in recover(path)) == 4


def test_a_run_without_samples_is_left_out(path):
    journal = Journal(path, runs("a", "b"))
    journal.append(1, 0.0, 1.0, row(1))
    journal.close()
    assert [run.name for run in recover(path)] == ["b"]


def test_two_recorders_do_not_share_a_journal(path):
    journal = written(path)
    with pytest.raises(UsageError, match="there is a journal already"):
        Journal(path, runs("a"))
    with pytest.raises(UsageError, match="there is a journal already"):
        list(recover(path))
    journal.close()
    journal.close()
    assert len(list(recover(path))) == 2


def test_no_journal_or_one_of_other_channels_is_an_error(path, monkeypatch):
    with pytest.raises(DataError, match="no journal"):
        list(recover(path))
    written(path).close()
    monkeypatch.setattr(module, "schema_hash", lambda: "another")
    with pytest.raises(DataError, match="another version"):
        list(recover(path))
    journal_of(path).write_bytes(b"what is this")
    with pytest.raises(DataError, match="another version"):
        list(recover(path))


def test_a_full_disk_is_one_error_and_what_was_written_stays(path, monkeypatch):
    journal = written(path)
    usual = os.write

    def full(file, data):
        if len(data) > 100:  # half of the record still fits
            return usual(file, data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "write", full)
    with pytest.raises(StorageError, match=r"No space left on device.*kept"):
        journal.append(0, 9.0, 1.0, row(9))
    monkeypatch.undo()
    journal.close()
    assert sum(len(run) for run in recover(path)) == 5


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(StorageError, match="No such file or directory"):
        Journal(tmp_path / "no" / "t.parquet", runs("a"))


def test_a_long_journal_is_read_in_order_whatever_runs_are_mixed(path):
    journal = Journal(path, runs("a", "b", "c"))
    for i in range(6000):
        journal.append((0, 1, 1)[i % 3], 0.1 * i, 1e9 + i, row(i))
    journal.close()
    first, second = recover(path)
    np.testing.assert_array_equal(first.values[:, 7], np.arange(0, 6000, 3))
    np.testing.assert_allclose(second.times, [0.1 * i for i in range(6000) if i % 3])
    assert second.info.start_unix_s == 1e9 + 1
    assert first.values.flags.writeable
    assert first.values.flags.c_contiguous
