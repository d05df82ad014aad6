"""A workload that has a CUDA C program only."""

from __future__ import annotations

from typing import Final

from hashwarden.kernels.workloads.catalogue import Bound
from hashwarden.kernels.workloads.workload import Builder, JobLabel, Parameter, Settings, Workload

__all__ = ["NONCES", "define"]

NONCES: Final = Parameter("nonces", "hashes", 32, 1 << 31, "nonces of a step", power_of_two=True)


def define(  # noqa: PLR0913  what a workload is made of
    name: str,
    family: str,
    summary: str,
    native: Builder,
    *,
    bound: Bound,
    parameters: tuple[Parameter, ...],
    small: Settings,
    gpu: Settings,
    unit: str = "hash",
    label: JobLabel = "mining",
) -> Workload:
    """Describe it; a trace needs no size of its own, since CUDA C is not traced on the CPU."""
    sizes = {"small": small, "trace": small, "gpu": gpu}
    return Workload(name, label, family, bound, summary, unit, parameters, sizes, native=native)
