import numpy as np
import pytest

from hashwarden.errors import UsageError
from hashwarden.model.job.taxonomy import MINING_FAMILIES, STRATEGIES
from hashwarden.training.synthesise.blend import level
from hashwarden.training.synthesise.evasions import HIDE, STRATEGY_PARAMETERS, wild_band
from hashwarden.training.synthesise.gpus import gpu_named
from hashwarden.training.synthesise.run import make_schedule

H100 = gpu_named("H100 SXM")
CALM = {"work.outage_every_s": 200000.0, "work.fee_every_s": 7200.0, "site.fresh": 0.9, "site.limits": 0.5}


def _made(strategy, family="ethash", seconds=1200.0, seed=1, **changes):
    return make_schedule("mining", family, strategy, H100, seconds, seed, CALM | changes)


def test_every_strategy_has_a_transformation_and_documented_parameters():
    assert tuple(HIDE) == STRATEGIES
    assert set(STRATEGY_PARAMETERS) == set(STRATEGIES)
    for strategy, parameters in STRATEGY_PARAMETERS.items():
        for parameter in parameters:
            assert parameter.meaning, (strategy, parameter.name)
            assert parameter.low <= parameter.default <= parameter.high
            assert parameter.low > 0 or not parameter.log


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("family", MINING_FAMILIES)
def test_every_family_hides_in_every_way(strategy, family):
    made = make_schedule("mining", family, strategy, H100, 200.0, STRATEGIES.index(strategy))
    assert 0 < made.share <= 1
    assert made.busy.min() >= 0
    assert made.busy.sum(1).max() <= 1 + 1e-5
    assert all(np.isfinite(values).all() and values.min() >= 0 for values in made.host.values())
    assert made.labels == {"label": "mining", "family": family, "strategy": strategy}
    assert level(made, "fb_mib").max() <= H100.dram_mib


def test_plain_keeps_all():
    assert _made("plain").share == 1


def test_duty_cycle_of_sixty_per_cent_keeps_sixty():
    made = _made("duty-cycle", low=0.6, high=0.6)
    assert made.share == pytest.approx(0.6, abs=0.01)
    assert made.busy.sum(1).mean() == pytest.approx(0.6, abs=0.03)
    assert _made("duty-cycle", seconds=7200.0, low=0.4, high=0.8).share == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_shares_are_kept_as_asked(share):
    for strategy in ("throttle", "interleave", "pad"):
        assert _made(strategy, share=share).share == pytest.approx(share, abs=0.02), strategy


def test_a_lower_clock_costs_what_computes_and_not_what_waits_for_memory():
    settings = {"share": 0.5, "clock": 0.5, "work.sets_clock_share": 0, "work.sets_memory_clock_share": 0}
    assert _made("throttle", "integer-hash", **settings).share == pytest.approx(0.25, abs=0.02)
    assert _made("throttle", "ethash", **settings).share > 0.35


def test_few_sms_cost_what_computes_more_than_what_waits_for_memory():
    settings = {"sms": 0.2, "time": 1.0}
    computing, reading = (_made("few-sms", family, **settings).share for family in ("integer-hash", "ethash"))
    assert computing == pytest.approx(0.2, abs=0.02)
    assert reading > 1.2 * computing


def test_two_processes_halve_each_other_on_a_cover_that_never_pauses():
    settings = {"weight": 1.0, "share": 1.0, "cover.family": "inference/embedding", "cover.even": 1,
                "cover.density": 0.99}  # fmt: skip
    made = _made("dual", **settings)
    assert made.share == pytest.approx(0.5, abs=0.02)
    assert (level(made, "processes") >= 2).all()
    weighted = _made("dual", **(settings | {"weight": 0.25}))
    assert weighted.share == pytest.approx(0.2, abs=0.02)


def test_interleaving_stretches_the_training_and_keeps_its_kernels():
    made = _made("interleave", share=0.5, **{"cover.family": "training/cnn"})
    honest = made.busy[:, made.parts.index("convolution")].mean()
    alone = _made("interleave", share=0.02, **{"cover.family": "training/cnn"})
    assert honest == pytest.approx(alone.busy[:, alone.parts.index("convolution")].mean() * 0.5 / 0.98, rel=0.1)


def test_imitated_steps_have_the_rhythm_of_steps():
    made = _made("mimic-step", step_s=2.0, gap=0.3, jitter=0.001, pad=0.2, checkpoint_every_s=7200.0)
    series = made.busy.sum(1)[:12000]
    power = np.abs(np.fft.rfft(series - series.mean()))
    assert np.fft.rfftfreq(12000, 0.1)[power.argmax()] == pytest.approx(0.5, rel=0.02)
    assert made.share == pytest.approx(0.7 * 0.8, abs=0.03)


def test_imitated_requests_leave_pauses_and_hold_memory():
    made = _made("mimic-requests", load=0.4, request_s=1.0, memory=0.9, pad=0.1)
    assert (made.busy.sum(1) < 0.05).mean() > 0.2
    assert level(made, "fb_mib")[-1] > 0.85 * H100.dram_mib


def test_bursts_say_when_they_mine_and_mine_only_then():
    made = _made("burst", seconds=7200.0, on_s=300.0, every_s=1800.0, share=0.8)
    at = made.parts.index("ethash")
    time = np.arange(len(made.busy)) * 0.1
    inside = np.zeros(len(time), bool)
    for start, end in made.parameters["mining_spans_s"]:
        assert 0 <= start < end <= 7200
        inside |= (time >= start - 1e-6) & (time < end - 1e-6)
    assert made.busy[:-1][~inside[:-1], at].sum() == 0
    assert made.busy[inside, at].mean() > 0.5
    assert made.parameters["cover"] in {"training", "inference"}
    assert made.share == pytest.approx(0.8 * inside.mean(), rel=0.12)


@pytest.mark.parametrize("seconds", [20.0, 60.0, 600.0])
def test_a_burst_is_watched_in_a_recording_of_any_length(seconds):
    for seed in range(8):
        made = make_schedule("mining", "equihash", "burst", H100, seconds, seed)
        watched = sum(end - start for start, end in made.parameters["mining_spans_s"])
        assert watched >= min(made.parameters["strategy.on_s"], 0.2 * seconds) - 0.31


def test_slow_start_is_honest_first():
    made = _made("slow-start", honest_s=600.0, share=0.9, **{"cover.family": "training/rl"})
    at = made.parts.index("ethash")
    assert made.parameters["mining_spans_s"] == [[600.0, 1200.0]]
    assert made.parameters["cover"] == "training"
    assert made.busy[:5999, at].sum() == 0
    assert made.busy[6100:, at].sum() > 0
    assert level(made, "fb_mib")[9000] > level(made, "fb_mib")[:5900].max() * 0.5
    late = _made("slow-start", honest_s=86400.0)
    assert late.parameters["mining_spans_s"] == [[1080.0, 1200.0]]  # at most 0.9 of the recording


def test_settings_that_cannot_be_meant_are_refused():
    for strategy, changes, words in (
        ("throttle", {"share": 1.5}, "share = 1.5"),
        ("throttle", {"nonsense": 1.0}, "nothing draws"),
        ("plain", {"share": 0.5}, "nothing draws"),
        ("interleave", {"cover.family": "hpc-other/fft"}, "family"),
        ("nonsense", {}, "strategy"),
    ):
        with pytest.raises(UsageError, match=words):
            _made(strategy, **changes)
    with pytest.raises(UsageError, match="strategy"):
        make_schedule("training", "cnn", "throttle", H100, 60.0)
    for seconds in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="seconds"):
            make_schedule("training", "cnn", "plain", H100, seconds)


def test_bands_are_those_seen_in_the_wild():
    rng = np.random.default_rng(0)
    bands = {(b["low"], b["high"]) for b in (wild_band(rng) for _ in range(50))}
    assert bands == {(0.4, 0.8), (0.7, 0.95), (0.85, 1.0)}
