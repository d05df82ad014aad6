"""The coarse classes that the model sees: opcode groups, LOP3 classes, data-flow groups, memory groups.

A model that reads single opcodes learns compilers and coding habits; one that reads what the
instructions do carries over to authors, compilers and architectures that it never saw.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.sass.opcodes import MNEMONICS
from hashwarden.kernels.sass.table import MEM_KINDS

__all__ = [
    "FLOW_GROUPS",
    "FLOW_SOURCES",
    "LUT_CLASSES",
    "MEM_GROUPS",
    "OP_GROUPS",
    "WIDTH_CLASSES",
    "flow_group_of_opcode",
    "lut_class",
    "mem_group_of_kind",
    "op_group_of_opcode",
    "width_class",
]

_OPS: Final[dict[str, str]] = {
    "logic": "LOP3 ULOP3",
    "shift": "SHF USHF",
    "permute": "PRMT UPRMT",
    "add": "IADD3 UIADD3 VIADD",
    "lea": "LEA ULEA",
    "imad": "IMAD UIMAD",
    "dot": "IDP",
    "imma": "IMMA IGMMA BMMA BGMMA",
    "fmma": "HMMA HGMMA DMMA QGMMA QMMA OMMA UTCHMMA LDSM MOVM STSM",
    "compare": "ISETP UISETP",
    "select": "SEL USEL FSEL",
    "minmax": "IMNMX VIMNMX VIMNMX3 UIMNMX VIADDMNMX VHMNMX",
    "abs": "IABS VABSDIFF VABSDIFF4",
    "predicate": "PLOP3 UPLOP3 P2R R2P UP2UR UR2UP",
    "bits": "FLO UFLO BREV UBREV POPC UPOPC SGXT BMSK USGXT UBMSK CLMAD",
    "float": "FMUL FADD FFMA FSETP FMNMX FSET FSWZADD FFMA2 FMUL2 FADD2 UFADD UFFMA UFMUL FCHK",
    "double": "DMUL DADD DFMA DSETP",
    "half": "HADD2 HFMA2 HMUL2 HSET2 HSETP2 HMNMX2",
    "special": "MUFU",
    "convert": "F2F F2I I2F FRND I2I I2IP F2FP F2IP I2FP",
    "move": "MOV UMOV CS2R S2R S2UR R2UR LDC ULDC LDCU CS2UR",
    "load": "LDG LD",
    "load_shared": "LDS",
    "load_local": "LDL",
    "atomic": "ATOM ATOMG ATOMS RED REDG",
    "store": "STG ST",
    "store_shared": "STS",
    "store_local": "STL",
    "copy_async": "LDGSTS LDGDEPBAR UTMALDG UBLKCP ARRIVES SYNCS",
    "texture": "TEX TLD4 TLD TMML TXD TXQ SULD SUST",
    "shuffle": "SHFL VOTE VOTEU MATCH REDUX CREDUX",
    "barrier": "BAR DEPBAR MEMBAR ERRBAR WARPSYNC B2R FENCE",
    "control": "BRA CALL EXIT BSYNC BSSY BREAK RET BRX BRXU JMP JMX BMOV RPCMOV LEPC YIELD NANOSLEEP WARPGROUP",
}

OP_GROUPS: Final[tuple[str, ...]] = (*_OPS, "imad_wide", "rest")
"""Names of the opcode groups. `imad_wide` is IMAD.WIDE and IMAD.HI, the limbs of big integers."""

_WIDE: Final = (0x025, 0x027, 0x0A5, 0x0A6)

_FLOW: Final[dict[str, str]] = {
    "logic": "logic",
    "shift": "shift",
    "permute": "permute",
    "add": "add lea",
    "imad": "imad",
    "imad_wide": "imad_wide",
    "tensor": "dot imma fmma",
    "compare": "compare select minmax abs predicate",
    "bits": "bits",
    "float": "float half special convert",
    "double": "double",
    "load": "load copy_async texture",
    "load_shared": "load_shared",
    "load_local": "load_local",
    "atomic": "atomic",
    "move": "move",
    "shuffle": "shuffle",
    "store": "store",
    "store_shared": "store_shared",
    "store_local": "store_local",
}

FLOW_GROUPS: Final[tuple[str, ...]] = (*_FLOW, "rest")
"""Groups of the two ends of a def-use pair; pairs with an end in ``rest`` are counted in the total only."""

FLOW_SOURCES: Final[tuple[str, ...]] = tuple(g for g in _FLOW if not g.startswith("store"))
"""Groups that produce a value."""

MEM_GROUPS: Final = ("global", "shared", "local", "atomic", "store", "store_shared", "store_local", "texture")
"""Memory kinds with the generic forms beside the global ones: which of the two is used is a habit of compilers."""

_MEM: Final = {
    "ldg": "global", "ld": "global", "ldgsts": "global", "lds": "shared", "ldl": "local", "atom": "atomic",
    "stg": "store", "st": "store", "sts": "store_shared", "stl": "store_local", "tex": "texture",
}  # fmt: skip

WIDTH_CLASSES: Final = ("narrow", "w32", "w64", "w128")
"""Bytes that one access moves: under 4, 4, 8, 16."""


@cache
def op_group_of_opcode() -> npt.NDArray[np.int64]:
    """The index into `OP_GROUPS` of each 9-bit opcode, shape (512,)."""
    of_name = {name: OP_GROUPS.index(group) for group, names in _OPS.items() for name in names.split()}
    groups = np.full(512, OP_GROUPS.index("rest"), np.int64)
    for opcode, (_, name) in MNEMONICS.items():
        groups[opcode] = of_name.get(name, groups[opcode])
    groups[list(_WIDE)] = OP_GROUPS.index("imad_wide")
    return groups


@cache
def flow_group_of_opcode() -> npt.NDArray[np.int64]:
    """The index into `FLOW_GROUPS` of each 9-bit opcode, shape (512,)."""
    of_group = {name: FLOW_GROUPS.index(group) for group, names in _FLOW.items() for name in names.split()}
    rest = FLOW_GROUPS.index("rest")
    return np.array([of_group.get(name, rest) for name in OP_GROUPS])[op_group_of_opcode()]


@cache
def mem_group_of_kind() -> npt.NDArray[np.int64]:
    """The index into `MEM_GROUPS` of each kind of `MEM_KINDS`."""
    return np.array([MEM_GROUPS.index(_MEM[kind]) for kind in MEM_KINDS])


def width_class() -> npt.NDArray[np.int64]:
    """The index into `WIDTH_CLASSES` of each 3-bit width field: 0 to 3 are bytes and halves, signed or not."""
    return np.array([0, 0, 0, 0, 1, 2, 3, 3])


def _same_function(table: int, order: tuple[int, ...], negated: int) -> int:
    """The table of the same function with its inputs reordered and some of them negated."""
    result = 0
    for row in range(8):
        bits = [(row >> 2 & 1, row >> 1 & 1, row & 1)[place] ^ negated >> i & 1 for i, place in enumerate(order)]
        result |= (table >> (bits[0] << 2 | bits[1] << 1 | bits[2]) & 1) << row
    return result


@cache
def lut_class() -> npt.NDArray[np.int64]:
    """The index into `LUT_CLASSES` of each of the 256 LOP3 tables, shape (256,)."""
    return np.array([LUT_CLASSES.index(_representative(table)) for table in range(256)])


@cache
def _representative(table: int) -> int:
    """The smallest table that equals this one up to order and negation of inputs, and negation of the output.

    These are the 14 NPN classes of Boolean functions of three inputs: which operand comes first and
    where a compiler moved a negation do not matter; that it is a three-way exclusive or does.
    """
    forms = [_same_function(table, order, negated) for order in permutations(range(3)) for negated in range(8)]
    return min(min(form, form ^ 255) for form in forms)


LUT_CLASSES: Final[tuple[int, ...]] = (0, 1, 3, 6, 7, 15, 22, 23, 24, 25, 27, 30, 60, 105)
"""The smallest table of each NPN class. 60 (0x3c): two-way exclusive or; 105 (0x69): three-way; 27 (0x1b):
choose, as in SHA-2 and SHA-3's chi neighbours; 23 (0x17): majority; 30 (0x1e): chi, ``a ^ (b | c)``; 3: and."""
