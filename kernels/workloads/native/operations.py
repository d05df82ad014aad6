"""32-bit integer instructions of hash primitives on a GPU, by count of their specifications.

Additions of up to three terms, logic of up to three inputs and rotations count one each, a 64-bit rotation by
no whole word two: this is what the machine's IADD3, LOP3 and SHF do. Loads, tests and addresses are not counted.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BLAKE2B", "BLAKE3", "CHACHA8", "KECCAK_800", "KECCAK_1600", "SALSA8", "SHA256", "SIPHASH"]

SHA256: Final = 64 * 14 + 48 * 8
KECCAK_1600: Final = 24 * 2 * (10 + 5 + 25 + 24 + 25 + 1)
KECCAK_800: Final = 22 * (10 + 5 + 25 + 24 + 25 + 1)
BLAKE3: Final = 7 * 8 * (4 + 4 + 4) + 16
BLAKE2B: Final = 12 * 8 * (2 * 4 + 2 * 4 + 6) + 32
SIPHASH: Final = 6 * (2 * 4 + 2 * 4 + 2 * 4) + 8
CHACHA8: Final = 8 * 4 * (4 + 4 + 4) + 16
SALSA8: Final = 8 * 4 * (4 + 4 + 4) + 32
