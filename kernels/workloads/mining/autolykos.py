"""Autolykos2: a table of BLAKE2b digests, and 32 gathers from it for each hash.

After the Autolykos v2 description of Ergo (ErgoPow, 2021): element ``i`` of the table is the last 31 bytes
of BLAKE2b-256 over ``i``, the height and 8 KiB of counting words; a hash takes one element at a place that
message and nonce decide, hashes it with them, cuts 32 overlapping windows of 32 bits out of the digest,
adds the elements at these places as whole numbers, and hashes the sum. An element lies in a slot of 32
bytes, which one thread reads by two accesses of 16 bytes, as the public miners do; the 32 gathers do not
wait for one another. Nothing is compared with a target.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.mining.blake2b import blake2b_compress, blake2b_start
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "autolykos", "build_plan", "element"]

GATHERS: Final = 32
SLOT_WORDS: Final = 8
QUAD: Final = 4
BLOCK_WORDS: Final = 16
DIGEST_BYTES: Final = 32
MESSAGE: Final = bytes(range(32))
HEIGHT: Final = 614400
_ELEMENT_BYTES: Final = 31
_NONE: Final = np.uint64(0)
_LOW: Final = np.uint64(0xFFFFFFFF)
_HASHES_CHECKED: Final = 8
_ELEMENTS_CHECKED: Final = 64


@device
def _swapped(word: Any) -> Any:
    """Turn the four bytes of a word around."""
    high = np.uint32(np.uint32(word & np.uint32(0xFF)) << np.uint32(24))
    high = np.uint32(high | np.uint32(np.uint32(word & np.uint32(0xFF00)) << np.uint32(8)))
    low = np.uint32(np.uint32(word >> np.uint32(8)) & np.uint32(0xFF00))
    return np.uint32(high | np.uint32(low | np.uint32(word >> np.uint32(24))))


@device
def _low(wide: Any) -> Any:
    return np.uint32(wide & _LOW)


@device
def _high(wide: Any) -> Any:
    return np.uint32(wide >> np.uint64(32))


@device
def _swapped_wide(wide: Any) -> Any:
    """Turn the eight bytes of a word around."""
    return (np.uint64(_swapped(_low(wide))) << np.uint64(32)) | np.uint64(_swapped(_high(wide)))


@device
def _begin_hash(h: Any, m: Any) -> None:
    blake2b_start(h, DIGEST_BYTES, _NONE, _NONE)
    for i in range(BLOCK_WORDS):
        m[i] = _NONE


@device
def build_element(thread: Any, log: Any, table: Any, height: Any, constants: Any) -> None:
    """Make element ``thread``: BLAKE2b of its number, the height and ``constants`` counting words."""
    t = begin(log, thread)
    h, m = local_array(8, np.uint64), local_array(BLOCK_WORDS, np.uint64)
    v = local_array(BLOCK_WORDS, np.uint64)
    _begin_hash(h, m)
    words = 1 + constants
    for first in range(0, words, BLOCK_WORDS):
        for i in range(BLOCK_WORDS):
            at = first + i
            if at == 0:
                number = np.uint64(_swapped(np.uint32(thread)))
                m[i] = number | (np.uint64(_swapped(np.uint32(height))) << np.uint64(32))
            else:
                m[i] = _swapped_wide(np.uint64(at - 1)) if at < words else _NONE
        taken = min(first + BLOCK_WORDS, words)
        blake2b_compress(h, m, v, np.uint64(8 * taken), taken == words)
    # The number is big endian in the digest, whose first byte is left out; words are little endian.
    slot = SLOT_WORDS * np.int64(thread)
    t = store(log, t, 0, 0, slot, 0, QUAD)
    t = store(log, t, 1, 0, slot + QUAD, 0, QUAD)
    for i in range(4):
        wide = _swapped_wide(h[3 - i])
        table[slot + 2 * i] = _low(wide)
        table[slot + 2 * i + 1] = _high(wide) if i < 3 else np.uint32(_high(wide) & np.uint32(0x00FFFFFF))


@device
def _put(m: Any, at: Any, byte: Any) -> None:
    """Put a byte into a block of zeros."""
    m[at >> 3] = m[at >> 3] | (np.uint64(byte) << np.uint64(8 * (at & 7)))


@device
def _seed(m: Any, slot: Any, message: Any, nonce: Any) -> None:
    """Lay out element, message and nonce as a block of 71 bytes."""
    for i in range(_ELEMENT_BYTES):
        back = _ELEMENT_BYTES - 1 - i
        _put(m, i, np.uint32(slot[back >> 2] >> np.uint32(8 * (back & 3))) & np.uint32(255))
    for i in range(DIGEST_BYTES):
        _put(m, _ELEMENT_BYTES + i, (message[i >> 3] >> np.uint64(8 * (i & 7))) & np.uint64(255))
    for i in range(8):
        _put(m, 63 + i, (nonce >> np.uint64(56 - 8 * i)) & np.uint64(255))


@device
def _add_slot(log: Any, t: Any, site: Any, depth: Any, table: Any, index: Any, total: Any) -> Any:
    """Add an element to a number of eight words; the table is argument 1."""
    at, carry = SLOT_WORDS * np.int64(index), np.uint64(0)
    t = load(log, t, site, 1, at, depth, QUAD)
    t = load(log, t, site + 1, 1, at + QUAD, depth, QUAD)
    for i in range(SLOT_WORDS):
        carry = np.uint64(carry + np.uint64(total[i]) + np.uint64(table[at + i]))
        total[i] = _low(carry)
        carry = carry >> np.uint64(32)
    return t


@device
def search(thread: Any, log: Any, message: Any, table: Any, digests: Any, first: Any, elements: Any) -> None:
    """Hash nonce ``first + thread``."""
    t = begin(log, thread)
    h, m = local_array(8, np.uint64), local_array(BLOCK_WORDS, np.uint64)
    v, said = local_array(BLOCK_WORDS, np.uint64), local_array(4, np.uint64)
    total, windows = local_array(SLOT_WORDS, np.uint32), local_array(9, np.uint32)
    nonce = np.uint64(np.uint64(first) + np.uint64(thread))
    _begin_hash(h, m)
    for i in range(4):
        t = load(log, t, 0, 0, i)
        said[i] = message[i]
        m[i] = said[i]
    m[4] = _swapped_wide(nonce)
    blake2b_compress(h, m, v, np.uint64(40), True)
    for i in range(SLOT_WORDS):
        total[i] = np.uint32(0)
    t = _add_slot(log, t, 1, 1, table, _swapped_wide(h[3]) % np.uint64(elements), total)
    _begin_hash(h, m)
    _seed(m, total, said, nonce)
    blake2b_compress(h, m, v, np.uint64(71), True)
    for i in range(4):
        windows[2 * i], windows[2 * i + 1] = _swapped(_low(h[i])), _swapped(_high(h[i]))
    windows[8] = windows[0]
    for i in range(SLOT_WORDS):
        total[i] = np.uint32(0)
    for i in range(GATHERS):
        pair = (np.uint64(windows[i >> 2]) << np.uint64(32)) | np.uint64(windows[(i >> 2) + 1])
        window = (pair >> np.uint64(32 - 8 * (i & 3))) & _LOW
        t = _add_slot(log, t, 3, 2, table, window % np.uint64(elements), total)
    _begin_hash(h, m)
    for i in range(4):
        m[i] = np.uint64(_swapped(total[7 - 2 * i])) | (np.uint64(_swapped(total[6 - 2 * i])) << np.uint64(32))
    blake2b_compress(h, m, v, np.uint64(DIGEST_BYTES), True)
    for i in range(4):
        t = store(log, t, 5, 2, 4 * thread + i)
        digests[4 * thread + i] = h[i]


def _blake(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def element(index: int, height: int, constants: int) -> bytes:
    """Element of the table by hashlib: 31 bytes, most significant first."""
    words = b"".join(i.to_bytes(8, "big") for i in range(constants))
    return _blake(index.to_bytes(4, "big") + height.to_bytes(4, "big") + words)[1:]


def autolykos(nonce: int, elements: int, height: int, constants: int) -> bytes:
    """Hash of a nonce by hashlib."""
    said = MESSAGE + nonce.to_bytes(8, "big")
    first = int.from_bytes(_blake(said)[24:], "big") % elements
    seed = _blake(element(first, height, constants) + said)
    indices = [int.from_bytes((seed + seed[:3])[i : i + 4], "big") % elements for i in range(GATHERS)]
    total = sum(int.from_bytes(element(i, height, constants), "big") for i in indices)
    return _blake(total.to_bytes(DIGEST_BYTES, "big"))


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``hashes`` hashes over a table of ``elements`` elements; nonces go on from step to step."""
    elements, constants, hashes = settings["elements"], settings["constants"], settings["hashes"]
    arrays: Arrays = {
        "message": np.frombuffer(MESSAGE, "<u8").copy(),
        "table": Empty((elements * SLOT_WORDS,), np.uint32),
        "digests": Empty((hashes * 4,), np.uint64),
    }

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        random = np.random.default_rng(seed)
        chosen = random.integers(0, elements, _ELEMENTS_CHECKED)
        made = b"".join(element(int(i), HEIGHT, constants)[::-1] + b"\0" for i in chosen)
        slots = results["table"].reshape(-1, SLOT_WORDS)[chosen]
        require_equal("table", slots, np.frombuffer(made, "<u4").reshape(-1, SLOT_WORDS))
        chosen = random.integers(0, hashes, _HASHES_CHECKED)
        made = b"".join(autolykos(seed + int(i), elements, HEIGHT, constants) for i in chosen)
        require_equal("digests", results["digests"].reshape(-1, 4)[chosen], np.frombuffer(made, "<u8").reshape(-1, 4))

    def step(number: int) -> tuple[Launch, ...]:
        first = np.uint64(seed + number * hashes)
        return (Launch(search, hashes, ("message", "table", "digests", first, np.uint32(elements))),)

    return Plan(
        arrays,
        step=step,
        # A slot is a sector of 32 bytes; a compression is 12 rounds of 8 mixings of 14 operations on pairs of words.
        work=Work(hashes, hashes * (GATHERS + 2) * 32, int_ops=hashes * (3 * 12 * 8 * 14 * 2 + GATHERS * 24)),
        check=check,
        setup=(Launch(build_element, elements, ("table", np.uint32(HEIGHT), np.int64(constants))),),
    )


WORKLOADS: Final = (
    Workload(
        name="autolykos2",
        label="mining",
        family="autolykos",
        bound="memory",
        summary="Table of BLAKE2b digests and 32 gathers of 32 bytes a hash (Autolykos v2, Ergo)",
        unit="hash",
        parameters=(
            Parameter("elements", "elements", 1, 1 << 28, "elements of the table, 32 bytes each"),
            Parameter("constants", "words", 1, 1 << 16, "64-bit words hashed into an element; 1024 in the original"),
            Parameter("hashes", "hashes", 1, 1 << 26, "hashes a step, one thread each"),
        ),
        sizes={
            "small": {"elements": 61, "constants": 14, "hashes": 32},
            "trace": {"elements": 1 << 21, "constants": 14, "hashes": 1 << 12},
            "gpu": {"elements": 1 << 25, "constants": 1024, "hashes": 1 << 22},
        },
        build=build_plan,
    ),
)
