"""A model calibrated again on own runs: its levels are those of the runs, a drift is no alarm any more, and who is not
let in."""

from dataclasses import replace

import numpy as np
import pytest

from hashwarden.errors import DataError
from hashwarden.model.channels import TIERS
from hashwarden.model.job.own_run import OwnRun
from hashwarden.model.sequential import Evidence
from hashwarden.model.sequential_calibration import EvidenceCalibration, Payoff
from hashwarden.model.trace import RunInfo
from hashwarden.training.job.calibrate import ScoredRun, calibrate
from hashwarden.training.job.recalibrate import payoffs_of, recalibrated, runs_for
from hashwarden.training.job.recalibrate_input import OWN, Input
from hashwarden.training.job.store import write_shard

PAYS = {"nvml": Payoff(low=-4.0, high=4.0), "gpm": None, "gpm+code": Payoff(low=0.0, high=8.0), "all": None}
SECONDS = 400


def _run(number, height=0.03, tiers=("nvml", "gpm"), seconds=SECONDS, label="training", **more):
    """P(mining) of a level of its own, with bursts; less of it the more is seen."""
    rng = np.random.default_rng([number, int(height * 1000)])
    level = height * rng.uniform(0.3, 1.5)
    chance = np.clip(rng.beta(2, 2 / level, seconds) + 0.3 * height * (rng.random(seconds) < 0.05), 0, 1)
    how = {"labelled_by": "operator:ada", "origin": "recorded", **more}
    return OwnRun(
        f"run {number} {height} {label}", label, how["labelled_by"], how["origin"], np.arange(float(seconds)),
        {tier: chance / (1 + place) for place, tier in enumerate(tiers)},
        {tier: rng.random(seconds).astype(np.float32) * (1 + place) for place, tier in enumerate(tiers)},
    )  # fmt: skip


def _scored(runs, tier):
    return [ScoredRun(run.name, run.times, run.p_mining[tier], run.label, run.labelled_by, run.origin) for run in runs]


def _confirmed(calibration, tier, runs, alpha=1e-3):
    """Whether the live evidence confirms each run; all are of one length."""
    live, index = Evidence(calibration, alpha, len(runs)), calibration.names.index(tier)
    for t in range(len(runs[0].times)):
        chance = np.array([run.p_mining[tier][t] for run in runs])
        state = live.update(chance, np.full(len(runs), float(t > 0)), np.full(len(runs), index))
    return np.isfinite(state.confirmed_s)


@pytest.fixture(scope="module")
def shipped():
    """Calibrated elsewhere, where nothing looks like mining, in four tiers."""
    runs = [_run(n, 0.03, tuple(TIERS)) for n in range(1500)]
    return calibrate({tier: _scored(runs, tier) for tier in TIERS}, payoffs=PAYS)


@pytest.fixture(scope="module")
def own():
    """A site whose honest work looks more like mining; it shows two tiers."""
    return [_run(n, 0.25) for n in range(1400)]


@pytest.fixture(scope="module")
def found(shipped, own):
    return recalibrated(shipped, own)


def test_levels_are_those_of_the_same_scores(shipped, own, found):
    direct = calibrate({tier: _scored(own, tier) for tier in ("nvml", "gpm")}, payoffs=PAYS)
    assert found.evidence.tiers == direct.tiers
    assert found.evidence.horizon_s == direct.horizon_s == SECONDS - 1
    assert found.evidence.made_by.endswith("model calibrate")
    for tier in ("nvml", "gpm"):
        assert found.evidence.tiers[tier].null(1e-3) > 1.2 * shipped.tiers[tier].null(1e-3)
        assert found.evidence.tiers[tier].payoff == shipped.tiers[tier].payoff
        assert found.evidence.tiers[tier].origins == {"recorded": 1400}
    assert (found.runs, found.hashing, found.short, found.horizon_before_s) == (1400, 0, 0, shipped.horizon_s)


def test_a_drift_is_confirmed_before_and_not_after(shipped, own, found):
    change = found.changes[1]
    before, after = _confirmed(shipped, "gpm", own), _confirmed(found.evidence, "gpm", own)
    assert (change.tier, change.runs) == ("gpm", 1400)
    assert before.sum() == change.reached_before[2] > 200
    assert after.sum() == change.reached_after[2] <= 1
    new = [_run(n, 0.25) for n in range(5000, 5300)]
    assert _confirmed(shipped, "gpm", new).sum() > 40
    assert _confirmed(found.evidence, "gpm", new).sum() <= 2
    miner = replace(new[0], p_mining={"gpm": np.full(SECONDS, 0.97)})
    assert _confirmed(found.evidence, "gpm", [miner]).all()
    worst = max(own, key=lambda run: run.p_mining["gpm"].mean())
    assert change.highest in {
        run.name for run in own if run.p_mining["gpm"].mean() > 0.8 * worst.p_mining["gpm"].mean()
    }


def test_a_tier_without_own_runs_is_judged_in_no_more_and_can_come_back(shipped, own, found):
    assert found.evidence.names == ("nvml", "gpm")
    assert found.evidence.uncalibrated == {"gpm+code": PAYS["gpm+code"], "all": None}
    assert [(c.tier, c.after is None, c.runs) for c in found.changes[2:]] == [("gpm+code", True, 0), ("all", True, 0)]
    everything = frozenset(TIERS["all"])
    assert shipped.names[shipped.tier_of(everything)] == "all"
    assert found.evidence.names[found.evidence.tier_of(everything)] == "gpm", "the highest that is calibrated"
    read = EvidenceCalibration.model_validate_json(found.evidence.model_dump_json())
    assert payoffs_of(read) == PAYS
    later = recalibrated(read, [*own[:12], *(_run(n, 0.1, ("nvml", "gpm", "gpm+code")) for n in range(20))])
    assert {name: tier.runs for name, tier in later.evidence.tiers.items()} == {"nvml": 32, "gpm": 32, "gpm+code": 20}
    assert later.evidence.tiers["gpm+code"].payoff == PAYS["gpm+code"]
    assert later.changes[2].before is None
    assert later.evidence.uncalibrated == {"all": None}


def test_what_so_many_runs_answer_for(shipped, own):
    assert (runs_for(0.1), runs_for(1e-2), runs_for(1e-3)) == (13, 133, 1333)
    for count, reached in ((13, 1), (132, 1), (133, 2), (1332, 2), (1333, 3)):
        tier = recalibrated(shipped, own[:count]).evidence.tiers["nvml"]
        nulls = [tier.null(alpha) for alpha in (0.1, 1e-2, 1e-3)]
        assert [null < 1 for null in nulls] == [place < reached for place in range(3)]
    with pytest.raises(DataError, match=r"12 in nvml, 12 in gpm, 0 in gpm\+code") as caught:
        recalibrated(shipped, own[:12])
    assert "13 in a tier" in caught.value.expected
    assert "1333" in caught.value.expected


def test_short_runs_and_other_hash_work_are_set_aside(shipped, own):
    short, hashing = [_run(n, 0.9, seconds=100) for n in range(5)], [_run(n, 0.9, label="hash-other") for n in range(7)]
    found = recalibrated(shipped, [*own[:40], *short, *hashing])
    assert found.evidence.tiers == recalibrated(shipped, own[:40]).evidence.tiers
    assert (found.runs, found.hashing, found.short) == (52, 7, 5)
    longer = [replace(run, name=f"long {run.name}") for run in (_run(n, 0.2, seconds=900) for n in range(15))]
    asked = recalibrated(shipped, [*own[:40], *longer], horizon_s=800.0).evidence
    assert (asked.horizon_s, asked.tiers["nvml"].runs) == (800.0, 15)
    with pytest.raises(DataError, match="0 in nvml"):
        recalibrated(shipped, own[:40], horizon_s=800.0)
    with pytest.raises(DataError, match="a horizon of 60 s"):
        recalibrated(shipped, own[:40], horizon_s=60.0)


def test_the_tier_with_the_shortest_runs_sets_the_horizon(shipped, own):
    """Unless one is named: then that tier is left out where too few of its runs are long enough."""
    rare = [_run(n, 0.1, ("nvml", "gpm", "gpm+code"), 300 if n else 200) for n in range(13)]
    found = recalibrated(shipped, [*own[:300], *rare])
    assert found.evidence.horizon_s == 199.0
    assert [change.usual_s for change in found.changes] == [399.0, 399.0, 199.0, 0.0]
    named = recalibrated(shipped, [*own[:300], *rare], horizon_s=250.0).evidence
    assert {name: tier.runs for name, tier in named.tiers.items()} == {"nvml": 312, "gpm": 312}
    assert list(named.uncalibrated) == ["gpm+code", "all"]


def test_novelty_is_that_of_the_highest_tier_after_the_first_minute(shipped, own):
    runs = [replace(run, novelty={**run.novelty, "gpm": run.novelty["gpm"].copy()}) for run in own[:20]]
    for run in runs:
        run.novelty["gpm"][:60] = 1e6  # not settled
        run.novelty["nvml"][:] = 1e9  # not what it is judged by
    settled = np.concatenate([run.novelty["gpm"][60:] for run in runs])
    assert recalibrated(shipped, runs).novelty == pytest.approx(np.quantile(settled, 0.999))


@pytest.mark.parametrize(
    ("change", "words"),
    [({"label": "mining"}, "a mining run"), ({"label": ""}, "with the label ''"),
     ({"labelled_by": ""}, "given by nobody")],
)  # fmt: skip
def test_runs_that_must_not_calibrate_are_refused(shipped, own, change, words):
    with pytest.raises(DataError, match=words):
        recalibrated(shipped, [*own[:20], replace(own[20], **change)])


def test_the_same_errors_before_anything_is_scored(make, tmp_path):
    path, good = tmp_path / "own.parquet", make("training", 1)
    nobody = replace(good, info=RunInfo(**{**good.info.model_dump(), "labelled_by": ""}))
    for run, words in ((make("mining", 1), "a mining run among the honest ones"), (replace(good, label=""), "label"),
                       (nobody, "'nobody'")):  # fmt: skip
        with pytest.raises(DataError, match=words) as caught:
            list(Input({}).passed(path, [run]))
        assert str(path) in caught.value.where
        assert run.name in caught.value.where
    with pytest.raises(DataError, match="the same samples as those of"):
        list(Input({}).passed(path, [good, replace(good, name="again")]))
    two = Input({})
    assert list(two.passed(path, [good])) == [good]
    with pytest.raises(DataError, match="the same samples"):
        list(two.passed(tmp_path / "copy.parquet", [good]))


def test_a_trace_that_the_model_learned_from_is_refused(make, tmp_path):
    runs = [make("training", 1), make("idle", 2)]
    digest = write_shard(tmp_path, "own", runs)
    with pytest.raises(DataError, match=r"as 'mine\.parquet'"):
        list(Input({"mine.parquet": digest}).passed(tmp_path / "own.parquet", runs))
    before = Input({f"{OWN}mine.parquet": digest})
    assert list(before.passed(tmp_path / "own.parquet", runs)) == runs, "what only calibrated may calibrate again"
    list(before.passed(tmp_path / "other" / "own.parquet", [make("idle", 3)]))
    assert list(before.digests) == ["own.parquet", "own.parquet (2)"]
    assert before.digests["own.parquet"] == digest
