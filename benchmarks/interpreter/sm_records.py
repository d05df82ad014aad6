"""Instructions as records in the memory that the interpreter reads, and which forms of them it knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from sm_decode import Instruction, Operand

from hashwarden.errors import UnsupportedError

__all__ = ["INSTRUCTION", "records"]

OPERAND: Final = np.dtype([
    ("kind", "u1"), ("flags", "u1"), ("part", "u1"), ("bank", "u1"), ("reg", "<u2"), ("ureg", "<u2"), ("imm", "<i8"),
])  # fmt: skip
INSTRUCTION: Final = np.dtype([
    ("op", "<u2"), ("guard", "u1"), ("guard_reg", "u1"), ("guard_not", "u1"), ("count", "u1"), ("bytes", "u1"),
    ("wide", "u1"), ("mods", "<u8", 2), ("target", "<i8"), ("ops", OPERAND, 8),
])  # fmt: skip
KINDS: Final = ("NONE", "REG", "UREG", "IMM", "CONST", "PRED", "UPRED", "ADDRESS", "SPECIAL", "BARRIER", "PREDICATES")
LIKE: Final = {
    "UIADD3": "IADD3", "UIMAD": "IMAD", "ULEA": "LEA", "USHF": "SHF", "ULOP3": "LOP3", "UISETP": "ISETP",
    "USEL": "SEL", "UPRMT": "PRMT", "UMOV": "MOV", "UFLO": "FLO", "UPOPC": "POPC", "ULDC": "LDC", "VOTEU": "VOTE",
    "S2UR": "S2R", "BRXU": "BRX", "I2FP": "I2F", "LDCU": "LDC", "UPLOP3": "PLOP3", "CREDUX": "REDUX", "IMNMX": "VIMNMX",
    "RED": "REDG",
    **dict.fromkeys(("LDGDEPBAR", "DEPBAR", "MEMBAR", "ERRBAR", "CGAERRBAR", "CCTL", "ENDCOLLECTIVE"), "NOP"),
}  # fmt: skip
"""What does the same, with other registers or with nothing that a program could tell."""
_COMPARED = "EQ NE LT LE GT GE"
_FLOATS = f"{_COMPARED} EQU NEU LTU LEU GTU GEU NUM NAN AND OR XOR"
_MET = "RECONVERGENT RELIABLE"
_LOADED = "E U8 S8 U16 S16 64 128 CONSTANT STRONG SYS GPU LU EL EF NA"
_ATOMIC = "E ADD MIN MAX INC OR AND XOR EXCH CAS S32 64 S64 F32 F64 FTZ RN STRONG GPU SYS POPC 32"
FORMS: Final = {
    "IADD3": "X", "IMAD": "X IADD MOV SHL U32 WIDE HI", "LEA": "HI X SX32", "LOP3": "LUT",
    "SHF": "L R W U32 S32 U64 S64 HI", "ISETP": f"{_COMPARED} U32 AND OR XOR EX", "SEL": "", "PRMT": "", "MOV": "",
    "VIADD": "16x2", "VIADDMNMX": "U32 S16x2 RELU", "VIMNMX": "U32 S16x2", "VIMNMX3": "U32", "IABS": "", "POPC": "",
    "FLO": "U32 SH", "BREV": "", "IDP": "4A U8 S8", "PLOP3": "LUT", "P2R": "", "R2P": "",
    "FADD": "FTZ RZ RM RP SAT", "FMUL": "FTZ RZ RM RP SAT D2 D4 D8", "FFMA": "FTZ RZ RM RP SAT", "FMNMX": "FTZ",
    "FMNMX3": "FTZ",
    "FSETP": f"{_FLOATS} FTZ", "FSET": f"BF {_FLOATS} FTZ", "FSEL": "", "FCHK": "",
    "MUFU": "RCP RSQ SQRT EX2 LG2 SIN COS TANH RCP64H RSQ64H",
    "DADD": "RZ RM RP", "DMUL": "RZ RM RP", "DFMA": "RZ RM RP", "DSETP": f"{_FLOATS} MIN MAX",
    "HADD2": "F32", "HMUL2": "", "HFMA2": "MMA", "I2F": "RP RZ U8 U16 S16 U32 S32 U64 S64 F32 F64",
    "F2I": "FTZ S16 U16 S8 U8 U32 U64 S64 F64 TRUNC FLOOR CEIL NTZ", "F2F": "F32 F64",
    "FRND": "FTZ F64 TRUNC FLOOR CEIL",
    "F2FP": "F16 F32 PACK_AB", "S2R": "", "CS2R": "32", "R2UR": "", "B2R": "RESULT", "LDC": "U8 S8 U16 S16 64 128",
    **dict.fromkeys(("LDG", "STG", "LD", "ST", "LDS", "STS", "LDL", "STL"), _LOADED), "LDGSTS": "E BYPASS 128",
    "LDSM": "16 M88 4", "ATOMG": _ATOMIC, "REDG": _ATOMIC, "ATOMS": _ATOMIC, "SHFL": "BFLY IDX UP DOWN",
    "VOTE": "ANY ALL", "REDUX": "MIN MAX SUM OR AND XOR S32", "HMMA": "16816 F32", "IMMA": "16832 S8",
    "BMMA": "88128 AND POPC", "BRA": "DIV CONV U", "BRX": "", "CALL": "REL ABS NOINC", "RET": "REL ABS NODEC",
    "EXIT": "",
    "BSSY": _MET, "BSYNC": _MET, "BREAK": _MET, "WARPSYNC": "ALL COLLECTIVE", "BAR": "SYNC DEFER_BLOCKING RED OR",
    "YIELD": "",
}  # fmt: skip
"""Which modifiers each operation may have; any other is refused. Ordering and caching mean nothing to one processor
that does one thing after another."""
_WITHOUT_MEANING: Final = frozenset({"IDP.4A.S8.U8", "ATOMS.POPC.INC"})
SIZES: Final = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "S64": 8, "F64": 8, "128": 16}
SIZED: Final = frozenset({
    "LDC", "LDG", "STG", "LD", "ST", "LDS", "STS", "LDL", "STL", "LDGSTS", "ATOMG", "REDG", "ATOMS",
})  # fmt: skip
MOST_OPERANDS: Final = 8


def records(code: Sequence[Instruction], operations: Mapping[str, int], modifiers: Mapping[str, int]) -> np.ndarray:
    """Pack instructions.

    Parameters
    ----------
    code : sequence of Instruction
    operations, modifiers : mapping of str to int
        The interpreter's numbers for its names.

    Returns
    -------
    array of `INSTRUCTION`, shape (instructions,)

    Raises
    ------
    UnsupportedError
        For an operation or a modifier that it does not know.
    """
    packed = np.zeros(len(code), INSTRUCTION)
    for row, instruction in zip(packed, code, strict=True):
        name = LIKE.get(instruction.name, instruction.name)
        if name == "NOP":
            row["op"] = operations[name]
        else:
            _check(name, instruction)
            _pack(row, instruction, operations[name], modifiers)
        if instruction.guard is not None:
            guard = instruction.guard
            row["guard"], row["guard_reg"], row["guard_not"] = KINDS.index(guard.kind), guard.reg, guard.flags != 0
    return packed


def _check(name: str, instruction: Instruction) -> None:
    if name not in FORMS:
        raise UnsupportedError(f"the operation {instruction.text}", "one that the interpreter knows", "Teach it.")
    more = set(instruction.modifiers) - set(FORMS[name].split())
    if more or instruction.text in _WITHOUT_MEANING or len(instruction.operands) > MOST_OPERANDS:
        raise UnsupportedError(f"the form {instruction.text}", "one that the interpreter knows", "Teach it.")


def _pack(row: np.void, instruction: Instruction, number: int, modifiers: Mapping[str, int]) -> None:
    row["op"], row["target"], row["wide"] = number, instruction.target, instruction.wide
    words = instruction.modifiers[1:] if instruction.name == "F2F" else instruction.modifiers  # F2F.TO.FROM
    bits = sum(1 << modifiers[word] for word in set(words) if word in modifiers)
    row["mods"] = bits & (2**64 - 1), bits >> 64
    sizes = [SIZES[word] for word in instruction.modifiers if word in SIZES]
    row["bytes"] = max(sizes, default=4) if LIKE.get(instruction.name, instruction.name) in SIZED else 0
    operands = [operand for operand in instruction.operands if operand.kind != "NONE"]
    row["count"] = len(operands)
    row["ops"]["reg"] = 255
    for to, operand in zip(row["ops"], operands, strict=False):
        _pack_operand(to, operand)


def _pack_operand(to: np.void, operand: Operand) -> None:
    to["kind"], to["reg"], to["ureg"] = KINDS.index(operand.kind), operand.reg, operand.ureg
    to["flags"], to["part"], to["bank"], to["imm"] = operand.flags, operand.part, operand.bank, operand.imm
