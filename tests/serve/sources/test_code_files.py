"""Files of processes: copied so that what is hashed is what is parsed, and left out where they are data."""

import hashlib
import os
from pathlib import Path

import pytest

from hashwarden.serve.sources import code_files


@pytest.fixture
def opened(tmp_path):
    descriptors = []

    def make(data, size=None):
        path = tmp_path / f"f{len(descriptors)}"
        path.write_bytes(data)
        if size is not None:
            os.truncate(path, size)
        descriptors.append(os.open(path, os.O_RDONLY))
        return descriptors[-1]

    yield make
    for descriptor in descriptors:
        os.close(descriptor)


def test_the_copy_is_what_was_hashed(opened, tmp_path):
    data = os.urandom(3 << 20)
    copy, digest = code_files.copied(opened(data), len(data), str(tmp_path))
    with os.fdopen(copy, "rb") as file:
        file.seek(0)
        assert file.read() == data
    assert digest == hashlib.sha256(data).hexdigest() == code_files.hashed(opened(data), len(data))


def test_a_file_that_shrank_or_grew_meanwhile_ends_all_the_same(opened, tmp_path):
    copy, digest = code_files.copied(opened(b"abc"), 10, str(tmp_path))
    os.close(copy)
    assert digest == hashlib.sha256(b"abc").hexdigest()
    assert code_files.hashed(opened(b"abcdef"), 3) == digest


def test_a_copy_that_the_disk_has_no_room_for_is_not_begun(opened, tmp_path):
    with pytest.raises(OSError, match="no room"):
        code_files.copied(opened(b"abc"), 1 << 60, str(tmp_path))


@pytest.mark.parametrize(("beginning", "size", "worth"), [
    (b"anything", 1000, True), (b"", 0, False), (b"tensors", 65 << 20, False), (b"\x7fELF", 65 << 20, True),
    (b"\x50\xed\x55\xba", 65 << 20, True), (b"\x7fELF", 9 << 30, False),
])  # fmt: skip
def test_weights_are_not_read_and_libraries_are(opened, beginning, size, worth):
    assert code_files.is_worth_reading(opened(beginning, size), size) is worth


def test_where_times_of_change_prove_nothing(opened):
    memory = os.memfd_create("code")
    try:
        assert code_files.volatile(memory)
    finally:
        os.close(memory)
    with Path(__file__).open("rb") as file:
        assert not code_files.volatile(file.fileno())
