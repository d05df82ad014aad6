"""Checksums, ciphers and Merkle nodes against hashlib, zlib and published vectors."""

from __future__ import annotations

import hashlib
import zlib

import numpy as np
import pytest
import xxhash
from blake3 import blake3
from sklearn import utils

RANDOM = np.random.default_rng(7)
ITEMS = [b"", b"a", b"abc", b"123456789", RANDOM.bytes(15), RANDOM.bytes(16), RANDOM.bytes(33), RANDOM.bytes(1000)]
N = np.int32(len(ITEMS))


def packed(kind: type = np.uint32) -> tuple[np.ndarray, np.ndarray]:
    data = np.frombuffer(b"".join(ITEMS) + bytes(8), np.uint8).copy()
    return data, np.cumsum([0, *map(len, ITEMS)]).astype(kind)


def test_crc32_forms(host):
    module, (data, begin) = host("checksum_crc"), packed()
    out = np.zeros(N, np.uint32)
    module.launch("crc32_bytes", 1, 32, data, begin, out, N)
    assert out.tolist() == [zlib.crc32(item) for item in ITEMS]
    rows = RANDOM.integers(0, 256, (3, 80), np.uint8)
    want = [zlib.crc32(row.tobytes()) for row in rows]
    out = np.zeros(3, np.uint32)
    module.launch("crc32_slice8", 1, 32, rows, np.int32(10), out, np.int32(3))
    assert out.tolist() == want
    columns = np.ascontiguousarray(rows.view("<u4").T)
    module.launch("crc32_bitwise_words", 1, 4, columns, np.int32(20), out, np.int32(3))
    assert out.tolist() == want
    parts = np.array([[zlib.crc32(row[i : i + 16].tobytes()) for i in range(0, 80, 16)] for row in rows], np.uint32)
    shift = 1 << 31
    for _ in range(128):
        shift = shift >> 1 ^ (0xEDB88320 if shift & 1 else 0)
    module.launch("crc32_combine", 1, 4, parts, np.int32(5), np.uint32(shift), out, np.int32(3))
    assert out.tolist() == want


def test_crc32c_check_value(host):
    data, begin = packed()
    out = np.zeros(N, np.uint32)
    host("checksum_crc", "POLYNOMIAL=0x82F63B78u").launch("crc32_bytes", 1, 32, data, begin, out, N)
    assert out[3] == 0xE3069283


def test_adler32(host):
    data, out = np.frombuffer(ITEMS[-1], np.uint8).copy(), np.zeros(1, np.uint32)
    host("checksum_crc").launch("adler32", 1, 256, data, np.uint32(1000), out)
    assert out[0] == zlib.adler32(ITEMS[-1])


def test_xxhash(host):
    module, (data, begin) = host("checksum_fast"), packed()
    small, large = np.zeros(N, np.uint32), np.zeros(N, np.uint64)
    module.launch("xxhash32", 1, 8, data, begin, np.uint32(5), small, N)
    module.launch("xxhash64", 1, 8, data, begin, np.uint64(5), large, N)
    assert small.tolist() == [xxhash.xxh32_intdigest(item, 5) for item in ITEMS]
    assert large.tolist() == [xxhash.xxh64_intdigest(item, 5) for item in ITEMS]


def test_xxhash_published(host):
    module, (data, begin) = host("checksum_fast"), packed()
    small, large = np.zeros(N, np.uint32), np.zeros(N, np.uint64)
    module.launch("xxhash32", 1, 8, data, begin, np.uint32(0), small, N)
    module.launch("xxhash64", 1, 8, data, begin, np.uint64(0), large, N)
    assert (small[0], small[2]) == (0x02CC5D05, 0x32D153FF)
    assert (large[0], large[2]) == (0xEF46DB3751D8E999, 0x44BC2CF5AD770999)


def test_murmur3_32(host):
    data, begin = packed()
    out = np.zeros(N, np.uint32)
    host("checksum_fast").launch("murmur3_x86_32", 1, 8, data, begin, np.uint32(9), out, N)
    assert out.tolist() == [utils.murmurhash3_32(item, 9, positive=True) for item in ITEMS]


def test_fnv1a_and_siphash(host):
    module, (data, begin) = host("checksum_fast"), packed()
    out = np.zeros(N, np.uint64)
    module.launch("fnv1a_strings", 1, 8, data, begin, out, N)
    assert (out[0], out[1]) == (0xCBF29CE484222325, 0xAF63DC4C8601EC8C)
    # Vectors of the SipHash paper: key 00..0f, input of 0 and of 15 bytes 00..0e.
    data, begin = np.arange(16, dtype=np.uint8), np.array([0, 0, 15], np.uint32)
    k0, k1 = np.uint64(0x0706050403020100), np.uint64(0x0F0E0D0C0B0A0908)
    module.launch("siphash_strings", 1, 2, data, begin, k0, k1, out, np.int32(2))
    assert (out[0], out[1]) == (0x726FDB47DD0E0E31, 0xA129CA6149BE45E5)


@pytest.mark.parametrize("chunks", [1, 2, 3, 5])
def test_blake3_tree(host, chunks):
    data = np.frombuffer(RANDOM.bytes(1024 * chunks), np.uint32).copy()
    nodes = np.zeros((chunks, 8), np.uint32)
    module = host("checksum_blake3_file", "ROLLED")
    module.launch("blake3_chunks", 1, 8, data, np.uint64(0), nodes, np.int32(chunks), np.int32(chunks == 1))
    while len(nodes) > 1:
        parents = np.zeros(((len(nodes) + 1) // 2, 8), np.uint32)
        module.launch("blake3_parents", 1, 8, nodes, parents, np.int32(len(nodes)))
        nodes = parents
    assert nodes.tobytes() == blake3(data.tobytes()).digest()


def test_sha256_of_files_and_pages(host):
    module, (data, begin) = host("checksum_sha256_files", "SHA2_UNROLL=1"), packed(np.uint64)
    out = np.zeros((N, 8), np.uint32)
    module.launch("sha256_files", 1, 8, data, begin, out, N)
    assert [row.astype(">u4").tobytes() for row in out] == [hashlib.sha256(item).digest() for item in ITEMS]
    pages = RANDOM.integers(0, 256, (2, 4096), np.uint8)
    module.launch("sha256_pages", 1, 2, pages, out, np.int32(2))
    assert [row.astype(">u4").tobytes() for row in out[:2]] == [
        hashlib.sha256(page.tobytes()).digest() for page in pages
    ]


def test_gear_boundaries_do_not_depend_on_the_split(host):
    data, gear = RANDOM.integers(0, 256, 3000, np.uint8), RANDOM.integers(0, 2**64, 256, np.uint64)
    h, want = 0, []
    for place, byte in enumerate(data.tolist()):
        h = ((h << 1) + int(gear[byte])) % 2**64
        if h & 0xFF00000000000000 == 0:
            want.append(place)
    bits = np.zeros(94, np.uint32)
    module = host("checksum_chunking", "WINDOW=16 SPAN=128")
    module.launch("gear_boundaries", 1, 32, data, np.uint32(3000), gear, np.uint64(0xFF00000000000000), bits)
    assert np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little")).tolist() == want


def expand_key(key: bytes, sbox: list[int]) -> list[bytes]:
    words, rcon, size = [key[i : i + 4] for i in range(0, len(key), 4)], 1, len(key) // 4
    for i in range(size, 4 * (size + 7)):
        t = words[-1]
        if i % size == 0:
            t = bytes(sbox[b] for b in t[1:] + t[:1])
            t = bytes([t[0] ^ rcon]) + t[1:]
            rcon = rcon << 1 ^ (0x11B if rcon & 0x80 else 0)
        elif size > 6 and i % size == 4:
            t = bytes(sbox[b] for b in t)
        words.append(bytes(a ^ b for a, b in zip(words[i - size], t, strict=True)))
    return words


def aes_sbox() -> list[int]:
    box, p, q = [0] * 256, 1, 1
    while True:
        p ^= (p << 1 ^ (0x1B if p & 0x80 else 0)) & 0xFF
        for shift in (1, 2, 4):
            q ^= q << shift & 0xFF
        q ^= 0x09 if q & 0x80 else 0
        rotated = [(q << s | q >> (8 - s)) & 0xFF for s in range(5)]
        box[p] = rotated[0] ^ rotated[1] ^ rotated[2] ^ rotated[3] ^ rotated[4] ^ 0x63
        if p == 1:
            break
    box[0] = 0x63
    return box


@pytest.mark.parametrize(("variant", "size", "want"), [
    ("", 16, "69c4e0d86a7b0430d8cdb78070b4c55a"),
    ("TABLES=4 AES_ROUNDS=14", 32, "8ea2b7ca516745bfeafc49904b496089"),
])  # fmt: skip
def test_aes_fips197(host, variant, size, want):
    keys = np.frombuffer(b"".join(expand_key(bytes(range(size)), aes_sbox())), np.uint32).copy()
    block = np.frombuffer(bytes.fromhex("00112233445566778899aabbccddeeff"), np.uint32).copy()
    cell, zero, out = np.zeros(1, "u4,u4,u4,u4"), np.zeros(4, np.uint32), np.zeros(4, np.uint32)
    cell[0] = tuple(block.tolist())
    host("crypto_aes", variant).launch("aes_ctr", 1, 32, keys, cell[0], zero, out, np.uint32(1))
    assert out.tobytes().hex() == want


def test_aes_bitsliced_agrees_with_fips197(host):
    words = b"".join(expand_key(bytes(range(16)), aes_sbox()))
    bits = np.unpackbits(np.frombuffer(words, np.uint8).reshape(-1, 1), axis=1, bitorder="little").reshape(-1)
    keys = (bits.astype(np.uint32) * np.uint32(0xFFFFFFFF)).copy()
    text = np.frombuffer(bytes.fromhex("00112233445566778899aabbccddeeff"), np.uint8).reshape(-1, 1)
    state = (np.unpackbits(text, axis=1, bitorder="little").reshape(-1).astype(np.uint32) << np.uint32(3)).copy()
    host("crypto_aes_bitsliced").launch("aes_bitsliced", 1, 1, keys, state, np.int32(10), np.int32(1))
    out = np.packbits((state >> 3 & 1).astype(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    assert out.tobytes().hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


def test_chacha20_rfc8439(host):
    key = np.frombuffer(bytes(range(32)), np.uint32).copy()
    nonce = np.frombuffer(bytes.fromhex("000000090000004a00000000"), np.uint32).copy()
    out = np.zeros(16, np.uint32)
    module = host("crypto_stream")
    module.launch("chacha20_xor", 1, 1, key, nonce, np.uint32(1), np.zeros(16, np.uint32), out, np.uint32(1))
    assert out.tobytes().hex().startswith("10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e")


def test_poly1305(host):
    module = host("crypto_stream")
    key, message = RANDOM.bytes(32), RANDOM.bytes(48)
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    h = 0
    for i in range(0, 48, 16):
        h = (h + int.from_bytes(message[i : i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    want = ((h + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")
    tag = np.zeros(4, np.uint32)
    arrays = [np.frombuffer(part, np.uint32).copy() for part in (key, message)]
    module.launch("poly1305", 1, 1, arrays[0], arrays[1], np.int32(3), tag, np.int32(1))
    assert tag.tobytes() == want


def merkle(host, kernel: str, kind: str, variant: str = "SHA2_UNROLL=8") -> tuple[np.ndarray, list[bytes]]:
    nodes = RANDOM.integers(0, 256, (3, 64 if kind != "<u8wide" else 128), np.uint8)
    parents = np.zeros((3, nodes.shape[1] // 2), np.uint8)
    host("zk_merkle", variant).launch(kernel, 1, 4, nodes, parents, np.uint32(3))
    return parents, [row.tobytes() for row in nodes]


def test_merkle_nodes(host):
    parents, nodes = merkle(host, "merkle_keccak_pairs", "<u8", "PAD_BYTE=6 SHA2_UNROLL=64")
    assert [p.tobytes() for p in parents] == [hashlib.sha3_256(node).digest() for node in nodes]
    parents, nodes = merkle(host, "merkle_blake2s_pairs", "<u4")
    assert [p.tobytes() for p in parents] == [hashlib.blake2s(node, digest_size=32).digest() for node in nodes]
    parents, nodes = merkle(host, "merkle_blake2b_pairs", "<u8wide")
    assert [p.tobytes() for p in parents] == [hashlib.blake2b(node, digest_size=64).digest() for node in nodes]


def test_merkle_sha256_and_keccak_leaves(host):
    module = host("zk_merkle", "PAD_BYTE=6 SHA2_UNROLL=64")
    nodes, parents = RANDOM.integers(0, 2**32, (2, 16), np.uint32), np.zeros((2, 8), np.uint32)
    module.launch("merkle_sha256_pairs", 1, 2, nodes, parents, np.uint32(2))
    assert [p.astype(">u4").tobytes() for p in parents] == [
        hashlib.sha256(n.astype(">u4").tobytes()).digest() for n in nodes
    ]
    columns, digests = RANDOM.integers(0, 2**64, (20, 2), np.uint64), np.zeros((2, 4), np.uint64)
    module.launch("merkle_keccak_leaves", 1, 2, columns, np.int32(20), digests, np.uint32(2))
    assert [d.tobytes() for d in digests] == [hashlib.sha3_256(row.tobytes()).digest() for row in columns.T.copy()]
