"""BLAKE3 kernels and the matrix proof of work against the `blake3` package and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from blake3 import blake3


def words(data: bytes) -> np.ndarray:
    return np.frombuffer(data, dtype="<u4").copy()


@pytest.mark.parametrize("variant", ["", "NONCES=4"])
def test_single_block_digests(host, variant):
    module = host("blake3_nonce", variant)
    header = bytes(range(64))
    module.write("header", header)
    out = np.zeros((4, 8), np.uint32)
    module.launch("blake3_nonce_dump", 1, 4, np.uint64(0x1_0000_0005), out)
    for i in range(4):
        expected = blake3(header[:56] + (0x1_0000_0005 + i).to_bytes(8, "little")).digest()
        assert out[i].tobytes() == expected


def test_single_block_search_finds_the_lowest_nonce(host):
    module = host("blake3_nonce", "NONCES=4")
    header = bytes(range(64))
    module.write("header", header)
    heads = [int.from_bytes(blake3(header[:56] + n.to_bytes(8, "little")).digest()[:8], "big") for n in range(128)]
    target = sorted(heads)[3]
    best = np.array([2**64 - 1], np.uint64)
    module.launch("blake3_nonce_search", 1, 32, np.uint64(0), np.uint64(target), best)
    assert int(best[0]) == min(n for n, head in enumerate(heads) if head <= target)


@pytest.mark.parametrize(
    ("variant", "size"), [("", 326), ("HEADER_BYTES=180", 180), ("HEADER_BYTES=80 UNROLL_ROUNDS", 80)]
)
def test_header_of_several_blocks_hashed_twice(host, variant, size):
    module = host("blake3_multiblock", variant)
    header = bytes((7 * i + 3) % 256 for i in range(size))
    module.write("kHeader", header + bytes(-size % 64))
    target = np.full(8, 0xFFFFFFFF, np.uint32)
    found, count = np.zeros(1, np.uint32), np.zeros(1, np.uint32)
    nonce, digest = np.zeros(6, np.uint32), np.zeros(8, np.uint32)
    module.launch("alph_mine", 1, 4, target, np.uint32(5), found, nonce, digest, count)
    assert found[0] == 1
    assert digest.tobytes() == blake3(blake3(nonce.tobytes() + header[24:]).digest()).digest()
    assert digest.tobytes()[31] & 15 == 5


@pytest.mark.parametrize(("variant", "tail"), [("", 13), ("TAIL_WORDS=4", 4)])
def test_vector_rows(host, variant, tail):
    module = host("blake3_vector", variant)
    nonce, words_tail = 0x0123456789ABCDEF, np.arange(16, dtype=np.uint32) * 977
    iv = np.array([0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19])
    out = np.zeros(8, np.uint32)
    module.launch("vector_digest", 1, 1, iv.astype(np.uint32), words_tail, np.uint64(nonce), out)
    # With the initial value as chaining value and only CHUNK_END | ROOT it is not plain BLAKE3: compare with the rule.
    message = words_tail[:tail].tobytes() + nonce.to_bytes(8, "little")
    assert out.tobytes() == compress(iv, message.ljust(64, b"\0"), len(message), 2 | 8)


def compress(cv, block: bytes, length: int, flags: int) -> bytes:
    """BLAKE3's compression function, straight from the paper's section 2.2."""
    m, v = words(block).tolist(), [int(x) for x in cv]
    v += [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0, 0, length, flags]
    order = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
    columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
    diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(columns + diagonals):
            for word, (first, second) in ((m[2 * i], (16, 12)), (m[2 * i + 1], (8, 7))):
                v[a] = (v[a] + v[b] + word) % 2**32
                v[d] = rotate(v[d] ^ v[a], first)
                v[c] = (v[c] + v[d]) % 2**32
                v[b] = rotate(v[b] ^ v[c], second)
        m = [m[i] for i in order]
    return np.array([v[i] ^ v[i + 8] for i in range(8)], "<u4").tobytes()


def rotate(x: int, n: int) -> int:
    return (x >> n | x << (32 - n)) % 2**32


def test_the_compression_rule_is_blake3():
    iv = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
    assert compress(iv, b"abc".ljust(64, b"\0"), 3, 11) == blake3(b"abc").digest()


@pytest.mark.parametrize("variant", ["", "UNROLL"])
def test_four_lanes_a_hash(host, variant):
    module = host("blake3_quad", variant)
    message = bytes(range(100, 164))
    digests, hits = np.zeros((16, 8), np.uint32), np.zeros(1, np.uint32)
    module.launch("quad_mine", 1, 32, words(message), np.uint32(40), np.uint32(2**32 - 1), np.int32(1), digests, hits)
    for i in range(8):
        assert digests[i].tobytes() == blake3(message[:60] + (40 + i).to_bytes(4, "little")).digest()
    assert hits[0] == 8


@pytest.mark.parametrize("variant", ["", "KSTEP=16"])
def test_tiles_of_a_dp4a_product_are_hashed(host, variant):
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-63, 64, (64, 128)).astype(np.int8) for _ in range(2))
    module, key = host("tilepow_dp4a", variant), bytes(range(32))
    module.write("c_key", key)
    module.write("c_limit", np.uint32(2**32 - 1).tobytes())
    digests, hits = np.zeros((16, 8), np.uint32), np.zeros(1, np.uint32)
    module.launch("tilepow_gemm", (1, 1), (16, 16), a, b, np.int32(32), digests, hits)
    product = a.astype(np.int32) @ b.T.astype(np.int32)
    for tile in range(16):
        row, column = 16 * (tile // 4), 16 * (tile % 4)
        data = np.ascontiguousarray(product[row : row + 16, column : column + 16]).tobytes()
        assert digests[tile].tobytes() == blake3(data, key=key).digest()
    assert hits[0] == 16


@pytest.mark.parametrize("variant", ["", "STAGES=3", "HASH_LANES=1"])
def test_pipelined_product_has_its_tiles_hashed(host, variant):
    rng = np.random.default_rng(11)
    a, b = (rng.integers(-63, 64, (64, 256)).astype(np.int8) for _ in range(2))
    module, key = host("tilepow_async", variant), bytes(range(7, 39))
    module.write("c_key", key)
    module.write("c_bound", np.uint32(2**32 - 1).tobytes())
    digests, hits = np.zeros((4, 4, 8), np.uint32), np.zeros(1, np.uint32)
    module.launch("tilepow_pipeline", (1, 1), 128, a, b, np.int32(256), digests, hits)
    product = a.astype(np.int32) @ b.T.astype(np.int32)
    for warp in range(4):
        for tile in range(4):
            row, column = 32 * (warp // 2) + 16 * (tile // 2), 32 * (warp % 2) + 16 * (tile % 2)
            data = np.ascontiguousarray(product[row : row + 16, column : column + 16]).tobytes()
            assert digests[warp, tile].tobytes() == blake3(data, key=key).digest()
    assert hits[0] == 16


@pytest.mark.parametrize("variant", ["", "RANK=64", "WARP_TILES=1 WARPS=8"])
def test_tensor_core_product_and_transcript(host, variant):
    rng = np.random.default_rng(2)
    a, b = (rng.integers(-63, 64, (64, 256)).astype(np.int8) for _ in range(2))
    module = host("tilepow_mma", variant)
    product, digests, hits = np.zeros((64, 64), np.int32), np.zeros((16, 8), np.uint32), np.zeros(1, np.uint32)
    shape = (2, 256) if "WARPS=8" in variant else (2, 128)
    limit = np.uint32(2**32 - 1)
    module.launch("tilepow_tensor", *shape, a, b, np.int32(256), np.int32(64), limit, product, digests, hits)
    assert (product == a.astype(np.int32) @ b.T.astype(np.int32)).all()
    assert hits[0] == 16
    rank = 64 if variant == "RANK=64" else 128
    assert digests[0].tobytes() == blake3(transcript(a[:16], b[:16], rank)).digest()


def transcript(a, b, rank: int) -> bytes:
    state = np.zeros(32, np.uint64)
    for end in range(rank, a.shape[1] + 1, rank):
        part = (a[:, :end].astype(np.int64) @ b[:, :end].T.astype(np.int64)) & 0xFFFFFFFF
        lanes = np.arange(32)
        folded = np.zeros(32, np.uint64)
        for column in (0, 8):
            for i in range(4):
                value = part[lanes // 4 + 8 * (i // 2), column + lanes % 4 * 2 + i % 2].astype(np.uint64)
                folded = left(folded, 13) ^ value
        state = left(state, 7) ^ folded
    return state.astype("<u4").tobytes()


def left(x, n: int):
    return (x << np.uint64(n) | x >> np.uint64(32 - n)) & np.uint64(0xFFFFFFFF)


def test_noise_comes_from_the_output_stream(host):
    module, seed = host("tilepow_noise"), bytes(range(1, 33))
    factor = np.zeros(64 * 64, np.int8)
    module.launch("noise_fill", 1, 64, words(seed), np.uint32(64), factor)
    stream = np.frombuffer(blake3(seed).digest(length=4096), np.uint8)
    assert (factor == (stream & 3).astype(np.int8) - 1).all()


def test_noise_is_added_with_clipping_and_peeled(host):
    rng = np.random.default_rng(3)
    module = host("tilepow_noise", "RANK=32")
    leftf, right = (rng.integers(-1, 3, (16, 32)).astype(np.int8) for _ in range(2))
    operand = rng.integers(-63, 64, (16, 16)).astype(np.int8)
    noised = np.zeros((16, 16), np.int8)
    module.launch("noise_add", (1, 1), (16, 16), leftf, right, np.int32(16), operand, noised)
    noise = leftf.astype(int) @ right.T.astype(int)
    assert (noised == np.clip(operand + noise, -63, 63)).all()
    product = np.zeros((16, 16), np.int32)
    module.launch("noise_peel", (2, 2), (8, 8), leftf.astype(np.int32), right, np.int32(16), product)
    assert (product == -noise).all()
