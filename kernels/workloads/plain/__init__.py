"""Kernels that do no hash work, written for this project."""

from __future__ import annotations

from typing import Final

from hashwarden.kernels.workloads.catalogue import Workload

__all__ = ["WORKLOADS"]

WORKLOADS: Final[tuple[Workload, ...]] = ()
