"""The red team from honest jobs to report, against a detector that reads one counter."""

import dataclasses
import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

from hashwarden.model.channels import INDEX, TIERS
from hashwarden.model.sequential_calibration import EvidenceCalibration, TierCalibration
from hashwarden.training.job.measures import records
from hashwarden.training.job.proof import Panel
from hashwarden.training.job.redteam import Attack, _tables, _Team, red_team
from hashwarden.training.job.redteam_play import Place, attempt
from hashwarden.training.job.redteam_report import write_report
from hashwarden.training.job.redteam_search import Budget, Candidate, Tried
from hashwarden.training.job.trial import Course

GOOD = INDEX["code_mining_ratio"]
BUSY = INDEX["gpu_util_ratio"]


def _by_code_or_load(samples, masks, dts):
    """What the kernel model says where it is seen; else how busy the GPU is."""
    seen = masks[:, :, GOOD] > 0
    return np.where(seen, samples[:, :, GOOD], 0.5 * samples[:, :, BUSY]).astype(float)


@dataclass(frozen=True)
class Maker:
    def __call__(self):
        return _by_code_or_load


@dataclass(frozen=True)
class Sums:
    """A stand-in for the evidence: what the chance exceeds a level by, summed."""

    levels: tuple[tuple[str, float], ...] = (("nvml", 0.6), ("gpm+code", 0.3))
    least: tuple[tuple[str, float], ...] = ()

    @property
    def tiers(self):
        return tuple(tier for tier, _ in self.levels)

    def judge(self, runs):
        return [
            {tier: self._one(tier, level, times, said[tier]) for tier, level in self.levels} for times, said in runs
        ]

    def _one(self, tier, level, times, chance):
        height = np.cumsum(chance - level)
        over = np.flatnonzero(height > max(5.0, dict(self.least).get(tier, 0)))
        return Course(records(times, height), float(times[over[0]]) if len(over) else math.inf)

    def raised(self, least):
        return dataclasses.replace(self, least=tuple(least.items()))

    def only(self, tiers):
        return dataclasses.replace(self, levels=tuple(pair for pair in self.levels if pair[0] in tiers))


PLACE = Place(horizon_s=1200.0, screen_s=600.0, period_s=10.0)


def attack(**changes):
    small = Attack(
        Maker(), Sums(), PLACE, Budget(candidates=8, batch=4, climbs=1, random_share=0.25), seeds=2,
        honest_runs=6, honest_hours=0.25, checked=1, check_seeds=2, families=("ethash", "matmul-pow"),
        strategies=("plain", "throttle", "burst"), model="a toy", jobs=1,
    )  # fmt: skip
    return dataclasses.replace(small, **changes)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    output = tmp_path_factory.mktemp("redteam")
    red_team(attack(), output, lambda _: None)
    return output


def test_the_report_says_what_was_left(done):
    result = json.loads((done / "redteam.json").read_text(), parse_constant=pytest.fail)
    blind = result["by_tier"]["nvml"]  # its level cannot be reached: everything is missed
    assert blind["residual"] == 1.0
    assert blind["checked"][0]["strategy"] == "plain"
    cells = result["by_tier"]["gpm+code"]["cells"]
    assert cells["ethash"]["plain"]["residual"] == 0.0
    assert cells["ethash"]["plain"]["missed"] == 0.0
    assert cells["ethash"]["throttle"]["tries"] > 1
    text = (done / "redteam.md").read_text()
    assert "| plain NVML | 100 % | 100 % |" in text
    assert "synthesised runs; none was recorded on a GPU" in text
    assert {path.name for path in done.glob("*.png")} == {"redteam-residual.png", "redteam-candidates.png"}


def test_the_rate_to_quote_is_not_that_of_what_looked_best_alone(monkeypatch):
    """Of two seeds much looks unseen by chance: what comes after is tried again too, until nothing better is left."""
    never = math.inf
    alarms = {"plain": (never, 100.0), "pad": (never, 90.0), "throttle": (never, never), "burst": (1.0, never)}
    keeps = {"plain": 1.0, "pad": 0.9, "throttle": 0.4, "burst": 0.3}
    archive = [Tried(Candidate("ethash", name), keeps[name], {"gpm": at}, 1200.0) for name, at in alarms.items()]
    truth = {"plain": (10.0,) * 4, "pad": (20.0,) * 4, "throttle": (never,) * 4, "burst": (never,) * 4}

    def again(self, chosen, tier):
        return [dataclasses.replace(one, alarm_s={tier: truth[one.candidate.strategy]}) for one in chosen]

    monkeypatch.setattr(_Team, "_again", again)
    with _Team(attack(), lambda _: None) as team:
        checked = team.check(archive, "gpm")
    assert [one.candidate.strategy for one in checked] == ["throttle", "pad", "plain"]  # burst cannot keep more
    assert checked[0].residual("gpm") == 0.4
    with _Team(attack(checked_most=2), lambda _: None) as team:
        short = team.check(archive, "gpm")
    assert len(short) == 2
    tables = _tables(attack(panel=Sums((("gpm", 0.5),)), families=("ethash",), strategies=tuple(keeps)), archive,
                     {"gpm": short})  # fmt: skip
    assert tables["by_tier"]["gpm"]["unchecked"] == 2


def test_the_report_hangs_on_the_numbers_alone(done, tmp_path):
    result = json.loads((done / "redteam.json").read_text())
    assert write_report(result, tmp_path / "redteam.md").read_text() == (done / "redteam.md").read_text()


def test_evaders_can_be_played_again(done):
    kept = json.loads((done / "redteam-evaders.json").read_text())
    one = next(e for e in kept["evaders"] if e["tier"] == "nvml")
    candidate = Candidate(one["family"], one["strategy"], one["changes"])
    place = dataclasses.replace(PLACE, screen_s=0.0)
    (again,) = attempt([(candidate, 700_000)], place, Maker(), Sums().only(["nvml"]))
    assert math.isinf(again.alarm_s["nvml"])
    assert again.share == pytest.approx(one["share"])


def test_the_hour_is_enough_only_if_all_tiers_confirm(monkeypatch):
    asked = []
    real = __import__("hashwarden.training.job.redteam_play", fromlist=["make_run"]).make_run

    def noted(*arguments, **words):
        asked.append(arguments[4])
        return real(*arguments, **words)

    monkeypatch.setattr("hashwarden.training.job.redteam_play.make_run", noted)
    miner, patient = Candidate("ethash", "plain"), Candidate("ethash", "burst")
    (caught,) = attempt([(miner, 1)], PLACE, Maker(), Sums().only(["gpm+code"]))
    assert asked == [600.0]
    assert caught.alarm_s["gpm+code"] < 600
    attempt([(miner, 1)], PLACE, Maker(), Sums())
    assert asked[1:] == [600.0, 1200.0]
    both = attempt([(patient, 1), (miner, 1)], PLACE, Maker(), Sums().only(["gpm+code"]))
    assert asked[3:] == [600.0, 1200.0]
    assert both[1] == caught


def test_an_alarm_on_an_honest_job_raises_what_is_asked_for(tmp_path):
    told = red_team_of(attack(panel=Sums((("nvml", 0.1),)), families=("ethash",), strategies=("plain",)), tmp_path)
    of = told["honest"]["nvml"]
    assert of["alarms"]["count"] > 0
    assert of["flagged"]
    assert of["raised_to"] > 5


def red_team_of(one, folder):
    red_team(one, folder, lambda _: None)
    return json.loads((folder / "redteam.json").read_text())


def test_the_panel_of_the_real_evidence_asks_for_more_where_raised():
    level = TierCalibration(groups=TIERS["nvml"], levels=(0.2,) * 200, runs=2000, hours=9.0, longest_s=600.0,
                            origins={"synthesised": 2000})  # fmt: skip
    panel = Panel(EvidenceCalibration(tiers={"nvml": level}, horizon_s=600.0), 1e-3, ("nvml",))
    times = np.arange(0, 590, 10.0)
    run = (times, {"nvml": np.full(len(times), 0.8)})
    plain, raised, never = (p.judge([run])[0]["nvml"] for p in (
        panel, panel.raised({"nvml": 3.0}), panel.raised({"nvml": 1e3})))  # fmt: skip
    assert plain.alarm_s < raised.alarm_s < never.alarm_s == math.inf
    assert plain.rises.tolist() == raised.rises.tolist()
    honest = panel.judge([(times, {"nvml": np.full(len(times), 0.1)})])[0]["nvml"]
    assert math.isinf(honest.alarm_s)
