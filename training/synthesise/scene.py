"""What is drawn for a run: parameters with ranges and meanings, and the scene that draws and notes them.

Each part of a run (its work, its cover, its strategy, its site) has a stream of random numbers of its own, so that a
change to one leaves the others as they were.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import UsageError
from hashwarden.training.synthesise.schedule import TICK_S

__all__ = ["Parameter", "Scene", "Values"]

Values = Mapping[str, float]
"""Value of each parameter."""

_LEAST_SHARE: Final = 1e-6


@final
@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that is drawn for a run.

    Attributes
    ----------
    name : str
        As in the provenance and in ``changes``.
    low, high : float
        Range, both ends allowed.
    default : float
        A usual value.
    log : bool
        Whether its logarithm is drawn evenly, for what spans decades.
    unit : str
        Empty for a share or a count.
    meaning : str
        One line, with the source where there is one.
    """

    name: str
    low: float
    high: float
    default: float
    log: bool = False
    unit: str = ""
    meaning: str = ""

    def draw(self, rng: np.random.Generator) -> float:
        """A value of the range."""
        if self.log:
            low, high = np.log(self.low), np.log(self.high)
            return float(np.clip(np.exp(rng.uniform(low, high)), self.low, self.high))
        return float(rng.uniform(self.low, self.high))

    def check(self, value: float) -> float:
        """The value, if it is in the range.

        Raises
        ------
        UsageError
            If it is not.
        """
        if not self.low <= value <= self.high:
            unit = f" {self.unit}" if self.unit else ""
            raise UsageError(
                f"{self.name} = {value:g}", f"{self.low:g} to {self.high:g}{unit}", "Choose a value in this range."
            )
        return float(value)


@final
@dataclass(slots=True)
class Scene:
    """Where one part of a run is drawn.

    Attributes
    ----------
    seconds : float
        Length of the run.
    memory_mib : float
        Device memory of the GPU.
    seed : int
        Of the run.
    role : str
        ``work``, ``cover``, ``strategy`` or ``site``: prefix of the names in `notes` and `changes`.
    fresh : bool
        Whether the recording begins with the job; else it begins somewhere in the middle of it.
    most_start_s : float
        The start of the job takes no longer.
    changes : mapping
        Values that are given, not drawn: ``ROLE.NAME``.
    notes : dict
        All that was drawn.
    """

    seconds: float
    memory_mib: float
    seed: int = 0
    role: str = "work"
    fresh: bool = False
    most_start_s: float = np.inf
    changes: Mapping[str, float | str] = field(default_factory=dict)
    notes: dict[str, float | str] = field(default_factory=dict)
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, zlib.crc32(self.role.encode())])

    @property
    def ticks(self) -> int:
        """Ticks that cover the run."""
        return int(np.ceil(self.seconds / TICK_S - 1e-9)) + 1

    def part(self, role: str, seconds: float | None = None) -> Scene:
        """The scene of another part of the same run; what it draws is noted in the same place."""
        other = Scene(seconds or self.seconds, self.memory_mib, self.seed, role, self.fresh, changes=self.changes)
        other.notes = self.notes
        return other

    def values(self, parameters: Sequence[Parameter]) -> dict[str, float]:
        """Draw each parameter, or take it from the changes."""
        return {parameter.name: self.value(parameter) for parameter in parameters}

    def value(self, parameter: Parameter) -> float:
        """Draw a parameter, or take it from the changes."""
        drawn = parameter.draw(self.rng)  # drawn in any case: a change leaves the draws that follow as they were
        given = self.changes.get(f"{self.role}.{parameter.name}")
        return self.note(parameter.name, drawn if given is None else parameter.check(float(given)))

    def note(self, name: str, value: float) -> float:
        """Note a number in the provenance."""
        self.notes[f"{self.role}.{name}"] = round(float(value), 6)
        return float(value)

    def flip(self, name: str, chance: float) -> bool:
        """Whether something that happens with this chance happens; 0 or 1 in the changes decides."""
        drawn = self.rng.random() < chance
        given = self.changes.get(f"{self.role}.{name}")
        return bool(self.note(name, float(drawn if given is None else bool(float(given)))))

    def choose(self, name: str, options: Sequence[str]) -> str:
        """One of some names, or the one in the changes."""
        drawn = options[int(self.rng.integers(len(options)))]
        given = self.changes.get(f"{self.role}.{name}", drawn)
        if given not in options:
            raise UsageError(f"{name} = {given!r}", "one of " + ", ".join(options), "Choose one.")
        self.notes[f"{self.role}.{name}"] = given
        return str(given)

    def mix(self, weights: Mapping[str, float], density: float = 1.0, spread: float = 0.25) -> dict[str, float]:
        """Shares of kernels near some weights: no two codes spend their time quite alike.

        Parameters
        ----------
        weights : mapping of str to float
            Kernel to weight.
        density : float
            What the shares sum to; the rest is gaps between launches.
        spread : float
            Deviation of the logarithm of a weight.
        """
        drawn = np.array(list(weights.values())) * np.exp(self.rng.normal(0, spread, len(weights)))
        drawn *= density / max(drawn.sum(), _LEAST_SHARE)
        return dict(zip(weights, drawn.tolist(), strict=True))

    def wander(self, deviation: float, seconds: float = 30.0) -> npt.NDArray[np.float64]:
        """Slow drift around 1: an autoregressive series of this deviation and time constant, shape (ticks,)."""
        step = max(1, int(seconds / TICK_S / 4))
        knots = self.rng.normal(0, 1, self.ticks // step + 3)
        for i in range(1, len(knots)):
            knots[i] = 0.78 * knots[i - 1] + 0.63 * knots[i]
        grid = np.arange(len(knots)) * step
        smooth: npt.NDArray[np.float64] = np.interp(np.arange(self.ticks), grid, knots)
        return np.asarray(np.exp(deviation * smooth))
