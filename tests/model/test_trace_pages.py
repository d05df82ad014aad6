"""Pages that claim what they are not, and files that are far larger in memory than on the disk."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.page_header import read_header
from hashwarden.model.trace import KEY, Run, RunInfo
from hashwarden.model.trace_read import read_runs
from hashwarden.model.trace_write import write_runs

ROWS = 3000


@pytest.fixture
def trace(tmp_path):
    info = RunInfo(origin="recorded", gpu="NVIDIA H100 80GB HBM3", period_s=1.0, labelled_by="construction")
    values = np.full((ROWS, len(CHANNELS)), np.nan, np.float32)
    values[:, INDEX["power_watts"]] = np.random.default_rng(0).random(ROWS)
    path = tmp_path / "t.parquet"
    write_runs(path, [Run("one", np.arange(float(ROWS)), values, "mining", "ethash", "plain", info)])
    return path


def column(path, name):
    metadata = pq.read_metadata(path)
    return metadata.row_group(0).column(metadata.schema.names.index(name))


def save(table, path, **options):
    """Write a table as any program might, with the footer that the file has."""
    known = pq.read_metadata(path).metadata[KEY.encode()]
    pq.write_table(table.replace_schema_metadata({KEY: known}), path, **options)


def varint(number, length):
    """A number of Thrift's compact protocol, as long as asked."""
    number = (number << 1) ^ (number >> 31)
    digits = [number >> 7 * place & 0x7F | 0x80 for place in range(length)]
    return bytes([*digits[:-1], digits[-1] & 0x7F])


def replaced(path, name, old, new, *, dictionary=False):
    """Replace a number in the header of a column's page by another of as many bytes."""
    content = bytearray(path.read_bytes())
    known = column(path, name)
    place = known.dictionary_page_offset if dictionary else known.data_page_offset
    length = 1 + (old > 63) + (old > 8191)
    header = read_header(bytes(content[place : place + 200]))
    at = content.index(b"\x15" + varint(old, length), place, place + header.length) + 1
    content[at : at + length] = varint(new, length)
    path.write_bytes(content)


def test_a_header_says_what_arrow_wrote(trace):
    for name in ("power_watts", "time_s", "run"):
        known = column(trace, name)
        content = trace.read_bytes()[known.data_page_offset :]
        header = read_header(content[:200])
        assert header.values == ROWS
        assert header.kind == 0
        if name != "run":  # one page is all there is
            assert header.length + header.compressed == known.total_compressed_size
            assert header.length + header.uncompressed == known.total_uncompressed_size


def test_a_page_that_claims_to_be_larger_than_its_column_is_refused(trace):
    page = column(trace, "power_watts")
    header = read_header(trace.read_bytes()[page.data_page_offset :][:200])
    whole = trace.read_bytes()
    for old, new, expected in (
        (header.uncompressed, 2**20 - 1, "a page of 1,048,575 bytes in a column of"),
        (header.uncompressed, -1, "a page of -1 bytes"),
        (header.compressed, 2**19, "a page of 524,288 bytes, which its column does not have"),
        (header.compressed, -5, "a page of -5 bytes"),
        (header.values, ROWS + 1, "pages of 3,001 values for 3,000 rows"),
        (header.values, ROWS - 1, "a column that ends before its last value"),
        (header.values, -2, "a page of -2 values"),
        (header.encoding, 7, "a page in encoding 7"),
    ):
        trace.write_bytes(whole)
        replaced(trace, "power_watts", old, new)
        with pytest.raises(DataError, match=expected) as caught:
            read_runs(trace)
        assert caught.value.where.endswith("row group 0, column power_watts")


def test_a_dictionary_has_as_many_words_as_a_footer_has_runs_at_most(trace, monkeypatch):
    table = pq.read_table(trace)
    gpus = pa.array([f"gpu {number}" for number in range(ROWS)])
    save(table.set_column(table.column_names.index("gpu"), "gpu", gpus), trace)
    with pytest.raises(DataError, match="a gpu that changes"):
        read_runs(trace)
    monkeypatch.setattr("hashwarden.model.trace_pages.MAX_WORDS", ROWS - 1)
    with pytest.raises(DataError, match="a dictionary of 3,000 values"):
        read_runs(trace)


def test_pages_that_are_open_at_once_have_a_limit_together(trace, monkeypatch):
    monkeypatch.setattr("hashwarden.model.trace_pages.MAX_OPEN", 4 * ROWS)
    with pytest.raises(DataError, match="bytes that are open at once; expected up to 12,000"):
        read_runs(trace)


def test_kilobytes_of_prefixes_do_not_become_megabytes_of_text(trace):
    """Each word repeats the one before it: 100 of 300,000 characters each, in a file of some kilobytes."""
    table = pq.read_table(trace)
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100, np.int32)), pa.array(["x" * 300_000])).cast("string")
    table = table.slice(0, 100).set_column(table.column_names.index("gpu"), "gpu", words)
    encodings = {"gpu": "DELTA_BYTE_ARRAY"}
    save(table, trace, use_dictionary=False, column_encoding=encodings, compression="zstd")
    assert trace.stat().st_size < 50_000
    with pytest.raises(DataError, match="a page in encoding 7"):
        read_runs(trace)


@pytest.mark.parametrize("options", [
    {"data_page_version": "2.0"}, {"data_page_size": 256, "write_batch_size": 32, "compression": "none"},
    {"compression": "gzip", "use_dictionary": False}, {"row_group_size": 700, "write_statistics": True},
    {"compression": "lz4", "dictionary_pagesize_limit": 1024, "write_page_checksum": True},
])  # fmt: skip
def test_what_arrow_writes_in_other_ways_is_read(trace, options):
    before = read_runs(trace)[0]
    save(pq.read_table(trace), trace, **options)
    after = read_runs(trace)[0]
    np.testing.assert_array_equal(after.values, before.values)
    np.testing.assert_array_equal(after.times, before.times)


def listed(length, *, claimed=None):
    """A footer with a row group of so many columns, each as short as can be."""
    claimed = length if claimed is None else claimed
    head = b"\x15\x02\x19\xfc\x01\x48\x01a\x15\x00\x00\x16\x00\x19\x1c\x19\xfc"
    return head + bytes([claimed & 127 | 128, claimed >> 7 & 127 | 128, claimed >> 14]) + b"\x26\x00\x00" * length


def test_a_header_with_long_statistics_is_read(trace):
    run = read_runs(trace)[0]
    write_runs(trace, [replace(run, name="x" * 200)])
    save(pq.read_table(trace), trace)
    content = trace.read_bytes()[column(trace, "run").data_page_offset :]
    assert read_header(content[:2000]).length > 300
    np.testing.assert_array_equal(read_runs(trace)[0].values, run.values)


def test_a_header_that_is_none_says_what_is_wrong_with_it(trace):
    content = bytearray(trace.read_bytes())
    place = column(trace, "power_watts").data_page_offset
    for there, expected in ((b"\x15\x02", "kind 1"), (b"\x10", "a value of type 0"), (b"\0", "no field 1")):
        content[place : place + len(there)] = there
        trace.write_bytes(content)
        with pytest.raises(DataError, match=rf"a damaged page header \({expected}"):
            read_runs(trace)


@pytest.mark.parametrize(("footer", "expected"), [
    (listed(0, claimed=10**6), "Exceeded size limit"), (listed(600_000), "too many"),
    (b"\x15\x02" + b"\x1c" * 2**20, "too deep"),
])  # fmt: skip
def test_a_footer_of_few_bytes_for_much_memory_is_refused(tmp_path, footer, expected):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1" + bytes(8) + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(DataError, match=expected):
        read_runs(path)


def test_a_large_footer_of_a_good_trace_is_read(trace):
    before = read_runs(trace)[0]
    save(pq.read_table(trace), trace, row_group_size=2)
    assert pq.read_metadata(trace).serialized_size > 2**20
    np.testing.assert_array_equal(read_runs(trace)[0].values, before.values)
