import struct

import lz4.block
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from hashwarden.errors import LimitError, MalformedError, TargetError, TruncatedError
from hashwarden.kernels.sass.fatbin import FATBIN_MAGIC, FatbinEntry, iter_fatbin
from hashwarden.kernels.sass.limits import Limits
from hashwarden.kernels.sass.source import MemorySource

TEXT = b"// some text that compresses, some text that compresses\n" * 40


def entry(data, *, kind=2, arch=90, how="plain", stated=None, header=64, packed=None):
    """One fat binary entry of ``data``, with padding behind a compressed payload as nvcc writes it."""
    body, flags = data, 0
    if how == "lz4":
        body, flags = lz4.block.compress(data, store_size=False), 0x2000
    if how == "zstd":
        body, flags = zstandard.compress(data), 0x8000
    size = len(body) if packed is None else packed
    padded = body + bytes(-len(body) % 8)
    stated = len(data) if stated is None else stated
    packed = 0 if how == "plain" else size
    head = (kind, 0x101, header, len(padded), packed, 0, 7, 8, arch, 0, 0, flags, 0, stated)
    return struct.pack("<HHIQIIHHIIIQQQ", *head) + bytes(max(header - 64, 0)) + padded


def fatbin(*entries, size=None):
    body = b"".join(entries)
    return FATBIN_MAGIC + struct.pack("<HHQ", 1, 16, len(body) if size is None else size) + body


def walk(data, limits=None):
    return list(iter_fatbin(MemorySource(data, "x.fatbin"), limits or Limits()))


@pytest.mark.parametrize("how", ["plain", "lz4", "zstd"])
@pytest.mark.parametrize("header", [64, 72, 112])
def test_each_compression(how, header):
    [item] = walk(fatbin(entry(TEXT, how=how, header=header, kind=1, arch=120)))
    assert (item.kind, item.arch, item.compression) == ("ptx", 120, how)
    assert bytes(item.data()) == TEXT


def test_several_headers_with_padding_and_noise_between():
    data = b"\x50\xed" + bytes(5) + fatbin(entry(b"A" * 8), entry(b"B" * 16)) + bytes(33) + FATBIN_MAGIC + bytes(20)
    data += fatbin(entry(b"C" * 24, how="lz4")) + b"tail"
    assert [bytes(item.data()) for item in walk(data)] == [b"A" * 8, b"B" * 16, b"C" * 24]


def test_headers_across_the_pieces_of_the_search():
    piece = 4 << 20
    for gap in (piece - 17, piece - 16, piece - 15, piece - 3, piece, 2 * piece - 7):
        assert [bytes(i.data()) for i in walk(bytes(gap) + fatbin(entry(b"A" * 8)))] == [b"A" * 8]


def test_unknown_kinds_are_named():
    assert [item.kind for item in walk(fatbin(entry(b"x" * 8, kind=16)))] == ["other-16"]


@pytest.mark.parametrize("data", [b"", b"\x50", FATBIN_MAGIC, FATBIN_MAGIC * 50, bytes(100), fatbin()])
def test_nothing_to_find(data):
    assert walk(data) == []


def test_a_broken_entry_is_a_value_and_the_walk_goes_on():
    bad = entry(b"A" * 8, header=8)
    first, second = walk(fatbin(bad) + fatbin(entry(b"B" * 8)))
    assert isinstance(first, MalformedError)
    assert bytes(second.data()) == b"B" * 8


def test_a_forged_size_hides_nothing():
    """A header that claims to reach over the next one, with rubbish in it."""
    hidden = fatbin(entry(b"B" * 8))
    items = walk(fatbin(bytes(64), size=1000) + hidden + bytes(2000))
    assert [bytes(i.data()) for i in items if isinstance(i, FatbinEntry)] == [b"B" * 8]
    assert any(isinstance(i, MalformedError) for i in items)


def test_truncated_payload():
    whole = fatbin(entry(b"A" * 8), entry(TEXT))
    good, bad = walk(whole[:-10])
    assert bytes(good.data()) == b"A" * 8
    assert isinstance(bad, TruncatedError)


def test_truncated_between_entries():
    whole = fatbin(entry(b"A" * 8), entry(TEXT))
    good, bad = walk(whole[: 16 + 72 + 10])
    assert bytes(good.data()) == b"A" * 8
    assert isinstance(bad, TruncatedError)


@pytest.mark.parametrize("how", ["lz4", "zstd"])
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"stated": 0}, MalformedError),
        ({"stated": len(TEXT) - 1}, MalformedError),
        ({"stated": len(TEXT) + 1}, MalformedError),
        ({"stated": 1 << 63}, LimitError),
        ({"stated": 65 << 20}, LimitError),
    ],
)
def test_stated_sizes_are_not_believed(how, change, error):
    [item] = walk(fatbin(entry(TEXT, how=how, **change)))
    with pytest.raises(error, match=r"x\.fatbin@0x50"):
        item.data()


@pytest.mark.parametrize("how", ["lz4", "zstd"])
@pytest.mark.parametrize("packed", [0, 1 << 31])
def test_compressed_size_outside_the_payload(how, packed):
    [item] = walk(fatbin(entry(TEXT, how=how, packed=packed)))
    assert isinstance(item, MalformedError)


@pytest.mark.parametrize("how", ["lz4", "zstd"])
def test_rubbish_does_not_decompress(how):
    good = fatbin(entry(TEXT, how=how))
    [item] = walk(good[:80] + b"\xff" * (len(good) - 80))
    with pytest.raises(MalformedError):
        item.data()


def test_object_limit_counts_and_sizes():
    small = Limits(object_bytes=8, objects=2)
    items = walk(fatbin(*[entry(b"A" * 16)] * 5), small)
    assert isinstance(items[-1], LimitError)
    assert len(items) == 3
    with pytest.raises(LimitError):
        items[0].data()


GOOD = bytes(7) + fatbin(entry(TEXT, how="lz4"), entry(b"A" * 24)) + bytes(9) + fatbin(entry(TEXT, how="zstd", kind=1))


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=8), st.integers(0, len(GOOD)))
def test_any_damage_ends_in_values_and_target_errors(changes, length):
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    for item in walk(bytes(data[:length])):
        if isinstance(item, FatbinEntry):
            try:
                assert len(item.data()) <= 64 << 20
            except TargetError as error:
                assert error.got  # noqa: PT017
