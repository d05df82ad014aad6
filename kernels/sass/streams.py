"""Compressed streams (gzip, bzip2, xz, zstd, lz4 frames, the methods of zip), decompressed in small pieces.

No call makes more than `PIECE` bytes (for bzip2, lz4 and zstd, a block of theirs) at once, whatever the stream says.
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Iterator
from typing import IO, Any, cast, final

import lz4.frame
import zstandard
from isal import isal_zlib

from hashwarden.errors import MalformedError, TargetError, TruncatedError
from hashwarden.kernels.sass.source import ByteSource

__all__ = ["MAGICS", "PIECE", "Packed", "decompress", "expand"]

PIECE = 1 << 20
"""Bytes read and made at a time."""

WINDOW_BYTES = 128 << 20
"""Largest dictionary of an xz or window of a zstd stream, which the decompressor holds in memory."""

MAGICS: dict[bytes, str] = {
    b"\x1f\x8b\x08": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
"""How each stream starts."""


@final
class Packed:
    """A source read from front to back; counts what was taken."""

    def __init__(self, source: ByteSource) -> None:
        self.source, self.taken = source, 0

    def read(self, size: int = PIECE) -> bytes:
        """The next bytes, none at the end."""
        size = min(size if size > 0 else PIECE, self.source.size - self.taken)
        data = bytes(self.source.read(self.taken, size)) if size else b""
        self.taken += size
        return data


def decompress(kind: str, packed: Packed, where: str) -> Iterator[bytes]:
    """The bytes of a stream.

    Parameters
    ----------
    kind : str
        A value of `MAGICS`, or ``deflate`` (raw), ``stored``, ``lzma-zip``.
    packed : Packed
        The compressed bytes.
    where : str
        Name for messages.

    Raises
    ------
    TruncatedError
        If the stream ends early.
    MalformedError
        If it is damaged.
    """
    try:
        yield from _KINDS[kind](packed, where)
    except (TargetError, MemoryError):
        raise
    except Exception as error:  # six libraries, each with errors of its own
        raise MalformedError(
            f"{kind} data that does not decompress ({error})", "an undamaged stream", "Fetch it again.", where=where
        ) from error


def expand(source: ByteSource, kind: str) -> tuple[Iterator[bytes], Callable[[], int]]:
    """`decompress` over a source, and a function that says how many compressed bytes it has taken."""
    packed = Packed(source)
    return decompress(kind, packed, source.where), lambda: packed.taken


def _stored(packed: Packed, where: str) -> Iterator[bytes]:
    del where
    while data := packed.read():
        yield data


def _inflate(packed: Packed, where: str, bits: int) -> Iterator[bytes]:
    """One deflate stream, or for gzip all members one after the other."""
    data = packed.read()
    while True:
        stream = isal_zlib.decompressobj(bits)
        while not stream.eof:
            data = data or packed.read()
            if not data:
                raise _short("deflate", where)
            if made := stream.decompress(data, PIECE):
                yield made
            data = stream.unconsumed_tail
        data = stream.unused_data or packed.read()
        if bits < 0 or not data.startswith(b"\x1f\x8b"):
            return


def _needing(packed: Packed, where: str, make: Callable[[], Any], magic: bytes) -> Iterator[bytes]:
    """Streams of decompressors with `needs_input`, one after the other while ``magic`` follows."""
    data = packed.read()
    while True:
        stream = make()
        while not stream.eof:
            if not data and stream.needs_input:
                data = packed.read()
                if not data:
                    raise _short("the stream", where)
            if made := stream.decompress(data, PIECE):
                yield bytes(made)
            data = b""
        data = (stream.unused_data or b"") or packed.read()
        if not magic or not data.startswith(magic):
            return


def _zstd(packed: Packed, where: str) -> Iterator[bytes]:
    # The library takes a stream that ends inside a frame for a whole one: look at the blocks first.
    if not _zstd_is_whole(packed.source):
        raise _short("zstd", where)
    stream = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
    reader = stream.stream_reader(cast("IO[bytes]", packed), read_across_frames=True)
    while data := reader.read(PIECE):
        yield data


def _zstd_is_whole(source: ByteSource) -> bool:
    """Whether the last frame is complete, from the block headers alone (RFC 8878, section 3.1.1)."""
    position = 0
    while position + 8 <= source.size:
        head = bytes(source.read(position, min(18, source.size - position)))
        magic = int.from_bytes(head[:4], "little")
        if magic >> 4 == 0x184D2A5:  # a skippable frame
            position += 8 + int.from_bytes(head[4:8], "little")
        elif head[:4] == b"\x28\xb5\x2f\xfd":
            position = _zstd_frame_end(source, position, head[4])
        else:
            return position > 0
    return position == source.size


def _zstd_frame_end(source: ByteSource, position: int, descriptor: int) -> int:
    single, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    size_bytes = (single, 2, 4, 8)[descriptor >> 6]
    position += 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3] + size_bytes
    last = 0
    while not last and position + 3 <= source.size:
        block = int.from_bytes(source.read(position, 3), "little")
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        position += 3 + (1 if kind == 1 else size)
    return position + 4 * checksum if last else source.size + 1


def _lzma_zip(packed: Packed, where: str) -> Iterator[bytes]:
    """LZMA as zip files hold it: version, length of properties, properties, raw stream."""
    head = packed.read(9)
    if len(head) < 9 or head[2:4] != b"\x05\x00":
        raise _short("lzma", where)
    properties = head[4]
    size = int.from_bytes(head[5:9], "little")
    if size > WINDOW_BYTES or properties >= 225:
        raise lzma.LZMAError(f"a dictionary of {size} bytes")
    options = {
        "id": lzma.FILTER_LZMA1, "dict_size": max(size, 4096),
        "lc": properties % 9, "lp": properties // 9 % 5, "pb": properties // 45,
    }  # fmt: skip
    stream = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options])
    data = packed.read()
    while not stream.eof:
        if made := stream.decompress(data, PIECE):
            yield made
        data = packed.read() if stream.needs_input else b""
        if stream.needs_input and not data:  # the end mark is optional; the caller checks the size
            return


def _short(kind: str, where: str) -> TruncatedError:
    return TruncatedError(f"{kind} data that ends early", "a whole stream", "Fetch the file again.", where=where)


_KINDS: dict[str, Callable[[Packed, str], Iterator[bytes]]] = {
    "stored": _stored,
    "deflate": lambda packed, where: _inflate(packed, where, -15),
    "gzip": lambda packed, where: _inflate(packed, where, 31),
    "bzip2": lambda packed, where: _needing(packed, where, bz2.BZ2Decompressor, b"BZh"),
    "xz": lambda packed, where: _needing(
        packed, where, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=2 * WINDOW_BYTES), b"\xfd7zXZ"
    ),
    "lz4": lambda packed, where: _needing(packed, where, lz4.frame.LZ4FrameDecompressor, b"\x04\x22\x4d\x18"),
    "zstd": _zstd,
    "lzma-zip": _lzma_zip,
}
