"""What this GPU can do at most, measured in the same run: DRAM, integer, floating point, tensor cores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

__all__ = ["ceilings"]

BLOCKS, THREADS, ROUNDS, CHAINS = 4096, 256, 4096, 8


def seconds_of(work: Callable[[], object], repeats: int = 5) -> float:
    """Best time of a piece of GPU work, by events."""
    import cupy

    work()
    times = []
    for _ in range(repeats):
        start, stop = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        work()
        stop.record()
        stop.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, stop) / 1e3)
    return min(times)


def ceilings() -> dict[str, float]:
    """Bytes and operations a second at most.

    Returns
    -------
    dict
        ``dram_bytes`` (a copy from device to device, read plus written), ``int_ops``, ``float_ops``, and
        ``tensor_ops`` (int8 matrix product by torch, absent without torch).
    """
    import cupy

    source = (Path(__file__).parent / "ceilings.cu").read_text()
    module = cupy.RawModule(code=source)
    out = cupy.zeros(BLOCKS, np.uint32)
    first, second = cupy.zeros(1 << 30, np.uint8), cupy.zeros(1 << 30, np.uint8)
    done = BLOCKS * THREADS * ROUNDS * CHAINS * 2
    integer, floating = module.get_function("integer_ceiling"), module.get_function("float_ceiling")
    shape = ((BLOCKS,), (THREADS,))
    found = {
        "dram_bytes": 2 * first.nbytes / seconds_of(lambda: cupy.copyto(second, first)),
        "int_ops": done / seconds_of(lambda: integer(*shape, (out, np.uint32(77), np.int32(ROUNDS)))),
        "float_ops": done / seconds_of(lambda: floating(*shape, (out, np.float32(0.7), np.int32(ROUNDS)))),
    }
    return {**found, **_tensor()}


def _tensor() -> dict[str, float]:
    try:
        import torch
    except ImportError:
        return {}
    size = 8192
    left = torch.ones((size, size), dtype=torch.int8, device="cuda")
    right = torch.ones((size, size), dtype=torch.int8, device="cuda").t()

    def work() -> object:
        done = torch._int_mm(left, right)
        torch.cuda.synchronize()
        return done

    return {"tensor_ops": 2 * size**3 / seconds_of(work)}
