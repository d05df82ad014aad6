"""Mining-like and other hash kernels, written for this project from public specifications.

They are inert: no network, no pool protocol, fixed headers, nothing is submitted anywhere.
They exist to be compiled and read by the detector, and to be compared with known answers.
"""

from __future__ import annotations

from typing import Final

from hashwarden.kernels.workloads.catalogue import Workload

__all__ = ["WORKLOADS"]

WORKLOADS: Final[tuple[Workload, ...]] = ()
