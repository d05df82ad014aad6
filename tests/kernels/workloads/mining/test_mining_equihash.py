"""Equihash: solutions of several problems, the definition, and settings that do not fit together."""

from __future__ import annotations

import numpy as np
import pytest

from hashwarden.errors import CheckError, UsageError
from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.mining import oracles_equihash
from hashwarden.kernels.workloads.mining.equihash import WORKLOADS, header_of

EQUIHASH = WORKLOADS[0]


def solved(seed: int, **changes: int) -> tuple[oracles_equihash.Problem, np.ndarray]:
    settings = EQUIHASH.settings("small", changes)
    engine = CpuEngine(EQUIHASH.build(settings, seed))
    engine.check()
    problem = oracles_equihash.Problem(header_of(seed), settings["n"], settings["k"])
    found = min(int(engine.read("counts")[-1]), settings["candidates"])
    return problem, engine.read("indices").reshape(settings["candidates"], -1)[:found].astype(np.int64)


def test_proper_solutions_are_found():
    """Zcash's problem in small, n = 48 and k = 5: all indices differ in some of the solutions."""
    proper = 0
    for seed in range(6):
        problem, found = solved(seed, n=48, k=5, bucket_bits=4, candidates=1024)
        assert oracles_equihash.all_solutions(problem) == {oracles_equihash.canonical(row) for row in found}
        proper += sum(len(set(row)) == 32 for row in found.tolist())
    assert proper > 0


@pytest.mark.parametrize(("n", "k"), [(32, 3), (40, 4), (72, 5)])
def test_other_parameters(n, k):
    problem, found = solved(1, n=n, k=k, bucket_bits=n // (k + 1) - 3, candidates=1024)
    assert len(found) == len(oracles_equihash.all_solutions(problem)) > 0


def test_full_buckets_lose_strings_but_prove_the_rest():
    _, found = solved(2, n=48, k=5, bucket_bits=4, slots=32, candidates=256)
    assert len(found) < 256


def test_canonical_order():
    assert oracles_equihash.canonical(np.array([7, 2, 1, 9])) == (1, 9, 2, 7)


def test_definition_refuses_other_indices():
    problem, found = solved(0)
    oracles_equihash.require_solutions(problem, found)
    changed = found.copy()
    changed[0, 0] += 1
    with pytest.raises(CheckError, match="leading bits"):
        oracles_equihash.require_solutions(problem, changed)
    with pytest.raises(CheckError, match="too many or too few"):
        oracles_equihash.require_all(problem, found[1:])


@pytest.mark.parametrize(
    "changes", [{"n": 50}, {"n": 48, "k": 6}, {"n": 192, "k": 5}, {"bucket_bits": 7}, {"slots": 256, "bucket_bits": 17}]
)
def test_settings_that_do_not_fit(changes):
    with pytest.raises(UsageError):
        EQUIHASH.build(EQUIHASH.settings("small", changes), 0)
