"""A file that is written whole or not at all, and what is said of a disk that refuses."""

import errno
import os

import pytest

from hashwarden.model.storage import refusal, replacing, synced


@pytest.fixture(params=[None, ".one-of-many"])
def part(request, tmp_path):
    return request.param and tmp_path / request.param


def test_a_file_is_replaced_in_one_move(tmp_path, part):
    path = tmp_path / "kept"
    path.write_bytes(b"old")
    with replacing(path, part) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stopped", [ValueError, KeyboardInterrupt])
def test_what_is_stopped_leaves_the_old_file_alone(tmp_path, part, stopped):
    path = tmp_path / "kept"
    path.write_bytes(b"old")

    def write():
        with replacing(path, part) as file:
            file.write(b"new")
            raise stopped

    with pytest.raises(stopped):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "open"])
def test_a_disk_that_refuses_leaves_the_old_file_alone(tmp_path, monkeypatch, call):
    path = tmp_path / "kept"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write():
        with replacing(path) as file:
            file.write(b"new")

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        (tmp_path / "kept.part").mkdir()
    with pytest.raises(OSError, match="No space left" if call == "fsync" else "directory"):
        write()
    assert path.read_bytes() == b"old"


def test_files_and_folders_are_synced_and_others_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    synced(tmp_path / "file")
    synced(tmp_path)
    with pytest.raises(FileNotFoundError):
        synced(tmp_path / "none")


def test_a_refusal_says_why_also_where_the_system_has_no_words():
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert refusal(full) == "it cannot be written (No space left on device)"
    assert refusal(OSError("a pipe broke"), "the store") == "the store cannot be written (a pipe broke)"
