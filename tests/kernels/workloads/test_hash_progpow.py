"""The ProgPoW generator and search against an interpreter of the specification and its published numbers."""

from __future__ import annotations

import numpy as np
import pytest

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.hash import progpow

M32 = 2**32 - 1


def test_kiss99_numbers_of_the_specification():
    random = progpow.Kiss99(362436069, 521288629, 123456789, 380116160)
    assert [random.next() for _ in range(4)] == [769445856, 742012328, 2121196314, 2805620942]
    for _ in range(99_995):
        random.next()
    assert random.next() == 941074834


def test_fnv1a_number_of_the_specification():
    assert progpow.fnv1a(0x811C9DC5, 0xDDD0A47B) == 0xD37EE61A


def test_an_unknown_coin_is_refused():
    with pytest.raises(UsageError, match="COIN=nothing"):
        progpow.headers({"COIN": "nothing"})


def test_periods_differ_and_are_reproducible():
    one, two = (progpow.program(period, progpow.COINS["kawpow"]) for period in (1, 2))
    assert one != two
    assert one == progpow.program(1, progpow.COINS["kawpow"])
    assert len(one) == 11 + 18 + 4


def rotate(a: int, n: int) -> int:
    n %= 32
    return (a << n | a >> (32 - n)) & M32


def merge(a: int, b: int, r: int) -> int:
    turn = (r >> 16) % 31 + 1
    return [(a * 33 + b) & M32, ((a ^ b) * 33) & M32, rotate(a, turn) ^ b, rotate(a, -turn) ^ b][r % 4]


def math(a: int, b: int, r: int) -> int:
    zeros = [32 - value.bit_length() for value in (a, b)]
    ones = a.bit_count() + b.bit_count()
    results = [a + b, a * b, a * b >> 32, min(a, b), rotate(a, b), rotate(a, -b), a & b, a | b, a ^ b, sum(zeros), ones]
    return results[r % 11] & M32


class Interpreter:
    """One period of EIP-1057, run lane by lane."""

    def __init__(self, p, period: int, dag: np.ndarray, pages: int) -> None:
        self.p, self.dag, self.pages = p, dag, pages
        hashes, state = [], 0x811C9DC5
        for word in (period & M32, period >> 32, period & M32, period >> 32):
            state = progpow.fnv1a(state, word)
            hashes.append(state)
        self.random = progpow.Kiss99(*hashes)
        self.dst, self.src = list(range(p.regs)), list(range(p.regs))
        for i in range(p.regs - 1, 0, -1):
            for order in (self.dst, self.src):
                j = self.random.next() % (i + 1)
                order[i], order[j] = order[j], order[i]

    def loop(self, number: int, mix: list[list[int]]) -> None:
        p, random = self.p, progpow.Kiss99(self.random.z, self.random.w, self.random.jsr, self.random.jcong)
        page = mix[number % p.lanes][0] % self.pages
        dst, src = 0, 0
        steps: list[tuple[str, tuple[int, ...]]] = []
        for i in range(max(p.cnt_cache, p.cnt_math)):
            if i < p.cnt_cache:
                steps.append(("cache", (self.src[src % p.regs], self.dst[dst % p.regs], random.next())))
                src, dst = src + 1, dst + 1
            if i < p.cnt_math:
                pair, selected = random.next() % (p.regs * (p.regs - 1)), random.next()
                one, two = pair % p.regs, pair // p.regs
                two += two >= one
                steps.append(("math", (one, two, selected, self.dst[dst % p.regs], random.next())))
                dst += 1
        for i in range(p.dag_loads):
            target = 0 if i == 0 else self.dst[(dst + i - 1) % p.regs]
            steps.append(("dag", (i, target, random.next())))
        for lane, regs in enumerate(mix):
            self.run(steps, regs, (page * p.lanes + (lane ^ number) % p.lanes) * p.dag_loads)

    def run(self, steps, regs: list[int], at: int) -> None:
        for kind, s in steps:
            if kind == "cache":
                regs[s[1]] = merge(regs[s[1]], int(self.dag[regs[s[0]] % self.p.cache_words]), s[2])
            elif kind == "math":
                regs[s[3]] = merge(regs[s[3]], math(regs[s[0]], regs[s[1]], s[2]), s[4])
            else:
                regs[s[1]] = merge(regs[s[1]], int(self.dag[at + s[0]]), s[2])

    def digest(self, seed: int) -> list[int]:
        p, mix = self.p, []
        for lane in range(p.lanes):
            words, state = [], 0x811C9DC5
            for word in (seed & M32, seed >> 32, lane, lane):
                state = progpow.fnv1a(state, word)
                words.append(state)
            random = progpow.Kiss99(*words)
            mix.append([random.next() for _ in range(p.regs)])
        for number in range(p.cnt_dag):
            self.loop(number, mix)
        result = [0x811C9DC5] * 8
        for lane, regs in enumerate(mix):
            state = 0x811C9DC5
            for word in regs:
                state = progpow.fnv1a(state, word)
            result[lane % 8] = progpow.fnv1a(result[lane % 8], state)
        return result


@pytest.mark.parametrize("variant", ["", "COIN=tiny PERIOD=5", "COIN=wide PERIOD=17"])
def test_search_follows_the_specification(host, oracles, variant):
    words = dict(word.split("=") for word in variant.split())
    p = progpow.COINS[words.get("COIN", "kawpow")]
    module, pages = host("progpow", variant), 41
    size = max(pages * p.lanes * p.dag_loads, p.cache_words)
    dag = np.random.default_rng(8).integers(0, 2**32, size, dtype=np.uint64).astype(np.uint32)
    header, pad = list(range(1, 9)), [ord(c) for c in "rAVENCOINKAWPOW"]
    module.write("c_header", np.array(header, np.uint32))
    module.write("c_pad", np.array(pad, np.uint32))
    digests, hits = np.zeros((32, 8), np.uint32), np.zeros(1, np.uint32)
    top = np.uint64(2**64 - 1)
    module.launch("progpow_search", 1, 32, np.uint64(1000), top, dag, np.uint32(pages), digests, hits)
    interpreter = Interpreter(p, int(words.get("PERIOD", "1")), dag, pages)
    for i in (0, 31):
        state = oracles.keccak_f([*header, 1000 + i, 0, *pad], 32, 22)
        digest = interpreter.digest(state[1] << 32 | state[0])
        assert digests[i].tolist() == oracles.keccak_f([*state[:8], *digest, *pad[:9]], 32, 22)[:8]
    assert hits[0] == 32
