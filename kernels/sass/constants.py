"""Known constants of hash and cipher primitives, and how many distinct ones a piece of code holds."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

__all__ = ["PRIMITIVES", "constant_table", "count_primitives"]

_TABLE: dict[str, list[str]] = json.loads(files("hashwarden.kernels.sass").joinpath("constants.json").read_text())

PRIMITIVES: tuple[str, ...] = tuple(_TABLE)
"""Names of the primitives, in the order of constants.json; tables hold the index."""


@cache
def constant_table() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """All known values, sorted, and the bit set of the primitives that each belongs to.

    Returns
    -------
    values : uint32 array, shape (values,)
        Ascending and distinct.
    members : uint32 array, shape (values,)
        Bit i is set if the value belongs to ``PRIMITIVES[i]``; a value may belong to two.
    """
    members: dict[int, int] = {}
    for index, name in enumerate(PRIMITIVES):
        for text in _TABLE[name]:
            members[int(text, 16)] = members.get(int(text, 16), 0) | 1 << index
    values = np.array(sorted(members), np.uint32)
    return values, np.array([members[int(value)] for value in values], np.uint32)


def count_primitives(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Number of distinct known constants of each primitive among ``words``.

    Parameters
    ----------
    words : uint32 array, any shape

    Returns
    -------
    int64 array, shape (primitives,)
        In the order of `PRIMITIVES`.
    """
    values, members = constant_table()
    place = np.searchsorted(values, words.ravel())
    place[place == len(values)] = 0
    seen = np.zeros(len(values), bool)
    seen[place[values[place] == words.ravel()]] = True
    bits = members[seen][:, None] >> np.arange(len(PRIMITIVES), dtype=np.uint32) & 1
    counts: npt.NDArray[np.int64] = bits.sum(axis=0).astype(np.int64)
    return counts
