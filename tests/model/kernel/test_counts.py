"""Counts against a plain loop over plain Python records."""

import itertools

import numpy as np
import pytest

from hashwarden.kernels.sass.constants import PRIMITIVES
from hashwarden.kernels.sass.table import MEM_KINDS, MixTable
from hashwarden.model.kernel import counts as module
from hashwarden.model.kernel import groups
from hashwarden.model.kernel.counts import BLOCKS, DEPTH_WEIGHTS, SCALAR_FIELDS, block, counts_of
from hashwarden.model.kernel.groups import FLOW_GROUPS, FLOW_SOURCES, LUT_CLASSES, MEM_GROUPS, OP_GROUPS, WIDTH_CLASSES

TAINTS = ("clean", "loaded", "hashed")
WIDTHS = ("narrow", "narrow", "narrow", "narrow", "w32", "w64", "w128", "w128")


def by_loop(kernel: dict) -> dict[str, float]:
    """The counts of one kernel by name, no array in sight."""
    found: dict[str, float] = {}

    def add(name: str, n: float) -> None:
        found[name] = found.get(name, 0.0) + n

    for record in kernel["op"]:
        group = OP_GROUPS[groups.op_group_of_opcode()[record["op12"] % 512]]
        add(f"op:{group}", record["n"])
        add(f"op_weighted:{group}", record["n"] * DEPTH_WEIGHTS[record["depth"]])
        add(f"op_immediate:{group}", record["n"] * (record["op12"] // 512 in (2, 4)))
    for record in kernel["lut"]:
        name = f"lut{LUT_CLASSES[groups.lut_class()[record['lut']]]:02x}"
        add(f"lut:{name}", record["n"])
        add(f"lut_weighted:{name}", record["n"] * DEPTH_WEIGHTS[record["depth"]])
    for name in ("rotate", "funnel"):
        add(f"rotate:{name}", sum(kernel[name]))
        add(f"rotate_weighted:{name}", sum(n * w for n, w in zip(kernel[name], DEPTH_WEIGHTS, strict=True)))
    for record in kernel["mem"]:
        group = MEM_GROUPS[groups.mem_group_of_kind()[MEM_KINDS.index(record["kind"])]]
        add(f"mem:{group}.{TAINTS[record['taint']]}", record["n"])
        add(f"mem_weighted:{group}.{TAINTS[record['taint']]}", record["n"] * DEPTH_WEIGHTS[record["depth"]])
        add(f"mem_width:{group}.{WIDTHS[record['width']]}", record["n"])
    for record in kernel["flow"]:
        ends = [FLOW_GROUPS[groups.flow_group_of_opcode()[record[end] % 512]] for end in ("src", "dst")]
        if ends[0] in FLOW_SOURCES:
            add(f"flow:{ends[0]}>{ends[1]}", record["n"])
            add(f"flow_inner:{ends[0]}>{ends[1]}", record["inner"])
    return found


NAMES = [f"{name}:{column}" for name, columns in BLOCKS.items() for column in columns]


def test_counts_equal_those_of_a_plain_loop_on_real_kernels(real, rows):
    got = counts_of(real).counts
    assert got.dtype == np.float32
    for index, kernel in enumerate(rows):
        wanted = by_loop(kernel)
        assert set(wanted) <= set(NAMES)
        np.testing.assert_array_equal(got[index], np.float32([wanted.get(name, 0) for name in NAMES]), str(index))


def test_scalars_and_constants_equal_the_columns(real, rows):
    got = counts_of(real)
    np.testing.assert_array_equal(got.scalars, np.float32([[k[name] for name in SCALAR_FIELDS] for k in rows]))
    for index, kernel in enumerate(rows):
        for place, name in enumerate(("const_code", "const_module")):
            held = {r["primitive"]: r["n"] for r in kernel[name]}
            wanted = [held.get(primitive, 0) for primitive in PRIMITIVES]
            np.testing.assert_array_equal(got.constants[index, place * len(PRIMITIVES) :][: len(PRIMITIVES)], wanted)


@pytest.mark.parametrize("size", [1, 7, 99, 100])
def test_the_chunks_do_not_show(real, monkeypatch, size):
    whole = counts_of(real)
    monkeypatch.setattr(module, "CHUNK", size)
    parts = counts_of(real)
    for name in ("counts", "scalars", "constants"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_an_empty_table_has_counts_of_no_kernels():
    got = counts_of(MixTable.empty())
    assert (got.counts.shape, got.scalars.shape, got.constants.shape) == (
        (0, len(NAMES)),
        (0, len(SCALAR_FIELDS)),
        (0, 2 * len(PRIMITIVES)),
    )


def test_blocks_follow_one_another():
    ends = [(block(name).start, block(name).stop) for name in BLOCKS]
    assert ends[0][0] == 0
    assert ends[-1][1] == len(NAMES)
    assert all(left[1] == right[0] for left, right in itertools.pairwise(ends))


def test_pairs_from_what_produces_no_value_are_not_counted(table_of):
    store, branch, logic = 0x186, 0x147, 0x012
    pairs = [{"src": src, "dst": logic, "n": 5, "inner": 3} for src in (store, branch, logic)]
    got = counts_of(table_of([{"flow": pairs}])).counts
    assert got[:, block("flow")].sum() == 5
    assert got[:, block("flow_inner")].sum() == 3


def test_taking_rows_copies(real):
    whole = counts_of(real)
    part = whole.take(np.array([3, 1]))
    part.counts[:] = -1
    assert len(part) == 2
    assert whole.counts.min() >= 0


def test_width_names_are_those_of_the_groups():
    assert set(WIDTHS) == set(WIDTH_CLASSES)
