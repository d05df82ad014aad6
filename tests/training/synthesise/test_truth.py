"""What a schedule does to a GPU: limits, clocks, fewer SMs, watts and degrees."""

import numpy as np
import pytest

from hashwarden.errors import UsageError
from hashwarden.training.synthesise.gpus import GPUS
from hashwarden.training.synthesise.physics import activity
from hashwarden.training.synthesise.power import LEAST_VOLTAGE, clock_under_limit, voltage
from hashwarden.training.synthesise.schedule import Schedule
from hashwarden.training.synthesise.truth import Truth, truth

H100 = GPUS["H100 SXM"]
TICKS = 400


def run(part: str, busy: float = 1.0, sm_share: float | None = None, seed: int = 0, **host: float) -> Truth:
    series = {name: np.full(TICKS, value, np.float32) for name, value in {"fb_mib": 4000.0, **host}.items()}
    narrow = None if sm_share is None else np.full((TICKS, 1), sm_share, np.float32)
    schedule = Schedule((part,), np.full((TICKS, 1), busy, np.float32), narrow, series)
    return truth(schedule, activity((part,), H100, np.random.default_rng(seed)), H100, np.random.default_rng(seed))


def test_power_never_passes_its_limit_by_more_than_the_regulator_lets():
    for share in (0.5, 0.8, 1.0):
        made = run("burn-tensor", power_share=share)
        assert made.watts.max() <= 700 * share * 1.03 + 1e-3


def test_a_lower_limit_lowers_the_clock_and_says_so():
    full, half = run("burn-tensor"), run("burn-tensor", power_share=0.6)
    assert half.clock.mean() < 0.95 * full.clock.mean()
    assert half.capped.all()
    assert half.rates["tensor_half"].mean() == pytest.approx(full.rates["tensor_half"].mean(), rel=0.02)


def test_a_pinned_clock_slows_what_integers_bound_and_not_what_memory_binds():
    for part, kept in (("sha256d", 0.6), ("ethash", 1.0)):
        assert run(part, clock_share=0.6).ran.mean() == pytest.approx(kept * run(part).ran.mean(), rel=0.02)


def test_a_lower_memory_clock_slows_what_memory_binds_and_not_what_integers_bind():
    for part, kept in (("sha256d", 1.0), ("ethash", 0.5)):
        assert run(part, memory_clock_share=0.5).ran.mean() == pytest.approx(kept * run(part).ran.mean(), rel=0.02)


def test_a_tenth_of_the_sms_does_a_tenth_of_the_hashing():
    few, all_of_them = run("sha256d", sm_share=0.1), run("sha256d")
    assert few.rates["sm_active"].mean() == pytest.approx(0.1 * all_of_them.rates["sm_active"].mean(), rel=0.01)
    assert few.rates["alu"].mean() == pytest.approx(0.1 * all_of_them.rates["alu"].mean(), rel=0.01)


def test_half_of_the_time_shows_half_of_the_activity():
    half, full = run("sha256d", 0.5), run("sha256d")
    assert half.rates["alu"].mean() == pytest.approx(0.5 * full.rates["alu"].mean(), rel=0.01)
    assert half.watts.mean() < full.watts.mean()


def test_heat_follows_power_with_a_lag():
    busy = np.zeros((TICKS, 1), np.float32)
    busy[100:] = 1
    kernels = activity(("burn-tensor",), H100, np.random.default_rng(0))
    made = truth(Schedule(("burn-tensor",), busy), kernels, H100, np.random.default_rng(0))
    assert made.watts[110] > 2 * made.watts[50]
    assert made.celsius[50] < made.celsius[110] < made.celsius[250] <= made.celsius[399]


def test_the_clock_that_fits_draws_what_is_allowed():
    asked = np.ones(5, np.float32)
    sms, rest = np.full(5, 800, np.float32), np.full(5, 100, np.float32)
    room = np.array([900, 700, 500, 300, 250], np.float32)
    clock = clock_under_limit(asked, sms, rest, room)
    drawn = sms * clock * (voltage(clock) / 1.0) ** 2 + rest
    assert (np.diff(clock) < 0).all()
    np.testing.assert_allclose(drawn, room, rtol=0.02)
    assert clock[-1] < LEAST_VOLTAGE


@pytest.mark.parametrize(
    ("busy", "host"),
    [
        (np.full((5, 2), 0.4, np.float32), {}),
        (np.full((5, 1), 1.2, np.float32), {}),
        (np.full((5, 1), np.nan, np.float32), {}),
        (np.full((5, 1), -0.1, np.float32), {}),
        (np.ones((5, 1), np.float32), {"no_such": np.ones(5, np.float32)}),
        (np.ones((5, 1), np.float32), {"fb_mib": np.ones(4, np.float32)}),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(busy, host):
    kernels = activity(("sha256d",), H100, np.random.default_rng(0))
    with pytest.raises(UsageError):
        truth(Schedule(("sha256d",), busy, None, host), kernels, H100, np.random.default_rng(0))
