"""Equihash (Biryukov and Khovratovich, NDSS 2016) by buckets: from the strings of a nonce to its solutions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.define import define
from hashwarden.kernels.workloads.native.launches import fill, store
from hashwarden.kernels.workloads.native.reference import blake2b_midstate
from hashwarden.kernels.workloads.native.search import grid, header_of
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work, require_close, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "equihash_bucket"
_HEADER: Final = 140
_TAILS: Final = 64
"""Nonces before they come again."""
_CAPACITY: Final = 1024
_SAMPLE: Final = 16
_SEEDS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Kind:
    """Parameters of Equihash and of the bucket solver."""

    n: int
    k: int
    bucket_bits: int
    slots: int

    @property
    def variant(self) -> str:
        return f"N={self.n} K={self.k} BUCKET_BITS={self.bucket_bits} SLOTS={self.slots}"

    @property
    def collision_bits(self) -> int:
        return self.n // (self.k + 1)

    @property
    def each(self) -> int:
        """Strings of one hash."""
        return 512 // self.n

    @property
    def hashes(self) -> int:
        return -(-(2 << self.collision_bits) // self.each)

    @property
    def places(self) -> int:
        return self.slots << self.bucket_bits


_KINDS: Final = {
    kind.n: kind
    for kind in (_Kind(48, 5, 3, 192), _Kind(96, 5, 8, 640), _Kind(144, 5, 14, 2800), _Kind(200, 9, 12, 704))
}


class _Strings:
    """The strings of one header, made on demand."""

    def __init__(self, header: bytes, kind: _Kind) -> None:
        self._header, self._kind = header, kind
        self._person = b"ZcashPoW" + kind.n.to_bytes(4, "little") + kind.k.to_bytes(4, "little")

    def __getitem__(self, index: int) -> int:
        width, (which, part) = self._kind.n // 8, divmod(index, self._kind.each)
        text = self._header + which.to_bytes(4, "little")
        digest = blake2b(text, digest_size=width * self._kind.each, person=self._person).digest()
        return int.from_bytes(digest[part * width : (part + 1) * width], "big")

    def tree_holds(self, indices: Sequence[int]) -> bool:
        """Whether every subtree agrees in its leading bits and the whole cancels."""
        values, bits = [self[index] for index in indices], 0
        while len(values) > 1:
            bits += self._kind.collision_bits
            values = [a ^ b for a, b in zip(values[::2], values[1::2], strict=True)]
            if len(values) > 1 and any(value >> (self._kind.n - bits) for value in values):
                return False
        return values[0] == 0

    def counts(self) -> list[int]:
        """Strings, pairs of each round, and solutions, by Wagner's algorithm on the host."""
        bits, left = self._kind.collision_bits, self._kind.n
        values = [self[i] for i in range(self._kind.hashes * self._kind.each)]
        found = [len(values)]
        for _ in range(self._kind.k - 1):
            groups: dict[int, list[int]] = defaultdict(list)
            for value in values:
                groups[value >> (left - bits)].append(value)
            left -= bits
            pairs = (a ^ b for group in groups.values() for i, a in enumerate(group) for b in group[:i] if a != b)
            values = [pair % (1 << left) for pair in pairs]
            found.append(len(values))
        same: dict[int, int] = defaultdict(int)
        for value in values:
            same[value] += 1
        return [*found, sum(n * (n - 1) // 2 for n in same.values())]


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan the whole solution of ``nonces`` nonces a step for the parameter ``n``.

    Raises
    ------
    UsageError
        If the solver has no layout for it.
    """
    if settings["n"] not in _KINDS:
        known = ", ".join(map(str, _KINDS))
        raise UsageError(f"n = {settings['n']}", f"one of {known}", "Choose one of them.")
    kind, nonces, header = _KINDS[settings["n"]], settings["nonces"], header_of(seed, _HEADER)
    tails = np.random.default_rng(seed + 1).integers(0, 2**64, (_TAILS, 2), np.uint64)
    tails[:, 1] &= np.uint64(2**32 - 1)
    person = b"ZcashPoW" + kind.n.to_bytes(4, "little") + kind.k.to_bytes(4, "little")
    middle = blake2b_midstate(header[:128], kind.n // 8 * kind.each, person)
    strings = _Strings(header[:128] + tails[nonces - 1].tobytes()[:12], kind)
    words, buckets, strings_made = -(-kind.n // 32), 1 << kind.bucket_bits, kind.hashes * kind.each
    return Plan(
        {
            "tails": tails,
            "tables": Empty((2, kind.places, words), np.uint32),
            "refs": Empty((kind.k, kind.places, 2), np.uint32),
            "counts": Empty((kind.k, buckets), np.uint32),
            "solutions": Empty((_CAPACITY, 2), np.uint32),
            "found": Empty((1,), np.uint32),
            "indices": Empty((_CAPACITY, 1 << kind.k), np.uint32),
        },
        step=lambda number: tuple(
            launch for i in range(nonces) for launch in _solve(kind, (number * nonces + i) % _TAILS)
        ),
        work=Work(
            units=nonces,
            dram_bytes=nonces * strings_made * (4 * words + 8 + (kind.k - 1) * (2 * 4 * words + 8)),
            int_ops=nonces * (kind.hashes * operations.BLAKE2B + kind.k * strings_made * words * 2),
        ),
        check=lambda results: _check(results, kind, strings),
        symbols={
            (_SOURCE, "c_state"): middle,
            (_SOURCE, "c_tail"): tails[0],
            (_SOURCE, "c_tail_bytes"): np.array([_HEADER - 128], np.uint32),
        },
    )


def _solve(kind: _Kind, tail: int) -> tuple[NativeLaunch, ...]:
    variant, buckets, block = kind.variant, (1 << kind.bucket_bits,), (256 if kind.n > 48 else 32,)
    seed = (np.uint32(kind.hashes), "tables[0]", "refs[0]", "counts[0]")
    rounds = [
        (f"tables[{r % 2}]", f"counts[{r}]", f"tables[{(r + 1) % 2}]", f"refs[{r + 1}]", f"counts[{r + 1}]")
        for r in range(kind.k - 1)
    ]
    last = (f"tables[{(kind.k - 1) % 2}]", f"counts[{kind.k - 1}]", np.uint32(_CAPACITY), "solutions", "found")
    leaves = (max(32, 1 << kind.k),)
    return (
        store(_SOURCE, variant, "c_tail", f"tails[{tail}]"),
        fill("counts"),
        fill("found"),
        NativeLaunch(_SOURCE, "equihash_seed", *grid(kind.hashes, 128), seed, variant),
        *(NativeLaunch(_SOURCE, "equihash_round", buckets, block, arguments, variant) for arguments in rounds),
        NativeLaunch(_SOURCE, "equihash_final", buckets, block, last, variant),
        NativeLaunch(_SOURCE, "equihash_recover", (_CAPACITY,), leaves, ("refs", "solutions", "indices"), variant),
    )


def _check(results: Mapping[str, NDArray[Any]], kind: _Kind, strings: _Strings) -> None:
    counts, found = results["counts"], results["found"]
    total = kind.hashes * kind.each
    require_equal("strings", counts[0].sum(dtype=np.uint64, keepdims=True), np.array([total], np.uint64))
    _check_seeds(results["refs"][0].reshape(-1, kind.slots, 2), counts[0], kind, strings)
    if total <= 4096 and (counts <= kind.slots).all():
        made = np.array([*counts.sum(axis=1, dtype=np.int64), found[0]], np.int64)
        require_equal("pairs of each round, and solutions", made, np.array(strings.counts(), np.int64))
    pairs = total * (total - 1) / 2 / (1 << kind.collision_bits)
    require_close("pairs of the first round", counts[1].sum(dtype=np.float64, keepdims=True), np.array([pairs]), 0.15)
    indices = results["indices"][: min(_SAMPLE, int(found[0]))]
    good = np.array([strings.tree_holds(row.tolist()) for row in indices], bool)
    require_equal("solutions that hold", good, np.ones_like(good))


def _check_seeds(refs: NDArray[np.uint32], counts: NDArray[np.uint32], kind: _Kind, strings: _Strings) -> None:
    """Every string (at larger sizes some) lies in the bucket of its leading bits."""
    filled = np.argwhere(np.arange(kind.slots) < np.minimum(counts, kind.slots)[:, None])
    chosen = filled[:: max(1, len(filled) // _SEEDS)]
    indices = refs[chosen[:, 0], chosen[:, 1], 0]
    buckets = np.array([strings[int(i)] >> (kind.n - kind.bucket_bits) for i in indices])
    require_equal("buckets of strings", chosen[:, 0], buckets)
    if len(chosen) == len(filled) and (counts <= kind.slots).all():
        require_equal("indices of strings", np.sort(indices), np.arange(len(filled), dtype=np.uint32))


_LENGTH: Final = Parameter("n", "bits", 48, 200, "length of a string: 48, 96, 144 (k 5) or 200 (k 9)")
_NONCES: Final = Parameter("nonces", "nonces", 1, _TAILS, "nonces of a step")

WORKLOADS: Final = (
    define(
        "equihash-native",
        "equihash",
        "Equihash by buckets: strings, rounds of pairing and recovery, in CUDA C (NDSS 2016)",
        build_plan,
        bound="memory",
        parameters=(_LENGTH, _NONCES),
        small={"n": 48, "nonces": 2},
        gpu={"n": 200, "nonces": 8},
        unit="nonce",
    ),
    define(
        "equihash-144-5-native",
        "equihash",
        "Equihash 144,5 by buckets, with 3.7 GB of tables, in CUDA C (NDSS 2016)",
        build_plan,
        bound="memory",
        parameters=(_LENGTH, _NONCES),
        small={"n": 48, "nonces": 1},
        gpu={"n": 144, "nonces": 2},
        unit="nonce",
    ),
)
