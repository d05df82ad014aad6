"""What the probes read on a GPU that does nothing else: kept apart from raw cycles, and bound to its GPU."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np

from hashwarden.errors import DataError
from hashwarden.kernels.probes.probe import LINKS, PROBES, QUANTILES

if TYPE_CHECKING:
    from hashwarden.kernels.probes.device import DeviceFacts
    from hashwarden.kernels.probes.session import ProbeRound

__all__ = ["SCHEMA", "Baseline"]

SCHEMA: Final = "hashwarden.probes.baseline/1"


@final
@dataclass(frozen=True, slots=True)
class Baseline:
    """Quantiles of an idle GPU.

    Attributes
    ----------
    device : str
        Name of the GPU.
    capability : tuple of int
        Its compute capability.
    multiprocessors : int
        Its SMs, which tell MIG instances of one GPU apart.
    rounds : int
        Rounds that it rests on.
    clock_mhz : float
        Clock of the SMs, median over the rounds.
    quantiles : mapping of str to tuple of float
        Cycles a link of each probe, in the order of `QUANTILES`, median over the rounds.
    """

    device: str
    capability: tuple[int, int]
    multiprocessors: int
    rounds: int
    clock_mhz: float
    quantiles: Mapping[str, tuple[float, ...]]

    @classmethod
    def of(cls, facts: DeviceFacts, rounds: Sequence[ProbeRound]) -> Baseline:
        """Take the medians of some rounds."""
        quantiles = {p.name: _medians([r.quantiles[p.name] for r in rounds]) for p in PROBES}
        clock = float(np.median([r.clock_mhz for r in rounds]))
        return cls(facts.name, facts.capability, facts.multiprocessors, len(rounds), clock, quantiles)

    def require(self, facts: DeviceFacts) -> None:
        """Make sure that it belongs to a GPU.

        Raises
        ------
        DataError
            If it was taken on another one.
        """
        own = (self.device, tuple(self.capability), self.multiprocessors)
        other = (facts.name, facts.capability, facts.multiprocessors)
        if own != other:
            raise DataError(f"a baseline of {own}", f"one of {other}", "Calibrate on this GPU while it is idle.")

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        text = json.dumps({"schema": SCHEMA, "links": LINKS, "names": QUANTILES, **asdict(self)}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If the file is none of ours, or of another set of probes.
        """
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            found = (read["schema"], read["links"], tuple(read["names"]), set(read["quantiles"]))
            baseline = cls(
                str(read["device"]),
                (int(read["capability"][0]), int(read["capability"][1])),
                int(read["multiprocessors"]),
                int(read["rounds"]),
                float(read["clock_mhz"]),
                {name: tuple(map(float, values)) for name, values in read["quantiles"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            got = f"a file that cannot be read ({error})"
            raise DataError(got, "a baseline", "Calibrate again.", where=str(path)) from error
        wanted = (SCHEMA, LINKS, QUANTILES, {p.name for p in PROBES})
        if found != wanted or any(len(values) != len(QUANTILES) for values in baseline.quantiles.values()):
            raise DataError("a baseline of other probes", SCHEMA, "Calibrate again.", where=str(path))
        return baseline


def _medians(rows: list[tuple[float, ...]]) -> tuple[float, ...]:
    """Median of each column over the rounds that have it, NaN where none has."""
    columns = [[value for value in column if not math.isnan(value)] for column in zip(*rows, strict=True)]
    return tuple(float(np.median(column)) if column else math.nan for column in columns)
