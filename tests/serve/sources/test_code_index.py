"""Indices: found by name whatever else is in them, and damaged ones are none."""

import numpy as np
import pytest

from hashwarden.serve.sources.code_index import ROW, VALUES, merged, name_key, open_index, write_index


def rows(*kernels):
    made = np.zeros(len(kernels), ROW)
    for row, (name, code, arch) in zip(made, kernels, strict=True):
        row["name"], row["code"], row["arch"] = name_key(name), code, arch
        row["values"] = np.arange(len(VALUES)) + code
    return made


def test_all_rows_of_a_name_are_found_and_none_of_others(tmp_path):
    found = merged([rows(("b", 1, 90), ("a", 2, 80), ("b", 3, 100))], 10)
    write_index(tmp_path / "x", found)
    index = open_index(tmp_path / "x")
    assert len(index) == 3
    a, none, b = index.find([name_key("a"), name_key("absent"), name_key("b")])
    assert a["code"].tolist() == [2]
    assert len(none) == 0
    assert sorted(b["code"].tolist()) == [1, 3]
    assert b["values"][0].tolist() == (np.arange(len(VALUES)) + b["code"][0]).tolist()


def test_what_is_there_twice_is_kept_once_and_what_came_first_stays():
    first, second = rows(("a", 1, 90), ("b", 1, 90)), rows(("a", 1, 90), ("c", 1, 90))
    assert len(merged([first, second], 10)) == 3
    assert set(merged([first, second], 2)["name"].tolist()) == {name_key("a"), name_key("b")}
    assert len(merged([], 10)) == 0


def test_an_index_without_rows_can_be_kept(tmp_path):
    write_index(tmp_path / "x", merged([], 1))
    assert [len(found) for found in open_index(tmp_path / "x").find([1])] == [0]


@pytest.mark.parametrize("harm", ["bit", "cut", "empty", "magic", "missing"])
def test_a_damaged_index_is_none(tmp_path, harm):
    path = tmp_path / "x"
    write_index(path, merged([rows(("a", 1, 90), ("b", 2, 90))], 10))
    data = bytearray(path.read_bytes())
    if harm == "bit":
        data[-5] ^= 1
    if harm == "magic":
        data[0] ^= 1
    cut = {"cut": len(data) - 70, "empty": 0}.get(harm, len(data))
    path.write_bytes(data[:cut])
    if harm == "missing":
        path.unlink()
    assert open_index(path) is None


def test_names_of_any_bytes_have_a_key():
    assert name_key("\x1b[31m") != name_key("")
    assert 0 <= name_key("\udc80") < 1 << 64
