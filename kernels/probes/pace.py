"""How often a round may run, and how much may be in it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, final

import numpy as np

from hashwarden.errors import UsageError
from hashwarden.kernels.probes.probe import MOST_REPETITIONS, PROBES

__all__ = ["MOST_BUDGET_US", "MOST_ROUNDS_PER_SECOND", "Budget", "RateLimit"]

MOST_BUDGET_US: Final = 200.0
"""GPU time of one round at most, in microseconds."""

LEAST_BUDGET_US: Final = 60.0
MOST_ROUNDS_PER_SECOND: Final = 4.0

_STEPS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, MOST_REPETITIONS)
"""Repetitions that are used: few different ones, so that a plan stays the same from round to round."""

_MEMORY: Final = 5
_MARGIN: Final = 0.85
_LAUNCH_US: Final = 2.0
_SLOW_CLOCK: Final = 1_000.0
"""Cycles a microsecond that the first plan counts on; real clocks are faster."""

_MOST_EXCESS: Final = 2.0
_LEAST_SCALE: Final = 0.05
_FASTER: Final = 8
"""What is measured this much below the first plan is the step of the GPU's timer, not the cost."""


@final
class Budget:
    """Fits the probes' repetitions into the GPU time of a round.

    The first plan rests on the table of probes; later ones on the median cost of the last rounds, in which time that
    the GPU spent elsewhere weighs little. If not even one repetition of each probe fits, rounds take turns.

    Parameters
    ----------
    budget_us : float
        GPU time of one round, 60 to 200 microseconds.
    watch_us : float
        Part of it that the gap watch takes.

    Raises
    ------
    UsageError
        If the budget is out of range, or if the watch takes more than half of it.
    """

    def __init__(self, budget_us: float, watch_us: float) -> None:
        if not LEAST_BUDGET_US <= budget_us <= MOST_BUDGET_US:
            expected = f"{LEAST_BUDGET_US:g} to {MOST_BUDGET_US:g} microseconds"
            raise UsageError(f"a budget of {budget_us:g}", expected, "Choose one in that range.")
        if not 0 < watch_us <= budget_us / 2:
            expected = f"more than 0, at most {budget_us / 2:g}: half of the budget"
            raise UsageError(f"a gap watch of {watch_us:g} microseconds", expected, "Shorten the watch.")
        self.budget_us = budget_us
        fixed = watch_us + _LAUNCH_US * (len(PROBES) + 3)
        self._fixed: deque[float] = deque([fixed], _MEMORY)
        self._costs = {probe.name: deque([_first_cost(probe.links, probe.cycles)], _MEMORY) for probe in PROBES}
        self._scale = 1.0
        self._turn = 0

    def plan(self) -> dict[str, int]:
        """Repetitions of each probe in the next round; 0 leaves it out."""
        usable = self._scale * (_MARGIN * self.budget_us - float(np.median(self._fixed)))
        costs = {name: float(np.median(seen)) for name, seen in self._costs.items()}
        chosen = dict.fromkeys(costs, 0)
        left = usable
        for probe in PROBES[self._turn :] + PROBES[: self._turn]:
            if 2 * costs[probe.name] <= left:
                chosen[probe.name] = 1
                left -= 2 * costs[probe.name]
        if not all(chosen.values()):
            self._turn = (self._turn + 1) % len(PROBES)
            return chosen if any(chosen.values()) else chosen | {PROBES[self._turn].name: 1}
        return {p.name: _repetitions(p.share * usable / costs[p.name], usable, costs) for p in PROBES}

    def expected_us(self, name: str, repetitions: int) -> float:
        """What a probe's kernel usually takes."""
        return (repetitions + 1) * float(np.median(self._costs[name]))

    def learn(self, spent_us: Mapping[str, float], plan: Mapping[str, int], gpu_us: float, lost_us: float) -> None:
        """Take in what a round cost.

        Parameters
        ----------
        spent_us : mapping of str to float
            Time of each probe's kernel.
        plan : mapping of str to int
            Repetitions that it ran.
        gpu_us : float
            Time of the whole round on the GPU.
        lost_us : float
            Part of it in which the GPU ran something else, as far as it was seen.
        """
        for probe in PROBES:
            if plan[probe.name]:
                measured = spent_us[probe.name] / (plan[probe.name] + 1)
                self._costs[probe.name].append(max(measured, _first_cost(probe.links, probe.cycles) / _FASTER))
        self._forget_guesses()
        own = gpu_us - lost_us
        self._fixed.append(max(own - sum(spent_us.values()), 0.0))
        if own > self.budget_us:
            # A turn of another context that nobody saw must not stop the probes for many rounds.
            excess = min(own / self.budget_us, _MOST_EXCESS)
            self._scale = max(self._scale * 0.8 / excess, _LEAST_SCALE)
        elif own < 0.7 * self.budget_us:
            self._scale = min(self._scale * 1.1, 1.0)

    def _forget_guesses(self) -> None:
        """What the table said goes with the first measurement, and that one, taken cold, with the second."""
        if len(self._fixed) == 1:
            self._fixed.clear()
            for seen in self._costs.values():
                if len(seen) > 1:
                    seen.popleft()


def _repetitions(wanted: float, usable: float, costs: Mapping[str, float]) -> int:
    """The largest step that fits; one chain more is run than counted. All get one if the sum of ones is tight."""
    if 2 * sum(costs.values()) > 0.9 * usable:
        return 1
    return max((step for step in _STEPS if step + 1 <= wanted), default=1)


def _first_cost(links: int, cycles: int) -> float:
    return links * cycles / _SLOW_CLOCK


@final
class RateLimit:
    """Keeps rounds apart.

    Parameters
    ----------
    rounds_per_second : float
        More than 0, at most 4.
    clock, sleep : callable
        Seconds since whenever, and waiting; replaced in tests.

    Raises
    ------
    UsageError
        If the rate is out of range.
    """

    def __init__(
        self,
        rounds_per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 < rounds_per_second <= MOST_ROUNDS_PER_SECOND:
            expected = f"more than 0, at most {MOST_ROUNDS_PER_SECOND:g}"
            raise UsageError(f"{rounds_per_second:g} rounds a second", expected, "Choose a rate in that range.")
        self._interval = 1 / rounds_per_second
        self._clock, self._sleep = clock, sleep
        self._next = -float("inf")

    def wait(self) -> None:
        """Wait until the next round may start."""
        while (ahead := self._next - self._clock()) > 0:
            self._sleep(ahead)
        self._next = self._clock() + self._interval
