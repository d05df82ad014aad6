"""The table of Numba kernels: every body has a family and a role, and the committed table holds them all."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hashwarden.errors import DataError
from hashwarden.kernels.workloads.engines.offline import ptx_of
from hashwarden.training.kernel import numba_table
from hashwarden.training.kernel.dataset import NUMBA_SOURCE

TABLE = Path(__file__).resolve().parents[3] / "data" / "kernel_mix" / "kernel_mix_numba.parquet"


@pytest.fixture(scope="module")
def found():
    return {place: (plan, launch) for place, plan, launch in numba_table.bodies()}


def test_every_body_has_a_family_and_a_role(found):
    assert len(found) > 100
    for place in found:
        assert numba_table._family(place)
        assert numba_table._role(place) in ("hash", "dag", "helper", "kernel")


def test_what_is_set_aside_or_named_exists(found):
    modules = {place.rpartition(".")[0] for place in found}
    packages = {module.partition(".")[0] for module in modules}
    assert set(found) >= numba_table.SIDE
    assert set(found) >= numba_table.DAG
    assert set(found) | modules | packages >= set(numba_table.FAMILIES)


def test_a_body_without_a_family_is_named():
    with pytest.raises(DataError, match=r"others\.new\.body"):
        numba_table._family("others.new.body")


def test_a_body_becomes_one_row_for_each_architecture(found):
    plan, launch = found["mining.sha3.keccak_search"]
    table = numba_table.table_of("mining.sha3.keccak_search", ptx_of(launch, plan))
    assert sorted(table.scalars["arch"]) == [80, 90, 100, 120]
    assert set(table.text["family"]) == {"keccak"}
    assert set(table.text["role"]) == {"hash"}
    assert table.is_mining.all()
    assert not numba_table.table_of(
        "others.scan.sum_chunk", ptx_of(*reversed(found["others.scan.sum_chunk"]))
    ).is_mining.any()


def test_the_committed_table_holds_every_body(found):
    table = pq.read_table(TABLE, columns=["source", "kernel", "arch"]).to_pydict()
    rows = {
        f"{source.removeprefix(NUMBA_SOURCE)}.{kernel}"
        for source, kernel in zip(table["source"], table["kernel"], strict=True)
    }
    assert rows == set(found)
    assert set(table["arch"]) == {80, 90, 100, 120}
