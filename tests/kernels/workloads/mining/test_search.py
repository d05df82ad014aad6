"""The table of hits: what it keeps, and that a wrong one is refused; then the searches that keep one."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from hashwarden.errors import CheckError
from hashwarden.kernels.workloads.engines.base import Results
from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.mining import blake_pow, heavyhash, poseidon, sha3, sha256d
from hashwarden.kernels.workloads.mining.search import (
    ROWS,
    check_hits,
    expected_hits,
    limit_of,
    no_hits,
    report,
    swap_bytes_64,
)

LIMIT = int(limit_of(400, 4000))
SEARCHES = [w for module in (sha256d, sha3, blake_pow, heavyhash, poseidon) for w in module.WORKLOADS]


def head_of(nonce: int) -> int:
    return int.from_bytes(hashlib.md5(nonce.to_bytes(8, "big"), usedforsecurity=False).digest()[:8], "big")


def kernel_table(first: int, count: int) -> np.ndarray:
    found = no_hits()
    for nonce in range(first, first + count):
        report(None, 0, 0, 0, found, np.uint64(nonce), np.uint64(head_of(nonce)), np.uint64(LIMIT))
    return found


def test_bytes_are_reversed():
    for value in (0, 1, 0x0102030405060708, 2**64 - 1, 0xFF00000000000000):
        assert int(swap_bytes_64(np.uint64(value))) == int.from_bytes(value.to_bytes(8, "little"), "big")


def test_limits():
    assert limit_of(1, 2) == 2**63
    assert limit_of(5, 5) == limit_of(9, 5) == 2**64 - 1


def test_a_head_at_the_limit_counts():
    found = no_hits()
    for nonce, head in ((7, 100), (8, 101), (7 + ROWS, 99)):
        report(None, 0, 0, 0, found, np.uint64(nonce), np.uint64(head), np.uint64(100))
    assert np.flatnonzero(found != found.max()).tolist() == [7, ROWS + 7]
    assert found[[7, ROWS + 7]].tolist() == [7, 99]


@pytest.mark.parametrize("first", [0, 1000, 2**40 + 3])
def test_kernel_and_oracle_agree(first):
    found = kernel_table(first, 1500)
    assert found.tolist() == expected_hits(first, 1500, LIMIT, head_of).tolist()
    check_hits(found, first, 1500, LIMIT, head_of)
    check_hits(found, first, 1500, LIMIT, head_of, most=200)


@pytest.mark.parametrize("most", [4000, 300])
@pytest.mark.parametrize(
    "fault", ["missing", "no hit", "other row", "too late", "head too high", "head alone", "later"]
)
def test_wrong_tables_are_refused(most, fault):
    found = kernel_table(0, 4000)
    row, nothing = int(np.argmin(found[:ROWS])), np.uint64(2**64 - 1)
    assert int(found[row]) < 300
    if fault == "missing":
        found[row] = found[ROWS + row] = nothing
    elif fault == "no hit":
        found[row] = next(n for n in range(row, 4000, ROWS) if head_of(n) > LIMIT)
    elif fault == "other row":
        found[row] = found[(row + 1) % ROWS]
    elif fault == "too late":
        found[row] = next(n for n in range(4000 - 4000 % ROWS + ROWS + row, 10**6, ROWS) if head_of(n) <= LIMIT)
    elif fault == "head too high":
        found[ROWS + row] = LIMIT
    elif fault == "head alone":
        found[row] = nothing
    else:
        found[row] = next(n for n in range(int(found[row]) + ROWS, 10**6, ROWS) if head_of(n) <= LIMIT)
    with pytest.raises(CheckError):
        check_hits(found, 0, 4000, LIMIT, head_of, most)


@pytest.mark.parametrize("workload", SEARCHES, ids=lambda workload: workload.name)
def test_searches_find_and_refuse(workload):
    """Another seed, all hashes hits but one in a few, and a table with one wrong bit."""
    plan = workload.build(workload.settings("small"), 7)
    engine = CpuEngine(plan)
    engine.check()
    found = Results(engine)["found"]
    hits = np.flatnonzero(found[ROWS:] != np.uint64(2**64 - 1))
    assert len(hits) > 0
    for place in (hits[0], ROWS + hits[0]):
        wrong = found.copy()
        wrong[place] ^= np.uint64(1 << 20)
        with pytest.raises(CheckError):
            plan.check({"found": wrong})
    with pytest.raises(CheckError):
        plan.check({"found": no_hits()})
    assert plan.step(1)[0].arguments != plan.step(0)[0].arguments
