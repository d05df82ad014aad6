"""What a miner's host program enqueues beside kernels: fills of memory, and copies into constant memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashwarden.kernels.workloads.plan import NativeLaunch

__all__ = ["Fill", "Store", "fill", "store"]


@dataclass(frozen=True, slots=True)
class Fill(NativeLaunch):
    """Sets every byte of an array (``cudaMemsetAsync``); its arguments are the array and the byte."""


@dataclass(frozen=True, slots=True)
class Store(NativeLaunch):
    """Copies an array to constant memory (``cudaMemcpyToSymbolAsync``); ``kernel`` is the symbol's name."""


def fill(array: str, byte: int = 0) -> Fill:
    """Set every byte of an array, named as in the arguments of a launch."""
    return Fill("", "", (), (), (array, np.uint8(byte)))


def store(source: str, variant: str, symbol: str, array: str) -> Store:
    """Copy an array to the constant memory ``symbol`` of one compiled source."""
    return Store(source, symbol, (), (), (array,), variant)
