"""Ethash against the published vector of its small test problem: the oracle, and both programs."""

from __future__ import annotations

import numpy as np
import pytest
from Crypto.Hash import keccak

from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.mining import ethash, oracles_ethash
from hashwarden.kernels.workloads.plan import Plan

# Of go-ethereum's tests: 1,024 bytes of cache from a seed of zeros, 32 KiB of table, nonce 0.
HEADER = bytes.fromhex("c9149cc0386e689d789a1c2f3d5d169a61a6218ed30e74414dc736e442ef3d1f")
RESULT = "d3539235ee2e6f8db665c0a72169f55b7f6c605712330b778ec3944f0eb5a557"
ROWS, PAGES = 16, 256


def keccak512(data: bytes) -> bytes:
    return keccak.new(digest_bits=512, data=data).digest()


@pytest.fixture(scope="module")
def cache() -> np.ndarray:
    """Cache of the specification: a chain, then three rounds of RandMemoHash."""
    rows = [keccak512(bytes(32))]
    while len(rows) < ROWS:
        rows.append(keccak512(rows[-1]))
    for _ in range(3):
        for i in range(ROWS):
            other = rows[int.from_bytes(rows[i][:4], "little") % ROWS]
            rows[i] = keccak512(bytes(a ^ b for a, b in zip(rows[i - 1], other, strict=True)))
    return np.frombuffer(b"".join(rows), "<u4").reshape(ROWS, 16)


def test_oracle(cache):
    table = oracles_ethash.Table(cache, PAGES, built=PAGES, parents=256)
    found = oracles_ethash.hashimoto(table, HEADER, np.zeros(1, np.uint64), 64)
    assert found.tobytes().hex() == RESULT


@pytest.mark.parametrize("workload", ethash.WORKLOADS, ids=lambda workload: workload.name)
def test_programs(cache, workload):
    sizes = {"cache_rows": ROWS, "pages": PAGES, "built": PAGES, "parents": 256, "reads": 64, "hashes": 1}
    plan = workload.build(sizes, 0)
    arrays = {**plan.arrays, "header": np.frombuffer(HEADER, "<u8").copy(), "cache": cache.reshape(-1).copy()}
    engine = CpuEngine(Plan(arrays, plan.step, plan.work, plan.check, plan.setup[1:]))
    engine.setup()
    engine.step()
    assert engine.read("digests").tobytes().hex() == RESULT
