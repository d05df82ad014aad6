"""Control flow and data flow of one kernel: loops, address taint, def-use pairs.

Plain Python, and the definition: the engines must give the same numbers. Code is read twice in address
order with registers carried over, which stands in for following loops: what a loop writes at its end is
seen at its start in the second reading. ``words`` is a kernel's code as uint32, shape (instructions, 4).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.sass import isa
from hashwarden.kernels.sass.table import MEM_KINDS

__all__ = ["address_taint", "branch_targets", "def_use", "loop_depth", "strip_tail"]

Words = npt.NDArray[np.uint32]
IntArray = npt.NDArray[np.int64]

_BY_PAIR = frozenset(MEM_KINDS.index(kind) for kind in isa.PAIR_ADDRESS)
_LOADS = frozenset(MEM_KINDS.index(kind) for kind in isa.LOADS)
_LDL = MEM_KINDS.index("ldl")


def branch_targets(words: Words, arch: int) -> IntArray:
    """The instruction index that each BRA or BRA.U jumps to; -1 - i (no index) for any other instruction i.

    The offset counts from the next instruction. Up to sm_89 it is the signed value at bits 32-81, in
    bytes; from sm_90 on, a quarter of it has its low 8 bits at 16-23 and the signed rest at 34-81. The
    lowest two bits of BRA are flags of BRA.U, BRA.DIV and BRA.CONV, which an index does not see. BRA.U of
    an opcode of its own has its offset in the same bits.
    """
    first, second, third = (words[:, i].astype(np.int64) for i in range(3))
    high = third & 0x3FFFF
    high -= (high >> 17) << 18
    if arch >= isa.NEW_BRANCH:
        offset = ((high << 30 | second >> 2) << 8 | first >> 16 & 255) << 2
    else:
        offset = high << 32 | second
    index = np.arange(len(words))
    return np.where(np.isin(first & 0xFFF, isa.BRANCHES), index + 1 + (offset >> 4), -1 - index)


def strip_tail(words: Words, arch: int) -> int:
    """Instructions that are left when trailing NOPs and branches to themselves are taken away."""
    op12 = words[:, 0] & 0xFFF
    to_itself = branch_targets(words, arch) == np.arange(len(words))
    kept = np.flatnonzero((op12 != isa.NOP12) & ~to_itself)
    return int(kept[-1]) + 1 if len(kept) else 0


def loop_depth(words: Words, arch: int) -> tuple[IntArray, int]:
    """Loop depth of each instruction, uncapped, and the number of loops.

    A branch at i back to t makes the interval [t, i]; for one t the largest i counts. The depth of
    an instruction is the number of intervals that hold it. Targets before the code make no loop.
    """
    targets = branch_targets(words, arch)
    ends: dict[int, int] = {}
    for source in np.flatnonzero((targets >= 0) & (targets < np.arange(len(words)))).tolist():
        ends[int(targets[source])] = source
    steps = np.zeros(len(words) + 1, np.int64)
    for target, source in ends.items():
        steps[target] += 1
        steps[source + 1] -= 1
    return np.cumsum(steps)[:-1], len(ends)


def address_taint(words: Words) -> IntArray:
    """What the address register of each memory operation holds; 0 for any other instruction.

    Returns
    -------
    int64 array, shape (instructions,)
        0 = clean, 1 = loaded data, 2 = loaded data that went through LOP3, SHF or PRMT.
    """
    registers = [0] * 256
    _taint_pass(words, registers)
    return np.array(_taint_pass(words, registers), np.int64)


def _taint_pass(words: Words, registers: list[int]) -> list[int]:
    seen = []
    for first, second, third, _ in words.tolist():
        op, form = first & 511, first >> 9 & 7
        rd, ra, rb, rc = first >> 16 & 255, first >> 24, second & 255, third & 255
        kind = isa.MEMORY.get(op)
        seen.append(0 if kind is None else _address(registers, kind, ra))
        if kind in _LOADS:
            if kind != _LDL:
                _write(registers, rd, {5: 2, 6: 4}.get(third >> 9 & 7, 1), 1)
        elif kind is None and op not in isa.NO_RESULT:
            value = max(registers[ra], registers[rb] if form == 1 else 0, registers[rc])
            value = 2 if value and op in isa.LOGIC else value
            _write(registers, rd, 2 if op == isa.IMAD_WIDE else 1, value)
    return seen


def _address(registers: list[int], kind: int, ra: int) -> int:
    if ra == isa.RZ:
        return 0
    return max(registers[ra], registers[ra + 1]) if kind in _BY_PAIR else registers[ra]


def _write(registers: list[int], rd: int, count: int, value: int) -> None:
    """Set ``count`` registers from ``rd`` on; RZ stays as it is, and nothing follows it."""
    for register in range(rd, min(rd + count, isa.RZ)):
        registers[register] = value


def def_use(words: Words) -> tuple[IntArray, int]:
    """Who reads what whom wrote.

    Returns
    -------
    sources : int64 array, shape (instructions, 3)
        Opcode that last wrote Ra, Rb (operand form 1 only) and Rc before the instruction; -1 where the
        register is RZ, is not read, or was never written.
    longest : int
        The longest chain of such pairs in the second reading, where every register that the first
        reading wrote starts at 1.
    """
    writers = [-1] * 256
    _use_pass(words, writers, [0] * 256)
    chains = [0 if writer < 0 else 1 for writer in writers]
    sources, longest = _use_pass(words, writers, chains)
    return np.array(sources, np.int64).reshape(-1, 3), longest


def _use_pass(words: Words, writers: list[int], chains: list[int]) -> tuple[list[tuple[int, int, int]], int]:
    seen, longest = [], 0
    for first, second, third, _ in words.tolist():
        op, rd, ra = first & 511, first >> 16 & 255, first >> 24
        rb, rc = second & 255 if first >> 9 & 7 == 1 else isa.RZ, third & 255
        seen.append((writers[ra], writers[rb], writers[rc]))
        chain = 1 + max(chains[ra], chains[rb], chains[rc])
        longest = max(longest, chain)
        if op not in isa.NO_RESULT and op not in isa.STORES:
            count = {5: 2, 6: 4}.get(third >> 9 & 7, 1) if op in isa.WIDE_LOADS else 1
            count = 2 if op == isa.IMAD_WIDE else count
            _write(writers, rd, count, op)
            _write(chains, rd, count, chain)
    return seen, longest
