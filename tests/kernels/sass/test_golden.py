"""The published kernel mixes of public packages come out value for value."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from hashwarden.kernels.sass import mix
from hashwarden.kernels.sass.parquet import from_arrow
from hashwarden.kernels.sass.table import NESTED, SCALARS

DATA = Path(__file__).parents[3] / "data" / "kernel_mix" / "kernel_mix_packages.parquet"
ROWS = {"xformers": 90, "cukks_cu128": 86, "jax_cuda13_plugin": 42, "torchvision": 96, "ctranslate2": 903}
FOREIGN = "libnvjpeg"


def published(package):
    table = pq.read_table(DATA)
    table = table.filter(pc.equal(table["source"], package))
    table = table.filter(pc.invert(pc.starts_with(table["file"], FOREIGN)))
    assert table.num_rows == ROWS[package]
    return from_arrow(table)


def key(table, row):
    """What identifies a kernel; published names are cut at 200 characters."""
    text = table.text
    return text["file"][row], int(table.scalars["arch"][row]), text["kernel"][row][:200], text["code_sha1"][row]


def values(table, row):
    """All measured columns of one kernel."""
    found = {name: int(column[row]) for name, column in table.scalars.items()}
    found |= {"rotate": table.rotate[row].tolist(), "funnel": table.funnel[row].tolist()}
    for name, ragged in table.nested.items():
        part = slice(ragged.offsets[row], ragged.offsets[row + 1])
        found[name] = list(zip(*(column[part].tolist() for column in ragged.columns.values()), strict=True))
    assert set(found) == {*SCALARS, *NESTED, "rotate", "funnel"}
    return found


def differences(want, got):
    """(kernel, column) of every difference, after pairing rows; a missing kernel is one too."""
    places = {}
    for row in range(len(got)):
        places.setdefault(key(got, row), []).append(row)
    found = []
    for row in range(len(want)):
        expected, same = values(want, row), places.get(key(want, row), [])
        candidates = [[c for c in expected if values(got, place)[c] != expected[c]] for place in same]
        # One name may stand for several kernels of equal code (cut names, or modules with other constants).
        best = min(candidates, key=len, default=["missing"])
        found += [(key(want, row), column) for column in best]
    return found


@pytest.mark.parametrize("package", ROWS)
def test_numba_gives_the_published_rows(package, package_cubins):
    assert differences(published(package), mix.analyse(package_cubins(package))) == []


@pytest.mark.parametrize("package", ["cukks_cu128", "jax_cuda13_plugin"])
def test_the_reference_gives_the_published_rows(package, package_cubins):
    cubins = [cubin for cubin in package_cubins(package) if cubin.arch in (80, 90)]
    assert differences(published(package), mix.analyse(cubins, engine="reference")) == []


def test_a_difference_is_seen(package_cubins):
    """The comparison itself: one count more, one kernel less."""
    want, got = published("jax_cuda13_plugin"), mix.analyse(package_cubins("jax_cuda13_plugin"))
    want.nested["flow"].columns["n"][0] += 1
    assert [column for _, column in differences(want, got)] == ["flow"]
    some = got.take(np.flatnonzero(got.scalars["arch"] != 80))
    assert sum(column == "missing" for _, column in differences(want, some)) == 21


def test_every_opcode_of_the_packages_is_known(package_cubins):
    for package in ROWS:
        assert mix.unknown_opcodes(mix.analyse(package_cubins(package))) == {}


def test_architectures_that_are_not_read_are_counted(package_cubins):
    assert mix.unsupported(package_cubins("ctranslate2")) == {53: 538, 60: 538, 61: 538}
