"""What a kernel is made of, in a few shares: what the code tier says of it besides the kernel model's word.

Synthesised runs and the source ``code`` both take them from here, so that the job model meets in the field what it
learned from.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.model.kernel.counts import Counts, block
from hashwarden.model.kernel.groups import OP_GROUPS

__all__ = ["SHARES", "shares_of"]

SHARES: Final[dict[str, tuple[str, ...]]] = {
    "logic": ("logic", "shift", "permute"),
    "integer": ("add", "lea", "imad", "imad_wide", "dot"),
    "float": ("float", "half", "double", "special"),
    "hmma": ("fmma",),
    "imma": ("imma",),
    "memory": ("load", "store", "atomic", "copy_async", "texture"),
    "dependent_load": (),
}
"""Groups of instructions (`hashwarden.model.kernel.groups.OP_GROUPS`) in each share; the last is one of loads."""


def shares_of(counts: Counts) -> npt.NDArray[np.float64]:
    """Shares of the loop-weighted instructions.

    Parameters
    ----------
    counts : Counts

    Returns
    -------
    float64 array, shape (kernels, len(SHARES))
        0 to 1, in the order of `SHARES`; ``dependent_load`` is the share of loads whose address follows from loaded
        data among all global loads.
    """
    ops = counts.counts[:, block("op_weighted")].astype(np.float64)
    total = np.maximum(ops.sum(1), 1e-9)
    columns = [
        ops[:, [OP_GROUPS.index(group) for group in groups]].sum(1) / total for groups in SHARES.values() if groups
    ]
    loads = counts.counts[:, block("mem_weighted")][:, :3].astype(np.float64)  # clean, loaded, hashed
    return np.stack([*columns, loads[:, 1:].sum(1) / np.maximum(loads.sum(1), 1e-9)], 1)
