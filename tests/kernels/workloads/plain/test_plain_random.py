"""Random numbers against published vectors and NumPy."""

from __future__ import annotations

import numpy as np
import pytest


def test_philox_known_answers(host):
    out = np.zeros((1, 4), np.uint32)
    module = host("rng_philox")
    module.launch("philox_bits", 1, 1, out, np.uint64(0), np.uint64(0), np.int32(1))
    assert [f"{word:08x}" for word in out[0]] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


def test_philox_normal_and_bounded(host):
    module, out = host("rng_philox"), np.zeros((4096, 4), np.float32)
    module.launch("philox_normal", 16, 32, out, np.uint64(3), np.float32(2), np.float32(0.5), np.int32(4096))
    assert abs(out.mean() - 2) < 0.02
    assert abs(out.std() - 0.5) < 0.02
    dice = np.zeros(6000, np.uint32)
    module.launch("philox_bounded", 188, 32, dice, np.uint64(3), np.uint32(6), np.int32(6000))
    assert np.all(np.abs(np.bincount(dice, minlength=6) - 1000) < 150)


def test_threefry_known_answers(host):
    module = host("rng_threefry")
    wide, key4 = np.zeros(4, np.uint64), np.zeros(4, np.uint64)
    module.launch("threefry4x64_bits", 1, 1, key4, wide, np.uint32(1))
    assert [f"{word:016x}" for word in wide] == [
        "09218ebde6c85537", "55941f5266d86105", "4bd25e16282434dc", "ee29ec846bd2e40b",
    ]  # fmt: skip
    narrow, key32 = np.zeros(4, np.uint32), np.zeros(1, "u4,u4,u4,u4")
    module.launch("threefry4x32_bits", 1, 1, key32[0], narrow, np.uint32(1))
    assert [f"{word:08x}" for word in narrow] == ["9c6ca96a", "e17eae66", "fc10ecd4", "5256a7d8"]


def threefry2x32(key: tuple[int, int], counter: tuple[int, int]) -> tuple[int, int]:
    ks, x = [*key, key[0] ^ key[1] ^ 0x1BD11BDA], [(c + k) % 2**32 for c, k in zip(counter, key, strict=True)]
    for i in range(20):
        shift = (13, 15, 26, 6, 17, 29, 16, 24)[i % 8]
        x[0] = (x[0] + x[1]) % 2**32
        x[1] = ((x[1] << shift | x[1] >> (32 - shift)) % 2**32) ^ x[0]
        if i % 4 == 3:
            step = i // 4 + 1
            x = [(x[0] + ks[step % 3]) % 2**32, (x[1] + ks[(step + 1) % 3] + step) % 2**32]
    return x[0], x[1]


def test_threefry_two_words(host):
    assert threefry2x32((0, 0), (0, 0)) == (0x6B200159, 0x99BA4EFE)
    key, out = np.zeros(1, "u4,u4"), np.zeros(10, np.uint32)
    key[0] = (0x13198A2E, 0x03707344)
    host("rng_threefry").launch("threefry_bits", 1, 8, key[0], out, np.uint32(5))
    assert [(out[i], out[i + 5]) for i in range(5)] == [
        threefry2x32((0x13198A2E, 0x03707344), (i, i + 5)) for i in range(5)
    ]


def test_pcg32_published_stream(host):
    out = np.zeros((1, 16), np.uint32)
    host("rng_small_state").launch("pcg32_generate", 1, 1, np.uint64(42), out, np.int32(1))
    assert [f"{word:08x}" for word in out[0, :6]] == [
        "a15c02b7",
        "7b47f409",
        "ba1d3330",
        "83d2f293",
        "bfa4784b",
        "cbed606e",
    ]


def test_splitmix_published_stream(host):
    keys, values = np.zeros(3, np.uint64), np.zeros(3, np.uint32)
    host("rng_small_state").launch("splitmix_shuffle_keys", 1, 1, np.uint64(1234567), keys, values, np.int32(3))
    assert keys.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_xorwow_and_skip(host):
    module = host("rng_small_state", "DRAWS=4")
    start = np.array([[6615241, 123456789, 362436069, 521288629, 88675123, 5783321]], np.uint32)
    state, out = start.copy(), np.zeros(4, np.uint32)
    module.launch("xorwow_generate", 1, 1, state, out, np.int32(1))
    d, v, want = int(start[0, 0]), [int(word) for word in start[0, 1:]], []
    for _ in range(4):
        t = v[0] ^ v[0] >> 2
        v = [*v[1:], (v[4] ^ v[4] << 4 ^ t ^ t << 1) % 2**32]
        d = (d + 362437) % 2**32
        want.append((v[4] + d) % 2**32)
    assert out.tolist() == want
    assert want[0] == 246875399  # as in Marsaglia's paper
    identity = np.zeros((160, 5), np.uint32)
    for bit in range(160):
        identity[bit, bit // 32] = 1 << bit % 32
    same = state.copy()
    module.launch("xorwow_skip", 1, 1, same, identity, np.int32(1))
    assert same.tolist() == state.tolist()


@pytest.mark.parametrize("variant", ["", "USE_DOUBLE=1"])
def test_mrg32k3a_published_start(host, variant):
    state, out = np.full((1, 6), 12345, np.uint32), np.zeros(2, np.float64)
    host("rng_mrg_mt", variant).launch("mrg32k3a_uniform", 1, 1, state, out, np.int32(1), np.int32(2))
    assert out[0] == pytest.approx(0.127011122046577, abs=1e-14)
    assert out[1] == pytest.approx(0.318527565396794, abs=1e-14)


def test_mt19937_as_numpy(host):
    module = host("rng_mrg_mt")
    state, out = np.zeros(624, np.uint32), np.zeros(1248, np.uint32)
    module.launch("mt19937_seed", 1, 1, np.array([5489], np.uint32), state, np.int32(1))
    module.launch("mt19937_generate", 1, 256, state, out, np.int32(2))
    generator = np.random.MT19937()
    generator._legacy_seeding(5489)
    assert np.array_equal(out, generator.random_raw(1248).astype(np.uint32))


@pytest.mark.parametrize("stride", [0, 3, 5])
def test_sobol_points(host, stride):
    directions = np.array([[1 << (31 - i) for i in range(32)]], np.uint32)
    out = np.zeros(64, np.uint32)
    module = host("rng_sobol")
    module.launch("sobol_points", 1, 32, directions, np.zeros(1, np.uint32), out, np.uint32(64), np.uint32(stride))
    want = [int(f"{i ^ i >> 1:032b}"[::-1], 2) for i in range(64)]
    assert out.tolist() == want


def test_owen_scrambling_keeps_strata(host):
    directions = np.array([[1 << (31 - i) for i in range(32)]], np.uint32)
    out = np.zeros(64, np.uint32)
    module = host("rng_sobol", "SCRAMBLE=2")
    module.launch("sobol_points", 1, 32, directions, np.array([77], np.uint32), out, np.uint32(64), np.uint32(3))
    assert sorted((out >> 26).tolist()) == list(range(64))
