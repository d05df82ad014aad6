"""Evasions that run other work beside the hidden one: interleaving, padding, dual mining."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from math import nan
from typing import Final, final

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.evasions.evasion import Clock, Evasion, Run
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["EVASIONS", "Dual", "Interleaved"]


@final
class Interleaved:
    """A run whose steps alternate with steps of others, by time.

    Parameters
    ----------
    run : Run
        What is hidden.
    company : sequence of Run
        What takes the rest of the time, in turn.
    share : float
        Share of the device's busy time that the hidden run keeps, above 0 to 1.
    clock : Clock
        Tells how long steps took.
    """

    def __init__(self, run: Run, company: Sequence[Run], share: float, clock: Clock) -> None:
        if not company:
            raise UsageError("no workload to run beside the hidden one", "at least one", "Name one with --with.")
        self._run, self._turns, self._share, self._clock = run, cycle(company), share, clock
        self._owed = 0.0

    @property
    def units(self) -> float:
        """What a step of the hidden run does."""
        return self._run.units

    def step(self) -> None:
        """Take a hidden step, then steps of the company until it had its time."""
        self._owed += self._time(self._run) * (1 - self._share) / self._share
        while self._owed > 0:
            self._owed -= self._time(next(self._turns))

    def _time(self, run: Run) -> float:
        start = self._clock.now()
        run.step()
        run.wait()
        return self._clock.now() - start

    def wait(self) -> None:
        """Return at once: each step was waited for."""


@final
class Dual:
    """Two runs at once: a step of each is enqueued before either is waited for."""

    def __init__(self, run: Run, company: Sequence[Run]) -> None:
        if len(company) != 1:
            raise UsageError(f"{len(company)} workloads beside the hidden one", "exactly one", "Name one with --with.")
        self._run, self._other = run, company[0]

    @property
    def units(self) -> float:
        """What a step of the hidden run does."""
        return self._run.units

    def step(self) -> None:
        """Enqueue a step of each."""
        self._run.step()
        self._other.step()

    def wait(self) -> None:
        """Wait for both."""
        self._run.wait()
        self._other.wait()


def _interleave(run: Run, company: Sequence[Run], settings: Settings, _: int, clock: Clock) -> Run:
    return Interleaved(run, company, settings["share"] / 100, clock)


def _dual(run: Run, company: Sequence[Run], _: Settings, __: int, ___: Clock) -> Run:
    return Dual(run, company)


_SHARE: Final = Parameter("share", "%", 1, 100, "share of the busy time that the hidden workload keeps")

EVASIONS: Final = (
    Evasion(
        name="interleave",
        summary="Alternate with real training on the same device",
        parameters=(_SHARE,),
        defaults={"share": 30},
        share=lambda settings: settings["share"] / 100,
        wrap=_interleave,
        company=("transformer-training",),
    ),
    Evasion(
        name="pad",
        summary="Alternate with dummy floating-point, tensor and memory work, whose results nobody reads",
        parameters=(_SHARE,),
        defaults={"share": 50},
        share=lambda settings: settings["share"] / 100,
        wrap=_interleave,
        company=("fma-burn", "transformer-inference", "stencil"),
    ),
    Evasion(
        name="dual",
        summary="Mine a second algorithm at the same time",
        parameters=(),
        defaults={},
        share=lambda _: nan,
        wrap=_dual,
        company=("sha256d",),
    ),
)
