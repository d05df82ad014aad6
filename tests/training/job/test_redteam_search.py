"""The search finds a planted optimum in a toy detector, keeps its budget and repeats itself."""

import math
from dataclasses import dataclass

import pytest

from hashwarden.training.job.redteam_search import Budget, Candidate, Game, Tried, search

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True)
class Parameter:
    name: str
    low: float
    high: float
    default: float
    log: bool = False


SETTINGS = {
    "plain": (),
    "duty-cycle": (
        Parameter("duty", 0.01, 1.0, 0.6, True),
        Parameter("length", 1.0, 600.0, 30.0, True),
        Parameter("wobble", 0.0, 1.0, 0.8),
    ),
    "pad": (Parameter("ratio", 0.0, 4.0, 1.0),),
}
PAIRS = [(family, strategy) for family in ("ethash", "matmul-pow") for strategy in SETTINGS]


class Toy:
    """Confirms what keeps more than a limit, the later the nearer it comes to a blind spot in three settings.

    The blind spot: matmul-pow in cycles of about 100 s with a wobble of about 0.3, up to half of the hash rate.
    """

    def __init__(self):
        self.calls = []

    def __call__(self, candidates, tiers, seed):
        self.calls += [(candidate, tuple(tiers)) for candidate in candidates]
        return [self._one(candidate, tiers) for candidate in candidates]

    def _one(self, candidate, tiers):
        changes = {p.name: p.default for p in SETTINGS[candidate.strategy]} | dict(candidate.changes)
        share = {"plain": 1.0, "duty-cycle": changes.get("duty", 0), "pad": 1 / (1 + changes.get("ratio", 0))}
        kept = share[candidate.strategy]
        away = math.inf
        if candidate.pair == ("matmul-pow", "duty-cycle"):
            away = math.hypot(math.log(changes["length"] / 100), 4 * (changes["wobble"] - 0.3))
        limit = {"nvml": 0.5 if away < 0.2 else 0.05, "all": 0.05}
        late = HOUR * (1 + 10 * math.exp(-away))
        alarm = {t: math.inf if kept <= limit[t] else late * 0.5 / kept if t == "nvml" else HOUR for t in tiers}
        return Tried(candidate, kept, {t: (alarm[t], alarm[t]) for t in tiers}, DAY)


def test_the_planted_blind_spot_is_found_nearly_to_its_edge():
    archive = search(Game(Toy(), SETTINGS, PAIRS, ("nvml", "all"), 3), Budget(candidates=600, climbs=1))
    best = max((t for t in archive if "nvml" in t.alarm_s), key=lambda t: t.residual("nvml"))
    assert best.candidate.pair == ("matmul-pow", "duty-cycle")
    assert 0.45 < best.residual("nvml") <= 0.5
    assert max(t.residual("all") for t in archive if "all" in t.alarm_s) <= 0.05


def test_climbing_beats_chance_with_the_same_amount():
    ways = [Budget(candidates=400, random_share=share) for share in (0.5, 1.0)]
    archives = [[search(Game(Toy(), SETTINGS, PAIRS, ("nvml",), seed), way) for seed in range(5)] for way in ways]
    climbed, random = (
        sum(max(t.residual("nvml") for t in archive) for archive in of_way) / len(of_way) for of_way in archives
    )
    assert climbed > random + 0.05


def test_defaults_are_all_tried_and_the_budget_is_kept():
    toy = Toy()
    archive = search(Game(toy, SETTINGS, PAIRS, ("nvml", "all")), Budget(candidates=50, batch=4))
    defaults = [Candidate(*pair, {p.name: p.default for p in SETTINGS[pair[1]]}) for pair in PAIRS]
    assert [t.candidate for t in archive[: len(PAIRS)]] == defaults
    assert len(PAIRS) < len(toy.calls) <= len(PAIRS) + 50
    assert {t.origin for t in archive} == {"default", "random", "cma-es"}


def test_no_time_still_tries_the_defaults():
    archive = search(Game(Toy(), SETTINGS, PAIRS, ("nvml",), 0), Budget(candidates=50, seconds=0.0))
    assert [t.origin for t in archive] == ["default"] * len(PAIRS)


def test_the_same_seed_tries_the_same():
    first, second = (search(Game(Toy(), SETTINGS, PAIRS, ("nvml",), 9), Budget(candidates=60)) for _ in range(2))
    assert first == second


def test_settings_stay_within_their_ends():
    archive = search(Game(Toy(), SETTINGS, PAIRS, ("nvml",), 1), Budget(candidates=200))
    for tried in archive:
        for parameter in SETTINGS[tried.candidate.strategy]:
            value = tried.candidate.changes.get(parameter.name, parameter.default)
            assert parameter.low <= value <= parameter.high


def test_what_counts_as_left_over():
    tried = Tried(Candidate("ethash", "pad"), 0.4, {"nvml": (math.inf, math.inf, 6 * HOUR, 12 * HOUR)}, DAY)
    assert tried.missed("nvml") == 0.5
    assert tried.residual("nvml") == 0.4
    assert tried.expected("nvml") == pytest.approx(0.2)
    assert tried.gained("nvml") == pytest.approx(0.4 * (1 + 1 + 0.25 + 0.5) / 4)
    caught = Tried(Candidate("ethash", "pad"), 0.4, {"nvml": (math.inf, 1.0, 1.0)}, DAY)
    assert caught.residual("nvml") == 0
