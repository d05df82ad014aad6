"""The store: its folder must be its own, content is the key, and nothing in it is believed that another may write."""

import os

import numpy as np
import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.sources.code_index import ROW
from hashwarden.serve.sources.code_store import EMPTY, CodeStore, identity


@pytest.fixture
def store(tmp_path):
    return CodeStore(tmp_path / "code", "model")


def test_a_folder_that_others_may_write_to_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    (tmp_path / "own").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "own")
    (tmp_path / "file").write_text("")
    for name in ("open", "link", "file", "file/below"):
        with pytest.raises(UsageError):
            CodeStore(tmp_path / name)


def test_a_folder_of_another_user_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 65534, 65534)
    with pytest.raises(UsageError, match="user 65534"):
        CodeStore(tmp_path / "theirs")


def test_what_is_known_outlives_the_program_and_not_the_model(store, tmp_path):
    key = store.key("ab" * 32)
    assert store.write(key, np.zeros(2, ROW))
    store.learn(["1:2", "sha256:ab"], key)
    store.learn(["3:4"], EMPTY)
    store.save()
    again, other = CodeStore(tmp_path / "code", "model"), CodeStore(tmp_path / "code", "another model")
    again.load()
    other.load()
    assert (again.known("1:2"), again.known("sha256:ab"), again.known("3:4")) == (key, key, EMPTY)
    assert other.known("1:2") is None
    assert other.key("ab" * 32) != key


def test_what_was_removed_or_damaged_is_not_known(store, tmp_path):
    key = store.key("cd" * 32)
    store.write(key, np.zeros(1, ROW))
    store.learn(["1:2"], key)
    (path,) = (tmp_path / "code").glob("*.code")
    path.write_bytes(path.read_bytes()[:-1])
    assert store.open(key) is None
    assert store.known("1:2") is None


@pytest.mark.parametrize("table", ["", "[]", '{"stamp": 1}', '{"stamp": "x", "known": [], "tries": 3}', "\0" * 100])
def test_a_damaged_table_is_an_empty_one(store, tmp_path, table):
    (tmp_path / "code" / "files.json").write_text(table)
    store.load()
    assert store.known("1:2") is None


def test_the_folder_stays_within_its_bound_and_the_oldest_go(tmp_path):
    store = CodeStore(tmp_path / "code", limit_bytes=100_000)
    for number in range(10):
        store.write(f"{number}", np.zeros(500, ROW))
        os.utime(tmp_path / "code" / f"{number}.code", (number, number))
    assert sum(path.stat().st_size for path in (tmp_path / "code").iterdir()) <= 100_000
    assert not store.has("0")
    assert store.has("9")


def test_what_processes_held_goes_with_them(store):
    one, two = ProcessKey(1, 2), ProcessKey(3, 4)
    for process in (one, two):
        store.write(store.process_key(process), np.zeros(1, ROW))
    store.forget(one)
    assert [store.has(store.process_key(process)) for process in (one, two)] == [False, True]
    store.forget_processes()
    assert not store.has(store.process_key(two))


def test_readings_that_were_begun_in_vain_are_counted_beyond_a_crash(store, tmp_path):
    assert [store.begin("sha256:x") for _ in range(3)] == [0, 1, 2]
    store.save()
    again = CodeStore(tmp_path / "code", "model")
    again.load()
    assert again.begin("sha256:x") == 3
    again.learn(["sha256:x"], EMPTY)
    assert again.begin("sha256:x") == 0


def test_a_file_that_was_written_to_is_another_even_if_its_date_is_set_back(tmp_path):
    path = tmp_path / "lib.so"
    path.write_bytes(b"one")
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert identity(path.stat()) != identity(before)


def test_a_full_disk_costs_the_index_only(store, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert not store.write("k", np.zeros(1, ROW))
    store.save()
    assert list((tmp_path / "code").iterdir()) == []
