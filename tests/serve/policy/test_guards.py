"""Each blindness forbids everything and is told of with its count; own code evidence names a culprit."""

from __future__ import annotations

import math

import pytest

from hashwarden.serve.policy.alerts import MOST_KEYS, AlertBook, AlertKind
from hashwarden.serve.policy.guards import BLIND_WORDS, act_objections, job_objections, verdict_objections
from hashwarden.serve.policy.judge import grounds_of
from hashwarden.serve.policy.load import read_policy
from hashwarden.serve.policy.observation import Blindness, Observation
from hashwarden.serve.policy.schema import Rule


def test_every_blindness_has_words():
    assert set(BLIND_WORDS) == set(Blindness)


@pytest.mark.parametrize("kind", list(Blindness))
def test_every_blindness_forbids_everything_and_is_told_once_an_hour_with_its_count(world, kind):
    world.run(90, lambda: world.see(blind=frozenset({kind})))
    assert world.asked() == []
    told = [alert for alert in world.alerts if alert.subject == kind]
    assert [alert.count for alert in told] == [1, 60]
    assert told[0].kind is AlertKind.BLIND
    assert told[0].jobs == ("slurm:7",)


@pytest.mark.parametrize(("code", "forbidden"), [(math.nan, True), (0.49, True), (0.5, False), (1.0, False)])
def test_on_a_shared_gpu_only_own_code_names_the_culprit(world, code, forbidden):
    seen = world.see(shared=True, code_mining=code)
    assert [one.kind for one in job_objections(seen)] == [Blindness.SHARED] * forbidden
    world.run(12, lambda: world.see(shared=True, code_mining=code))
    assert bool(world.asked()) is not forbidden


def test_work_of_nobody_known_is_never_acted_on(world, tools):
    assert [one.kind for one in job_objections(world.see(job=tools.job("gpu:GPU-0", kind="gpu")))] == ["unmapped"]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"model": {"sha256": "cd" * 32}}, Blindness.MODEL),
        ({"model": {}}, Blindness.MODEL),
        ({"time_s": 0.0}, Blindness.STALE),
        ({"time_s": math.nan}, Blindness.STALE),
        ({"evidence": {"blind_s": 121.0}}, Blindness.STALE),
        ({"evidence": {"blind_s": math.nan}}, Blindness.STALE),
        ({"evidence": {"attainable": False}}, Blindness.UNCALIBRATED),
        ({"abstains_for": "its counters are dead"}, Blindness.DEAD_COUNTERS),
        ({"abstains_for": "words that nobody knows"}, Blindness.MODEL),
        ({"abstains_for": "not watched for long enough"}, None),
    ],
)
def test_a_verdict_that_is_no_ground_says_why(world, tools, fields, kind):
    seen = world.see(**fields)
    found = verdict_objections(seen, seen.verdicts["GPU-0"], tools.model, 120.0)
    assert [one.kind for one in found] == [kind]
    assert found[0].words


def test_without_a_known_model_nothing_is_a_ground(world):
    seen = world.see()
    assert [one.kind for one in verdict_objections(seen, seen.verdicts["GPU-0"], "", 120.0)] == [Blindness.MODEL]


def test_a_person_before_the_job_can_be_spared_the_act(world, tools):
    seen = world.see(job=tools.job(interactive=True))
    verdict = seen.verdicts["GPU-0"]
    assert act_objections(seen, verdict, Rule(name="x"), beyond=False) == ()
    (one,) = act_objections(seen, verdict, Rule(name="x", interactive_warn_only=True), beyond=False)
    assert "person" in one.words


def test_one_gpu_of_two_that_can_be_seen_is_enough(world, tools):
    from dataclasses import replace

    def seen():
        good, bad = tools.verdict("confirmed", world.now_s), tools.verdict("confirmed", world.now_s, model={})
        return replace(world.see(), verdicts={"GPU-0": bad, "GPU-1": good})

    world.run(12, seen)
    assert world.asked() == ["warn", "warn", "cancel"]
    assert any(alert.subject == "model" for alert in world.alerts), "what cannot be seen of the other is told"


def test_the_book_of_alerts_is_bounded():
    book = AlertBook()
    told = sum(bool(book.see(AlertKind.BLIND, str(n), "", 0.0, 60.0)[0]) for n in range(3 * MOST_KEYS))
    assert told == 3 * MOST_KEYS
    assert len(book._lines) <= MOST_KEYS


def test_nothing_is_ended_for_what_only_sessions_before_it_did(tools):
    verdict, other = tools.verdict(), tools.verdict()
    seen = Observation(tools.job(), 0.0, 0.0, {"GPU-0": verdict, "GPU-1": other}, borrowed=frozenset({"GPU-0"}))
    (one,) = act_objections(seen, verdict, Rule(name="x"), beyond=False)
    assert "was not seen to do it itself" in one.words
    assert act_objections(seen, other, Rule(name="x"), beyond=False) == ()
    assert job_objections(seen) == ()  # its owner may be warned
    assert grounds_of(seen, read_policy(tools.enforce.encode()), tools.model, 0.0).verdict is other
