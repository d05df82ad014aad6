"""A process that launches a known number of kernels: ``python launching_child.py torch|cupy|numba TIMES``.

Waits for a line, launches one kernel so that all is loaded, and says so; waits for another, launches so many and says
how many those were.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

Work = tuple[Callable[[], object], Callable[[], object]]
"""Launches one kernel, and waits for all."""


def by_torch() -> Work:
    """Through CUDA's runtime."""
    import torch

    values = torch.zeros(1024, device="cuda")
    return lambda: values.add_(1.0), torch.cuda.synchronize


def by_cupy() -> Work:
    """Through the driver: a raw kernel."""
    import cupy

    kernel = cupy.RawKernel('extern "C" __global__ void one(float *x) { x[threadIdx.x] += 1.0f; }', "one")
    values = cupy.zeros(128, cupy.float32)
    return lambda: kernel((1,), (128,), (values,)), cupy.cuda.Device().synchronize


def by_numba() -> Work:
    """Through Numba's own bindings."""
    import numpy as np
    from numba import cuda

    @cuda.jit
    def one(values):  # type: ignore[no-untyped-def]
        values[cuda.threadIdx.x] += 1.0

    values = cuda.to_device(np.zeros(128, np.float32))
    return lambda: one[1, 128](values), cuda.synchronize


WORKS: dict[str, Callable[[], Work]] = {"torch": by_torch, "cupy": by_cupy, "numba": by_numba}


def main(kind: str, times: int) -> None:
    """See the module."""
    sys.stdin.readline()
    launch, wait = WORKS[kind]()
    launch()
    wait()
    print(json.dumps({"ready": kind}), flush=True)
    sys.stdin.readline()
    for _ in range(times):
        launch()
    wait()
    print(json.dumps({"launched": times}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
