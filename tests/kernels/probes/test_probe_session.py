"""A session on the CPU in disguise: the real CUDA C, on a clock that the tests set."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from hashwarden.errors import DataError, MemoryShortError, NoDeviceError, PrivilegeError, UsageError
from hashwarden.kernels.probes import layout
from hashwarden.kernels.probes.baseline import Baseline
from hashwarden.kernels.probes.device import MEMORY_LIMIT, ComputeMode, DeviceFacts
from hashwarden.kernels.probes.features import FEATURES
from hashwarden.kernels.probes.pace import RateLimit
from hashwarden.kernels.probes.probe import PROBES, QUANTILES
from hashwarden.kernels.probes.session import ProbeSession

FACTS = DeviceFacts("CPU in disguise", (9, 0), 4, 50 << 20, ComputeMode.DEFAULT, 13000, 13000)
KIND = {p.name: p.name for p in PROBES} | {"shared": "lds", "l2": "ldg", "dram": "ldg", "atomic": "atom"}


def no_wait() -> RateLimit:
    return RateLimit(4, clock=iter(range(1_000_000)).__next__, sleep=lambda seconds: None)


def open_session(device, **settings) -> ProbeSession:
    return ProbeSession(device, rate=no_wait(), **settings)


def test_each_latency_is_what_the_instruction_costs(host):
    device = host()
    with open_session(device) as session:
        taken = session.round()
    for probe in PROBES:
        # A sample also holds the store of the result and one reading of the clock; bins are 1/64 wide.
        cycles = device.costs[KIND[probe.name]] * probe.links + device.costs["settle"] + device.costs["clock"]
        for value in taken.quantiles[probe.name]:
            assert cycles * 63 / 64 <= value * probe.links <= cycles
    assert taken.clock_mhz == pytest.approx(2000, rel=0.02)
    assert taken.gaps.count == 0
    assert taken.gaps.share == 0
    assert math.isnan(taken.gaps.longest_us)


def test_a_slower_neighbourhood_shows_in_the_ratios_and_only_there(host):
    device = host()
    with open_session(device) as session:
        baseline = session.calibrate(3)
        device.costs["ldg"] *= 2
        features = session.round().features(baseline)
    for probe in PROBES:
        slower = KIND[probe.name] == "ldg"
        assert features[f"probe_{probe.name}_p50_ratio"] == pytest.approx(2 if slower else 1, rel=0.03)


def test_rounds_stay_under_the_budget_whatever_things_cost(host):
    device = host()
    with open_session(device) as session:
        usual = [session.round() for _ in range(6)]
        device.costs = {kind: 4 * cost for kind, cost in device.costs.items()}
        slow = [session.round() for _ in range(12)]
    assert not any(taken.over_budget for taken in usual)
    assert max(taken.gpu_us for taken in usual) <= 200
    assert max(taken.gpu_us for taken in usual) > 100, "the budget is hardly used"
    assert not any(taken.over_budget for taken in slow[4:])
    measured = {name for taken in slow[4:] for name, count in taken.repetitions.items() if count}
    assert measured == {probe.name for probe in PROBES}, "a probe never gets its turn"


def test_a_probe_that_is_left_out_is_missing_not_zero(host):
    device = host()
    device.costs = {kind: 10 * cost for kind, cost in device.costs.items()}
    with open_session(device, budget_us=100) as session:
        taken = [session.round() for _ in range(8)][-1]
    left_out = [name for name, count in taken.repetitions.items() if count == 0]
    assert left_out
    for name in left_out:
        assert all(math.isnan(value) for value in taken.quantiles[name])


def settled(session) -> None:
    """Run rounds until the plan does not change any more."""
    plans = [session.round().repetitions for _ in range(6)]
    assert plans[-1] == plans[-2] == plans[-3]


def test_a_time_slice_inside_the_watch_is_a_gap_for_each_block(host):
    device = host()
    with open_session(device) as session:
        settled(session)
        begun = next(start for kernel, start, _ in device.steps if kernel == "spin_gaps")
        device.taken = [(device.now + begun + 10_000, 2_000_000)]
        taken = session.round()
    assert taken.gaps.count == taken.gaps.blocks == 4
    assert taken.gaps.longest_us == pytest.approx(2_000, rel=0.001)
    assert taken.gaps.share == pytest.approx(2_000 / 2_020, rel=0.01)
    assert all(0.98 * 2_000 <= value <= 2_000.1 for value in taken.gaps.quantiles_us)
    assert taken.gaps.slices == taken.gaps.unstored == 0
    assert taken.gpu_us > 2_000
    assert not taken.over_budget, "time that went to others is not the probes' own"


def test_a_time_slice_between_two_probes_is_seen_by_their_stamps(host):
    device = host()
    with open_session(device) as session:
        settled(session)
        _, _, ended = device.steps[3]
        device.taken = [(device.now + ended + 500, 1_500_000)]
        taken = session.round()
    assert (taken.gaps.count, taken.gaps.slices) == (0, 1)
    assert taken.gaps.slices_us == pytest.approx(1_501, abs=1)
    assert all(max(values) < 1_000 for values in taken.quantiles.values())


def test_a_time_slice_inside_a_probe_lies_in_its_highest_quantile_only(host):
    device = host()
    with open_session(device) as session:
        settled(session)
        quiet = session.round()
        _, begun, ended = next(step for step in device.steps if step[0] == "probe_dram")
        device.taken = [(device.now + (begun + ended) // 2, 1_500_000)]
        taken = session.round()
        count = quiet.repetitions["dram"]
    assert taken.quantiles["dram"][:2] == quiet.quantiles["dram"][:2]
    assert count >= 8, "one sample of each warp in at most one in eight"
    assert taken.quantiles["dram"][-1] > 100 * quiet.quantiles["dram"][-1]
    assert (taken.gaps.count, taken.gaps.slices) == (0, 1)
    assert taken.gaps.slices_us == pytest.approx(1_500, rel=0.01)
    assert not taken.over_budget


def test_a_time_slice_before_the_watch_is_a_slice_too(host):
    device = host()
    with open_session(device) as session:
        settled(session)
        begun = next(start for kernel, start, _ in device.steps if kernel == "spin_gaps")
        device.taken = [(device.now + begun - 500, 1_500_000)]
        taken = session.round()
    assert (taken.gaps.count, taken.gaps.slices) == (0, 1)
    assert not taken.over_budget


def test_a_time_slice_that_nobody_saw_does_not_stop_the_probes(host):
    device = host()
    with open_session(device) as session:
        settled(session)
        usual = session.round().repetitions
        ended = next(end for kernel, _, end in device.steps if kernel == "spin_gaps")
        device.taken = [(device.now + ended + 10, 1_500_000)]
        assert session.round().over_budget
        after = [session.round() for _ in range(12)]
    assert after[-1].repetitions == usual
    assert all(sum(taken.repetitions.values()) > 0 for taken in after)


@pytest.mark.parametrize("threshold_ns", [5_000, 50_000])
def test_gap_statistics_of_a_known_gap(host, threshold_ns):
    device = host()
    watch = layout.Watch(spin_ns=40_000, threshold_ns=threshold_ns)
    with open_session(device, watch=watch) as session:
        launches = layout.round_of(dict.fromkeys([p.name for p in PROBES], 0), session.blocks, watch, 1)
        device.taken = [(device.now + 10_000, 30_000)]
        device.run(launches)
        totals, spans = device.read("totals").astype(int), device.read("spans").astype(int)
        starts = device.read("gap_starts").astype(int)
    seen = session.blocks if threshold_ns < 30_000 else 0
    assert totals[0] == totals[1] == seen
    assert totals[2] == pytest.approx(seen * 30_020, abs=1 + seen)
    assert totals[4] == (spans[:, 1] - spans[:, 0]).sum() >= 4 * 40_000
    assert np.all(np.abs(starts[: session.blocks, 0] - 10_000) < 50) == bool(seen)


def test_more_gaps_than_are_stored_are_counted(host):
    device = host()
    watch = layout.Watch(spin_ns=20_000, threshold_ns=10)  # each turn of the loop takes 20 ns
    with open_session(device, watch=watch) as session:
        device.run(layout.round_of(dict.fromkeys([p.name for p in PROBES], 0), session.blocks, watch, 1))
        totals = device.read("totals").astype(int)
    assert totals[0] == 4 * 1_000
    assert totals[1] == 4 * layout.GAP_CAPACITY
    assert totals[2] == totals[1] * 20


def test_memory_is_what_was_promised_and_all_of_it_goes_back(host):
    device = host()
    session = open_session(device)
    assert sum(array.nbytes for array in device.arrays.values()) == session.bytes == layout.bytes_needed()
    assert session.bytes < MEMORY_LIMIT
    session.close()
    assert not device.arrays
    assert device.closed == 1


def test_chases_are_one_cycle_in_the_memory_of_a_session(host):
    device = host()
    with open_session(device):
        memory, chase = device.arrays["chase_l2"], next(p.chase for p in PROBES if p.name == "l2")
        at, seen = 0, np.zeros(chase.nodes, bool)
        for _ in range(chase.nodes):
            seen[at // chase.stride] = True
            at = int(memory[at])
        assert at == 0
        assert seen.all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"compute_mode": ComputeMode.EXCLUSIVE_PROCESS}, PrivilegeError, "EXCLUSIVE_PROCESS.*nvidia-smi -c"),
        ({"compute_mode": ComputeMode.PROHIBITED}, PrivilegeError, "PROHIBITED.*no process"),
        ({"driver": 12040}, NoDeviceError, r"CUDA 12\.4.*13\.0.*Update the driver"),
        ({"capability": (7, 5)}, NoDeviceError, r"7\.5.*8\.0"),
        ({"free_bytes": 500_000_000}, MemoryShortError, "500,000,000 bytes free.*probes"),
    ],
)
def test_refusals_before_a_context_is_opened(host, change, error, words):
    device = host(facts=dataclasses.replace(FACTS, **change))
    with pytest.raises(error, match=words):
        open_session(device)
    assert device.opened == 0
    assert not device.arrays


def test_refusal_where_too_little_is_free_after_the_context(host):
    device = host(room=80_000_000)
    with pytest.raises(MemoryShortError, match="80,000,000 bytes free"):
        open_session(device)
    assert not device.arrays
    assert device.closed == 1


def test_nothing_stays_when_an_allocation_fails_halfway(host):
    device = host(room=1 << 40)
    device.take = lambda name, words: (_ for _ in ()).throw(MemoryShortError("no room", "room", "Wait."))
    with pytest.raises(MemoryShortError):
        open_session(device)
    assert not device.arrays
    assert device.closed == 1


def test_calibration_refuses_a_busy_gpu_and_too_few_rounds(host):
    device = host()
    with open_session(device) as session:
        with pytest.raises(UsageError, match="at least 3"):
            session.calibrate(2)
        settled(session)
        begun = next(start for kernel, start, _ in device.steps if kernel == "spin_gaps")
        device.taken = [(device.now + begun + 5_000, 100_000)]
        with pytest.raises(UsageError, match="an idle GPU"):
            session.calibrate(3)


def test_a_baseline_survives_its_file_and_knows_its_gpu(host, tmp_path):
    with open_session(host()) as session:
        baseline = session.calibrate(3)
        facts = session.facts
    baseline.save(tmp_path / "idle.json")
    again = Baseline.load(tmp_path / "idle.json")
    assert again == baseline
    again.require(facts)
    with pytest.raises(DataError, match="Calibrate on this GPU"):
        again.require(dataclasses.replace(facts, name="another"))


@pytest.mark.parametrize("text", ["", "{}", '{"schema": "other"}', "[1]"])
def test_a_damaged_baseline_is_one_clear_error(tmp_path, text):
    (tmp_path / "idle.json").write_text(text)
    with pytest.raises(DataError, match="Calibrate again"):
        Baseline.load(tmp_path / "idle.json")


def test_a_baseline_of_other_probes_is_refused(host, tmp_path):
    with open_session(host()) as session:
        session.calibrate(3).save(tmp_path / "idle.json")
    text = (tmp_path / "idle.json").read_text().replace('"lop3"', '"lop4"')
    (tmp_path / "idle.json").write_text(text)
    with pytest.raises(DataError, match="other probes"):
        Baseline.load(tmp_path / "idle.json")


def test_features_keep_their_names_ranges_and_order(host):
    names = [feature.name for feature in FEATURES]
    assert len(set(names)) == len(names) == 2 * len(PROBES) * len(QUANTILES) + 9
    assert {feature.unit for feature in FEATURES} == {"cycles", "ratio", "us", "MHz", "count"}
    with open_session(host()) as session:
        plain = session.round().features()
        compared = session.round().features(session.calibrate(3))
    assert list(plain) == names
    for feature in FEATURES:
        assert math.isnan(plain[feature.name]) or feature.low <= plain[feature.name] <= feature.high
        known = not feature.name.startswith(("probe_gap_p50", "probe_gap_longest"))
        assert math.isnan(compared[feature.name]) is not known
    assert all(math.isnan(plain[name]) for name in names if name.endswith("_ratio"))


@pytest.mark.parametrize("settings", [{"budget_us": 201}, {"budget_us": 10}, {"budget_us": math.nan}])
def test_budgets_out_of_range(host, settings):
    with pytest.raises(UsageError, match="60 to 200"):
        open_session(host(), **settings)


def test_a_watch_or_a_seed_out_of_range(host):
    with pytest.raises(UsageError, match="gap watch of 150"):
        open_session(host(), watch=layout.Watch(spin_ns=150_000))
    with pytest.raises(UsageError, match="the seed -1"):
        open_session(host(), seed=-1)


def test_two_gaps_in_one_watch_are_both_lost_time(host):
    device = host()
    with open_session(device) as session:
        settled(session)
        begun = next(start for kernel, start, _ in device.steps if kernel == "spin_gaps")
        device.taken = [(device.now + begun + 2_000, 8_000), (device.now + begun + 14_000, 300_000)]
        taken = session.round()
    assert taken.gaps.count == 2 * taken.gaps.blocks
    assert taken.gaps.lost_us == pytest.approx(308, rel=0.01)
    assert taken.gaps.longest_us == pytest.approx(300, rel=0.01)
    assert not taken.over_budget


@pytest.mark.parametrize("rate", [0, -1, 4.1, math.nan])
def test_rates_out_of_range(host, rate):
    with pytest.raises(UsageError, match="at most 4"):
        ProbeSession(host(), rounds_per_second=rate)


def test_rounds_are_kept_apart():
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    limit = RateLimit(2, clock=lambda: now[0], sleep=sleep)
    for busy in (0.1, 0.1, 0.9):
        limit.wait()
        now[0] += busy
    limit.wait()
    assert slept == pytest.approx([0.4, 0.4])
