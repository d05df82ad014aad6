"""Proof that a probe times what it says: its machine code is read by our own decoder.

In the code of a probe there must be two reads of the clock, between them one loop, in that loop the claimed
instruction exactly LINKS times, each one fed by the one before it, the first by the last one of the pass before;
and between the loop and the second reading a store to shared memory of the last result, which cannot issue before
that result is there. A compiler that folds, splits, reorders or hoists any of it fails the check.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import CheckError
from hashwarden.kernels.probes.probe import LINKS, Probe
from hashwarden.kernels.sass import isa
from hashwarden.kernels.sass.cubin import Cubin
from hashwarden.kernels.sass.flow import branch_targets

__all__ = ["ChainReport", "check", "clock_reads"]

_CLOCK_READERS: Final = frozenset({0x005, 0x0CB, 0x119, 0x1C3})
"""CS2R, CS2UR, S2R, S2UR: reads of special registers."""

_CLOCK_LOW: Final = 0x50
_STORE_SHARED: Final = 0x188
_MATRIX: Final = frozenset({0x03C, 0x037})
_ATOMICS: Final = frozenset({0x1A8, 0x1A9, 0x1A3, 0x1A2})
_DOUBLE: Final = frozenset({0x02B})
_GLOBAL: Final = frozenset({0x181}) | _ATOMICS
_SHARED_LOAD: Final = 0x184
_PASSES: Final = 3

_NEVER: Final = 15
"""The guard ``@!PT``, which is false."""

_ADD_AT_0X035: Final = 120
"""From this architecture on, opcode 0x035 is IADD; before, it was HFMA2 in the multiplier's pipe."""


@final
@dataclass(frozen=True, slots=True)
class ChainReport:
    """What the timed part of a probe is made of.

    Attributes
    ----------
    kernel, arch : str
        Whose code it is.
    instruction : str
        The claimed mnemonic.
    chained : int
        Claimed instructions that one pass of the loop runs one after the other.
    helpers : int
        Other instructions on the same chain, a pass (address arithmetic).
    others : tuple of (str, int)
        Instructions of the loop off the chain, and how many.
    registers : int
        Registers a thread.
    code_bytes : int
        Machine code of the whole kernel.
    """

    kernel: str
    arch: str
    instruction: str
    chained: int
    helpers: int
    others: tuple[tuple[str, int], ...]
    registers: int
    code_bytes: int


def clock_reads(words: npt.NDArray[np.uint32]) -> list[int]:
    """Places of the instructions that read the SM's clock; ``words`` has shape (instructions, 4)."""
    reads = np.isin(words[:, 0] & 511, sorted(_CLOCK_READERS)) & ((words[:, 2] >> 8 & 255) == _CLOCK_LOW)
    return [int(at) for at in np.flatnonzero(reads)]


def check(cubin: Cubin, probe: Probe) -> ChainReport:
    """Read the timed part of one probe and hold it to what the probe claims.

    Parameters
    ----------
    cubin : Cubin
        Compiled from chains.cu.
    probe : Probe
        The probe that is looked at.

    Raises
    ------
    CheckError
        If there are not two readings of the clock with one loop between them, if the claimed instruction is not in
        it LINKS times in one chain, or if the clock is read before the last result is there.
    """
    arch, where = f"sm_{cubin.arch}", f"{probe.kernel} for sm_{cubin.arch}"
    if probe.kernel not in cubin.names:
        raise _wrong("no such kernel", "the kernel in the compiled file", where)
    number = cubin.names.index(probe.kernel)
    words = np.frombuffer(cubin.code(number), np.uint32).reshape(-1, 4)
    first, last, end = _timed_loop(words, cubin.arch, where)
    claimed = probe.instruction
    names = [_name(int(word), cubin.arch) for word in words[:, 0]]
    chain = _Chain(claimed)
    depths = [chain.walk(words[first : last + 1], names[first : last + 1]) for _ in range(_PASSES)]
    chained, path = depths[-1][0] - depths[-2][0], depths[-1][1] - depths[-2][1]
    inside = Counter(names[first : last + 1])
    if (inside[claimed], chained) != (LINKS, LINKS):
        got = f"{inside[claimed]} {claimed} in the timed loop, {chained} of them in one chain"
        raise _wrong(got, f"{LINKS} {claimed}, all in one chain", where)
    if not _settles(words[last + 1 : end], names[last + 1 : end], chain, depths[-1][0]):
        raise _wrong("no store of the last result before the clock is read again", "one", where)
    others = tuple(sorted((inside - Counter({claimed: LINKS})).items()))
    registers, size = int(cubin.regs[number]), int(cubin.sizes[number])
    return ChainReport(probe.kernel, arch, claimed, chained, path - chained, others, registers, size)


def _timed_loop(words: npt.NDArray[np.uint32], arch: int, where: str) -> tuple[int, int, int]:
    """First and last instruction of the loop between the clock readings, and the second reading."""
    clocks = clock_reads(words)
    if len(clocks) != 2:
        raise _wrong(f"{len(clocks)} readings of the clock", "2", where)
    targets = branch_targets(words, arch)
    back = [at for at in range(clocks[0] + 1, clocks[1]) if clocks[0] < targets[at] <= at]
    if len(back) != 1:
        raise _wrong(f"{len(back)} loops between the readings of the clock", "1", where)
    return int(targets[back[0]]), back[0], clocks[1]


def _name(word: int, arch: int) -> str:
    """Mnemonic of an instruction; what a false guard keeps from ever running (padding of tensor code) has none."""
    if word >> 12 & 15 == _NEVER:
        return "never run"
    if arch >= _ADD_AT_0X035 and word & 511 == 0x035:
        return "IADD"
    return isa.mnemonic(word & 0xFFF) or "unknown"


def _settles(words: npt.NDArray[np.uint32], names: list[str], chain: _Chain, depth: int) -> bool:
    """Whether the result of the chain, of this depth, is stored to shared memory, be it after a move."""
    for at, word in enumerate(words):
        stored = int(word[1]) & 255
        if int(word[0]) & 511 == _STORE_SHARED and stored != isa.RZ and chain.depth[stored] == depth:
            return True
        chain.walk(words[at : at + 1], names[at : at + 1])
    return False


class _Chain:
    """How many claimed instructions, and how many of any kind, lie behind the value of each register."""

    def __init__(self, claimed: str) -> None:
        self._claimed = claimed
        self.depth = [0] * 256
        self._path = [0] * 256

    def walk(self, words: npt.NDArray[np.uint32], names: list[str]) -> tuple[int, int]:
        """Run through the loop once more; gives the longest chain so far, and its length in instructions."""
        longest = (0, 0)
        for word, name in zip(words, names, strict=True):
            reads, writes = _operands(word)
            if not writes:
                continue
            depth, path = max(((self.depth[r], self._path[r]) for r in reads), default=(0, 0))
            behind = (depth + (name == self._claimed), path + 1) if depth or name == self._claimed else (0, 0)
            for register in writes:
                self.depth[register], self._path[register] = behind
            if name == self._claimed:
                longest = max(longest, behind)
        return longest


def _operands(word: npt.NDArray[np.uint32]) -> tuple[list[int], list[int]]:
    """Registers that an instruction reads and writes; widths of the instructions that probes consist of."""
    first, second, third = (int(part) for part in word[:3])
    op, form = first & 511, first >> 9 & 7
    rd, ra, rb, rc = first >> 16 & 255, first >> 24, second & 255, third & 255
    if op in isa.NO_RESULT or op in isa.STORES:
        return [], []
    if op in _MATRIX:
        return _span(ra, 4) + _span(rb, 2) + _span(rc, 4), _span(rd, 4)
    if op in _GLOBAL:
        return _span(ra, 2) + (_span(rb, 1) if op in _ATOMICS else []), _span(rd, 1)
    if op == _SHARED_LOAD:
        return _span(ra, 1), _span(rd, 1)
    wide = 2 if op in _DOUBLE else 1
    reads = _span(ra, wide) + (_span(rb, wide) if form == 1 else [])
    return reads + _span(rc, 2 if op == isa.IMAD_WIDE else wide), _span(rd, 2 if op == isa.IMAD_WIDE else wide)


def _span(register: int, count: int) -> list[int]:
    return [] if register == isa.RZ else list(range(register, min(register + count, isa.RZ)))


def _wrong(got: str, expected: str, where: str) -> CheckError:
    return CheckError(got, expected, "Look at the machine code, and pin the instruction in chains.cu.", where=where)
