"""What a kernel of a schedule is: code that could be it, and what the code alone does not tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from hashwarden.training.synthesise.codes import Pick

__all__ = ["Part", "Range"]

Range = tuple[float, float]
"""Lowest and highest; what is drawn lies between."""


@final
@dataclass(frozen=True, slots=True)
class Part:
    """One kernel, or a group of kernels that run as one.

    Attributes
    ----------
    picks : tuple of Pick
        The rows of the kernel tables that may stand for it.
    launch_s : Range
        Length of a launch on the whole GPU, drawn on a logarithmic scale.
    threads : Range
        Threads of a launch, logarithmic.
    occupancy : Range
        Resident warps over the most possible.
    miss : Range
        Share of the global memory traffic that device memory serves, the rest being hits in caches.
    scatter : Range
        0: lanes of a warp read one run of addresses; 1: each lane moves a 32-byte sector of its own.
    flight : Range
        Loads that a warp has in flight at once.
    reach : Range
        Share of the bound that is reached: tails, barriers, gaps between launches.
    dram : Range
        Share of the bandwidth that accesses of this shape reach at most.
    core : str
        What a tuned kernel is bound by: ``tensor``, ``int8`` (tensor), ``fma`` or ``double``; empty leaves it to the
        roofline.
    intensity : Range
        With a core: its operations for each byte of device memory.
    per_instruction : Range
        Bytes of device memory a lane for each instruction; 0 leaves it to the code.
    kind : str
        With a core what is multiplied: ``half``, ``tf32``, ``fp8``, ``int8``, ``fp64`` or ``fp32``.
    variants : Range
        Distinct kernels that a job launches under this part.
    rebuilt : bool
        Whether its code is made anew while the job runs, so that a loaded module replaces it.
    source : str
        Where the ranges come from, if not from the algorithm's definition.
    """

    picks: tuple[Pick, ...]
    launch_s: Range = (5e-5, 2e-3)
    threads: Range = (1e4, 1e6)
    occupancy: Range = (0.3, 0.8)
    miss: Range = (0.7, 1.0)
    scatter: Range = (0.0, 0.05)
    flight: Range = (2.0, 6.0)
    reach: Range = (0.8, 0.97)
    dram: Range = (0.8, 0.93)
    core: str = ""
    intensity: Range = (0.0, 0.0)
    per_instruction: Range = (0.0, 0.0)
    kind: str = ""
    variants: Range = (1.0, 1.0)
    rebuilt: bool = False
    source: str = "assumed"
