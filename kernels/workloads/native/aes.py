"""An oracle of AES (FIPS 197): rounds of one block in plain Python."""

from __future__ import annotations

from functools import cache

__all__ = ["encrypt", "expand_key", "round_of", "xor"]


def _product(a: int, b: int) -> int:
    """Product in the field of AES."""
    total = 0
    while b:
        total ^= a if b & 1 else 0
        a, b = a << 1 ^ (0x11B if a & 0x80 else 0), b >> 1
    return total


@cache
def _sbox() -> tuple[int, ...]:
    """Substitution table, from inverses and the affine map."""
    table = []
    for x in range(256):
        y = next((candidate for candidate in range(256) if _product(x, candidate) == 1), 0)
        value = 0x63
        for turn in range(5):
            value ^= (y << turn | y >> (8 - turn)) & 255
        table.append(value)
    return tuple(table)


@cache
def _columns() -> tuple[tuple[int, ...], ...]:
    """What each byte of a column adds to the mixed column, by its row."""
    factors = ((2, 1, 1, 3), (3, 2, 1, 1), (1, 3, 2, 1), (1, 1, 3, 2))
    return tuple(
        tuple(sum(_product(value, factor) << (8 * row) for row, factor in enumerate(column)) for value in _sbox())
        for column in factors
    )


def xor(a: bytes, b: bytes) -> bytes:
    """XOR of two texts of one length."""
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")


def round_of(block: bytes, key: bytes) -> bytes:
    """One forward round: bytes, rows, columns, key."""
    t, words = _columns(), b""
    for c in range(0, 16, 4):
        word = t[0][block[c]] ^ t[1][block[(c + 5) % 16]] ^ t[2][block[(c + 10) % 16]] ^ t[3][block[(c + 15) % 16]]
        words += word.to_bytes(4, "little")
    return xor(words, key)


def expand_key(key: bytes, count: int) -> list[bytes]:
    """First ``count`` round keys of a key of 16 or 32 bytes."""
    size, constant, box = len(key) // 4, 1, _sbox()
    words = [key[i : i + 4] for i in range(0, len(key), 4)]
    while len(words) < 4 * count:
        last, i = words[-1], len(words)
        if i % size == 0:
            last = bytes(box[b] for b in last[1:] + last[:1])
            last, constant = bytes([last[0] ^ constant]) + last[1:], _product(constant, 2)
        elif size > 6 and i % size == 4:
            last = bytes(box[b] for b in last)
        words.append(xor(words[-size], last))
    return [b"".join(words[4 * i : 4 * i + 4]) for i in range(count)]


def encrypt(block: bytes, round_keys: list[bytes]) -> bytes:
    """The whole cipher: the first key alone, rounds, and a last round without columns."""
    block = xor(block, round_keys[0])
    for key in round_keys[1:-1]:
        block = round_of(block, key)
    box = _sbox()
    return xor(bytes(box[block[5 * i % 16]] for i in range(16)), round_keys[-1])
