"""Decompress one code object, LZ4 block or zstd frame, never beyond the limits."""

from __future__ import annotations

import lz4.block
import zstandard

from hashwarden.errors import LimitError, MalformedError
from hashwarden.kernels.sass.limits import Limits

__all__ = ["inflate"]

_RATIO_FREE = 64 << 20
"""Bytes below which the expansion ratio is not looked at."""


def inflate(payload: bytes | memoryview, compression: str, expanded: int, limits: Limits, where: str) -> bytes:
    """Decompress ``payload``.

    Parameters
    ----------
    payload : bytes or memoryview
        Exactly the compressed bytes.
    compression : str
        ``lz4`` (one block) or ``zstd`` (one frame).
    expanded : int
        Size after decompression, as the container says; anything else is an error.
    limits : Limits
        ``object_bytes`` bounds the result, ``expansion_ratio`` what it may be larger than the payload.
    where : str
        Name for messages.

    Raises
    ------
    LimitError
        If the stated size breaks a limit; nothing is allocated then.
    MalformedError
        If the payload does not decompress to the stated size.
    """
    ratio_bound = max(_RATIO_FREE, limits.expansion_ratio * len(payload))
    if expanded > min(limits.object_bytes, ratio_bound):
        raise LimitError(
            f"{len(payload)} compressed bytes that grow to {expanded}",
            f"at most {limits.object_bytes} bytes and {limits.expansion_ratio} times the compressed size",
            "Raise the limit on the object size or the expansion if you trust the file.",
            where=where,
        )
    try:
        data = _lz4(payload, expanded) if compression == "lz4" else _zstd(payload, expanded)
    except (lz4.block.LZ4BlockError, zstandard.ZstdError, ValueError, MemoryError, OverflowError) as error:
        raise _malformed(f"{compression} data that does not decompress ({error})", where) from error
    if len(data) != expanded:
        raise _malformed(f"{compression} data of {len(data)} bytes instead of {expanded}", where)
    return data


def _lz4(payload: bytes | memoryview, expanded: int) -> bytes:
    if expanded == 0:  # which the library would read as "the size is in the first four bytes"
        raise ValueError("a stated size of 0")
    return bytes(lz4.block.decompress(payload, uncompressed_size=expanded))


def _zstd(payload: bytes | memoryview, expanded: int) -> bytes:
    # The decompressor allocates what the frame says, not what we allow: look before.
    stated = zstandard.get_frame_parameters(payload).content_size
    if stated not in (zstandard.CONTENTSIZE_UNKNOWN, expanded):
        raise ValueError(f"the frame says {stated} bytes")
    return bytes(zstandard.ZstdDecompressor().decompress(payload, max_output_size=expanded))


def _malformed(got: str, where: str) -> MalformedError:
    return MalformedError(got, "the size that the entry states", "Fetch or build the file again.", where=where)
