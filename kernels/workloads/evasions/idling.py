"""Evasions that leave the device idle for a part of the time: throttle and duty cycle.

Miners idle at the point where the host waits for the device anyway (seen in the wild: bands of 40 to 80,
70 to 95 and 85 to 100 per cent, in stages of 8 to 45 s). What runs while the device is active does not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, final

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.evasions.evasion import Clock, Evasion, Run
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["EVASIONS", "DutyCycled", "Throttled"]


@final
class Throttled:
    """A run that idles after each step.

    Parameters
    ----------
    run : Run
        What is hidden.
    share : float
        Share of the time that the device is busy, above 0 to 1.
    clock : Clock
        Tells how long a step took.
    """

    def __init__(self, run: Run, share: float, clock: Clock) -> None:
        self._run, self.share, self._clock = run, share, clock
        self._debt = 0.0

    @property
    def units(self) -> float:
        """What a step does."""
        return self._run.units

    def step(self) -> None:
        """Take a step, wait for it, and idle for as long as the share asks."""
        start = self._clock.now()
        self._run.step()
        self._run.wait()
        done = self._clock.now()
        self._debt += (done - start) * (1 - self.share) / self.share
        self._clock.sleep(self._debt)
        self._debt -= self._clock.now() - done  # sleeping is never exact

    def wait(self) -> None:
        """Return at once: each step was waited for."""


@final
class DutyCycled:
    """A run that changes how much it idles from stage to stage, at random.

    Parameters
    ----------
    run : Run
        What is hidden.
    band : (float, float)
        Least and most share of the time that the device is busy in a stage.
    stage : (float, float)
        Least and most length of a stage in seconds.
    random : Random
        Draws both.
    clock : Clock
        Tells when a stage ends.
    """

    def __init__(
        self, run: Run, band: tuple[float, float], stage: tuple[float, float], random: Random, clock: Clock
    ) -> None:
        self._inner = Throttled(run, band[1], clock)
        self._band, self._stage, self._random, self._clock = band, stage, random, clock
        self._end = clock.now()

    @property
    def units(self) -> float:
        """What a step does."""
        return self._inner.units

    def step(self) -> None:
        """Take a step at the share of this stage, or of the next if this one is over."""
        if self._clock.now() >= self._end:
            self._inner.share = self._random.uniform(*self._band)
            self._end = self._clock.now() + self._random.uniform(*self._stage)
        self._inner.step()

    def wait(self) -> None:
        """Return at once: each step was waited for."""


def _throttle(run: Run, _: Sequence[Run], settings: Settings, __: int, clock: Clock) -> Run:
    return Throttled(run, settings["share"] / 100, clock)


def _duty_cycle(run: Run, _: Sequence[Run], settings: Settings, seed: int, clock: Clock) -> Run:
    band = settings["low"] / 100, settings["high"] / 100
    stage = float(settings["shortest"]), float(settings["longest"])
    for name, (least, most) in {"low to high": band, "shortest to longest": stage}.items():
        if least > most:
            raise UsageError(f"{name} is {least:g} to {most:g}", "the smaller value first", "Exchange them.")
    return DutyCycled(run, band, stage, Random(seed), clock)  # noqa: S311  nothing secret is drawn


EVASIONS: Final = (
    Evasion(
        name="throttle",
        summary="Idle after each step, so that the device is busy for a fixed share of the time",
        parameters=(Parameter("share", "%", 1, 100, "share of the time that the device is busy"),),
        defaults={"share": 50},
        share=lambda settings: settings["share"] / 100,
        wrap=_throttle,
    ),
    Evasion(
        name="duty-cycle",
        summary="Idle by a share that changes at random from stage to stage, as a disguised miner does",
        parameters=(
            Parameter("low", "%", 1, 100, "least share of the time that the device is busy in a stage"),
            Parameter("high", "%", 1, 100, "most share of the time that the device is busy in a stage"),
            Parameter("shortest", "s", 1, 3600, "shortest stage"),
            Parameter("longest", "s", 1, 3600, "longest stage"),
        ),
        defaults={"low": 70, "high": 95, "shortest": 8, "longest": 45},
        share=lambda settings: (settings["low"] + settings["high"]) / 200,
        wrap=_duty_cycle,
    ),
)
