"""Benign kernels: hash work that is not mining, and the work without hashing that looks most like it.

Written for this project from public specifications and textbooks. The detector learns from their machine code
what is not mining, so styles differ between files on purpose: macros, templates, structs, vector types, shuffles.
"""

from __future__ import annotations

from typing import Final

from hashwarden.kernels.workloads.catalogue import Workload
from hashwarden.kernels.workloads.plain import computing, hash_work, learning, lookalikes

__all__ = ["WORKLOADS"]

WORKLOADS: Final[tuple[Workload, ...]] = (
    *hash_work.WORKLOADS,
    *learning.WORKLOADS,
    *computing.WORKLOADS,
    *lookalikes.WORKLOADS,
)
