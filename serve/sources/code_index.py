"""What the kernel model says of the kernels of one code object or process: a file of sorted rows, 70 bytes each.

A library of 100,000 kernels is 7 MB here, and the agent, which maps it, has only the pages in memory that it looked
at. Names are kept as hashes: they come from hostile files, and nothing but equality is asked of them. Two names with
one hash, made on purpose, gain nothing: both kernels are then taken for both names, and the worst of them counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.kernel.shares import SHARES
from hashwarden.model.storage import replacing

__all__ = ["FORMAT", "ROW", "VALUES", "Index", "Rows", "merged", "name_key", "open_index", "write_index"]

FORMAT: Final = 1
VALUES: Final = ("mining", "hash", "novelty", *SHARES)
"""What is said of a kernel, in order: probabilities of the kernel alone, its distance from what is known, shares."""
ROW: Final = np.dtype([
    ("name", "<u8"), ("code", "<u8"), ("arch", "<u2"), ("size", "<u4"), ("values", "<f4", (len(VALUES),)),
])  # fmt: skip
"""Hash of the name, first 8 bytes of the SHA-1 over the code, compute capability times 10, instructions, `VALUES`."""

_MAGIC: Final = b"hashwarden code\n"
_HEAD: Final = len(_MAGIC) + 32
Rows = npt.NDArray[np.void]


def name_key(name: str) -> int:
    """The hash of a mangled name, 64 bits."""
    raw = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "little")


def merged(parts: Sequence[Rows], most: int) -> Rows:
    """Sorted rows, each once, the first ``most`` of those given; what came first stays."""
    rows = np.concatenate(parts) if parts else np.zeros(0, ROW)
    keys = np.stack([rows["name"], rows["code"], rows["arch"].astype(np.uint64)], 1)
    _, first = np.unique(keys, axis=0, return_index=True)
    kept: Rows = rows[np.sort(first)[:most]]
    return kept[np.argsort(kept["name"], kind="stable")]


def write_index(path: Path, rows: Rows) -> None:
    """Write rows that `merged` has sorted.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    data = rows["name"].tobytes() + rows.tobytes()
    with replacing(path) as file:
        file.write(_MAGIC + hashlib.sha256(data).digest())
        file.write(data)


def open_index(path: Path) -> Index | None:
    """Map a file; None if there is none or it is damaged."""
    try:
        data = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError):
        return None
    body = data[_HEAD:]
    if data[: len(_MAGIC)].tobytes() != _MAGIC or len(body) % (8 + ROW.itemsize):
        return None
    if hashlib.sha256(body.data).digest() != data[len(_MAGIC) : _HEAD].tobytes():
        return None
    count = len(body) // (8 + ROW.itemsize)
    return Index(body[: 8 * count].view(np.uint64), body[8 * count :].view(ROW))


@final
class Index:
    """Kernels by the hash of their names.

    Parameters
    ----------
    names : uint64 array, shape (kernels,)
        Sorted; apart from the rows, so that a search touches few pages.
    rows : array of `ROW`, shape (kernels,)
    """

    def __init__(self, names: npt.NDArray[np.uint64], rows: Rows) -> None:
        self.names, self.rows = names, rows

    def __len__(self) -> int:
        return len(self.rows)

    def find(self, keys: Iterable[int]) -> list[Rows]:
        """All rows of each name; they are copies."""
        wanted = np.array(list(keys), np.uint64)
        low, high = np.searchsorted(self.names, wanted, "left"), np.searchsorted(self.names, wanted, "right")
        return [np.array(self.rows[a:b]) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
