"""The matrix product as proof of work in torch: the same digests as by Numba, and errors."""

from __future__ import annotations

import numpy as np
import pytest
from blake3 import blake3

from hashwarden.errors import CheckError, NoDeviceError, UsageError
from hashwarden.kernels.workloads.mining import oracles_tilepow
from hashwarden.kernels.workloads.mining.tilepow import WORKLOADS

torch = pytest.importorskip("torch")

TENSOR = WORKLOADS[1]


def run(seed: int = 3, size: str = "small", **changes: int):
    return TENSOR.torch(TENSOR.settings(size, changes), seed, "cpu")


def test_compression_in_torch():
    from hashwarden.kernels.workloads.mining.tilepow_torch import blake3_words

    data = np.random.default_rng(0).integers(0, 256, (5, 64), dtype=np.uint8)
    key = bytes(range(32))
    block = torch.from_numpy(data.view("<i4").T.copy())
    chain = torch.from_numpy(np.frombuffer(key, "<i4").copy())[:, None]
    for counter in (0, 3):
        out = blake3_words(chain, block, torch.full((5,), counter, dtype=torch.int32), 64, 1 | 2 | 8 | 16)
        for row, message in zip(out.T.contiguous().numpy(), data, strict=True):
            expected = blake3(message.tobytes(), key=key).digest(length=64, seek=64 * counter)
            assert row.tobytes() == expected


@pytest.mark.parametrize(
    "changes", [{}, {"step": 32}, {"rows": 48, "columns": 96, "inner": 96, "rank": 32, "step": 48}]
)
def test_steps_are_checked(changes):
    prepared = run(**changes)
    prepared.check()
    prepared.step()
    prepared.wait()
    prepared.check()
    assert prepared.units == prepared._digests.shape[1]


def test_noise_changes_with_the_step():
    prepared = run()
    prepared.step()
    first = prepared._digests
    prepared.step()
    assert not torch.equal(first, prepared._digests)


@pytest.mark.parametrize("part", ["_digests", "_b", "_key"])
def test_check_fails_for_a_wrong_result(part):
    prepared = run()
    prepared.step()
    setattr(prepared, part, getattr(prepared, part) ^ 1)
    if part == "_key":
        prepared.step()
    with pytest.raises(CheckError):
        prepared.check()


def test_shapes_that_do_not_fit():
    for changes in ({"rows": 40}, {"step": 24}, {"inner": 40}, {"rank": 24}):
        with pytest.raises(UsageError):
            oracles_tilepow.Shape.of(TENSOR.settings("small", changes))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_an_error():
    with pytest.raises(NoDeviceError):
        TENSOR.torch(TENSOR.settings("small"), 0, "cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("size", ["small", "trace"])
def test_on_a_gpu(size):
    prepared = TENSOR.torch(TENSOR.settings(size), 3, "cuda")
    prepared.step()
    prepared.wait()
    prepared.check()
