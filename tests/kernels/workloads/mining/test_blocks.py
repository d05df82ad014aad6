"""The building blocks of the hashes against hashlib, pycryptodome and blake3, compiled and in the simulator."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from blake3 import blake3
from Crypto.Hash import cSHAKE256, keccak

from hashwarden.kernels.device import SIMULATED, device
from hashwarden.kernels.workloads.mining.blake2b import blake2b_compress, blake2b_start
from hashwarden.kernels.workloads.mining.blake3 import (
    CHUNK_END,
    CHUNK_START,
    KEYED_HASH,
    PARENT,
    ROOT,
    blake3_compress,
    blake3_start,
)
from hashwarden.kernels.workloads.mining.keccak import keccak_f800, keccak_f1600
from hashwarden.kernels.workloads.mining.sha256 import sha256_compress, sha256_start, swap_bytes_32
from hashwarden.kernels.workloads.mining.sha512 import sha512_256_start, sha512_compress

LENGTHS = (0, 1, 31, 63, 64, 65, 127, 128, 129, 135, 136, 137, 300)


def text(length: int) -> bytes:
    return np.random.default_rng(length).bytes(length)


@pytest.fixture(autouse=True)
def wrapping():
    """Integers wrap, in the simulator too."""
    with np.errstate(over="ignore"):
        yield


@device
def swapped(values):
    for i in range(len(values)):
        values[i] = swap_bytes_32(values[i])


def test_bytes_of_a_word_are_reversed():
    values = np.array([0x01020304, 0xFFEEDDCC, 0, 0x80], np.uint32)
    expected = values.byteswap()
    swapped(values)
    assert values.tolist() == expected.tolist()


@pytest.mark.parametrize("length", LENGTHS)
def test_sha256(length):
    data, h = text(length), np.zeros(8, np.uint32)
    padded = data + b"\x80" + bytes(-(length + 9) % 64) + (8 * length).to_bytes(8, "big")
    sha256_start(h)
    for block in np.frombuffer(padded, ">u4").astype(np.uint32).reshape(-1, 16):
        sha256_compress(h, block)
    assert h.astype(">u4").tobytes() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("length", LENGTHS)
def test_sha512_256(length):
    data, h = text(length), np.zeros(8, np.uint64)
    padded = data + b"\x80" + bytes(-(length + 17) % 128) + (8 * length).to_bytes(16, "big")
    sha512_256_start(h)
    for block in np.frombuffer(padded, ">u8").astype(np.uint64).reshape(-1, 16):
        sha512_compress(h, block)
    assert h.astype(">u8").tobytes()[:32] == hashlib.new("sha512_256", data).digest()


def sponge(data: bytes, rate: int, suffix: int) -> bytes:
    padded = bytearray(data + bytes([suffix]) + bytes(-(len(data) + 1) % rate))
    padded[-1] |= 0x80
    state = np.zeros(25, np.uint64)
    for block in np.frombuffer(padded, "<u8").reshape(-1, rate // 8):
        state[: rate // 8] ^= block
        keccak_f1600(state)
    return state.tobytes()


@pytest.mark.parametrize("length", LENGTHS)
def test_keccak_f1600_in_sha3_keccak_and_cshake(length):
    data = text(length)
    assert sponge(data, 136, 6)[:32] == hashlib.sha3_256(data).digest()
    assert sponge(data, 72, 6)[:64] == hashlib.sha3_512(data).digest()
    assert sponge(data, 136, 1)[:32] == keccak.new(data=data, digest_bits=256).digest()
    assert sponge(data, 72, 1)[:64] == keccak.new(data=data, digest_bits=512).digest()
    name = (b"\x01\x88\x01\x00\x01\x48HeavyHash").ljust(136, b"\0")
    assert sponge(name + data, 136, 4)[:32] == cSHAKE256.new(data=data, custom=b"HeavyHash").read(32)


def test_keccak_f800_numbers_of_the_reference():
    """KeccakF-800-IntermediateValues.txt of the Keccak team: all zeros, permuted once and twice."""
    state = np.zeros(25, np.uint32)
    keccak_f800(state)
    assert [f"{word:08X}" for word in state[:5]] == ["E531D45D", "F404C6FB", "23A0BF99", "F1F8452F", "51FFD042"]
    keccak_f800(state)
    assert [f"{word:08X}" for word in state[:5]] == ["75BF2D0D", "9B610E89", "C826AF40", "64CD84AB", "F905BDD6"]


@pytest.mark.parametrize(("length", "size", "person"), [(n, 32, b"") for n in LENGTHS] + [(140, 50, b"ZcashPoW" * 2)])
def test_blake2b(length, size, person):
    data, h, v = text(length), np.zeros(8, np.uint64), np.zeros(16, np.uint64)
    words = np.frombuffer(person.ljust(16, b"\0"), "<u8")
    blake2b_start(h, np.int64(size), words[0], words[1])
    blocks = np.frombuffer(data + bytes(-length % 128 if length else 128), "<u8").astype(np.uint64).reshape(-1, 16)
    for i, block in enumerate(blocks):
        last = i == len(blocks) - 1
        blake2b_compress(h, block, v, np.uint64(length if last else 128 * (i + 1)), last)
    assert blocks.tobytes()[:length] == data
    assert h.tobytes()[:size] == hashlib.blake2b(data, digest_size=size, person=person).digest()


def chunk(cv, data: bytes, number: int, flags: int, scratch, last_flags: int) -> None:
    blocks = np.frombuffer(data + bytes(-len(data) % 64 if data else 64), "<u4").astype(np.uint32).reshape(-1, 16)
    for i, block in enumerate(blocks):
        last = i == len(blocks) - 1
        more = (CHUNK_START if i == 0 else 0) | (CHUNK_END | last_flags if last else 0)
        length = len(data) - 64 * i if last else 64
        blake3_compress(cv, block, scratch, np.uint64(number), np.int64(length), np.int64(flags | more))
    assert blocks.tobytes()[: len(data)] == data


@pytest.mark.parametrize("length", [*LENGTHS, 1023, 1024])
def test_blake3_of_one_chunk(length):
    data, cv, scratch = text(length), np.zeros(8, np.uint32), np.zeros(32, np.uint32)
    blake3_start(cv)
    chunk(cv, data, 0, 0, scratch, ROOT)
    assert cv.tobytes() == blake3(data).digest()
    assert scratch[:16].tobytes() == blake3(data).digest(length=64)
    cv[:] = np.frombuffer(bytes(range(32)), "<u4")
    chunk(cv, data, 0, KEYED_HASH, scratch, ROOT)
    assert cv.tobytes() == blake3(data, key=bytes(range(32))).digest()


def test_blake3_of_two_chunks_counts_and_joins_them():
    data, scratch, pair = text(1500), np.zeros(32, np.uint32), np.zeros(16, np.uint32)
    for number in (0, 1):
        cv = pair[8 * number : 8 * number + 8]
        blake3_start(cv)
        chunk(cv, data[1024 * number : 1024 * number + 1024], number, 0, scratch, 0)
    root = np.zeros(8, np.uint32)
    blake3_start(root)
    blake3_compress(root, pair, scratch, np.uint64(0), np.int64(64), np.int64(PARENT | ROOT))
    assert root.tobytes() == blake3(data).digest()


@pytest.mark.skipif(SIMULATED, reason="this is what starts the simulator")
def test_the_same_in_the_simulator():
    """Numba must not be imported before the simulator is chosen, hence a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= 60
