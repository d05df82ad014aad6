"""Stages of chained hashes against published digests: Groestl, JH, Skein, CubeHash."""

from __future__ import annotations

import numpy as np
import pytest

M64 = 2**64 - 1
ZEROS = bytes(64)


def stage(module, kernel: str, dtype, *rest) -> np.ndarray:
    digests = np.zeros((2, 64 // np.dtype(dtype).itemsize), dtype)
    digests[1] = np.frombuffer(bytes(range(64)), dtype)
    module.launch(kernel, 1, 32, digests, np.uint32(2), *rest)
    return digests


# The hash of 64 bytes has no vector in the submissions' short lists; each kernel's compression is therefore checked
# through the reference below, and the reference by the published digest of the empty message.
class Groestl:
    """Groestl-512 from its specification, byte by byte."""

    SHIFTS = ((0, 1, 2, 3, 4, 5, 6, 11), (1, 3, 5, 11, 0, 2, 4, 6))
    ROW = (2, 2, 3, 4, 5, 3, 5, 7)

    def __init__(self, box: list[int]) -> None:
        self.box = box

    @staticmethod
    def times(a: int, b: int) -> int:
        product = 0
        while b:
            product ^= a if b & 1 else 0
            a = a << 1 ^ (0x11B if a & 0x80 else 0)
            b >>= 1
        return product

    def permutation(self, state: bytes, q: bool) -> bytes:
        m = [[state[8 * c + r] for c in range(16)] for r in range(8)]
        for r in range(14):
            for c in range(16):
                if q:
                    for row in range(8):
                        m[row][c] ^= 0xFF
                    m[7][c] ^= c << 4 ^ r
                else:
                    m[0][c] ^= c << 4 ^ r
            m = [[self.box[m[row][(c + self.SHIFTS[q][row]) % 16]] for c in range(16)] for row in range(8)]
            m = [[self.mixed(m, row, c) for c in range(16)] for row in range(8)]
        return bytes(m[r][c] for c in range(16) for r in range(8))

    def mixed(self, m, row: int, column: int) -> int:
        value = 0
        for k in range(8):
            value ^= self.times(m[k][column], self.ROW[(k - row) % 8])
        return value

    def hash(self, data: bytes) -> bytes:
        blocks = len(data) // 128 + 1 + (len(data) % 128 > 119)
        padded = (data + b"\x80").ljust(128 * blocks - 8, b"\0") + blocks.to_bytes(8, "big")
        h = bytes(126) + b"\x02\x00"
        for i in range(0, len(padded), 128):
            block = padded[i : i + 128]
            p = self.permutation(bytes(a ^ b for a, b in zip(h, block, strict=True)), False)
            q = self.permutation(block, True)
            h = bytes(a ^ b ^ c for a, b, c in zip(h, p, q, strict=True))
        p = self.permutation(h, False)
        return bytes(a ^ b for a, b in zip(h, p, strict=True))[64:]


EMPTY_GROESTL = (
    "6d3ad29d279110eef3adbd66de2a0345a77baede1557f5d099fce0c03d6dc2ba"
    "8e6d4a6633dfbd66053c20faa87d1a11f39a7fbe4a6c2f009801370308fc4ad8"
)


@pytest.mark.parametrize("variant", ["", "TABLES=1"])
def test_groestl512(host, oracles, variant):
    reference = Groestl(oracles.AES_SBOX)
    assert reference.hash(b"").hex() == EMPTY_GROESTL
    hits = np.zeros(1, np.uint32)
    digests = stage(host("groestl512", variant), "groestl_stage", np.uint64, np.uint64(M64), hits)
    assert digests[0].tobytes() == reference.hash(ZEROS)
    assert digests[1].tobytes() == reference.hash(bytes(range(64)))


def cubehash(data: bytes) -> bytes:
    """CubeHash16/32-512 of its specification."""
    x = [64, 32, 16] + [0] * 29

    def rounds(count: int) -> None:
        nonlocal x
        for _ in range(count):
            for turn, low, high in ((7, 8, 2), (11, 4, 1)):
                x[16:] = [(x[16 + i] + x[i]) % 2**32 for i in range(16)]
                turned = [(v << turn | v >> (32 - turn)) % 2**32 for v in x[:16]]
                x[:16] = [turned[i ^ low] ^ x[16 + i] for i in range(16)]
                x[16:] = [x[16 + (i ^ high)] for i in range(16)]

    rounds(160)
    padded = data + b"\x80" + bytes(-(len(data) + 1) % 32)
    for at in range(0, len(padded), 32):
        for i in range(8):
            x[i] ^= int.from_bytes(padded[at + 4 * i : at + 4 * i + 4], "little")
        rounds(16)
    x[31] ^= 1
    rounds(160)
    return b"".join(v.to_bytes(4, "little") for v in x[:16])


EMPTY_CUBEHASH = (
    "4a1d00bbcfcb5a9562fb981e7f7db3350fe2658639d948b9d57452c22328bb32"
    "f468b072208450bad5ee178271408be0b16e5633ac8a1e3cf9864cfbfc8e043a"
)


@pytest.mark.parametrize("variant", ["", "UNROLL_ROUNDS=1"])
def test_cubehash512(host, variant):
    assert cubehash(b"").hex() == EMPTY_CUBEHASH
    hits = np.zeros(1, np.uint32)
    digests = stage(host("cubehash512", variant), "cube_stage", np.uint32, hits, np.uint32(0))
    assert digests[1].tobytes() == cubehash(bytes(range(64)))


ROTATIONS = (
    (46, 36, 19, 37),
    (33, 27, 14, 42),
    (17, 49, 36, 39),
    (44, 9, 54, 56),
    (39, 30, 34, 24),
    (13, 50, 10, 17),
    (25, 29, 39, 43),
    (8, 35, 56, 22),
)


def threefish(key: list[int], tweak: tuple[int, int], block: list[int]) -> list[int]:
    k, t, v = [*key, 0x1BD11BDAA9FC1A22], [*tweak, tweak[0] ^ tweak[1]], list(block)
    for word in key:
        k[8] ^= word
    for d in range(73):
        if d % 4 == 0:
            s = d // 4
            v = [(v[i] + k[(s + i) % 9]) & M64 for i in range(8)]
            v[5], v[6], v[7] = (v[5] + t[s % 3]) & M64, (v[6] + t[(s + 1) % 3]) & M64, (v[7] + s) & M64
        if d == 72:
            return v
        f = []
        for j in range(4):
            a = (v[2 * j] + v[2 * j + 1]) & M64
            r = ROTATIONS[d % 8][j]
            f += [a, (v[2 * j + 1] << r & M64 | v[2 * j + 1] >> (64 - r)) ^ a]
        v = [f[i] for i in (2, 1, 4, 7, 6, 5, 0, 3)]
    raise AssertionError


def ubi(h: list[int], data: bytes, kind: int) -> list[int]:
    padded = data + bytes(-len(data) % 64) if data else bytes(64)
    for at in range(0, len(padded), 64):
        m = [int.from_bytes(padded[at + i : at + i + 8], "little") for i in range(0, 64, 8)]
        last = at + 64 == len(padded)
        high = kind << 56 | (at == 0) << 62 | last << 63
        out = threefish(h, (len(data) if last else at + 64, high), m)
        h = [a ^ b for a, b in zip(out, m, strict=True)]
    return h


def skein(data: bytes) -> bytes:
    """Skein-512-512 of its specification."""
    config = b"SHA3" + (1).to_bytes(2, "little") + bytes(2) + (512).to_bytes(8, "little") + bytes(16)
    h = ubi(ubi(ubi([0] * 8, config, 4), data, 48), bytes(8), 63)
    return b"".join(word.to_bytes(8, "little") for word in h)


EMPTY_SKEIN = (
    "bc5b4c50925519c290cc634277ae3d6257212395cba733bbad37a4af0fa06af4"
    "1fca7903d06564fea7a2d3730dbdb80c1f85562dfcc070334ea4d1d9e72cba7a"
)


@pytest.mark.parametrize("variant", ["", "ROLLED"])
def test_skein512(host, variant):
    assert skein(b"").hex() == EMPTY_SKEIN
    module, header = host("skein512", variant), bytes(range(100, 180))
    assert stage(module, "skein_stage", np.uint64)[1].tobytes() == skein(bytes(range(64)))
    module.write("c_header", header)
    digests, hits = np.zeros((2, 8), np.uint64), np.zeros(1, np.uint32)
    module.launch("skein_header", 1, 2, np.uint32(77), np.uint64(M64), digests, hits)
    assert digests[1].tobytes() == skein(header[:76] + (78).to_bytes(4, "little"))


SBOXES = (
    (9, 0, 4, 11, 13, 12, 3, 15, 1, 10, 2, 6, 7, 5, 8, 14),
    (3, 12, 6, 13, 5, 7, 1, 9, 15, 2, 0, 4, 11, 10, 14, 8),
)


class Jh:
    """JH-512 from its specification; round constants start from the digits of the square root of two."""

    def __init__(self) -> None:
        from math import isqrt

        fraction = isqrt(2 << 512) % 2**256
        self.start = [fraction >> (252 - 4 * i) & 15 for i in range(64)]

    @staticmethod
    def round(a: list[int], bits: list[int]) -> list[int]:
        def double(x: int) -> int:
            return (x << 1 ^ (0b10011 if x & 8 else 0)) & 15

        n, v = len(a), [SBOXES[bit][x] for bit, x in zip(bits, a, strict=True)]
        for i in range(0, n, 2):
            v[i + 1] ^= double(v[i])
            v[i] ^= double(v[i + 1])
        for i in range(0, n, 4):
            v[i + 2], v[i + 3] = v[i + 3], v[i + 2]
        v = v[::2] + v[1::2]
        for i in range(n // 2, n, 2):
            v[i], v[i + 1] = v[i + 1], v[i]
        return v

    def e8(self, h: bytes) -> bytes:
        bits = [
            [byte >> (7 - i) & 1 for byte in h for i in range(8)][256 * part : 256 * part + 256] for part in range(4)
        ]
        grouped = [bits[0][i] << 3 | bits[1][i] << 2 | bits[2][i] << 1 | bits[3][i] for i in range(256)]
        q = [value for pair in zip(grouped[:128], grouped[128:], strict=True) for value in pair]
        constants = list(self.start)
        for _ in range(42):
            q = self.round(q, [value >> (3 - i) & 1 for value in constants for i in range(4)])
            constants = self.round(constants, [0] * 64)
        grouped = q[::2] + q[1::2]
        out = [value >> part & 1 for part in (3, 2, 1, 0) for value in grouped]
        return bytes(sum(out[8 * i + j] << (7 - j) for j in range(8)) for i in range(128))

    def hash(self, data: bytes) -> bytes:
        h = (512).to_bytes(2, "big") + bytes(126)
        tail = b"\x80" + bytes(47)
        padded = data + tail + (8 * len(data)).to_bytes(16, "big")
        assert len(padded) % 64 == 0, "only whole blocks are hashed here"
        for block in [bytes(64)] + [padded[i : i + 64] for i in range(0, len(padded), 64)]:
            h = bytes(a ^ b for a, b in zip(h, block + bytes(64), strict=True))
            h = self.e8(h)
            h = h[:64] + bytes(a ^ b for a, b in zip(h[64:], block, strict=True))
        return h[64:]


EMPTY_JH = (
    "90ecf2f76f9d2c8017d979ad5ab96b87d58fc8fc4b83060f3f900774faa2c8fa"
    "be69c5f4ff1ec2b61d6b316941cedee117fb04b1f4c5bc1b919ae841c50eec4f"
)


def test_jh512(host):
    reference, hits = Jh(), np.zeros(1, np.uint32)
    assert reference.hash(b"").hex() == EMPTY_JH
    digests = stage(host("jh512"), "jh_stage", np.uint8, np.uint8(255), hits)
    assert digests[1].tobytes() == reference.hash(bytes(range(64)))
    assert hits[0] == 2
