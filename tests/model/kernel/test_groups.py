"""The coarse classes against derivations of another kind."""

from collections import defaultdict

import numpy as np
import pytest

from hashwarden.kernels.sass.opcodes import MNEMONICS
from hashwarden.kernels.sass.table import MEM_KINDS
from hashwarden.model.kernel import groups
from hashwarden.model.kernel.groups import FLOW_GROUPS, FLOW_SOURCES, LUT_CLASSES, MEM_GROUPS, OP_GROUPS, WIDTH_CLASSES

A, B, C = 0xF0, 0xCC, 0xAA
"""The tables of the three inputs, as NVIDIA defines the LOP3 table."""


def _table(function) -> int:
    return sum((function(row >> 2 & 1, row >> 1 & 1, row & 1) & 1) << row for row in range(8))


def _components() -> list[set[int]]:
    """Functions that one swap of inputs or one negation turns into each other, to the end."""

    def steps(table: int) -> list[int]:
        def f(a: int, b: int, c: int) -> int:
            return table >> (a << 2 | b << 1 | c) & 1

        return [
            _table(lambda a, b, c: f(b, a, c)),
            _table(lambda a, b, c: f(a, c, b)),
            _table(lambda a, b, c: f(1 - a, b, c)),
            255 - table,
        ]

    found, seen = [], set()
    for start in range(256):
        waiting, component = [start], set()
        while waiting:
            table = waiting.pop()
            if table not in component:
                component.add(table)
                waiting += steps(table)
        if start not in seen:
            found.append(component)
            seen |= component
    return found


def test_the_lut_classes_are_the_components_under_swaps_and_negations():
    by_class = defaultdict(set)
    for table, place in enumerate(groups.lut_class()):
        by_class[LUT_CLASSES[place]].add(table)
    components = _components()
    assert len(components) == 14
    assert sorted(map(sorted, by_class.values())) == sorted(map(sorted, components))
    assert all(name == min(members) for name, members in by_class.items())


@pytest.mark.parametrize(
    ("table", "name"),
    [
        (A ^ B ^ C, 0x69),
        (A ^ B, 0x3C),
        (B ^ C, 0x3C),
        (A & B | A & C | B & C, 0x17),
        ((A & B) ^ (~A & 255 & C), 0x1B),
        (A ^ (~B & 255 & C), 0x1E),
        (A & B, 0x03),
        (A | C, 0x03),
        (A & B & C, 0x01),
        (~A & 255, 0x0F),
        (0, 0x00),
    ],
)
def test_operations_of_hashes_have_the_class_that_the_documentation_names(table, name):
    assert LUT_CLASSES[groups.lut_class()[table]] == name


@pytest.mark.parametrize(
    ("opcode", "op_group", "flow_group"),
    [
        (0x012, "logic", "logic"),
        (0x019, "shift", "shift"),
        (0x016, "permute", "permute"),
        (0x010, "add", "add"),
        (0x011, "lea", "add"),
        (0x024, "imad", "imad"),
        (0x025, "imad_wide", "imad_wide"),
        (0x027, "imad_wide", "imad_wide"),
        (0x023, "float", "float"),
        (0x181, "load", "load"),
        (0x1AE, "copy_async", "load"),
        (0x184, "load_shared", "load_shared"),
        (0x188, "store_shared", "store_shared"),
        (0x147, "control", "rest"),
        (0x1FF, "rest", "rest"),
    ],
)
def test_opcodes_are_in_their_groups(opcode, op_group, flow_group):
    assert OP_GROUPS[groups.op_group_of_opcode()[opcode]] == op_group
    assert FLOW_GROUPS[groups.flow_group_of_opcode()[opcode]] == flow_group


def test_every_group_is_reached_by_some_opcode():
    known = groups.op_group_of_opcode()[list(MNEMONICS)]
    assert {OP_GROUPS[i] for i in known} == set(OP_GROUPS)
    assert {FLOW_GROUPS[i] for i in groups.flow_group_of_opcode()} == set(FLOW_GROUPS)


def test_opcodes_without_a_name_are_in_the_rest():
    unnamed = sorted(set(range(512)) - set(MNEMONICS) - {0x025, 0x027, 0x0A5, 0x0A6})
    assert {OP_GROUPS[i] for i in groups.op_group_of_opcode()[unnamed]} == {"rest"}


def test_sources_produce_values():
    assert set(FLOW_GROUPS) - set(FLOW_SOURCES) == {"store", "store_shared", "store_local", "rest"}


def test_generic_memory_counts_as_global_and_every_kind_has_a_group():
    of_kind = {kind: MEM_GROUPS[i] for kind, i in zip(MEM_KINDS, groups.mem_group_of_kind(), strict=True)}
    assert of_kind["ld"] == of_kind["ldg"] == of_kind["ldgsts"] == "global"
    assert of_kind["st"] == of_kind["stg"] == "store"
    assert set(of_kind.values()) == set(MEM_GROUPS)


def test_widths_are_bytes():
    names = [WIDTH_CLASSES[i] for i in groups.width_class()]
    assert names == ["narrow"] * 4 + ["w32", "w64", "w128", "w128"]
    assert np.asarray(groups.width_class()).shape == (8,)
