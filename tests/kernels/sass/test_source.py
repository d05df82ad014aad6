"""Byte sources: exact reads, windows inside windows, and an error where the bytes end."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashwarden.errors import TruncatedError
from hashwarden.kernels.sass.source import FileSource, MemorySource
from hashwarden.kernels.sass.spool import FilePart, part_of


@given(data=st.binary(max_size=100), cut=st.integers(0, 100), size=st.integers(0, 100), inner=st.integers(0, 100))
def test_a_window_is_a_slice_or_an_error(data, cut, size, inner):
    source = MemorySource(data, "t")
    if cut + size > len(data):
        with pytest.raises(TruncatedError):
            source.window(cut, size)
        return
    window = source.window(cut, size)
    assert bytes(window.read(0, size)) == data[cut : cut + size]
    if inner <= size:
        assert bytes(window.window(inner, size - inner).read(0, size - inner)) == data[cut + inner : cut + size]


@pytest.mark.parametrize(("offset", "size"), [(-1, 1), (0, -1), (5, 6), (11, 0)])
def test_reads_beyond_the_end_are_told(offset, size):
    with pytest.raises(TruncatedError) as caught:
        MemorySource(bytes(10), "name").read(offset, size)
    assert caught.value.where == "name"


def test_a_part_of_a_file_knows_where_in_the_file_it_is(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(range(100)))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        part = part_of(part_of(FilePart(descriptor, 7, 0, 100, "f"), 10, 50, "a"), 5, 20, "b")
        assert isinstance(part, FilePart)
        assert (part.offset, part.number, bytes(part.read(0, 3))) == (15, 7, bytes([15, 16, 17]))
        with pytest.raises(TruncatedError):
            part.read(15, 6)
        with pytest.raises(TruncatedError):
            part_of(part, 15, 6, "c")
    finally:
        os.close(descriptor)


def test_a_file_that_shrinks_while_it_is_read_is_told(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(100))
    descriptor = os.open(path, os.O_RDWR)
    try:
        source = FileSource(descriptor, "f")
        os.ftruncate(descriptor, 50)
        with pytest.raises(TruncatedError, match="shrank"):
            source.read(0, 100)
    finally:
        os.close(descriptor)
