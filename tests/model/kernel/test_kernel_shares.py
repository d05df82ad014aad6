"""Shares of a kernel's instructions: counted anew here, one record at a time."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hashwarden.kernels.sass.parquet import from_arrow
from hashwarden.kernels.sass.table import MixTable
from hashwarden.model.kernel.counts import DEPTH_WEIGHTS, counts_of
from hashwarden.model.kernel.groups import OP_GROUPS, mem_group_of_kind, op_group_of_opcode
from hashwarden.model.kernel.shares import SHARES, shares_of

TABLE = Path(__file__).parents[3] / "data" / "kernel_mix" / "kernel_mix_workloads.parquet"


@pytest.fixture(scope="module")
def table():
    return from_arrow(pq.read_table(TABLE), "workloads").take(range(0, 400, 7))


def counted(table, kernel):
    """The shares of one kernel by their definition."""
    weighted = dict.fromkeys(OP_GROUPS, 0.0)
    ops = table.nested["op"]
    for at in range(ops.offsets[kernel], ops.offsets[kernel + 1]):
        group = OP_GROUPS[op_group_of_opcode()[ops.columns["op12"][at] & 511]]
        weighted[group] += ops.columns["n"][at] * DEPTH_WEIGHTS[ops.columns["depth"][at]]
    loads, memory = [0.0, 0.0], table.nested["mem"]
    for at in range(memory.offsets[kernel], memory.offsets[kernel + 1]):
        if mem_group_of_kind()[memory.columns["kind"][at]] == 0:
            dependent = bool(memory.columns["taint"][at])
            loads[dependent] += memory.columns["n"][at] * DEPTH_WEIGHTS[memory.columns["depth"][at]]
    total = sum(weighted.values())
    shares = [sum(weighted[group] for group in groups) / total for groups in SHARES.values() if groups]
    return [*shares, loads[1] / sum(loads) if sum(loads) else 0.0]


def test_the_shares_are_those_of_the_definition(table):
    found = shares_of(counts_of(table))
    assert found.shape == (len(table), len(SHARES))
    for kernel in range(len(table)):
        assert found[kernel] == pytest.approx(counted(table, kernel), rel=1e-5)
    assert (found.max(0) > 0).all()
    assert found.min() >= 0
    assert found[:, :-1].sum(1).max() <= 1 + 1e-9


def test_no_kernels_have_no_shares():
    assert shares_of(counts_of(MixTable.empty())).shape == (0, len(SHARES))
