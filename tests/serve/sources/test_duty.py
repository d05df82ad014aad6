"""When a source with a duty cycle looks, and what a job gains that watches for it."""

from __future__ import annotations

import math
import random

import pytest

from hashwarden.serve.sources.duty import Duty


def test_the_next_look_cannot_be_foretold():
    duty, times = Duty(30.0), []
    for _ in range(200):
        assert duty.due(0.0) or times
        duty.looked(0.0)
        times.append(duty._next_s)
    assert 15 <= min(times) < 20
    assert 40 < max(times) <= 45
    assert math.isclose(sum(times) / len(times), 30, rel_tol=0.1)
    assert len(set(times)) == len(times)
    duty.wait(100.0, 5.0)
    assert not duty.due(104.9)
    assert duty.due(105.0)


class Evader:
    """Mines, and pauses for a second around the moment at which it expects the next look.

    It sees every look when it is over, and expects the next one after the mean of the waits so far: what is best
    against a fixed period.
    """

    def __init__(self):
        self.looks = []

    def pauses(self, now):
        if len(self.looks) < 3:
            return False
        mean = (self.looks[-1] - self.looks[0]) / (len(self.looks) - 1)
        return abs(now - self.looks[-1] - mean) <= 1


def seen(duty, looks=400):
    """Share of looks that find the evader at work."""
    evader, now, caught = Evader(), 0.0, 0
    for _ in range(looks):
        while not duty.due(now):
            now += 0.05
        caught += not evader.pauses(now)
        evader.looks.append(now)
        duty.looked(now)
    return caught / looks


def test_a_job_that_watches_for_the_agent_gains_little_where_it_would_escape_a_fixed_period():
    assert seen(Duty(30.0, lambda: 0.5)) < 0.02
    assert seen(Duty(30.0, random.Random(1).random)) > 0.85, "it pauses for 2 s of the 30 s in which a look may come"


@pytest.mark.parametrize("drawn", [0.0, 0.5, 0.999999])
def test_a_wait_has_bounds(drawn):
    duty = Duty(10.0, lambda: drawn)
    duty.looked(100.0)
    assert not duty.due(104.99)
    assert duty.due(115.0)
