"""Writes the random program of a ProgPoW period as CUDA C, after the public specification (EIP-1057).

The program merges cached words, results of random integer operations on two registers and words of the
table into the registers of a lane. Coins of the family differ in their counts and period lengths only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hashwarden.errors import UsageError

__all__ = ["COINS", "Kiss99", "Parameters", "fnv1a", "headers", "program"]

_FNV_OFFSET: Final = 0x811C9DC5
_MASK: Final = 0xFFFFFFFF
_MATH: Final = (
    "a + b",
    "a * b",
    "__umulhi(a, b)",
    "min(a, b)",
    "__funnelshift_l(a, a, b)",
    "__funnelshift_r(a, a, b)",
    "a & b",
    "a | b",
    "a ^ b",
    "__clz(a) + __clz(b)",
    "__popc(a) + __popc(b)",
)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Counts of one member of the family."""

    regs: int = 32
    lanes: int = 16
    dag_loads: int = 4
    cache_words: int = 4096
    cnt_dag: int = 64
    cnt_cache: int = 11
    cnt_math: int = 18


COINS: Final[Mapping[str, Parameters]] = {
    "kawpow": Parameters(),
    "progpow093": Parameters(),
    "progpow092": Parameters(cnt_cache=12, cnt_math=20),
    "progpowz": Parameters(cnt_cache=12, cnt_math=20, cnt_dag=64),
    "tiny": Parameters(cnt_dag=4, cache_words=256),
    "wide": Parameters(regs=16, lanes=8, dag_loads=8, cnt_cache=8, cnt_math=24),
}


def fnv1a(state: int, word: int) -> int:
    """FNV-1a of one 32-bit word."""
    return ((state ^ word) * 0x01000193) & _MASK


class Kiss99:
    """Marsaglia's KISS generator of 1999."""

    def __init__(self, z: int, w: int, jsr: int, jcong: int) -> None:
        self.z, self.w, self.jsr, self.jcong = z, w, jsr, jcong

    def next(self) -> int:
        """Give the next 32-bit number."""
        self.z = (36969 * (self.z & 65535) + (self.z >> 16)) & _MASK
        self.w = (18000 * (self.w & 65535) + (self.w >> 16)) & _MASK
        self.jcong = (69069 * self.jcong + 1234567) & _MASK
        self.jsr ^= (self.jsr << 17) & _MASK
        self.jsr ^= self.jsr >> 13
        self.jsr ^= (self.jsr << 5) & _MASK
        return (((((self.z << 16) + self.w) & _MASK) ^ self.jcong) + self.jsr) & _MASK


class _Sequence:
    """The period's generator with its two shuffled orders of registers."""

    def __init__(self, seed: int, regs: int) -> None:
        state, words = _FNV_OFFSET, []
        for word in (seed & _MASK, seed >> 32, seed & _MASK, seed >> 32):
            state = fnv1a(state, word)
            words.append(state)
        self.random = Kiss99(*words)
        self._targets, self._sources = list(range(regs)), list(range(regs))
        for i in range(regs - 1, 0, -1):
            for order in (self._targets, self._sources):
                j = self.random.next() % (i + 1)
                order[i], order[j] = order[j], order[i]
        self._target = self._source = 0

    def target(self) -> int:
        self._target += 1
        return self._targets[(self._target - 1) % len(self._targets)]

    def source(self) -> int:
        self._source += 1
        return self._sources[(self._source - 1) % len(self._sources)]


def _merge(target: int, data: str, r: int) -> str:
    turn, a = (r >> 16) % 31 + 1, f"mix[{target}]"
    forms = (
        f"{a} = {a} * 33u + {data};",
        f"{a} = ({a} ^ {data}) * 33u;",
        f"{a} = __funnelshift_l({a}, {a}, {turn}) ^ {data};",
        f"{a} = __funnelshift_r({a}, {a}, {turn}) ^ {data};",
    )
    return forms[r % 4]


def program(period: int, parameters: Parameters) -> list[str]:
    """Statements of the inner loop for a period.

    Parameters
    ----------
    period : int
        Number of the period (block number divided by the coin's period length).
    parameters : Parameters
        Counts of the coin.

    Returns
    -------
    list of str
        C statements over ``mix``, ``cache`` and ``data``.
    """
    sequence, lines = _Sequence(period, parameters.regs), []
    for i in range(max(parameters.cnt_cache, parameters.cnt_math)):
        if i < parameters.cnt_cache:
            lines.append(_cached(sequence, parameters))
        if i < parameters.cnt_math:
            lines.append(_computed(sequence, parameters.regs))
    for i in range(parameters.dag_loads):
        target = 0 if i == 0 else sequence.target()
        lines.append(_merge(target, f"data[{i}]", sequence.random.next()))
    return lines


def _cached(sequence: _Sequence, parameters: Parameters) -> str:
    source, target = sequence.source(), sequence.target()
    read = f"cache[mix[{source}] % {parameters.cache_words}u]"
    return _merge(target, read, sequence.random.next())


def _computed(sequence: _Sequence, regs: int) -> str:
    pair = sequence.random.next() % (regs * (regs - 1))
    first, second = pair % regs, pair // regs
    second += second >= first
    operation = _MATH[sequence.random.next() % len(_MATH)]
    target, r = sequence.target(), sequence.random.next()
    return f"{{ const unsigned a = mix[{first}], b = mix[{second}]; {_merge(target, f'({operation})', r)} }}"


def headers(defines: Mapping[str, str]) -> dict[str, str]:
    """Write the header `progpow_program.cuh` for the macros COIN and PERIOD of a variant.

    Raises
    ------
    UsageError
        If the coin is unknown or the period is no number.
    """
    coin, period = defines.get("COIN", "kawpow"), defines.get("PERIOD", "1")
    if coin not in COINS or not period.isdecimal():
        got = f"COIN={coin}, PERIOD={period}"
        raise UsageError(got, "a coin of " + ", ".join(COINS) + " and a whole number", "Correct the variant.")
    p = COINS[coin]
    counts = {"REGS": p.regs, "LANES": p.lanes, "CACHE_WORDS": p.cache_words, "CNT_DAG": p.cnt_dag}
    body = "\n".join(f"    {line}" for line in program(int(period), p))
    text = "#pragma once\n" + "".join(f"#define PROGPOW_{name} {value}\n" for name, value in counts.items())
    text += f"struct __align__(16) ProgpowPage {{ unsigned word[{p.dag_loads}]; }};\n"
    text += "__device__ __forceinline__ void progpow_program(unsigned (&mix)[PROGPOW_REGS], const unsigned *cache,\n"
    text += f"                                                const unsigned *data) {{\n{body}\n}}\n"
    return {"progpow_program.cuh": text}
