"""What one lane of a ProgPoW hash does: fill its registers, run one round of the program (EIP-1057)."""

# ruff: noqa: ANN401, PLR0913, PLR0917  device functions take arrays and numbers of any type, and many of them

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device, rotate_left_32
from hashwarden.kernels.memory.recorder import load
from hashwarden.kernels.workloads.mining.progpow_program import CACHE, MATH

__all__ = ["FNV_OFFSET", "LANES", "REGISTERS", "WORDS", "fill_registers", "fnv1a", "run_program"]

LANES: Final = 16
REGISTERS: Final = 32
WORDS: Final = 4
"""Lanes of a hash, registers of a lane, and words of the table that a lane reads in a round."""

FNV_OFFSET: Final = np.uint32(0x811C9DC5)
_FNV_PRIME: Final = np.uint32(0x01000193)


@device
def fnv1a(state: Any, word: Any) -> Any:
    """FNV-1a of one uint32."""
    return np.uint32(np.uint32(np.uint32(state) ^ np.uint32(word)) * _FNV_PRIME)


@device
def fill_registers(mix: Any, base: Any, low: Any, high: Any, lane: Any) -> None:
    """Fill 32 registers of a lane from the hash's 64-bit seed, by KISS99."""
    z = fnv1a(FNV_OFFSET, low)
    w = fnv1a(z, high)
    jsr = fnv1a(w, lane)
    jcong = fnv1a(jsr, lane)
    for i in range(REGISTERS):
        z = np.uint32(np.uint32(np.uint32(36969) * np.uint32(z & np.uint32(65535))) + np.uint32(z >> np.uint32(16)))
        w = np.uint32(np.uint32(np.uint32(18000) * np.uint32(w & np.uint32(65535))) + np.uint32(w >> np.uint32(16)))
        jcong = np.uint32(np.uint32(np.uint32(69069) * jcong) + np.uint32(1234567))
        jsr = np.uint32(jsr ^ np.uint32(jsr << np.uint32(17)))
        jsr = np.uint32(jsr ^ np.uint32(jsr >> np.uint32(13)))
        jsr = np.uint32(jsr ^ np.uint32(jsr << np.uint32(5)))
        both = np.uint32(np.uint32(z << np.uint32(16)) + w)
        mix[base + i] = np.uint32(np.uint32(both ^ jcong) + jsr)


@device
def _ones(x: Any) -> Any:
    """Count the bits that are set."""
    pairs = np.uint32(x - np.uint32(np.uint32(x >> np.uint32(1)) & np.uint32(0x55555555)))
    upper = np.uint32(np.uint32(pairs >> np.uint32(2)) & np.uint32(0x33333333))
    fours = np.uint32(np.uint32(pairs & np.uint32(0x33333333)) + upper)
    bytes_ = np.uint32(np.uint32(fours + np.uint32(fours >> np.uint32(4))) & np.uint32(0x0F0F0F0F))
    return np.uint32(np.uint32(bytes_ * np.uint32(0x01010101)) >> np.uint32(24))


@device
def _zeros(x: Any) -> Any:
    """Count the leading zeros."""
    for shift in (1, 2, 4, 8, 16):
        x = np.uint32(x | np.uint32(x >> np.uint32(shift)))
    return np.uint32(np.uint32(32) - _ones(x))


@device
def _turned(x: Any, count: Any) -> Any:
    """Rotate to the left by any count."""
    turn = np.int64(count) & 31
    return rotate_left_32(x, turn) if turn else np.uint32(x)


@device
def _compute(operation: Any, a: Any, b: Any) -> Any:
    """One of the eleven operations of the specification."""
    result = np.uint32(a + b)
    if operation == 1:
        result = np.uint32(a * b)
    elif operation == 2:
        result = np.uint32(np.uint64(np.uint64(a) * np.uint64(b)) >> np.uint64(32))
    elif operation == 3:
        result = min(a, b)
    elif operation == 4:
        result = _turned(a, b)
    elif operation == 5:
        result = _turned(a, 32 - (np.int64(b) & 31))
    elif operation == 6:
        result = np.uint32(a & b)
    elif operation == 7:
        result = np.uint32(a | b)
    elif operation == 8:
        result = np.uint32(a ^ b)
    elif operation == 9:
        result = np.uint32(_zeros(a) + _zeros(b))
    elif operation == 10:
        result = np.uint32(_ones(a) + _ones(b))
    return result


@device
def _merge(form: Any, turn: Any, a: Any, b: Any) -> Any:
    """Put new data into a register so that nothing of it is lost."""
    if form == 0:
        return np.uint32(np.uint32(a * np.uint32(33)) + b)
    if form == 1:
        return np.uint32(np.uint32(a ^ b) * np.uint32(33))
    if form == 2:
        return np.uint32(rotate_left_32(a, turn) ^ b)
    return np.uint32(rotate_left_32(a, 32 - turn) ^ b)


@device
def run_program(
    log: Any, t: Any, program: Any, steps: Any, cache: Any, data: Any, data_depth: Any, mix: Any, depths: Any, base: Any
) -> Any:
    """Run one round of a lane.

    Parameters
    ----------
    log, t
        The log and the state of the thread; loads of the cache are site 3 of argument 2.
    program : int64, shape (MOST_STEPS,), private
        From `hashwarden.kernels.workloads.mining.progpow_program.encoded_program`.
    steps : int
        Steps of the program.
    cache : uint32, shape (a power of two,)
        First words of the table.
    data : uint32, shape (WORDS,), private
        What the lane read from the table.
    data_depth : int
        Loads before an address that follows from ``data`` is known.
    mix : uint32, private
        Registers, those of the lane from ``base`` on.
    depths : int64, private
        For each register, the loads before an address that follows from it is known.
    base : int
        Place of the lane's first register.

    Returns
    -------
    int64
        The new state of the log.
    """
    for step in range(steps):
        code = program[step]
        kind, first = code & 3, code >> 2 & 31
        target = base + (code >> 12 & 31)
        value, depth = np.uint32(0), np.int64(data_depth)
        if kind == CACHE:
            place = np.int64(mix[base + first]) & (len(cache) - 1)
            t = load(log, t, 3, 2, place, depths[base + first])
            value, depth = np.uint32(cache[place]), np.int64(depths[base + first] + 1)
        elif kind == MATH:
            second = base + (code >> 7 & 31)
            value = _compute(code >> 17 & 15, mix[base + first], mix[second])
            depth = max(np.int64(depths[base + first]), np.int64(depths[second]))
        else:
            value = np.uint32(data[first])
        mix[target] = _merge(code >> 21 & 3, code >> 23 & 31, mix[target], value)
        if log is not None:
            depths[target] = max(np.int64(depths[target]), depth)
    return t
