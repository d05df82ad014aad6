"""BLAKE3's compression function for private arrays (the BLAKE3 paper, section 2.2)."""

# ruff: noqa: ANN401, PLR0913, PLR0917  device functions take arrays and numbers of any type, and many of them

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device, rotate_left_32

__all__ = ["CHUNK_END", "CHUNK_START", "INITIAL", "KEYED_HASH", "PARENT", "ROOT", "blake3_compress", "blake3_start"]

CHUNK_START: Final = 1
CHUNK_END: Final = 2
PARENT: Final = 4
ROOT: Final = 8
KEYED_HASH: Final = 16
"""Flags of a compression."""

INITIAL: Final = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
"""Chaining value that BLAKE3 starts from without a key."""


@device
def blake3_start(cv: Any) -> None:
    """Set ``cv``, uint32[8], to the chaining value that a hash without a key starts from."""
    for i in range(8):
        cv[i] = np.uint32(INITIAL[i])


@device
def _mix(v: Any, a: Any, b: Any, c: Any, d: Any, x: Any, y: Any) -> None:
    va, vb, vc, vd = v[a], v[b], v[c], v[d]
    va = np.uint32(np.uint32(va + vb) + x)
    vd = rotate_left_32(vd ^ va, 16)
    vc = np.uint32(vc + vd)
    vb = rotate_left_32(vb ^ vc, 20)
    va = np.uint32(np.uint32(va + vb) + y)
    vd = rotate_left_32(vd ^ va, 24)
    vc = np.uint32(vc + vd)
    vb = rotate_left_32(vb ^ vc, 25)
    v[a], v[b], v[c], v[d] = va, vb, vc, vd


@device
def _round(v: Any) -> None:
    """Mix the columns, then the diagonals, of the state ``v[0:16]`` with the message ``v[16:32]``."""
    _mix(v, 0, 4, 8, 12, v[16], v[17])
    _mix(v, 1, 5, 9, 13, v[18], v[19])
    _mix(v, 2, 6, 10, 14, v[20], v[21])
    _mix(v, 3, 7, 11, 15, v[22], v[23])
    _mix(v, 0, 5, 10, 15, v[24], v[25])
    _mix(v, 1, 6, 11, 12, v[26], v[27])
    _mix(v, 2, 7, 8, 13, v[28], v[29])
    _mix(v, 3, 4, 9, 14, v[30], v[31])


@device
def _reorder(v: Any) -> None:
    """Move the message words for the next round: two cycles of eight."""
    v[16], v[18], v[19], v[26], v[28], v[25], v[27], v[21] = (v[18], v[19], v[26], v[28], v[25], v[27], v[21], v[16])
    v[17], v[22], v[20], v[23], v[29], v[30], v[31], v[24] = (v[22], v[20], v[23], v[29], v[30], v[31], v[24], v[17])


@device
def blake3_compress(cv: Any, m: Any, scratch: Any, counter: Any, length: Any, flags: Any) -> None:
    """Compress one block.

    Parameters
    ----------
    cv : uint32, shape (8,)
        Chaining value; replaced by the new one, which is the first 8 words of output.
    m : uint32, shape (16,)
        Message words, little endian; left as they are.
    scratch : uint32, shape (32,)
        Its first 16 words become the 16 words of an extended output; the rest is used up.
    counter : uint64
        Number of the chunk, or of the block of output.
    length : int
        Bytes of the message in the block, 0 to 64.
    flags : int
        Sum of the flags of this module.
    """
    for i in range(8):
        scratch[i] = cv[i]
    for i in range(4):
        scratch[8 + i] = np.uint32(INITIAL[i])
    for i in range(16):
        scratch[16 + i] = m[i]
    scratch[12] = np.uint32(np.uint64(counter) & np.uint64(0xFFFFFFFF))
    scratch[13] = np.uint32(np.uint64(counter) >> np.uint64(32))
    scratch[14], scratch[15] = np.uint32(length), np.uint32(flags)
    for _ in range(6):
        _round(scratch)
        _reorder(scratch)
    _round(scratch)
    for i in range(8):
        scratch[i] ^= scratch[8 + i]
        scratch[8 + i] ^= cv[i]
        cv[i] = scratch[i]
