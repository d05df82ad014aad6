import numpy as np
import pytest

from hashwarden.training.synthesise.blend import beside, blend, level, stretched
from hashwarden.training.synthesise.hiding_tools import pulses
from hashwarden.training.synthesise.schedule import TICK_S, Schedule
from hashwarden.training.synthesise.track import State, events, lay, occupancy


def test_occupancy_splits_segments_exactly():
    shares = occupancy(np.array([0.05, 0.1, 0.25, 0.02]), np.array([0, 1, 0, 1]), 2, 5)
    expected = [[0.5, 0.5], [0.5, 0.5], [1, 0], [1, 0], [0, 0.2]]
    assert shares == pytest.approx(np.array(expected))


def test_occupancy_keeps_all_time_of_random_segments():
    rng = np.random.default_rng(1)
    durations, which = rng.exponential(0.07, 3000), rng.integers(0, 4, 3000)
    shares = occupancy(durations, which, 4, 1500)
    assert shares.sum(1) == pytest.approx(np.ones(1500))
    ends = np.minimum(np.cumsum(durations), 150.0)
    inside = np.diff(np.concatenate([[0], ends]))
    assert shares.sum(0) * TICK_S == pytest.approx(np.bincount(which, inside, 4))


def test_lay_adds_what_states_and_job_say_of_the_host():
    states = [State({"gemm-bf16": 0.5}, {"pcie_rx_mib_per_s": 10.0}), State()]
    made = lay(states, np.array([0.1, 0.1]), np.array([0, 1]), 2, {"pcie_rx_mib_per_s": np.array([1.0, 1.0])})
    assert made.parts == ("gemm-bf16",)
    assert made.busy[:, 0] == pytest.approx([0.5, 0])
    assert made.host["pcie_rx_mib_per_s"] == pytest.approx([11, 1])


def test_events_come_about_as_often_as_asked():
    times = events(np.random.default_rng(0), 10.0, 10_000.0, 1.0)
    assert 900 < len(times) < 1100
    assert (np.diff(times) > 0).all()
    regular = events(np.random.default_rng(0), 10.0, 10_000.0, 0.01)
    assert 990 < len(regular) < 1010


@pytest.mark.parametrize(("duty", "period"), [(0.6, 0.03), (0.6, 0.2), (0.3, 1.7), (1.0, 0.5), (0.0, 0.5)])
def test_pulses_keep_their_share(duty, period):
    part = pulses(np.full(20_000, duty), period, 0.3)
    assert part.mean() == pytest.approx(duty, abs=2e-3)
    assert part.min() >= 0
    assert part.max() <= 1


def _steps(ticks=3000, period=0.8):
    count = int(ticks * TICK_S / period) + 2
    durations = np.tile([period * 0.75, period * 0.25], count)
    return lay(
        [State({"gemm-bf16": 1.0}, {"pcie_rx_mib_per_s": 8.0}), State()], durations, np.tile([0, 1], count), ticks
    )


def _hash(ticks=3000, **host):
    more = {name: np.full(ticks, value) for name, value in host.items()}
    return lay([State({"ethash": 1.0})], np.array([1e9]), np.array([0]), ticks, more)


def test_stretched_work_takes_longer_and_loses_nothing():
    whole = _steps()
    slow = stretched(whole, np.full(3000, 0.5))
    assert slow.busy.sum() == pytest.approx(whole.busy[:1500].sum(), rel=1e-4)
    assert slow.host["pcie_rx_mib_per_s"].sum() == pytest.approx(whole.host["pcie_rx_mib_per_s"][:1500].sum(), rel=1e-4)
    assert slow.busy.max() <= 0.5 + 1e-6
    assert stretched(whole, np.ones(3000)).busy == pytest.approx(whole.busy, abs=1e-6)


def test_what_has_not_begun_holds_no_memory():
    part = np.r_[np.zeros(1000), np.ones(2000)]
    made = blend(_hash(fb_mib=5000.0), _steps(), part, 2)
    memory, processes = level(made, "fb_mib"), level(made, "processes")
    assert (memory[:999] == 0).all()
    assert (memory[1001:] == 5000).all()
    assert (processes[:999] == 1).all()
    assert (processes[1001:] == 2).all()
    assert made.busy[:1000, made.parts.index("ethash")].sum() == 0
    assert made.busy[1000:, made.parts.index("gemm-bf16")].sum() == 0


def test_blend_gives_each_its_part():
    made = blend(_hash(), _steps(), np.full(3000, 0.3))
    assert made.busy[:, made.parts.index("ethash")].mean() == pytest.approx(0.3, abs=1e-3)
    assert made.busy[:, made.parts.index("gemm-bf16")].mean() == pytest.approx(0.7 * 0.75, abs=5e-3)
    assert made.busy.sum(1).max() <= 1 + 1e-6


def test_two_processes_share_time_slices():
    made, part = beside(_hash(), _steps(), 1.0)
    # while the cover works the two take turns, so 0.75 of its step takes twice as long and 0.25 stays free
    assert made.busy[:, made.parts.index("gemm-bf16")].mean() == pytest.approx(0.75 / 1.75, abs=5e-3)
    assert part.mean() == pytest.approx(1 / 1.75, abs=5e-3)
    only_gaps, part = beside(_hash(), _steps(), 1e-9)
    assert part.mean() == pytest.approx(0.25, abs=5e-3)
    assert only_gaps.busy.sum(1) == pytest.approx(np.ones(3000), abs=1e-5)


def test_limits_of_both_hold_and_shares_of_sms_stay_with_their_kernels():
    narrow = Schedule(("ethash",), np.ones((3000, 1), np.float32), np.full((3000, 1), 0.2, np.float32),
                      {"clock_share": np.full(3000, 0.7, np.float32)})  # fmt: skip
    made = blend(narrow, _steps(), np.full(3000, 0.5))
    assert made.sm_share[:, 0] == pytest.approx(np.full(3000, 0.2))
    used = made.busy[:, 1] > 0
    assert (made.sm_share[used, 1] == 1).all()
    assert level(made, "clock_share") == pytest.approx(np.full(3000, 0.7))
