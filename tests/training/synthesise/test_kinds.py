import numpy as np
import pytest

from hashwarden.errors import UsageError
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES
from hashwarden.training.synthesise.kinds import KINDS, families, kind_named
from hashwarden.training.synthesise.miners import MINERS
from hashwarden.training.synthesise.parts import PARTS
from hashwarden.training.synthesise.scene import Parameter, Scene
from hashwarden.training.synthesise.schedule import HOST

NAMES = [f"{kind.label}/{kind.family}" for kind in KINDS]


def _scene(seed=3, seconds=300.0, fresh=False, changes=None):
    return Scene(seconds, 81559.0, seed=seed, fresh=fresh, changes=changes or {})


def test_every_class_has_kinds_and_mining_all_families():
    assert {kind.label for kind in KINDS} == set(CLASSES)
    assert len(set(NAMES)) == len(NAMES)
    assert families("mining") == MINING_FAMILIES
    assert tuple(miner.family for miner in MINERS) == MINING_FAMILIES


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
@pytest.mark.parametrize("fresh", [False, True])
def test_schedules_are_possible(kind, fresh):
    for seed in range(2):
        made = kind.schedule(_scene(seed, fresh=fresh))
        assert set(made.parts) <= set(PARTS)
        assert set(made.host) <= set(HOST)
        assert made.busy.shape == (3001, len(made.parts))
        assert np.isfinite(made.busy).all()
        assert made.busy.min() >= 0
        assert made.busy.sum(1).max() <= 1 + 1e-5
        for name, values in made.host.items():
            assert values.shape == (3001,), name
            assert np.isfinite(values).all(), name
            assert values.min() >= 0, name
        for name in ("decoder_util", "graph_share", "clock_share", "memory_clock_share", "power_share"):
            assert made.host.get(name, np.zeros(1)).max() <= 1, name
        assert made.host.get("fb_mib", np.zeros(1)).max() <= 81559


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_the_same_seed_gives_the_same_schedule_and_another_one_another(kind):
    scene, again, other = _scene(5), _scene(5), _scene(6)
    one, two, _ = (kind.schedule(s) for s in (scene, again, other))
    assert np.array_equal(one.busy, two.busy)
    assert scene.notes == again.notes
    if kind.parameters:
        assert scene.notes != other.notes


def test_a_job_works_unless_its_class_says_otherwise():
    for kind in KINDS:
        busy = np.mean([kind.schedule(_scene(seed)).busy.sum(1).mean() for seed in range(3)])
        if kind.label == "idle":
            quiet = kind.family != "stuck"
            assert busy < 0.05 or not quiet, kind.family
        elif kind.family in {"waiting", "video", "vision", "ranking", "notebook"}:
            assert busy > 1e-4, kind.family
        else:
            assert busy > 0.1, kind.family


def _peak(series):
    power = np.abs(np.fft.rfft(series - series.mean())) ** 2
    return np.fft.rfftfreq(len(series), 0.1)[np.argmax(power)]


@pytest.mark.parametrize("step", [0.7, 1.6, 5.0])
def test_the_step_of_a_training_is_the_peak_of_its_spectrum(step):
    changes = {"work.step_s": step, "work.steady": 1, "work.exchange": 0.3, "work.one_gpu": 0, "work.wait": 0.2,
               "work.never_waits": 0, "work.accumulate": 1.0}  # fmt: skip
    made = kind_named("training", "llm-bf16").schedule(_scene(seconds=600.0, changes=changes))
    assert _peak(made.busy.sum(1)[:6000]) == pytest.approx(1 / step, rel=0.05)


def test_products_of_matmul_proof_of_work_come_in_a_fixed_cadence():
    changes = {"work.cycle_s": 0.55, "work.variant": "pearl"}
    made = kind_named("mining", "matmul-pow").schedule(_scene(seconds=600.0, changes=changes))
    series = made.busy[:6000, made.parts.index("matmul-pow-hash")]
    power = np.abs(np.fft.rfft(series - series.mean()))
    frequency = np.fft.rfftfreq(6000, 0.1)
    near = np.abs(frequency - 1 / 0.55) < 0.03
    assert power[near].max() > 20 * np.median(power)


def test_kawpow_loads_a_module_every_few_minutes_and_ethash_none():
    changes = {"work.compile_every_s": 180.0}
    loads = kind_named("mining", "progpow").schedule(_scene(seconds=7200.0, changes=changes)).host["module_loads"]
    assert 30 <= loads.sum() <= 50
    assert kind_named("mining", "ethash").schedule(_scene(seconds=7200.0)).host["module_loads"].sum() == 0


def test_tables_are_rebuilt_and_that_is_no_hash_work():
    changes = {"work.rebuild_every_s": 120.0, "work.rebuild_s": 0.5}
    made = kind_named("mining", "autolykos2").schedule(_scene(seconds=3600.0, changes=changes))
    seconds = made.busy[:, made.parts.index("autolykos2-table")].sum() * 0.1
    assert 8 < seconds < 25


def test_memory_of_a_table_is_that_of_the_algorithm():
    for family, low, high in (("fishhash", 4600, 5700), ("octopus", 4200, 9600), ("integer-hash", 100, 1000)):
        held = [kind_named("mining", family).schedule(_scene(seed)).host["fb_mib"] for seed in range(5)]
        assert all(low < values[-1] < high and np.ptp(values) == 0 for values in held), family


def test_hard_negatives_are_as_even_as_a_miner():
    def unevenness(label, family, changes):
        made = [kind_named(label, family).schedule(_scene(s, changes=changes)).busy.sum(1)[:-1] for s in range(3)]
        return min(float(series.std()) for series in made)

    calm = {"work.outage_every_s": 200000.0, "work.fee_every_s": 7200.0}
    miner = unevenness("mining", "integer-hash", calm)
    assert miner < 0.02
    for label, family in (
        ("hash-other", "password-mask"), ("hash-other", "key-search"), ("hpc-other", "burn-int8"),
        ("hpc-other", "burn-fp32"), ("hpc-other", "monte-carlo"), ("inference", "offline-int8"),
    ):  # fmt: skip
        assert unevenness(label, family, {"work.even": 1}) < 0.05, family
    steady = {"work.steady": 1, "work.never_waits": 1, "work.one_gpu": 1, "work.step_s": 0.05}
    assert unevenness("training", "cnn", steady) < 0.06


def test_int8_serving_and_stress_tests_use_the_pipe_that_matmul_proof_of_work_uses():
    for label, family in (("inference", "llm-int8"), ("inference", "offline-int8"), ("hpc-other", "burn-int8")):
        assert "gemm-int8" in kind_named(label, family).schedule(_scene()).parts


def test_work_waits_its_turn():
    changes = {"work.answer_s": 0.6, "work.work_s": 0.3}
    made = [kind_named("inference", "llm-bf16").schedule(_scene(4, 1200.0, changes={**changes, "work.load": load}))
            for load in (0.03, 1.25)]  # fmt: skip
    idle, full = (float((schedule.busy.sum(1) < 0.05).mean()) for schedule in made)
    assert full < 0.01
    assert idle > 0.3


def test_rollouts_and_steps_alternate():
    changes = {"work.round_s": 60.0, "work.generate": 0.6, "work.spread": 0.01}
    made = kind_named("training", "rl").schedule(_scene(seconds=1200.0, changes=changes))
    decoding = made.busy[:, made.parts.index("attention-decode")]
    smooth = np.convolve(decoding[:12000], np.ones(50) / 50, "same")
    assert _peak(smooth) == pytest.approx(1 / 60, rel=0.08)


def test_unknown_names_are_said():
    with pytest.raises(UsageError, match="no class"):
        families("nonsense")
    with pytest.raises(UsageError, match="one of"):
        kind_named("mining", "nonsense")


def test_parameters_are_documented_and_keep_their_ranges():
    rng = np.random.default_rng(0)
    for parameter in {p for kind in KINDS for p in kind.parameters}:
        assert parameter.meaning
        assert parameter.low <= parameter.default <= parameter.high, parameter.name
        drawn = [parameter.draw(rng) for _ in range(50)]
        assert parameter.low <= min(drawn) <= max(drawn) <= parameter.high
    with pytest.raises(UsageError, match="0 to 1"):
        Parameter("share", 0, 1, 0.5).check(float("nan"))
