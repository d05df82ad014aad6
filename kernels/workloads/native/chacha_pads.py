"""Pads filled by ChaCha8 streams (RFC 8439, with 8 rounds) whose keys are chained BLAKE3 digests, as an oracle."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native.reference import blake3, chacha

__all__ = ["fill_pads", "keys", "stream_blocks"]

_ROUNDS: Final = 8

U32 = NDArray[np.uint32]


def keys(seed: bytes, streams: int) -> U32:
    """Keys of the streams, shape (streams, 8)."""
    made, key = [], np.frombuffer(seed, np.uint8)[None]
    for _ in range(streams):
        key = blake3(key)
        made.append(np.ascontiguousarray(key).view("<u4")[0])
    return np.stack(made)


def stream_blocks(key: U32, counter: U32, nonce: U32) -> U32:
    """Blocks of one stream, shape (blocks, 16), for counters of shape (blocks,) and nonces of (3, blocks)."""
    wide = np.broadcast_to(key[:, None], (8, len(counter)))
    return np.ascontiguousarray(chacha(wide, counter, nonce, _ROUNDS).T)


def fill_pads(seed: bytes, numbers: U32, words: int, streams: int) -> NDArray[np.uint64]:
    """Pads of instances with the given numbers, shape (instances, words)."""
    pads = []
    for number in numbers:
        nonce, parts = [int(number), 0, 0], []
        for key in keys(seed, streams):
            counter = np.arange(words // streams // 8, dtype=np.uint32)
            wide = np.array(nonce, np.uint32)[:, None].repeat(len(counter), axis=1)
            blocks = stream_blocks(key, counter, wide)
            nonce = [nonce[0], int(blocks[-1, 0]), int(blocks[-1, 15])]
            parts.append(blocks.reshape(-1))
        pads.append(np.concatenate(parts).view("<u8"))
    return np.stack(pads)
