"""Password audit: digests of generated candidates, looked up among the digests to be audited.

MD5 (RFC 1321), NTLM, which is MD4 (RFC 1320) of UTF-16, and SHA-1 (RFC 3174), each of one block. A candidate
is a number written in the digits of an alphabet, as an auditing tool's mask does; a bitmap of first words
sieves the digests. Inert: the digests are of invented words.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import atomic_max, device, local_array, rotate_left_32
from hashwarden.kernels.memory.recorder import atomic, begin, load
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "md4", "md4_block", "md5_block", "ntlm", "sha1_block"]

LETTERS: Final = b"abcdefghijklmnopqrstuvwxyz012345"
LENGTH: Final = 7
_PLANTED: Final = 8
_MD5_SINES: Final = tuple(int(abs(np.sin(np.float64(i + 1))) * 2**32) for i in range(64))
_MD5_TURNS: Final = (7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21)
_MD4_TURNS: Final = (3, 7, 11, 19, 3, 5, 9, 13, 3, 9, 11, 15)
_MD4_PLACES: Final = (0, 2, 1, 3)
_MD4_ADDED: Final = (0, 0x5A827999, 0x6ED9EBA1)
_SHA1_ADDED: Final = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)


@device
def _start(state: Any) -> None:
    state[0], state[1] = np.uint32(0x67452301), np.uint32(0xEFCDAB89)
    state[2], state[3] = np.uint32(0x98BADCFE), np.uint32(0x10325476)


@device
def md5_block(state: Any, words: Any) -> None:
    """MD5 of one padded block: ``words`` uint32[16], little endian, gives ``state`` uint32[4]."""
    _start(state)
    a, b, c, d = state[0], state[1], state[2], state[3]
    for i in range(64):
        turn = i // 16
        if turn == 0:
            mixed, place = np.uint32((b & c) | (~b & d)), i
        elif turn == 1:
            mixed, place = np.uint32((d & b) | (~d & c)), (5 * i + 1) % 16
        elif turn == 2:
            mixed, place = np.uint32(b ^ c ^ d), (3 * i + 5) % 16
        else:
            mixed, place = np.uint32(c ^ np.uint32(b | ~d)), (7 * i) % 16
        total = np.uint32(np.uint32(a + mixed) + np.uint32(np.uint32(_MD5_SINES[i]) + words[place]))
        a, d, c = d, c, b
        b = np.uint32(b + rotate_left_32(total, _MD5_TURNS[4 * turn + i % 4]))
    state[0], state[1] = np.uint32(state[0] + a), np.uint32(state[1] + b)
    state[2], state[3] = np.uint32(state[2] + c), np.uint32(state[3] + d)


@device
def md4_block(state: Any, words: Any) -> None:
    """MD4 of one padded block, as `md5_block`."""
    _start(state)
    a, b, c, d = state[0], state[1], state[2], state[3]
    for i in range(48):
        turn, item = i // 16, i % 16
        if turn == 0:
            mixed, place = np.uint32((b & c) | (~b & d)), item
        elif turn == 1:
            mixed, place = np.uint32((b & c) | (b & d) | (c & d)), 4 * (item % 4) + item // 4
        else:
            mixed, place = np.uint32(b ^ c ^ d), _MD4_PLACES[item // 4] + 4 * _MD4_PLACES[item % 4]
        total = np.uint32(np.uint32(a + mixed) + np.uint32(words[place] + np.uint32(_MD4_ADDED[turn])))
        a, d, c, b = d, c, b, rotate_left_32(total, _MD4_TURNS[4 * turn + i % 4])
    state[0], state[1] = np.uint32(state[0] + a), np.uint32(state[1] + b)
    state[2], state[3] = np.uint32(state[2] + c), np.uint32(state[3] + d)


@device
def sha1_block(state: Any, words: Any) -> None:
    """SHA-1 of one padded block, big endian; ``words`` is destroyed, ``state`` is uint32[5]."""
    _start(state)
    state[4] = np.uint32(0xC3D2E1F0)
    a, b, c, d, e = state[0], state[1], state[2], state[3], state[4]
    for i in range(80):
        if i >= 16:
            mixed = np.uint32(words[(i + 13) % 16] ^ words[(i + 8) % 16] ^ words[(i + 2) % 16] ^ words[i % 16])
            words[i % 16] = rotate_left_32(mixed, 1)
        turn = i // 20
        if turn == 0:
            chosen = np.uint32((b & c) | (~b & d))
        elif turn == 2:
            chosen = np.uint32((b & c) | (b & d) | (c & d))
        else:
            chosen = np.uint32(b ^ c ^ d)
        total = np.uint32(np.uint32(rotate_left_32(a, 5) + chosen) + np.uint32(e + words[i % 16]))
        e, d, c, b = d, c, rotate_left_32(b, 30), a
        a = np.uint32(total + np.uint32(_SHA1_ADDED[turn]))
    state[0], state[1], state[2] = np.uint32(state[0] + a), np.uint32(state[1] + b), np.uint32(state[2] + c)
    state[3], state[4] = np.uint32(state[3] + d), np.uint32(state[4] + e)


@device
def _candidate(log: Any, t: Any, alphabet: Any, number: Any, words: Any, step: Any, big: Any) -> Any:
    """Write candidate ``number`` as a padded block; ``step`` bytes a letter."""
    for place in range(16):
        words[place] = np.uint32(0)
    rest = np.int64(number)
    for place in range(LENGTH + 1):
        letter = np.uint32(0x80)
        if place < LENGTH:
            digit = rest % len(alphabet)
            rest //= len(alphabet)
            t = load(log, t, 0, 0, digit)
            letter = np.uint32(alphabet[digit])
        at = place * step
        shift = 24 - 8 * (at % 4) if big else 8 * (at % 4)
        words[at // 4] = np.uint32(words[at // 4] | np.uint32(letter << np.uint32(shift)))
    words[15 if big else 14] = np.uint32(8 * LENGTH * step)
    return t


@device
def _look_up(log: Any, t: Any, state: Any, bitmap: Any, targets: Any, found: Any, number: Any) -> Any:
    """Mark the target that the digest equals."""
    bit = np.int64(state[0]) % (32 * len(bitmap))
    t = load(log, t, 1, 1, bit // 32, 1)
    if not (np.int64(bitmap[bit // 32]) >> (bit % 32)) & 1:
        return t
    width, count = len(targets) // len(found), len(found)
    low, high, depth = 0, count, 2
    while low < high:
        middle = (low + high) // 2
        t = load(log, t, 2, 2, middle * width, depth)
        depth += 1
        if targets[middle * width] < state[0]:
            low = middle + 1
        else:
            high = middle
    while low < count and targets[low * width] == state[0]:
        same = True
        t = load(log, t, 3, 2, low * width, depth, 4)
        for word in range(width):
            same = same and targets[low * width + word] == state[word]
        if same:
            t = atomic(log, t, 4, 3, low, depth)
            atomic_max(found, low, np.int64(number + 1))
        low += 1
    return t


@device
def audit_md5(
    thread: Any, log: Any, alphabet: Any, bitmap: Any, targets: Any, found: Any, each: Any, first: Any
) -> None:
    """Try ``each`` candidates."""
    t = begin(log, thread)
    words, state = local_array(16, np.uint32), local_array(5, np.uint32)
    for item in range(each):
        number = first + thread * each + item
        t = _candidate(log, t, alphabet, number, words, 1, False)
        md5_block(state, words)
        t = _look_up(log, t, state, bitmap, targets, found, number)


@device
def audit_ntlm(
    thread: Any, log: Any, alphabet: Any, bitmap: Any, targets: Any, found: Any, each: Any, first: Any
) -> None:
    """Try ``each`` candidates."""
    t = begin(log, thread)
    words, state = local_array(16, np.uint32), local_array(5, np.uint32)
    for item in range(each):
        number = first + thread * each + item
        t = _candidate(log, t, alphabet, number, words, 2, False)
        md4_block(state, words)
        t = _look_up(log, t, state, bitmap, targets, found, number)


@device
def audit_sha1(
    thread: Any, log: Any, alphabet: Any, bitmap: Any, targets: Any, found: Any, each: Any, first: Any
) -> None:
    """Try ``each`` candidates."""
    t = begin(log, thread)
    words, state = local_array(16, np.uint32), local_array(5, np.uint32)
    for item in range(each):
        number = first + thread * each + item
        t = _candidate(log, t, alphabet, number, words, 1, True)
        sha1_block(state, words)
        t = _look_up(log, t, state, bitmap, targets, found, number)


def md4(message: bytes) -> bytes:
    """Oracle: MD4 (RFC 1320) by Python integers; OpenSSL no longer has it."""
    text = message + b"\x80" + bytes(-(len(message) + 9) % 64) + (8 * len(message)).to_bytes(8, "little")
    state, mask = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476], 0xFFFFFFFF
    orders = ("0123456789abcdef", "048c159d26ae37bf", "084c2a6e195d3b7f")
    turns, mixes = ((3, 7, 11, 19), (3, 5, 9, 13), (3, 9, 11, 15)), (_choose, _majority, _parity)
    for start in range(0, len(text), 64):
        block, held = memoryview(text[start : start + 64]).cast("I"), list(state)
        for order, turn, mix, added in zip(orders, turns, mixes, (0, 0x5A827999, 0x6ED9EBA1), strict=True):
            for position, place in enumerate(order):
                a, b, c, d = state
                a = (a + mix(b, c, d) + block[int(place, 16)] + added) & mask
                shift = turn[position % 4]
                state = [d, (a << shift | a >> (32 - shift)) & mask, b, c]
        state = [(new + old) & mask for new, old in zip(state, held, strict=True)]
    return b"".join(word.to_bytes(4, "little") for word in state)


def _choose(b: int, c: int, d: int) -> int:
    return d ^ (b & (c ^ d))


def _majority(b: int, c: int, d: int) -> int:
    return (b & c) ^ (b & d) ^ (c & d)


def _parity(b: int, c: int, d: int) -> int:
    return b ^ c ^ d


def ntlm(word: bytes) -> bytes:
    """Oracle: NTLM digest of an ASCII password ([MS-NLMP] 3.3.1)."""
    return md4(word.decode("ascii").encode("utf-16-le"))


def _md5(word: bytes) -> bytes:
    return hashlib.md5(word, usedforsecurity=False).digest()


def _sha1(word: bytes) -> bytes:
    return hashlib.sha1(word, usedforsecurity=False).digest()


def _word(number: int) -> bytes:
    digits = (number // len(LETTERS) ** place % len(LETTERS) for place in range(LENGTH))
    return bytes(LETTERS[digit] for digit in digits)


def _build(body: Any, digest: Callable[[bytes], bytes], order: str, operations: int) -> Callable[[Settings, int], Plan]:
    def build(settings: Settings, seed: int) -> Plan:
        return _plan(settings, seed, body, digest, order, operations)

    return build


def _plan(
    settings: Settings, seed: int, body: Any, digest: Callable[[bytes], bytes], order: str, operations: int
) -> Plan:
    threads, each, count = settings["threads"], settings["candidates"], settings["digests"]
    random = np.random.default_rng(seed)
    first, planted = int(random.integers(0, 1 << 30)), random.integers(0, threads * each, min(_PLANTED, count))
    hidden = {digest(_word(first + int(place))): first + int(place) for place in planted}
    width = len(digest(b""))
    text = b"".join(hidden) + random.bytes(width * (count - len(hidden)))
    rows = np.frombuffer(text, f"{order}u4").reshape(count, width // 4).astype(np.uint32)
    targets = rows[np.argsort(rows[:, 0], kind="stable")]
    bitmap = np.zeros(1 << max(int(16 * count - 1).bit_length() - 5, 0), np.uint32)
    bits = targets[:, 0].astype(np.int64) % (32 * len(bitmap))
    np.bitwise_or.at(bitmap, bits // 32, (1 << (bits % 32)).astype(np.uint32))
    arrays: Arrays = {
        "alphabet": np.frombuffer(LETTERS, np.uint8),
        "bitmap": bitmap,
        "targets": targets.reshape(-1),
        "found": Empty((count,), np.int64),
    }

    def step(number: int) -> tuple[Launch, ...]:
        begins = np.int64(first + number * threads * each)
        return (Launch(body, threads, ("alphabet", "bitmap", "targets", "found", np.int64(each), begins)),)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        text = targets.astype(f"{order}u4").tobytes()
        expected = [hidden.get(text[place : place + width], -1) + 1 for place in range(0, len(text), width)]
        require_equal("found", results["found"], np.array(expected, np.int64))

    hashes = threads * each
    return Plan(arrays, step, Work(units=hashes, dram_bytes=hashes * 32, int_ops=hashes * operations), check)


def _workload(name: str, summary: str, build: Callable[[Settings, int], Plan]) -> Workload:
    return Workload(
        name=f"password-{name}",
        label="hash-other",
        family="password",
        bound="integer",
        summary=summary,
        unit="hash",
        parameters=(
            Parameter("threads", "threads", 1, 1 << 26, "threads"),
            Parameter("candidates", "hashes", 1, 1 << 20, "candidates of a thread"),
            Parameter("digests", "digests", 1, 1 << 20, "digests to be audited"),
        ),
        sizes={
            "small": {"threads": 64, "candidates": 2, "digests": 32},
            "trace": {"threads": 1 << 14, "candidates": 16, "digests": 1 << 16},
            "gpu": {"threads": 1 << 20, "candidates": 256, "digests": 1 << 18},
        },
        build=build,
    )


WORKLOADS: Final = (
    _workload("md5", "Audit of MD5 digests (RFC 1321) by a mask", _build(audit_md5, _md5, "<", 400)),
    _workload("ntlm", "Audit of NTLM digests (RFC 1320) by a mask", _build(audit_ntlm, ntlm, "<", 280)),
    _workload("sha1", "Audit of SHA-1 digests (RFC 3174) by a mask", _build(audit_sha1, _sha1, ">", 850)),
)
