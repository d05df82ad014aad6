"""An interpreter of ProgPoW's random programs in NumPy, for many nonces at once (EIP-1057)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.hash.progpow import Parameters
from hashwarden.kernels.workloads.native.reference import keccak_f

__all__ = ["Period"]

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

_OFFSET: Final = np.uint32(0x811C9DC5)
_PRIME: Final = np.uint32(0x01000193)
_ITEM_WORDS: Final = 16


def _fnv1a(state: U32, word: Any) -> U32:  # noqa: ANN401  array or number
    return np.asarray((state ^ word) * _PRIME)


class _Kiss:
    """Marsaglia's KISS generator of 1999, for several streams at once."""

    def __init__(self, z: U32, w: U32, jsr: U32, jcong: U32) -> None:
        self.z, self.w, self.jsr, self.jcong = z, w, jsr, jcong

    def next(self) -> U32:
        low, half = np.uint32(65535), np.uint32(16)
        self.z = np.uint32(36969) * (self.z & low) + (self.z >> half)
        self.w = np.uint32(18000) * (self.w & low) + (self.w >> half)
        self.jcong = np.uint32(69069) * self.jcong + np.uint32(1234567)
        for left, turn in ((True, 17), (False, 13), (True, 5)):
            self.jsr = self.jsr ^ (self.jsr << np.uint32(turn) if left else self.jsr >> np.uint32(turn))
        return np.asarray((((self.z << half) + self.w) ^ self.jcong) + self.jsr)


def _seeded(*words: U32) -> _Kiss:
    state, states = np.full_like(words[0], _OFFSET), []
    for word in words:
        state = _fnv1a(state, word)
        states.append(state)
    return _Kiss(*states)


def _turn(a: U32, by: Any) -> U32:  # noqa: ANN401  array or number
    by = np.asarray(by, np.uint32) & np.uint32(31)
    return np.asarray(a << by | a >> ((np.uint32(32) - by) & np.uint32(31)))


def _merge(a: U32, b: U32, r: int) -> U32:
    turn = (r >> 16) % 31 + 1
    if r % 4 < 2:
        return np.asarray(a * np.uint32(33) + b if r % 4 == 0 else (a ^ b) * np.uint32(33))
    return np.asarray(_turn(a, turn if r % 4 == 2 else 32 - turn) ^ b)


def _bits(a: U32) -> U32:
    for shift, mask in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F), (8, 0x00FF00FF), (16, 0x0000FFFF)):
        a = (a & np.uint32(mask)) + (a >> np.uint32(shift) & np.uint32(mask))
    return np.asarray(a)


def _zeros(a: U32) -> U32:
    for shift in (1, 2, 4, 8, 16):
        a = a | a >> np.uint32(shift)
    return np.uint32(32) - _bits(a)


def _math(a: U32, b: U32, r: int) -> U32:
    high = ((a.astype(np.uint64) * b.astype(np.uint64)) >> np.uint64(32)).astype(np.uint32)
    forms: tuple[Callable[[], U32], ...] = (
        lambda: a + b,
        lambda: a * b,
        lambda: high,
        lambda: np.minimum(a, b),
        lambda: _turn(a, b),
        lambda: _turn(a, np.uint32(32) - (b & np.uint32(31))),
        lambda: a & b,
        lambda: a | b,
        lambda: a ^ b,
        lambda: _zeros(a) + _zeros(b),
        lambda: _bits(a) + _bits(b),
    )
    return np.asarray(forms[r % 11]())


class Period:
    """One period's program and the search's hash.

    Parameters
    ----------
    counts : Parameters
        Of the coin.
    period : int
        Its number.
    pages : int
        Pages of the table, of ``lanes * dag_loads`` words.
    header, pad : arrays of uint32, shapes (8,) and (15,)
        What Keccak-f[800] absorbs.
    items : callable
        From numbers of 64-byte items of the table to their words, shape (items, 16).
    """

    def __init__(  # noqa: PLR0913, PLR0917  what a period is made of
        self, counts: Parameters, period: int, pages: int, header: U32, pad: U32, items: Callable[[U32], U32]
    ) -> None:
        self._p, self._pages, self._header, self._pad, self._items = counts, pages, header, pad, items
        count = -(-counts.cache_words // _ITEM_WORDS)
        self._cache = items(np.arange(count, dtype=np.uint32)).reshape(-1)[: counts.cache_words]
        self._steps = self._program(period)

    def _program(self, period: int) -> list[tuple[str, tuple[int, ...]]]:
        p, halves = self._p, [np.array([half], np.uint32) for half in (period % 2**32, period >> 32)]
        random = _seeded(halves[0], halves[1], halves[0], halves[1])

        def draw() -> int:
            return int(random.next()[0])

        orders = (list(range(p.regs)), list(range(p.regs)))
        for i in range(p.regs - 1, 0, -1):
            for order in orders:
                j = draw() % (i + 1)
                order[i], order[j] = order[j], order[i]
        targets, sources = (iter(order * 8) for order in orders)
        steps: list[tuple[str, tuple[int, ...]]] = []
        for i in range(max(p.cnt_cache, p.cnt_math)):
            if i < p.cnt_cache:
                steps.append(("cache", (next(sources), next(targets), draw())))
            if i < p.cnt_math:
                pair = draw() % (p.regs * (p.regs - 1))
                one, two = pair % p.regs, pair // p.regs
                steps.append(("math", (one, two + (two >= one), draw(), next(targets), draw())))
        for i in range(p.dag_loads):
            steps.append(("table", (i, next(targets) if i else 0, draw())))
        return steps

    def digests(self, nonces: U64) -> NDArray[np.uint8]:
        """Hashes of nonces, shape (nonces, 32)."""
        low, high = (nonces & np.uint64(2**32 - 1)).astype(np.uint32), (nonces >> np.uint64(32)).astype(np.uint32)
        count = len(nonces)
        state = np.empty((25, count), np.uint32)
        state[:8], state[8], state[9], state[10:] = self._header[:, None], low, high, self._pad[:, None]
        seed = keccak_f(state)[:8]
        state[:8], state[8:16], state[16:] = seed, self._mixed(seed).T, self._pad[:9, None]
        return np.ascontiguousarray(keccak_f(state)[:8].T).view(np.uint8)

    def _mixed(self, seed: U32) -> U32:
        p, count = self._p, seed.shape[1]
        lanes = np.tile(np.arange(p.lanes, dtype=np.uint32), (count, 1))
        words = (np.broadcast_to(seed[i][:, None], lanes.shape).copy() for i in (0, 1))
        random = _seeded(*words, lanes, lanes)
        mix = np.stack([random.next() for _ in range(p.regs)])
        for number in range(p.cnt_dag):
            self._turn(mix, number)
        hashes = np.full((count, p.lanes), _OFFSET)
        for register in mix:
            hashes = _fnv1a(hashes, register)
        result = np.full((count, 8), _OFFSET)
        for lane in range(0, p.lanes, 8):
            result = _fnv1a(result, hashes[:, lane : lane + 8])
        return result

    def _turn(self, mix: U32, number: int) -> None:
        p = self._p
        page = mix[0, :, number % p.lanes] % np.uint32(self._pages)
        each = p.lanes * p.dag_loads // _ITEM_WORDS
        index = np.asarray(page[:, None] * np.uint32(each) + np.arange(each, dtype=np.uint32), np.uint32)
        rows = self._items(index.reshape(-1)).reshape(len(page), p.lanes, p.dag_loads)
        rows = rows[:, (np.arange(p.lanes) ^ number) % p.lanes]
        for kind, s in self._steps:
            if kind == "cache":
                mix[s[1]] = _merge(mix[s[1]], self._cache[mix[s[0]] % np.uint32(p.cache_words)], s[2])
            elif kind == "math":
                mix[s[3]] = _merge(mix[s[3]], _math(mix[s[0]], mix[s[1]], s[2]), s[4])
            else:
                mix[s[1]] = _merge(mix[s[1]], rows[:, :, s[0]], s[2])
