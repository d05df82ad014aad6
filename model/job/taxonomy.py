"""The classes of a job, and the families of mining within one of them."""

from __future__ import annotations

from typing import Final

__all__ = ["CLASSES", "HASH_OTHER", "MINING", "MINING_FAMILIES", "STRATEGIES"]

CLASSES: Final = ("training", "inference", "mining", "hash-other", "hpc-other", "idle")
"""What a job does, by index."""

MINING: Final = CLASSES.index("mining")

HASH_OTHER: Final = CLASSES.index("hash-other")
"""Hash work that is no mining: password audit, proofs, checksums. It runs the same instructions, so no counter tells
it from mining for certain: the false-alarm bound does not cover it, and a site that does such work exempts it."""

MINING_FAMILIES: Final = (
    "integer-hash",  # SHA-256d, SHA-3, BLAKE, Keccak: nothing but integer instructions
    "heavyhash",  # the same with small int8 products
    "ethash",
    "progpow",
    "autolykos2",
    "octopus",
    "fishhash",
    "equihash",
    "cuckoo",
    "scratchpad",  # XelisHash, CryptoNight: latency of a small memory per hash
    "matmul-pow",  # noised int8 matrix products (Pearl): tensor-bound
    "field-pow",  # Poseidon2 over Goldilocks, proofs as work
)
"""Families of proof of work: what is left out together in leave-one-family-out."""

STRATEGIES: Final = (
    "plain", "duty-cycle", "throttle", "interleave", "pad", "dual", "few-sms", "mimic-step", "mimic-requests",
    "burst", "slow-start",
)  # fmt: skip
"""Ways to mine so that it is less easily noticed, the first one none: what is left out together in
leave-one-strategy-out."""
