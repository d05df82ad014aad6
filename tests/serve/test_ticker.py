"""Ticks do not drift, and those that are missed are counted."""

from __future__ import annotations

from threading import Event

import pytest

from hashwarden.serve.ticker import Ticker


class Hands:
    """A clock that waiting moves on."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Waiting(Event):
    """An event whose waiting lets the clock run, a little too long each time, as a real one does."""

    def __init__(self, clock, late=0.0):
        super().__init__()
        self.clock, self.late = clock, late

    def wait(self, timeout=None):
        if timeout:
            self.clock.now += timeout + self.late
        return self.is_set()


def test_the_nth_tick_comes_n_periods_after_the_start():
    clock = Hands()
    ticker, times = Ticker(0.1, Waiting(clock, late=0.004), clock), []
    for _ in range(1000):
        assert ticker.wait()
        times.append(clock.now)
        clock.now += 0.03  # work
    assert times[-1] - times[0] == pytest.approx(99.9, abs=0.01)
    assert (ticker.ticks, ticker.missed) == (1000, 0)


def test_ticks_that_pass_during_the_work_are_missed_and_the_beat_is_kept():
    clock = Hands()
    ticker = Ticker(1.0, Waiting(clock), clock)
    ticker.wait()
    clock.now += 3.4  # to 103.4: the ticks at 101 and 102 are gone, that at 103 is due
    assert ticker.wait()
    assert (clock.now, ticker.missed) == (pytest.approx(103.4), 2)
    assert ticker.wait()
    assert clock.now == pytest.approx(104.0)
    assert (ticker.ticks, ticker.missed) == (3, 2)


def test_it_can_be_stopped():
    clock = Hands()
    stop = Waiting(clock)
    ticker = Ticker(1.0, stop, clock)
    assert ticker.wait()
    stop.set()
    assert not ticker.wait()
    assert ticker.ticks == 1


def test_the_phase_of_ticks_cannot_be_foretold_and_the_beat_is_kept():
    clock = Hands()
    ticker, late = Ticker(1.0, Waiting(clock), clock, jitter=0.2), []
    for number in range(500):
        assert ticker.wait()
        late.append(clock.now - 100.0 - number)
    assert all(0 <= each <= 0.2 + 1e-9 for each in late)
    assert max(late) > 0.15
    assert min(late) < 0.05
    assert len({round(each, 3) for each in late}) > 100
    assert (ticker.ticks, ticker.missed) == (500, 0)
