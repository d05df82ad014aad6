"""What holds for every sequence of observations: blindness, dry runs, warnings, ids, restarts."""

from __future__ import annotations

import math
import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashwarden.serve.policy.alerts import AlertKind
from hashwarden.serve.policy.observation import Blindness
from hashwarden.serve.schedulers.scheduler import ActionKind, Outcome, Result

KEEN = """
mode = "enforce"
clear_minutes = 5
[ladder]
sampling_period_minutes = 0.5
first_warning_minutes = 1
second_warning_minutes = 3
throttle_minutes = 4
cancel_minutes = 6
action = "cancel"
require_approval = []
warn_on_suspect = true
act_beyond_calibration = true
act_tiers = ["nvml", "gpm", "gpm+code", "all"]
[[rules]]
name = "mining"
[[quotas]]
name = "any"
classes = ["any"]
gpu_hours = 0
first_warning_minutes = 1
action = "hold"
"""

MANY = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

STATES = st.sampled_from(["clear", "watching", "suspect", "confirmed", "confirmed", "confirmed", "abstain"])
ANSWERS = st.sampled_from([Result.DONE, Result.DONE, Result.ALREADY, Result.REFUSED, Result.EXPIRED])
BLOCK = st.tuples(STATES, st.sampled_from([1.0, 10.0, 30.0, 60.0, 60.0, 60.0, 300.0]), ANSWERS, st.integers(1, 10))
TICKS = st.lists(BLOCK, min_size=1, max_size=8).map(
    lambda blocks: [(state, wait_s, answer) for state, wait_s, answer, many in blocks for _ in range(many)][:40]
)
"""States last: what changes with every sample climbs no ladder."""

FLAWS = st.one_of(
    st.frozensets(st.sampled_from(list(Blindness)), min_size=1).map(lambda kinds: {"blind": kinds}),
    st.sampled_from([math.nan, 0.0, 0.49]).map(lambda code: {"shared": True, "code_mining": code}),
    st.just({"model": {"sha256": "cd" * 32}}),
    st.just({"model": {}}),
    st.floats(130, 1e6).map(lambda age: {"age_s": age}),
    st.just({"evidence": {"attainable": False}}),
    st.just({"evidence": {"blind_s": 500.0}}),
    st.sampled_from(["no new samples come", "its counters are dead", "words of another version"]).map(
        lambda words: {"abstains_for": words}
    ),
)


def _flawed(world, state, flaw):
    flaw = dict(flaw)
    age = flaw.pop("age_s", 0.0)
    return lambda: world.see(state, time_s=world.now_s - age, gpu_seconds={"mining": world.now_s}, **flaw)


@MANY
@given(ticks=TICKS, flaws=st.lists(FLAWS, min_size=1, max_size=3))
def test_no_sequence_of_blind_observations_ever_yields_an_action(tools, ticks, flaws):
    world = tools.world(None, KEEN)
    for n, (state, wait_s, _) in enumerate(ticks):
        flaw = flaws[n % len(flaws)]
        world.step(_flawed(world, "confirmed" if "evidence" in flaw else state, flaw), wait_s=wait_s)
    # Nothing speaks of the verdict's quality where a quota counts plain hours: only what blinds the job stops it.
    assert [a for _, a in world.actions if not a.id.startswith(_quota_case(world))] == []
    assert any(alert.kind is AlertKind.BLIND for alert in world.alerts)


def _quota_case(world):
    case = world.case(origin="quota:any")
    return case.id if case else "none"


@MANY
@given(ticks=TICKS, blind=st.frozensets(st.sampled_from(list(Blindness)), min_size=1), seen=st.integers(0, 20))
def test_what_becomes_blind_is_not_acted_on_any_further(tools, ticks, blind, seen):
    world = tools.world(None, KEEN)
    for state, wait_s, _ in ticks[:seen]:
        world.step(lambda state=state: world.see(state, gpu_seconds={"mining": world.now_s}), wait_s=wait_s)
    before = len(world.actions)
    for state, wait_s, _ in ticks:
        world.step(_flawed(world, state, {"blind": blind}), wait_s=wait_s)
    assert [a for _, a in world.actions[before:] if a.kind is not ActionKind.RELEASE] == []


@MANY
@given(ticks=TICKS)
def test_a_dry_run_never_yields_anything_but_dry_run(tools, ticks):
    world = tools.world(None, KEEN.replace("enforce", "dry-run"))
    for state, wait_s, _ in ticks:
        world.step(lambda state=state: world.see(state, gpu_seconds={"mining": world.now_s}), wait_s=wait_s)
    assert world.actions == []
    assert {outcome.result for outcome in world.outcomes} <= {Result.DRY_RUN}


@MANY
@given(ticks=TICKS, late=st.lists(st.integers(0, 3), min_size=40, max_size=40))
def test_a_warning_that_arrived_comes_before_every_act_by_the_configured_time_and_no_id_comes_twice(tools, ticks, late):
    world = tools.world(None, KEEN)
    world.answer, arrived, open_ = None, [], []
    for n, (state, wait_s, answer) in enumerate(ticks):
        found = world.step(lambda state=state: world.see(state), wait_s=wait_s)
        for action in found.actions:
            warned = [at for at, a in arrived if a.kind is ActionKind.WARN and a.case == action.case]
            gaps = {ActionKind.CANCEL: (300, 180), ActionKind.THROTTLE: (180, 60)}.get(action.kind, ())
            assert len(warned) >= len(gaps)
            assert all(world.now_s - at >= gap for at, gap in zip(sorted(warned), gaps, strict=False))
            open_.append((n + late[n], action, answer))
        for due, action, result in [one for one in open_ if one[0] <= n]:
            open_.remove((due, action, result))
            if result in {Result.DONE, Result.ALREADY}:
                arrived.append((world.now_s, action))
            world.engine.report(Outcome(action.id, result), world.unix_s)
    ids = [action.id for _, action in world.actions]
    assert len(ids) == len(set(ids))


@settings(MANY, max_examples=25)  # each writes to a disk
@given(ticks=TICKS, cuts=st.sets(st.integers(0, 39), max_size=10))
def test_a_restart_at_any_point_gives_the_same_decisions_and_none_twice(tools, ticks, cuts):
    with tempfile.TemporaryDirectory() as folder:
        steady, restarted = tools.world(None, KEEN), tools.world(Path(folder), KEEN)
        for n, (state, wait_s, answer) in enumerate(ticks):
            for world in (steady, restarted):
                world.answer = answer
                world.step(
                    lambda world=world, state=state: world.see(state, gpu_seconds={"mining": world.now_s}),
                    wait_s=wait_s,
                )
            if n in cuts:
                restarted.restart()
        told = [[(at, a.id, a.kind, a.reason) for at, a in world.actions] for world in (steady, restarted)]
        assert told[0] == told[1]
        assert len({action.id for _, action in restarted.actions}) == len(restarted.actions)
        assert [e for e in steady.audit.events if e[0] == "case"] == [
            e for e in restarted.audit.events if e[0] == "case"
        ]


@MANY
@given(ticks=TICKS, jumps=st.lists(st.floats(-1e6, 1e6), min_size=40, max_size=40))
def test_jumps_of_the_wall_clock_do_not_hurry_the_ladder(tools, ticks, jumps):
    world = tools.world(None, KEEN)
    drift = 0.0
    begun = world.now_s
    for (state, wait_s, _), jump in zip(ticks, jumps, strict=False):
        drift += jump
        world.now_s += wait_s
        found = world.engine.step([world.see(state)], world.now_s, world.unix_s + drift)
        for action in found.actions:
            least = {ActionKind.WARN: 60, ActionKind.THROTTLE: 240, ActionKind.CANCEL: 360}.get(action.kind, 0)
            assert world.now_s - begun >= least
            world.engine.report(Outcome(action.id, Result.DONE), world.unix_s + drift)


@MANY
@given(ticks=TICKS)
def test_the_clock_of_a_case_never_runs_faster_than_time(tools, ticks):
    world = tools.world(None, KEEN)
    begun = world.now_s
    clocks = []
    for state, wait_s, _ in ticks:
        world.step(lambda state=state: world.see(state), wait_s=wait_s)
        case = world.case()
        if case is not None and case.is_open:
            clocks.append((case.id, case.clock_s))
            assert case.act_clock_s <= case.clock_s <= world.now_s - begun
    assert all(b[1] >= a[1] for a, b in pairwise(clocks) if a[0] == b[0])
