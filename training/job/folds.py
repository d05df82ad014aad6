"""What is held out of which fit: a family of mining, a way to hide it, or a GPU; and kinds of honest work with it.

Runs are whole: no row of a run is in two places. Honest work is split twice. Some kinds (a class and a family within
it) are hidden from the fold altogether and only tested; of the others, whole runs go to the fit, to the choice of
what the evidence pays, to its calibration, or to the test. Mining of which any part is held out is never learned
from, and what is not held out is never tested: the figures speak of the unseen alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, final

from hashwarden.errors import DataError
from hashwarden.model.job.taxonomy import MINING_FAMILIES, STRATEGIES

__all__ = ["AXES", "Facts", "Fold", "make_folds"]

Axis = Literal["family", "strategy", "gpu"]
AXES: Final[tuple[Axis, ...]] = ("family", "strategy", "gpu")

HIDDEN: Final = 5
"""Honest kinds are dealt over so many folds: each fold hides one part of them."""

SHARES: Final = (("calibrate", 0.38), ("test", 0.55), ("choose", 0.62))
"""Upper ends of the shares of the honest runs of known kinds; the rest is for the fit."""

CHOOSE: Final = 0.12
"""Share of the mining runs that are not held out which choose how the evidence pays; the rest is for the fit."""


@final
@dataclass(frozen=True, slots=True)
class Facts:
    """What the split needs to know of a run.

    Attributes
    ----------
    name, label, strategy, gpu : str
        As in the trace.
    families : tuple of str
        For mining every family in it (two where one miner runs two); else the kind of work.
    """

    name: str
    label: str
    strategy: str
    gpu: str
    families: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Class and family of honest work."""
        return f"{self.label}/{self.families[0]}"

    @classmethod
    def of(cls, run: Any) -> Facts:  # noqa: ANN401  a Run, or what stands for one in a table
        """Take them from a run; a dual miner names its second family in its parameters."""
        families = (run.family, *_further(run.info.parameters)) if run.label == "mining" else (run.family,)
        return cls(run.name, run.label, run.strategy, run.info.gpu, tuple(dict.fromkeys(families)))


def _further(value: object) -> list[str]:
    """Every mining family that is named anywhere in a run's parameters."""
    if isinstance(value, Mapping):
        return [name for inner in value.values() for name in _further(inner)]
    if isinstance(value, str):
        return [value] if value in MINING_FAMILIES else []
    return [name for inner in value for name in _further(inner)] if isinstance(value, Sequence) else []


@final
@dataclass(frozen=True, slots=True)
class Fold:
    """One split.

    Attributes
    ----------
    axis : str
        ``family``, ``strategy`` or ``gpu``.
    held_out : str
        Its value that the fit never saw.
    fit, choose, calibrate, test : tuple of int
        Places of runs; no run is in two of them. ``choose`` decides how evidence pays, of runs that nothing was fitted
        to; ``calibrate`` holds honest runs only.
    hidden_kinds : tuple of str
        Kinds of honest work that only the test holds.
    """

    axis: str
    held_out: str
    fit: tuple[int, ...]
    choose: tuple[int, ...]
    calibrate: tuple[int, ...]
    test: tuple[int, ...]
    hidden_kinds: tuple[str, ...]

    @property
    def name(self) -> str:
        """Say axis and value."""
        return f"{self.axis}={self.held_out}"


def _draw(*words: object) -> float:
    """Draw from 0 to 1 by the words alone: the same run falls on the same side whatever else is in the corpus."""
    digest = hashlib.sha256("\x1f".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def make_folds(runs: Sequence[Facts], axes: Sequence[str] = AXES, seed: int = 0) -> list[Fold]:
    """Make the folds of some axes.

    Raises
    ------
    DataError
        If an axis has fewer than two values, or a fold would have nothing to fit, calibrate or test.
    """
    return [_fold(runs, axis, value, seed, number)
            for axis in axes for number, value in enumerate(_values(runs, axis))]  # fmt: skip


def _values(runs: Sequence[Facts], axis: str) -> list[str]:
    mining = [run for run in runs if run.label == "mining"]
    present = {value for run in mining for value in _of(run, axis)}
    order = {"family": MINING_FAMILIES, "strategy": STRATEGIES[1:]}.get(axis, tuple(sorted(present)))
    values = [value for value in order if value in present]
    if len(values) < 2:
        what = f"mining runs of {len(values)} values of {axis}"
        raise DataError(what, "two or more, so that one can be held out", "Evaluate on a corpus with more variety.")
    return values


def _of(run: Facts, axis: str) -> tuple[str, ...]:
    return run.families if axis == "family" else (run.strategy if axis == "strategy" else run.gpu,)


def _hidden(runs: Sequence[Facts], number: int, seed: int) -> set[str]:
    """Kinds of honest work that a fold hides: dealt class by class, so that no class is ever hidden as a whole."""
    kinds: dict[str, set[str]] = {}
    for run in runs:
        if run.label != "mining":
            kinds.setdefault(run.label, set()).add(run.kind)
    hidden: set[str] = set()
    for turn, (_, of_class) in enumerate(sorted(kinds.items())):
        if len(of_class) > 1:
            dealt = sorted(of_class, key=lambda kind: _draw(seed, kind))
            groups = min(HIDDEN, len(dealt))
            hidden |= {kind for place, kind in enumerate(dealt) if place % groups == (number + turn) % groups}
    return hidden


def _fold(runs: Sequence[Facts], axis: str, held_out: str, seed: int, number: int) -> Fold:
    hidden = _hidden(runs, number, seed)
    parts: dict[str, list[int]] = {"fit": [], "choose": [], "calibrate": [], "test": []}
    for place, run in enumerate(runs):
        part = _part(run, axis, held_out, hidden, seed)
        if part:
            parts[part].append(place)
    for part, places in parts.items():
        if not places:
            what = f"no run to {part} in the fold {axis}={held_out}"
            raise DataError(what, "some in each part", "Evaluate on a corpus with more runs.")
    kept = {part: tuple(places) for part, places in parts.items()}
    return Fold(axis, held_out, kept["fit"], kept["choose"], kept["calibrate"], kept["test"], tuple(sorted(hidden)))


def _part(run: Facts, axis: str, held_out: str, hidden: set[str], seed: int) -> str:
    out = held_out in _of(run, axis)
    draw = _draw(seed, run.name)
    if run.label == "mining":
        return "test" if out else "choose" if draw < CHOOSE else "fit"
    if run.kind in hidden or (axis == "gpu" and out):
        return "test"
    return next((part for part, end in SHARES if draw < end), "fit")
