"""The instruction set: which bits mean what, and what each opcode does to memory and registers.

Volta to Blackwell, 16 bytes an instruction: the low 12 bits are the opcode (9 bits) and the operand
form (3 bits). Everything here is a fact about the encoding; what is counted is in mix.py and flow.py.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.sass.opcodes import MNEMONICS
from hashwarden.kernels.sass.table import MEM_KINDS

__all__ = [
    "ARCHITECTURES",
    "BRA",
    "BRANCHES",
    "BRA_U",
    "DEPTHS",
    "FUNNEL",
    "IMAD_WIDE",
    "INSTRUCTION_BYTES",
    "LOADS",
    "LOGIC",
    "LOP3",
    "MAX_DEPTH",
    "MEMORY",
    "NEW_BRANCH",
    "NOP12",
    "NO_RESULT",
    "PAIR_ADDRESS",
    "RZ",
    "STORES",
    "WIDE_LOADS",
    "is_supported",
    "known_op12",
    "mnemonic",
    "opcode_properties",
]

INSTRUCTION_BYTES: Final = 16
ARCHITECTURES: Final = (70, 72, 75, 80, 86, 87, 88, 89, 90, 100, 101, 103, 110, 120, 121)
"""Architectures whose code is read; all share one encoding but for the branch offset."""

NEW_BRANCH: Final = 90
"""From this architecture on, BRA keeps its offset in other bits."""

RZ: Final = 255
MAX_DEPTH: Final = 4
DEPTHS: Final = MAX_DEPTH + 1
"""Loop depths that are told apart: 0 to 3, and 4 for 4 or more."""

LOP3: Final = 0x012
FUNNEL: Final = 0x019
IMAD_WIDE: Final = 0x025
BRA: Final = 0x947
BRA_U: Final = 0x547
"""BRA.U, whose condition is a uniform predicate; the compiler closes loops with it from sm_100 on."""

BRANCHES: Final = (BRA, BRA_U)

NOP12: Final = 0x918
LOGIC: Final = frozenset({0x012, 0x019, 0x016})
"""LOP3, SHF and PRMT: data that went through one of these counts as hashed."""

NO_RESULT: Final = frozenset({0x00B, 0x00C, 0x02A, 0x01C, 0x118, 0x11D, 0x147, 0x14D})
"""Opcodes that write no register though their Rd field may hold anything."""

STORES: Final = frozenset({0x185, 0x186, 0x187, 0x188, 0x18E})
"""Stores and reductions, which write no register in the data flow either."""

WIDE_LOADS: Final = frozenset({0x180, 0x181, 0x182, 0x183, 0x184})
"""Loads that write two registers at width 5 and four at width 6."""

_KINDS: Final = {
    "ldg": (0x181,),
    "ld": (0x180,),
    "lds": (0x184,),
    "ldl": (0x183,),
    "atom": (0x1A8, 0x1A9, 0x18A, 0x18B, 0x18C, 0x18D, 0x18E, 0x1A3),
    "stg": (0x186,),
    "st": (0x185,),
    "sts": (0x188,),
    "stl": (0x187,),
    "ldgsts": (0x1AE,),
    "tex": (0x160, 0x161, 0x163, 0x166, 0x167),
}
MEMORY: Final[dict[int, int]] = {op: MEM_KINDS.index(kind) for kind, ops in _KINDS.items() for op in ops}
"""Memory opcodes and the index of their kind in `MEM_KINDS`."""

PAIR_ADDRESS: Final = ("ldg", "ld", "stg", "st", "atom")
"""Memory kinds whose address is a register pair."""

LOADS: Final = ("ldg", "ld", "lds", "ldl", "atom")
"""Memory kinds that load; ldl leaves the taint of its destination as it was, the others set it to 1."""


def is_supported(arch: int) -> bool:
    """Whether code of this architecture (compute capability times 10) is read."""
    return arch in ARCHITECTURES


@cache
def known_op12() -> npt.NDArray[np.bool_]:
    """Whether each 12-bit code has a known mnemonic, shape (4096,)."""
    return np.array([mnemonic(op12) is not None for op12 in range(4096)])


def mnemonic(op12: int) -> str | None:
    """The mnemonic (without modifiers) of a 12-bit code, or None if no tool is known to name it.

    Parameters
    ----------
    op12 : int
        Low 12 bits of an instruction.
    """
    forms, name = MNEMONICS.get(op12 & 511, (0, ""))
    return name if forms >> (op12 >> 9) & 1 else None


@cache
def opcode_properties() -> npt.NDArray[np.int32]:
    """What each 9-bit opcode does, as bits: the one table that the compiled engines read.

    Returns
    -------
    int32 array, shape (512,)
        Bits 0-3: memory kind plus 1, 0 for no memory operation. Bit 4: the address is a register
        pair. Bit 5: sets its destination to "loaded". Bit 6: leaves the taint of its destination
        as it was. Bit 7: logic that turns "loaded" into "hashed". Bit 8: also writes Rd + 1.
        Bit 9: writes no register in the data flow. Bit 10: writes two or four registers by width.
        Bit 11: sets the taint of nothing (those of `NO_RESULT`, and memory operations but for loads).
    """
    table = np.zeros(512, np.int32)
    for op, kind in MEMORY.items():
        name = MEM_KINDS[kind]
        table[op] |= kind + 1 | (name in PAIR_ADDRESS) << 4 | (name in LOADS) << 5 | (name == "ldl") << 6
        table[op] |= (name not in LOADS) << 11
    for ops, bit in ((LOGIC, 7), ({IMAD_WIDE}, 8), (NO_RESULT | STORES, 9), (WIDE_LOADS, 10), (NO_RESULT, 11)):
        table[sorted(ops)] |= 1 << bit
    return table
