"""Evasions keep the share that they state: measured on a clock that tests turn."""

import math
from itertools import pairwise

import pytest

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.evasions import EVASIONS, find_evasion


class TurnedClock:
    """Time passes only by work and by sleep; a sleep takes a little longer than asked, as real ones do."""

    def __init__(self, late=0.0):
        self.time, self.slept, self.late, self.sleeps = 100.0, 0.0, late, []

    def now(self):
        return self.time

    def sleep(self, seconds):
        if seconds > 0:
            self.time += seconds + self.late
            self.slept += seconds + self.late
            self.sleeps.append((self.time, seconds))


class Work:
    """A run whose steps take a known time, at the moment they are waited for."""

    def __init__(self, clock, seconds, units=1.0):
        self.clock, self.seconds, self.units = clock, seconds, units
        self.steps, self.pending, self.moments = 0, 0, []

    def step(self):
        self.steps += 1
        self.pending += 1
        self.moments.append(self.clock.time)

    def wait(self):
        self.clock.time += self.pending * self.seconds
        self.pending = 0


def hide(name, clock, hidden, company=(), seed=0, **changes):
    evasion = find_evasion(name)
    settings = evasion.settings(changes)
    return evasion.wrap(hidden, company, settings, seed, clock), evasion.share(settings)


def run_for(run, clock, seconds):
    start = clock.time
    while clock.time - start < seconds:
        run.step()
        run.wait()
    return clock.time - start


@pytest.mark.parametrize("share", [5, 30, 80, 100])
@pytest.mark.parametrize("late", [0.0, 0.004])
def test_a_throttle_keeps_its_share_even_when_sleeps_are_late(share, late):
    clock = TurnedClock(late)
    hidden = Work(clock, 0.02)
    run, built = hide("throttle", clock, hidden, share=share)
    elapsed = run_for(run, clock, 60)
    assert built == share / 100
    assert hidden.steps * 0.02 / elapsed == pytest.approx(built, rel=0.02)


def test_a_duty_cycle_stays_in_its_band_and_its_stages():
    clock = TurnedClock()
    hidden = Work(clock, 0.05)
    run, built = hide("duty-cycle", clock, hidden, seed=5, low=40, high=80)
    elapsed = run_for(run, clock, 4000)
    assert hidden.steps * 0.05 / elapsed == pytest.approx(built, abs=0.05)
    shares = [round(0.05 / (0.05 + seconds), 6) for _, seconds in clock.sleeps]
    assert 0.399 <= min(shares) <= max(shares) <= 0.801
    changes = [moment for (moment, _), one, two in zip(clock.sleeps, shares, shares[1:], strict=False) if one != two]
    stages = [two - one for one, two in pairwise(changes) if two - one > 1]
    assert len(stages) > 80
    assert min(stages) > 7.8
    assert max(stages) < 45.3


def test_a_duty_cycle_repeats_with_its_seed_and_not_with_another():
    def sleeps(seed):
        clock = TurnedClock()
        run, _ = hide("duty-cycle", clock, Work(clock, 0.05), seed=seed)
        run_for(run, clock, 100)
        return clock.sleeps

    assert sleeps(1) == sleeps(1)
    assert sleeps(1) != sleeps(2)


def test_a_duty_cycle_wants_its_limits_in_order():
    clock = TurnedClock()
    with pytest.raises(UsageError, match=r"low to high is 0.9 to 0.5"):
        hide("duty-cycle", clock, Work(clock, 1), low=90, high=50)


@pytest.mark.parametrize("name", ["interleave", "pad"])
@pytest.mark.parametrize("share", [10, 50, 100])
def test_mixing_keeps_its_share_of_the_busy_time(name, share):
    clock = TurnedClock()
    hidden, company = Work(clock, 0.013), [Work(clock, 0.02), Work(clock, 0.005), Work(clock, 0.001)]
    run, built = hide(name, clock, hidden, company, share=share)
    elapsed = run_for(run, clock, 60)
    assert clock.slept == 0
    assert hidden.steps * 0.013 / elapsed == pytest.approx(built, rel=0.02)
    taken = [other.steps for other in company]
    assert max(taken) - min(taken) <= 1


def test_dual_enqueues_both_before_it_waits():
    clock = TurnedClock()
    hidden, other = Work(clock, 0.01), Work(clock, 0.03)
    run, built = hide("dual", clock, hidden, [other])
    run.step()
    assert hidden.moments == other.moments
    run.wait()
    assert (hidden.pending, other.pending) == (0, 0)
    assert math.isnan(built)


@pytest.mark.parametrize("name", ["interleave", "pad", "dual"])
def test_mixing_alone_is_refused(name):
    clock = TurnedClock()
    with pytest.raises(UsageError, match="--with"):
        hide(name, clock, Work(clock, 1))


def test_evasions_can_be_put_around_one_another():
    clock = TurnedClock()
    hidden, training = Work(clock, 0.01, units=7), Work(clock, 0.01)
    inner, _ = hide("interleave", clock, hidden, [training], share=50)
    outer, _ = hide("throttle", clock, inner, share=50)
    elapsed = run_for(outer, clock, 60)
    assert outer.units == 7
    assert hidden.steps * 0.01 / elapsed == pytest.approx(0.25, rel=0.02)


def test_few_sms_limits_the_blocks():
    evasion = find_evasion("few-sms")
    assert evasion.most_blocks(evasion.settings({"blocks": 3})) == 3


@pytest.mark.parametrize("evasion", EVASIONS, ids=lambda evasion: evasion.name)
def test_bad_settings_are_refused(evasion):
    with pytest.raises(UsageError, match="no parameter 'nothing'"):
        evasion.settings({"nothing": 1})
    for parameter in evasion.parameters:
        with pytest.raises(UsageError, match=f"{parameter.name} = "):
            evasion.settings({parameter.name: parameter.low - 1})


def test_an_unknown_evasion_is_met_with_the_known_ones():
    with pytest.raises(UsageError, match=r"'hide'.*throttle, duty-cycle"):
        find_evasion("hide")
