"""Tests that need a GPU are skipped where there is none.

This file stands apart from the one above it, so that on a machine with a GPU the kernels' tests run with
little more than NumPy, Numba and CuPy installed: ``pytest tests/kernels -m gpu --confcutdir=tests/kernels``.
"""

import ctypes
import os

import pytest


def gpu_count() -> int:
    """NVIDIA GPUs that the driver answers for; asked without any of the packages under test."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu") is not None]
    if marked and gpu_count() == 0:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU answers here"))
    shard, _, shards = os.environ.get("HASHWARDEN_SHARD", "").partition("/")
    if shards:  # several processes share the work: compiling takes longer than running
        items[:] = [item for number, item in enumerate(items) if number % int(shards) == int(shard)]
