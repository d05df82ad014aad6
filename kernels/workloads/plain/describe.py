"""How a line of this package's lists becomes a workload."""

from __future__ import annotations

from hashwarden.kernels.workloads.catalogue import Bound, CudaSource, Label

__all__ = ["workload"]


def workload(  # noqa: PLR0913, PLR0917  one column of a list each
    label: Label, name: str, family: str, lineage: str, bound: Bound, kernels: str, variants: tuple[str, ...]
) -> CudaSource:
    """Describe one file of this package.

    Parameters
    ----------
    label, name, family, lineage, bound, variants
        As in `CudaSource`.
    kernels : str
        Entry kernels, separated by spaces; all have the role ``kernel``.

    Returns
    -------
    CudaSource
        With its package set.
    """
    entries = " ".join(f"{kernel}:kernel" for kernel in kernels.split())
    return CudaSource(name, family, lineage, entries, bound, variants, label=label, package="plain")
