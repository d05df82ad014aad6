"""Find known constants in many words: a table of upper halves first, since hardly any word passes it."""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.sass.constants import constant_table, count_primitives

__all__ = ["constant_filter", "module_primitives"]


@cache
def constant_filter() -> npt.NDArray[np.bool_]:
    """Whether any known constant has this upper half, shape (65536,)."""
    table = np.zeros(1 << 16, bool)
    table[constant_table()[0] >> 16] = True
    return table


def module_primitives(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """`count_primitives`, for megabytes of words.

    Parameters
    ----------
    words : uint32 array, shape (words,)

    Returns
    -------
    int64 array, shape (primitives,)
    """
    upper = np.ascontiguousarray(words).view(np.uint16)[sys.byteorder == "little" :: 2]
    return count_primitives(words[constant_filter()[upper]])
