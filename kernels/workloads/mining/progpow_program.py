"""The random program of a ProgPoW period as numbers, for kernels that interpret it (EIP-1057).

`hashwarden.kernels.workloads.hash.progpow` writes the same program as CUDA C; the two are compared by the
oracle of `hashwarden.kernels.workloads.mining.progpow`, which reads that text.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.hash.progpow import Kiss99, Parameters, fnv1a

__all__ = ["CACHE", "DAG", "MATH", "MOST_STEPS", "encoded_program"]

CACHE: Final = 0
MATH: Final = 1
DAG: Final = 2
"""What a step merges into its target: a cached word, the result of an operation, a word of the table."""

MOST_STEPS: Final = 64
"""Steps of a program at most."""

_OPERATIONS: Final = 11


class _Generator:
    """Random numbers of a period, and its two orders of registers."""

    def __init__(self, period: int, registers: int) -> None:
        words, state = [], 0x811C9DC5
        for word in (period & 0xFFFFFFFF, period >> 32) * 2:
            state = fnv1a(state, word)
            words.append(state)
        self.random, self.registers = Kiss99(*words), registers
        self.orders = {"target": list(range(registers)), "source": list(range(registers))}
        for i in range(registers - 1, 0, -1):
            for order in self.orders.values():
                j = self.random.next() % (i + 1)
                order[i], order[j] = order[j], order[i]
        self.taken = dict.fromkeys(self.orders, 0)

    def register(self, order: str) -> int:
        """Next register of an order, round and round."""
        place = self.taken[order] % self.registers
        self.taken[order] += 1
        return self.orders[order][place]

    def merged(self, kind: int, first: int, second: int, operation: int, target: int) -> int:
        """Encode a step; how it merges is drawn here."""
        drawn = self.random.next()
        fields = ((kind, 2), (first, 5), (second, 5), (target, 5), (operation, 4), (drawn % 4, 2))
        code, shift = 0, 0
        for value, bits in fields:
            code, shift = code | value << shift, shift + bits
        return code | ((drawn >> 16) % 31 + 1) << shift


def encoded_program(period: int, parameters: Parameters) -> NDArray[np.int64]:
    """Make the program of a period.

    Parameters
    ----------
    period : int
        Number of the period: the block's number divided by the coin's period length.
    parameters : Parameters
        Counts of the coin, with at most 32 registers.

    Returns
    -------
    int64, shape (steps,)
        From bit 0 on: kind (2 bits), first and second source (5 each), target (5), operation (4), way to merge
        (2), rotation of the merge (5). The first source of a cached word is the register that holds its place,
        that of a word of the table its number in the lane's share.
    """
    period_random, steps = _Generator(period, parameters.regs), []
    for i in range(max(parameters.cnt_cache, parameters.cnt_math)):
        if i < parameters.cnt_cache:
            source = period_random.register("source")
            steps.append(period_random.merged(CACHE, source, 0, 0, period_random.register("target")))
        if i < parameters.cnt_math:
            pair = period_random.random.next() % (parameters.regs * (parameters.regs - 1))
            first, second = pair % parameters.regs, pair // parameters.regs
            second += second >= first
            operation = period_random.random.next() % _OPERATIONS
            steps.append(period_random.merged(MATH, first, second, operation, period_random.register("target")))
    for i in range(parameters.dag_loads):
        target = period_random.register("target") if i else 0
        steps.append(period_random.merged(DAG, i, 0, 0, target))
    return np.array(steps, np.int64)
