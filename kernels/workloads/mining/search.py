"""What every search for a proof of work does with its hashes: nothing, unless one is below the limit.

A hash has a *head*: the 64 bits that a miner compares first. A nonce whose head is not above the limit
is a hit. Hits are kept in a small table, one row for each remainder of the nonce: the lowest nonce that
hit, and the lowest head. So the result does not depend on the order of threads, and can be checked.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  device functions take arrays and numbers of any type, and many of them

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import atomic_min, device
from hashwarden.kernels.memory.recorder import atomic
from hashwarden.kernels.workloads.plan import require_equal

__all__ = ["ROWS", "check_hits", "expected_hits", "limit_of", "no_hits", "report", "swap_bytes_64"]

ROWS: Final = 64
"""Rows of the table of hits; nonces are its first half, heads its second."""

_NOTHING: Final = np.uint64(0xFFFFFFFFFFFFFFFF)


@device
def swap_bytes_64(value: Any) -> Any:
    """Reverse the eight bytes of a uint64."""
    low, high = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
    x = np.uint64(value)
    x = np.uint64(((x >> np.uint64(8)) & low) | ((x & low) << np.uint64(8)))
    x = np.uint64(((x >> np.uint64(16)) & high) | ((x & high) << np.uint64(16)))
    return np.uint64((x >> np.uint64(32)) | (x << np.uint64(32)))


@device
def report(log: Any, t: Any, site: Any, argument: Any, found: Any, nonce: Any, head: Any, limit: Any) -> Any:
    """Keep a hit.

    Parameters
    ----------
    log, t, site, argument
        As for `hashwarden.kernels.memory.recorder.atomic`; two sites are used.
    found : uint64, shape (2 * ROWS,)
        The table.
    nonce, head, limit : uint64
        What was hashed, what came out, and the highest head that counts.

    Returns
    -------
    int64
        The new state of the log.
    """
    if np.uint64(head) <= np.uint64(limit):
        row = np.int64(np.uint64(nonce) & np.uint64(ROWS - 1))
        t = atomic(log, t, site, argument, row)
        atomic_min(found, row, np.uint64(nonce))
        t = atomic(log, t, site + 1, argument, ROWS + row)
        atomic_min(found, ROWS + row, np.uint64(head))
    return t


def no_hits() -> NDArray[np.uint64]:
    """Make an empty table."""
    return np.full(2 * ROWS, _NOTHING, np.uint64)


def limit_of(hits: int, hashes: int) -> np.uint64:
    """Highest head that counts, so that ``hits`` of ``hashes`` are expected to."""
    return np.uint64(min((hits << 64) // hashes, (1 << 64) - 1))


def expected_hits(first: int, count: int, limit: int, head_of: Callable[[int], int]) -> NDArray[np.uint64]:
    """Table of the nonces from ``first`` on, by an oracle."""
    table = [int(_NOTHING)] * (2 * ROWS)
    for nonce in range(first, first + count):
        head = head_of(nonce)
        if head <= limit:
            row = nonce % ROWS
            table[row] = min(table[row], nonce)
            table[ROWS + row] = min(table[ROWS + row], head)
    return np.array(table, np.uint64)


def check_hits(
    found: NDArray[np.uint64], first: int, count: int, limit: int, head_of: Callable[[int], int], most: int = 1 << 14
) -> None:
    """Compare a table with an oracle.

    Parameters
    ----------
    found : uint64, shape (2 * ROWS,)
        From the kernels.
    first, count : int
        The nonces of the search.
    limit : int
        Highest head that counts.
    head_of : callable
        The oracle, from a nonce to its head.
    most : int
        Nonces that the oracle may hash. If the search had more, the first ``most`` are checked, and
        every nonce in the table; lower heads in the table then cannot be told from right ones.

    Raises
    ------
    CheckError
        If a hit is missing or wrong.
    """
    expected = expected_hits(first, min(count, most), limit, head_of)
    if count <= most:
        require_equal("hits", found, expected)
        return
    nonces, heads = found[:ROWS], found[ROWS:]
    early = expected[:ROWS] != _NOTHING
    require_equal("nonces that hit early", nonces[early], expected[:ROWS][early])
    require_equal("rows with a hit", nonces != _NOTHING, heads != _NOTHING)
    for row in np.flatnonzero(nonces != _NOTHING):
        nonce = int(nonces[row])
        inside = np.array([first <= nonce < first + count, nonce % ROWS == row])
        require_equal(f"nonce {nonce:,} of row {row}: in its range and row", inside, np.ones(2, bool))
        head = head_of(nonce)
        fits = np.array([head <= limit, int(heads[row]) <= head, nonce >= first + most or bool(early[row])])
        require_equal(f"nonce {nonce:,}: a hit, with its head, and not too early", fits, np.ones(3, bool))
