"""What the engines take and give: code of many kernels in one array, counts as flat sorted keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.sass import isa
from hashwarden.kernels.sass.constants import PRIMITIVES
from hashwarden.kernels.sass.table import MEM_KINDS, Ragged

__all__ = ["COUNTED", "SCALAR_NAMES", "Batch", "Counts", "batch_of", "to_ragged"]

IntArray = npt.NDArray[np.int64]

SCALAR_NAMES = ("n_instr", "n_loops", "max_depth", "in_loop", "longest_alu_run", "longest_chain")
"""Columns of `Counts.scalars`."""

COUNTED: dict[str, tuple[tuple[str, int], ...]] = {
    "op": (("op12", 4096), ("depth", isa.DEPTHS)),
    "lut": (("lut", 256), ("depth", isa.DEPTHS)),
    "mem": (("kind", len(MEM_KINDS)), ("width", 8), ("taint", 3), ("depth", isa.DEPTHS)),
    "flow": (("src", 512), ("dst", 512)),
    "const_code": (("primitive", len(PRIMITIVES)),),
}
"""Nested columns that an engine counts: their key fields and the number of values of each.

A key is the number that the fields make as digits, first field first; keys sort as the fields do.
"""


@final
@dataclass(frozen=True, slots=True)
class Batch:
    """Machine code of several kernels.

    Attributes
    ----------
    words : uint32 array, shape (4 * instructions,), contiguous
        The code of all kernels, one after the other.
    starts : int64 array, shape (kernels + 1,)
        Kernel k owns instructions ``starts[k]:starts[k + 1]``.
    arch : int64 array, shape (kernels,)
        Compute capability times 10.
    """

    words: npt.NDArray[np.uint32]
    starts: IntArray
    arch: IntArray

    def __len__(self) -> int:
        return len(self.arch)

    def code(self, kernel: int) -> npt.NDArray[np.uint32]:
        """The code of one kernel, shape (instructions, 4)."""
        return self.words[4 * self.starts[kernel] : 4 * self.starts[kernel + 1]].reshape(-1, 4)


@final
@dataclass(frozen=True, slots=True)
class Counts:
    """What an engine found, one entry per kernel of the batch.

    Attributes
    ----------
    scalars : int64 array, shape (kernels, 6)
        The columns of `SCALAR_NAMES`.
    rotate, funnel : int64 array, shape (kernels, 5)
        By loop depth.
    nested : dict of str to (offsets, keys, counts)
        Per column of `COUNTED`: kernel k owns entries ``offsets[k]:offsets[k + 1]``; keys ascend
        within a kernel. Counts have shape (entries,), for ``flow`` (entries, 2): inner, n.
    """

    scalars: IntArray
    rotate: IntArray
    funnel: IntArray
    nested: dict[str, tuple[IntArray, IntArray, IntArray]]


def batch_of(codes: Sequence[bytes | memoryview], arch: Sequence[int]) -> Batch:
    """Lay the code of several kernels side by side.

    Parameters
    ----------
    codes : sequence of bytes-like
        Any alignment, any stride; bytes after the last whole instruction are left out.
    arch : sequence of int
        Compute capability times 10 of each.
    """
    lengths = [memoryview(code).nbytes // isa.INSTRUCTION_BYTES for code in codes]
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    words = np.empty(4 * int(starts[-1]), np.uint32)
    room = words.view(np.uint8).data
    for code, start, length in zip(codes, starts[:-1].tolist(), lengths, strict=True):
        view = memoryview(code)
        flat = view.cast("B") if view.contiguous else memoryview(view.tobytes())
        room[16 * start : 16 * (start + length)] = flat[: 16 * length]
    return Batch(words, starts, np.array(arch, np.int64))


def to_ragged(name: str, offsets: IntArray, keys: IntArray, counts: IntArray) -> Ragged:
    """Split keys into the fields of a nested column."""
    columns: dict[str, IntArray] = {}
    for field, size in reversed(COUNTED[name]):
        if size & (size - 1) == 0:  # several times faster than a division, and flow has most of the keys
            columns[field], keys = keys & (size - 1), keys >> (size.bit_length() - 1)
        else:
            keys, columns[field] = np.divmod(keys, size)
    ordered = {field: columns[field] for field, _ in COUNTED[name]}
    if name == "flow":
        return Ragged(offsets, ordered | {"inner": counts[:, 0].copy(), "n": counts[:, 1].copy()})
    return Ragged(offsets, ordered | {"n": counts})
