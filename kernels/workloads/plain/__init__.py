"""Benign kernels: hash work that is not mining, and the work without hashing that looks most like it.

Written for this project from public specifications and textbooks. The detector learns from their machine code
what is not mining, so styles differ between files on purpose: macros, templates, structs, vector types, shuffles.
"""

from __future__ import annotations

from typing import Final

from hashwarden.kernels.workloads.catalogue import CudaSource
from hashwarden.kernels.workloads.plain import computing, hash_work, learning, lookalikes

__all__ = ["CUDA_SOURCES"]

CUDA_SOURCES: Final[tuple[CudaSource, ...]] = (
    *hash_work.CUDA_SOURCES,
    *learning.CUDA_SOURCES,
    *computing.CUDA_SOURCES,
    *lookalikes.CUDA_SOURCES,
)
