"""From an address log to the features of `features.FEATURES`: the public entry.

The engines count (`patterns_counts.Counts`); the values follow from the counts in one place for all of them.
Accesses are taken in the log's canonical order, in which all warps take turns, one access each. So reuse
distances and phases are those of one large cache that all warps share, not of a particular GPU's caches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Protocol, cast

import numpy as np

from hashwarden.errors import UsageError
from hashwarden.kernels.memory.features import FEATURES
from hashwarden.kernels.memory.log import AddressLog, Sampling
from hashwarden.kernels.memory.patterns_counts import Counts, FloatArray
from hashwarden.kernels.memory.patterns_rules import require_valid
from hashwarden.kernels.memory.patterns_values import evaluate
from hashwarden.kernels.memory.reuse import MOST_LINES

__all__ = ["ENGINES", "NAMES", "Patterns", "patterns", "warm_up"]

ENGINES: Final = {
    "numba": "hashwarden.kernels.memory.patterns_cpu",
    "reference": "hashwarden.kernels.memory.patterns_reference",
    "numba_cuda": "hashwarden.kernels.memory.patterns_cuda",
    "cupy": "hashwarden.kernels.memory.patterns_cupy",
}
"""The engines, the default first, and the module of each."""

NAMES: Final = tuple(feature.name for feature in FEATURES)
"""Names of the features, in the order of the vector."""


@dataclass(frozen=True, slots=True)
class Patterns:
    """How a log touches memory.

    Attributes
    ----------
    values : float64, shape (features,)
        In the order of `NAMES`; NaN where the log cannot tell.
    counts : Counts
        The histograms that the values follow from.
    accesses : int
        Rows of the log.
    sampling : Sampling
        What the log kept.
    lost : int
        Accesses that the log lost; if there are any, all values are in doubt.
    """

    values: FloatArray
    counts: Counts
    accesses: int
    sampling: Sampling
    lost: int

    @property
    def complete(self) -> bool:
        """Whether nothing was lost."""
        return self.lost == 0

    def __getitem__(self, name: str) -> float:
        return float(self.values[NAMES.index(name)])

    def as_dict(self) -> dict[str, float]:
        """The values by name."""
        return dict(zip(NAMES, self.values.tolist(), strict=True))


class _Engine(Protocol):
    """What an engine's module offers."""

    def count(self, log: AddressLog, most_lines: int) -> Counts: ...


def patterns(log: AddressLog, engine: str = "numba", most_lines: int = MOST_LINES) -> Patterns:
    """Compute the features of a log.

    Parameters
    ----------
    log : AddressLog
        In any order. Of an empty one, every feature is NaN (``lost_share`` is 1 if all was lost).
    engine : str, default "numba"
        One of `ENGINES`; all give the same counts, sums of logarithms to 1e-9.
    most_lines : int
        Lines, and sectors, whose reuse distances are taken at most (SHARDS); at least 1.

    Returns
    -------
    Patterns

    Raises
    ------
    UsageError
        If there is no such engine.
    DataError
        If the log holds what a recorder cannot write, or two accesses of one thread at once.
    MissingExtraError, NoDeviceError
        If the engine's package or GPU is not there.
    """
    if most_lines < 1:
        raise UsageError(f"most_lines = {most_lines}", "at least 1", "Choose a larger number.")
    module = _engine(engine)
    require_valid(log)
    if len(log) == 0:
        values = np.full(len(NAMES), math.nan)
        values[NAMES.index("lost_share")] = 1.0 if log.lost else math.nan
        return Patterns(values, Counts(), 0, log.sampling, log.lost)
    counts = module.count(log, most_lines)
    return Patterns(evaluate(counts, log.sampling, log.lost), counts, len(log), log.sampling, log.lost)


def warm_up(engine: str = "numba") -> None:
    """Compile or load an engine, so that what follows is not slowed down by it."""
    ones = np.ones(2, np.int64)
    thread = np.arange(2, dtype=np.int64)
    log = AddressLog(thread * 128, thread, ones, ones, ones, ones, ones, ones, Sampling(), 0)
    for most_lines in (1, MOST_LINES):
        _engine(engine).count(log, most_lines)


def _engine(name: str) -> _Engine:
    """The module of an engine, imported when it is used."""
    if name not in ENGINES:
        raise UsageError(f"engine {name!r}", f"one of {', '.join(ENGINES)}", "Name one of them.")
    return cast(_Engine, import_module(ENGINES[name]))
