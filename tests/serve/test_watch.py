"""Jobs watched: from raw samples to verdict events, by a scorer whose answers are known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from hashwarden.errors import UsageError
from hashwarden.model.channels import CHANNELS, INDEX, NETWORK, TIERS
from hashwarden.model.job.reasons import THEMES, Deciding, deciding, theme_columns
from hashwarden.model.job.taxonomy import CLASSES, MINING, MINING_FAMILIES
from hashwarden.model.job.verdict import JobVerdict
from hashwarden.model.sequential_calibration import EvidenceCalibration, TierCalibration
from hashwarden.model.sequential_state import BLIND_TEXT, Blind
from hashwarden.serve.watch import JobWatch, Sample
from hashwarden.serve.watch_window import SAMPLES, Window

C = len(CHANNELS)
RNG = np.random.default_rng(0)
INTEGER, UTIL = INDEX["integer_active_ratio"], INDEX["gpu_util_ratio"]
BUSY = {
    "gpu_util_ratio": 0.99, "memory_util_ratio": 0.1, "power_watts": 610.0, "power_ratio": 0.9,
    "energy_power_ratio": 0.9, "temperature_celsius": 60.0, "sm_clock_mhz": 1900.0, "sm_clock_ratio": 0.96,
    "memory_clock_ratio": 1.0, "fb_used_mib": 3000.0, "fb_used_ratio": 0.04, "pcie_tx_mib_per_s": 1.0,
    "pcie_rx_mib_per_s": 1.0, "process_count": 1.0, "foreign_process_count": 0.0, "process_sm_util_ratio": 0.98,
}  # fmt: skip
GPM = {
    "graphics_active_ratio": 0.99, "sm_active_ratio": 0.98, "sm_occupancy_ratio": 0.5, "tensor_active_ratio": 0.01,
    "dram_active_ratio": 0.05, "fp32_active_ratio": 0.05, "fp16_active_ratio": 0.0, "fp64_active_ratio": 0.0,
    "tensor_dfma_active_ratio": 0.0, "tensor_hmma_active_ratio": 0.01, "tensor_imma_active_ratio": 0.0,
}  # fmt: skip
CODE = {c.name: 0.5 for c in CHANNELS if c.group in ("code", "launch")}


class Toy:
    """A network that says mining as surely as the integer pipe is busy; its state counts samples."""

    def initial(self, n):
        return np.zeros((n, 2), np.float32)

    def _said(self, samples, masks, state):
        mining = np.where(masks[..., INTEGER] > 0, samples[..., INTEGER], np.float32(0.02)) * np.float32(0.98) + 0.01
        classes = np.zeros((*mining.shape, len(CLASSES)), np.float32)
        classes[..., MINING], classes[..., 0] = mining, 1 - mining
        families = np.zeros((*mining.shape, len(MINING_FAMILIES)), np.float32)
        families[..., 0] = 1
        novelty = np.where(masks[..., UTIL] > 0, 1.0, 50.0).astype(np.float32)
        return SimpleNamespace(probabilities=classes, families=families, novelty=novelty, state=state + 1)

    def step(self, sample, mask, dt, state):
        assert np.isfinite(sample).all()
        assert dt.shape == (len(sample), 1)
        return self._said(sample, mask, state)

    def sequence(self, samples, masks, dts, state=None):
        return self._said(samples, masks, state)


def _tier(name):
    levels = tuple((0.2 * np.arange(1, 171) ** -0.3).tolist())
    return TierCalibration(
        groups=TIERS[name], levels=levels, runs=2200, hours=300, longest_s=600, origins={"synthesised": 2200}
    )


CALIBRATION = EvidenceCalibration(tiers={name: _tier(name) for name in ("nvml", "gpm", "gpm+code")}, horizon_s=600.0)


@pytest.fixture
def watch():
    return JobWatch(Toy(), CALIBRATION, 1e-3, identity={"name": "toy"})


def sample(job, time_s, integer=0.9, rng=None, **channels):
    rng = rng or RNG
    values = np.full(C, np.nan, np.float32)
    for name, value in {**BUSY, **GPM, "integer_active_ratio": integer, **channels}.items():
        noisy = CHANNELS[INDEX[name]].noisy and value > 0
        values[INDEX[name]] = value * (1 - 0.02 * rng.random()) if noisy else value
    return Sample(job, float(time_s), values)


def _play(watch, seconds, start=0, job="j", **channels):
    return [told for s in range(start, start + seconds) for told in watch.step([sample(job, s, **channels)])]


def test_a_miner_is_confirmed_with_what_decided_it(watch):
    told = _play(watch, 120)
    assert told[0].state == "abstain"
    last = told[-1]
    assert last.state == "confirmed"
    assert last.time_s <= 60
    assert last.family == "integer-hash"
    assert last.tier == "gpm"
    assert last.deciding[0].theme == "integer work"
    assert last.deciding[0].values["integer_active_ratio"] == pytest.approx(0.89, abs=0.02)
    assert len(last.deciding) == 1  # the toy looks at nothing else
    assert any("integer work (integer active 8" in reason for reason in last.reasons)
    assert last.model == {"name": "toy"}


def test_honest_work_is_told_to_be_clear_once(watch):
    told = _play(watch, 300, integer=0.02)
    assert [v.state for v in told] == ["abstain", "clear"]
    assert told[1].likeliest == "training"
    assert told[1].family == ""
    assert told[1].deciding == ()


def test_a_verdict_is_json_and_comes_back(watch):
    for verdict in _play(watch, 100):
        again = JobVerdict.model_validate(json.loads(json.dumps(verdict.model_dump(mode="json"))))
        assert again == verdict


def test_jobs_in_one_batch_are_as_each_alone(watch):
    rng = np.random.default_rng(4)
    courses = {name: np.clip(rng.normal(mean, 0.1, 120), 0, 1) for name, mean in (("a", 0.9), ("b", 0.1), ("c", 0.4))}
    samples = {n: [sample(n, 2.0 * t, float(x), rng) for t, x in enumerate(course)] for n, course in courses.items()}
    for t in range(120):
        watch.step([samples[n][t] for n in ("c", "a", "b") if not (n == "b" and t % 3)])
    for name, course in samples.items():
        alone = JobWatch(Toy(), CALIBRATION, 1e-3, identity={"name": "toy"})
        for t, one in enumerate(course):
            if not (name == "b" and t % 3):
                alone.step([one])
        assert alone.verdict(name) == watch.verdict(name)


def test_silence_leads_to_abstain_and_keeps_the_evidence(watch):
    _play(watch, 100, integer=0.02)
    before = watch.evidence("j")
    told = [v for t in range(100, 200, 5) for v in watch.tick(float(t))]
    assert [(v.state, v.abstains_for) for v in told] == [("abstain", BLIND_TEXT[Blind.STALE])]
    assert watch.evidence("j").evidence == before.evidence
    assert watch.evidence("j").blind_s == pytest.approx(96)
    assert _play(watch, 1, start=200, integer=0.02)[-1].state == "clear"


def test_ticks_are_not_counted_twice(watch):
    _play(watch, 20, integer=0.02)
    for t in (30.0, 30.0, 40.0):
        watch.tick(t)
    assert watch.evidence("j").blind_s == pytest.approx(21)


def test_the_same_time_again_is_no_sample(watch):
    _play(watch, 30, integer=0.02)
    before = watch.evidence("j")
    for _ in range(50):
        watch.step([sample("j", 29.0, 0.99)])
    after = watch.evidence("j")
    assert (after.blocks, after.evidence, after.blind) == (before.blocks, before.evidence, Blind.STALE)


def test_what_may_be_the_work_of_others_is_no_evidence_then_or_later(watch):
    for s in range(200):
        one = sample("j", s, foreign_process_count=1.0, **CODE)
        watch.step([Sample(one.job, one.time_s, one.values, foreign=True)])
    verdict = watch.verdict("j")
    assert (verdict.state, verdict.tier) == ("abstain", "gpm+code")
    assert verdict.abstains_for == BLIND_TEXT[Blind.SHARED]
    assert verdict.evidence.strength == 0
    told = _play(watch, 200, start=200, integer=0.02, **CODE)
    assert {each.state for each in told} == {"abstain", "clear"}


def test_a_shared_gpu_needs_the_code(watch):
    told = _play(watch, 200, foreign_process_count=2.0)
    assert {v.state for v in told} == {"abstain"}
    assert told[-1].abstains_for.startswith("shared")
    assert watch.evidence("j").blocks == 0
    told = _play(watch, 200, job="k", foreign_process_count=2.0, **CODE)
    assert (told[-1].state, told[-1].tier) == ("confirmed", "gpm+code")


def test_without_gpm_the_plain_tier_judges_and_says_what_was_lost(watch):
    _play(watch, 60, integer=0.02)
    for s in range(60, 120):
        one = sample("j", s, 0.9)
        one.values[[INDEX[name] for name in (*GPM, "integer_active_ratio")]] = np.nan
        watch.step([one])
    verdict = watch.verdict("j")
    assert verdict.tier == "nvml"
    assert "gpm counters say nothing any more" in verdict.reasons


def test_groups_that_speak_seldom_count_as_there_between(watch):
    for s in range(300):
        watch.step([sample("j", s, 0.02, **(CODE if s % 30 == 10 else {}))])
        tier = watch.verdict("j").tier
        assert tier == ("gpm" if s < 10 else "gpm+code")
    _play(watch, 200, start=300, integer=0.02)
    assert watch.verdict("j").tier == "gpm"
    assert "code counters say nothing any more" in watch.verdict("j").reasons


def test_the_network_is_shown_nothing_beyond_the_tier():
    seen = []

    class Spy(Toy):
        def step(self, sample, mask, dt, state):
            seen.append(mask.copy())
            return super().step(sample, mask, dt, state)

    only = EvidenceCalibration(tiers={"nvml": _tier("nvml")}, horizon_s=600.0)
    watch = JobWatch(Spy(), only, 1e-3)
    _play(watch, 5)
    assert not np.stack(seen)[..., INTEGER].any()
    assert np.stack(seen)[..., UTIL].all()


def test_without_any_counters_it_abstains(watch):
    for s in range(100):
        told = watch.step([Sample("j", float(s), np.full(C, np.nan, np.float32))])
        assert not told or told[-1].state == "abstain"
    assert watch.verdict("j").abstains_for == BLIND_TEXT[Blind.FEW]
    for s in range(100):
        watch.step([Sample("s", float(s), np.full(C, 9.223372036854776e18, np.float32))])
    assert watch.verdict("s").abstains_for == BLIND_TEXT[Blind.DEAD]


def test_work_unlike_any_other_is_not_cleared():
    watch = JobWatch(Toy(), CALIBRATION, 1e-3, unlike=0.5)
    assert {v.state for v in _play(watch, 400, integer=0.02)} == {"abstain"}
    assert watch.verdict("j").abstains_for == BLIND_TEXT[Blind.UNKNOWN_WORK]


def test_a_restart_takes_the_evidence_along(watch):
    _play(watch, 35)
    fresh = JobWatch(Toy(), CALIBRATION, 1e-3)
    fresh.restore(json.loads(json.dumps(watch.saved())))
    assert fresh.evidence("j").evidence == watch.evidence("j").evidence
    assert fresh.evidence("j").blocks == 3
    _play(fresh, 60, start=35)
    assert fresh.verdict("j").state == "confirmed"


def test_jobs_come_and_go(watch):
    for generation in range(5):
        watch.step([sample(f"{generation}-{i}", 0.0) for i in range(40)])
        for i in range(40):
            watch.forget(f"{generation}-{i}")
    assert watch.jobs == ()
    _play(watch, 30, job="new", integer=0.02)
    assert watch.evidence("new").blocks == 2
    with pytest.raises(UsageError):
        watch.verdict("0-1")


def test_what_cannot_be_meant_is_refused(watch):
    with pytest.raises(UsageError, match="two samples"):
        watch.step([sample("j", 0), sample("j", 1)])
    with pytest.raises(UsageError, match="shape"):
        watch.step([Sample("j", 0.0, np.zeros(3, np.float32))])
    assert watch.jobs == ()
    assert watch.step([]) == []
    assert watch.tick(5.0) == []


# What decided


def test_every_channel_of_the_network_is_in_one_theme():
    columns = np.concatenate(list(theme_columns().values()))
    assert sorted(CHANNELS[c].name for c in columns) == sorted(NETWORK)
    assert len(theme_columns()) == len(THEMES)


def test_what_speaks_against_mining_or_for_little_is_not_named():
    masks, samples = np.ones((4, C), bool), np.zeros((4, C), np.float32)
    names = list(THEMES)
    worth = dict(zip(names, np.linspace(-1, 1, len(names)), strict=True))

    def log_odds(shown):
        return np.array([sum(worth[t] for t, at in theme_columns().items() if one[:, at].any()) for one in shown])

    found = deciding(samples, masks, log_odds)
    assert [d.theme for d in found] == names[:-5:-1]
    assert all(d.worth >= 0.3 for d in found)
    assert deciding(samples, np.zeros((4, C), bool), log_odds) == ()
    values = {"power_ratio": 0.5, "launches_per_s": 1234.0, "pcie_tx_mib_per_s": 0.0}
    assert Deciding(theme="all", worth=1, values=values).words == "all (power 50%, launches 1,234/s, pcie tx 0 MiB/s)"


def test_a_window_is_bounded_and_begins_with_its_state():
    window, toy, state = Window(), Toy(), np.zeros(2, np.float32)
    starts = []

    class Spy(Toy):
        def sequence(self, samples, masks, dts, state=None):
            starts.append((len(dts[0]), float(state[0, 0]), float(dts[0].sum())))
            return super().sequence(samples, masks, dts, state)

    masks = np.ones(C, bool)
    for step in range(5 * SAMPLES):
        window.add(np.full(C, 0.5, np.float32), masks, 2.0, state)
        state = toy.step(np.zeros((1, C)), masks[None], np.zeros((1, 1)), state[None]).state[0]
        if step % 17 == 0:
            window.decided(Spy())
            size, first, _ = starts[-1]
            assert SAMPLES <= size <= 2 * SAMPLES or step < SAMPLES
            assert first == step + 1 - size


def test_quick_samples_are_thinned_out():
    window = Window()
    for _ in range(600):
        window.add(np.zeros(C, np.float32), np.ones(C, bool), 0.1, np.zeros(2, np.float32))
    assert len(window._parts) == 30
