"""Password audit and key derivation against hashlib and published vectors."""

from __future__ import annotations

import hashlib

import mpmath
import numpy as np
import pytest


def packed(words: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    data = np.frombuffer(b"".join(words) + b"\0", np.uint8).copy()
    return data, np.cumsum([0, *map(len, words)]).astype(np.uint32)


WORDS = [b"", b"a", b"abc", b"correct horse", b"0123456789012345678901234"]


def test_md5_mask_finds_the_candidate(host):
    sets = np.zeros((5, 256), np.uint8)
    sets[:, :26] = np.arange(97, 123)
    index = 11 + 26 * (4 + 26 * (11 + 26 * (11 + 26 * 14)))
    target = np.frombuffer(hashlib.md5(b"lello").digest(), "<u4").copy()
    bitmap, found = np.zeros(2048, np.uint32), np.zeros(1, np.uint64)
    bitmap[(target[0] >> 5) & 0x7FF] |= np.uint32(1 << int(target[0] & 31))
    sizes = np.full(5, 26, np.uint32)
    first = np.uint64(index - 7)
    module = host("password_md5", "MASK_LENGTH=5")
    module.launch("audit_md5_mask", 1, 16, sets, sizes, first, np.uint32(16), target, bitmap, np.uint32(1), found)
    assert found[0] == index + 1


def test_md5_salted_words_and_iterations(host):
    module = host("password_md5", "MASK_LENGTH=12 ITERATIONS=64")
    data, offsets = packed(WORDS)
    salt = bytes(range(16))
    out = np.zeros((len(WORDS), 4), np.uint32)
    salt_array = np.frombuffer(salt, np.uint8).copy()
    module.launch("audit_md5_words_salted", 1, 4, data, offsets, np.uint32(len(WORDS)), salt_array, out)
    assert [row.tobytes() for row in out] == [hashlib.md5(word + salt).digest() for word in WORDS]
    module.launch("audit_md5_iterated", 1, 8, out, np.uint32(len(WORDS)))
    expected = hashlib.md5(WORDS[2] + salt).digest()
    for _ in range(64):
        expected = hashlib.md5(expected).digest()
    assert out[2].tobytes() == expected


def test_ntlm_published_vector(host):
    data, offsets = packed([b"password", b""])
    out = np.zeros((2, 4), np.uint32)
    host("password_ntlm").launch("audit_ntlm_words", 1, 2, data, offsets, np.uint32(2), out)
    assert out[0].tobytes().hex() == "8846f7eaee8fb117ad06bdd830b7586c"
    assert out[1].tobytes().hex() == "31d6cfe0d16ae931b73c59d7e0c089c0"


def test_ntlm_mask_agrees_with_words(host):
    tails = np.zeros((15, 1), np.uint32)
    tails[0], tails[1], tails[2] = ord("s") | ord("s") << 16, ord("w") | ord("o") << 16, ord("r") | ord("d") << 16
    tails[3], tails[13] = 0x80, 128
    heads = np.array([ord("x") | ord("a") << 16, ord("p") | ord("a") << 16], np.uint32)
    target = np.frombuffer(bytes.fromhex("8846f7eaee8fb117ad06bdd830b7586c"), np.uint32).copy()
    found = np.zeros(1, np.uint32)
    module = host("password_ntlm")
    module.launch("audit_ntlm_mask", 1, 1, tails, np.uint32(1), heads, np.uint32(2), target, np.uint32(1), found)
    assert found[0] == 2


def padded_salt(salt: bytes, block: int) -> bytes:
    text = salt + b"\0\0\0\x01"
    return text + b"\x80" + bytes(block - len(text) - 9) + ((block + len(text)) * 8).to_bytes(8, "big")


def test_pbkdf2_sha1(host):
    module = host("password_pbkdf2_sha1", "SLICE=256")
    keys = np.frombuffer(b"".join(w.ljust(64, b"\0") for w in WORDS), ">u4").astype(np.uint32)
    salt = np.frombuffer(padded_salt(b"network", 64), ">u4").astype(np.uint32)
    n = np.uint32(len(WORDS))
    state = np.zeros((20, len(WORDS)), np.uint32)
    module.launch("pbkdf2_sha1_init", 1, 8, keys, salt, state, n)
    for left in (299, 43):
        module.launch("pbkdf2_sha1_loop", 1, 8, state, n, np.uint32(left))
    want = [hashlib.pbkdf2_hmac("sha1", word, b"network", 300) for word in WORDS]
    assert [column.astype(">u4").tobytes() for column in state[15:].T] == want
    targets, found = np.frombuffer(want[3], ">u4").astype(np.uint32), np.zeros(1, np.uint32)
    module.launch("pbkdf2_sha1_compare", 1, 8, state, n, targets, np.uint32(1), found)
    assert found[0] == 4


@pytest.mark.parametrize(("variant", "name", "size"), [("", "sha256", 4), ("WORD64 SHA2_UNROLL=1", "sha512", 8)])
def test_pbkdf2_sha2(host, variant, name, size):
    kind, block = f">u{size}", 16 * size
    keys = np.frombuffer(b"".join(w.ljust(block, b"\0") for w in WORDS), kind).astype(f"<u{size}")
    salt = np.frombuffer(padded_salt(b"pepper", block), kind).astype(f"<u{size}")
    out = np.zeros((len(WORDS), 8), f"<u{size}")
    module = host("password_pbkdf2_sha2", variant)
    module.launch("pbkdf2_sha2", 1, 8, keys, salt, np.uint32(50), out, np.uint32(len(WORDS)))
    assert [row.astype(kind).tobytes() for row in out] == [hashlib.pbkdf2_hmac(name, w, b"pepper", 50) for w in WORDS]


@pytest.mark.parametrize(("variant", "name", "size"), [("", "sha256", 4), ("WORD64 SHA2_UNROLL=1", "sha512", 8)])
def test_crypt_rounds(host, variant, name, size):
    key, digest = bytes(range(4 * size)), hashlib.new(name, b"x").digest()
    keys = np.frombuffer(key, f">u{size}").astype(f"<u{size}")
    state = np.frombuffer(digest, f">u{size}").astype(f"<u{size}")
    host("password_pbkdf2_sha2", variant).launch("crypt_sha2_rounds", 1, 1, keys, state, np.uint32(3), np.uint32(1))
    for turn in range(3):
        digest = hashlib.new(name, key + digest if turn % 2 else digest + key).digest()
    assert state.astype(f">u{size}").tobytes() == digest


def test_sha256_mask(host):
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._"
    word, salt = "Hash.7", bytes(range(8))
    index = sum(letters.index(c) << (6 * i) for i, c in enumerate(word))
    target = np.frombuffer(hashlib.sha256(word.encode() + salt).digest(), ">u4").astype(np.uint32)
    hit = np.zeros(1, np.uint64)
    high, low = (np.uint32(int.from_bytes(part, "big")) for part in (salt[:4], salt[4:]))
    module = host("password_sha256_mask", "CANDIDATES_PER_THREAD=4")
    module.launch("audit_sha256_mask", 1, 4, np.uint64(index - 6), high, low, target, hit)
    assert hit[0] == index


def test_bcrypt_published_vector(host):
    with mpmath.workprec(33400):
        digits = int(mpmath.floor((mpmath.pi - 3) * mpmath.mpf(2) ** 33344))
    initial = np.frombuffer(digits.to_bytes(4168, "big"), ">u4").astype(np.uint32)
    alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

    def decode(text: str) -> bytes:
        bits = "".join(f"{alphabet.index(c):06b}" for c in text)
        return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits) - 7, 8))

    # From the crypt_blowfish test set: U*U, cost 5.
    salt, want = decode("CCCCCCCCCCCCCCCCCCCCC."), decode("E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")
    key = (b"U*U\0" * 18)[:72]
    keys = np.frombuffer(key, ">u4").astype(np.uint32)
    digest = np.zeros(6, np.uint32)
    salt_words = np.frombuffer(salt, ">u4").astype(np.uint32)
    module = host("password_bcrypt", "BLOCK_THREADS=4")
    module.launch(
        "audit_bcrypt", 1, 4, initial, keys, salt_words, np.uint32(5), np.uint32(1), np.zeros(1, np.uint32), digest
    )
    assert digest.astype(">u4").tobytes()[:23] == want[:23]
