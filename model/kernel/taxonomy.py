"""The classes of the kernel model: three groups, and the families within them."""

from __future__ import annotations

from typing import Final

__all__ = ["GROUPS", "HASH_FAMILIES", "MINING", "MIN_INSTRUCTIONS", "OTHER", "PLAIN"]

PLAIN, OTHER, MINING = 0, 1, 2
GROUPS: Final = ("not hash", "hash: other", "hash: mining-like")
"""Names of the groups, by index."""

HASH_FAMILIES: Final = frozenset({"password-cracking", "zk", "crypto-benign", "checksum-hash", "hash-table", "fhe"})
"""Hash work, and integer work close to it, that is no mining."""

MIN_INSTRUCTIONS: Final = 40
"""Shorter kernels carry too little to tell: the model abstains on them."""
