"""Building blocks against independent arithmetic: fields, curves, scans, graphs, LZ4 blocks."""

from __future__ import annotations

import numpy as np
import pytest

from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.mining.goldilocks import field_add, field_multiply
from hashwarden.kernels.workloads.others import bn254, compression, graph, rns, scan, smith_waterman, zk_msm, zk_ntt
from hashwarden.kernels.workloads.plan import Plan, Work

EDGES = (0, 1, 2, 2**32 - 1, 2**32, 2**63, zk_ntt.ORDER - 1, zk_ntt.ORDER - 2**32, 0x123456789ABCDEF0)


@pytest.mark.parametrize("a", EDGES)
def test_goldilocks_agrees_with_python(a):
    for b in EDGES:
        x, y = np.uint64(a), np.uint64(b)
        assert int(field_multiply(x, y)) == a * b % zk_ntt.ORDER
        assert int(field_add(x, y)) == (a + b) % zk_ntt.ORDER
        assert int(zk_ntt.subtract(x, y)) == (a - b) % zk_ntt.ORDER


def test_roots_of_unity_are_primitive():
    root = zk_ntt.root_of_unity(20)
    assert pow(root, 2**20, zk_ntt.ORDER) == 1
    assert pow(root, 2**19, zk_ntt.ORDER) == zk_ntt.ORDER - 1


def test_residues_agree_with_python():
    for prime in rns.find_primes(3, 1024):
        assert prime % 2048 == 1
        assert prime.bit_length() == 60
        inverse = np.uint64(-pow(prime, -1, 2**64) % 2**64)
        for a in (0, 1, prime - 1, prime // 3):
            for b in (1, prime - 1, prime // 7):
                got = int(rns.multiply(np.uint64(a), np.uint64(b), np.uint64(prime), inverse))
                assert got == a * b * pow(2**64, -1, prime) % prime


def test_find_primes_finds_primes_only():
    primes = rns.find_primes(2, 8)
    assert all(pow(base, prime - 1, prime) == 1 for prime in primes for base in (3, 5, 7))
    assert not rns._is_prime(3215031751)  # a strong pseudoprime to 2, 3, 5 and 7
    assert rns._is_prime(2**61 - 1)


def _added(p, q):
    limbs = np.array([*zk_msm._limbs(p), *zk_msm._limbs(q)], np.uint32)
    bn254.add_points(limbs, 0, limbs, bn254.POINT)
    return zk_msm._read(limbs[: bn254.POINT])


def test_points_add_up_as_published_and_in_all_special_cases():
    base = (1, 2)
    double = (
        1368015179489954701390400359078579693043519447331113978918064868415326638035,
        9918110051302171585080402603319702774565515993150576347155970296011118125764,
    )
    opposite = (1, bn254.ORDER - 2)
    assert _added(base, base) == double == zk_msm._sum(base, base)
    assert _added(base, None) == base
    assert _added(None, base) == base
    assert _added(None, None) is None
    assert _added(base, opposite) is None
    assert _added(base, double) == zk_msm._sum(double, base)


def test_the_curve_has_the_published_order():
    order = 21888242871839275222246405745257275088548364400416034343698204186575808495617  # EIP-196
    assert zk_msm._times((1, 2), order) is None
    assert zk_msm._times((1, 2), order - 1) == (1, bn254.ORDER - 2)


@pytest.mark.parametrize("length", [2, 63, 64, 65, 4096, 4097, 5000])
def test_scan(length):
    values = np.random.default_rng(length).integers(0, 1000, length).astype(np.uint32)
    arrays = {**scan.scan_arrays("values", length), "values": values}
    plan = Plan(arrays, lambda _: scan.scan_launches("values", length), Work(1), lambda _: None)
    engine = CpuEngine(plan)
    engine.step()
    expected = np.cumsum(values) - values
    np.testing.assert_array_equal(engine.read("values"), expected.astype(np.uint32))


def test_edges_fall_into_quarters_as_in_graph500():
    ends = np.array([graph._edge(number, 12, np.uint32(5)) for number in range(20000)]) >> 11
    shares = np.bincount(2 * ends[:, 0] + ends[:, 1], minlength=4) / len(ends)
    np.testing.assert_allclose(shares, [0.57, 0.19, 0.19, 0.05], atol=0.015)


def test_the_oracle_decodes_a_block_as_the_format_says():
    assert compression.decompress(b"\x14a\x01\x00\x50bbbbb") == b"a" * 9 + b"bbbbb"
    assert compression.decompress(b"\x1fa\x01\x00\xff\x02\x50bbbbb") == b"a" * (1 + 19 + 257) + b"bbbbb"


@pytest.mark.parametrize(
    "data",
    [
        bytes(3000),
        np.random.default_rng(0).bytes(700),
        b"abcabcabcabcd" * 40,
        np.random.default_rng(1).bytes(300) * 3,
        b"a" * 283 + np.random.default_rng(2).bytes(270),
    ],
)
def test_round_trip_of_awkward_data(data):
    block = len(data)
    given = np.frombuffer(data, np.uint8).copy()
    heads, chains = np.zeros(1 << 8, np.uint32), np.zeros(block, np.uint32)
    packed, sizes = np.zeros(compression.room(block), np.uint8), np.zeros(1, np.uint32)
    restored = np.zeros(block, np.uint8)
    compression.compress(0, None, given, heads, chains, packed, sizes, block, 8, 4)
    compression.expand(0, None, packed, sizes, restored, block)
    assert sizes[0] <= len(packed)
    assert restored.tobytes() == data
    assert compression.decompress(packed[: sizes[0]].tobytes()) == data


def test_alignment_scores_known_by_hand():
    queries, targets = (np.array([row], np.uint8) for row in ([0, 1, 2, 3, 0, 1, 2, 3], [0, 1, 2, 3, 1, 2, 3, 1]))
    assert smith_waterman.best_scores(queries, targets)[0] == 9  # seven matches, a gap of one
    assert smith_waterman.best_scores(queries, np.zeros_like(queries))[0] == 2
