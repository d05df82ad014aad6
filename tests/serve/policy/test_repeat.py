"""Users whose job was ended and who come again: a shorter ladder, where the policy says so, and never less than one."""

from __future__ import annotations

from functools import partial

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.policy.alerts import AlertKind
from hashwarden.serve.policy.load import read_policy
from hashwarden.serve.schedulers.scheduler import ActionKind, Result

REPEAT = {"repeat_cancel_minutes": 1}


@pytest.fixture
def again(make_world, tools):
    """A world in which the user's first job was ended, and its second job."""

    def make(text="", **job):
        world = make_world(text or tools.enforcing(**REPEAT))
        world.run(12, world.see)
        assert world.asked() == ["warn", "warn", "cancel"]
        world.engine.ended("slurm:7", world.unix_s)
        world.actions.clear()
        second = tools.job("slurm:8", **job)
        return world, second, partial(world.see, job=second)

    return make


def test_who_comes_again_is_warned_once_and_acted_on_soon(again):
    world, _, see = again()
    begun = world.now_s
    world.run(6, see)
    assert world.asked() == ["warn", "cancel"]
    (warned, warning), (acted, _) = world.actions
    assert "cancelled after 1 more minutes" in warning.reason
    assert (warned - begun <= 60, acted - warned >= 60, acted - begun <= 240) == (True, True, True)
    case = world.case("slurm:8")
    assert case.repeat == world.case("slurm:7").id
    assert f"a job of this user was ended in {case.repeat}" in case.history[0]


def test_the_whole_ladder_comes_anew_where_the_policy_says_nothing(again, tools):
    world, _, see = again(tools.enforce)
    world.run(5, see)
    assert world.asked() == ["warn"]
    assert world.case("slurm:8").repeat
    world.run(7, see)
    assert world.asked() == ["warn", "warn", "cancel"]


def test_it_is_remembered_over_a_restart_and_not_for_ever(again):
    world, job, see = again()
    world.restart()
    world.now_s += 6 * 86400
    world.run(6, see)
    assert world.asked() == ["warn", "cancel"]
    world.engine.ended(job.key, world.unix_s)
    world.actions.clear()
    world.now_s += 8 * 86400
    world.run(6, partial(world.see, job=job.__class__(**{**_fields(job), "key": "slurm:9", "id": "9"})))
    assert world.asked() == ["warn", "warn"]


def _fields(job):
    return {name: getattr(job, name) for name in job.__slots__}


@pytest.mark.parametrize("other", [{"user": "bob", "uid": 1001}, {"namespace": "lab", "kind": "kubernetes"}])
def test_other_users_are_not_held_to_it(again, other):
    world, _, see = again(**other)
    world.run(5, see)
    assert world.asked() == ["warn"]


@pytest.mark.parametrize("result", [Result.REFUSED, Result.EXPIRED])
def test_who_was_not_ended_was_not_acted_on(make_world, tools, result):
    world = make_world(tools.enforcing(**REPEAT))
    world.run(5, world.see)
    world.answer = result
    world.run(5, world.see)
    world.engine.ended("slurm:7", world.unix_s)
    world.answer = Result.DONE
    world.run(2, partial(world.see, job=tools.job("slurm:8")))
    assert world.case("slurm:8").repeat == ""


def test_what_was_only_told_is_no_offence_and_a_dry_run_stays_one(make_world, tools):
    text = tools.enforcing(**REPEAT).replace("enforce", "dry-run")
    world = make_world(text)
    world.run(12, world.see)
    world.engine.ended("slurm:7", world.unix_s)
    world.run(2, partial(world.see, job=tools.job("slurm:8")))
    assert world.case("slurm:8").repeat == ""
    assert world.actions == []


def test_a_dry_run_after_an_offence_only_tells(again, tools):
    world, _, see = again()
    text = tools.enforcing(**REPEAT).replace("enforce", "dry-run")
    world.engine.reload(read_policy(text.encode()))
    world.run(6, see)
    assert world.actions == []
    told = [one.action.kind for one in world.decisions if one.change == "told"]
    assert told == [ActionKind.WARN, ActionKind.CANCEL]


def test_it_is_approved_like_every_act(again, tools):
    world, _, see = again()
    text = tools.enforcing(require_approval=["cancel"], **REPEAT)
    world.engine.reload(read_policy(text.encode()))
    world.run(6, see)
    assert world.asked() == ["warn"]
    assert world.case("slurm:8").waiting == "approval of cancel"
    world.engine.approve(world.case("slurm:8").id, "root", "once more", world.unix_s)
    world.run(1, see)
    assert world.asked() == ["warn", "cancel"]


def test_the_exempt_stay_exempt(again, tools):
    exempt = '[[exemptions]]\nusers = ["alice"]\nqos = ["audit"]\nreason = "an audit"\nexpires = 2100-01-01T00:00:00Z\n'
    world, _, see = again(tools.enforcing(**REPEAT) + exempt, qos="audit")
    world.run(6, see)
    assert world.case("slurm:8") is None
    assert world.actions == []


def test_a_warning_that_does_not_arrive_holds_up_the_act(again):
    world, _, see = again()
    world.refused_kinds = frozenset({ActionKind.WARN})
    world.run(6, see)
    assert world.asked() == ["warn"]


@pytest.mark.parametrize("which", ["slurm:7", "slurm:8"])
def test_a_rejection_forgets_whichever_of_his_cases_is_rejected(again, tools, which):
    world, _, see = again()
    world.run(1, see)
    world.engine.reject(world.case(which).id, "root", "a course on hashing", world.unix_s)
    world.engine.ended("slurm:8", world.unix_s)
    world.restart()
    world.run(5, partial(world.see, job=tools.job("slurm:9")))
    assert world.case("slurm:9").repeat == ""
    assert [str(action.kind) for _, action in world.actions if action.job.key == "slurm:9"] == ["warn"]


def test_a_case_that_is_over_can_be_rejected_once_and_lets_go_what_it_holds(make_world, tools):
    world = make_world(tools.enforcing(action="requeuehold"))
    world.run(12, world.see)
    world.engine.ended("slurm:7", world.unix_s)
    world.run(2)
    assert world.asked() == ["warn", "warn", "requeuehold"]
    with pytest.raises(UsageError, match="user of the job"):
        world.engine.reject(world.case().id, "alice", "of my own", world.unix_s)
    case = world.engine.reject(world.case().id, "root", "a password audit", world.unix_s)
    assert case.closed_for == "rejected"
    world.run(2)
    assert world.asked() == ["warn", "warn", "requeuehold", "release"]
    assert world.audit.changes()[-3:] == ["forgiven", "asked", "done"]
    with pytest.raises(UsageError, match="closed"):
        world.engine.reject(case.id, "root", "once more", world.unix_s)


def test_a_quota_remembers_who_ran_into_it(make_world):
    world = make_world("""
mode = "enforce"
[ladder]
action = "cancel"
require_approval = []
second_warning_minutes = 10
cancel_minutes = 20
repeat_cancel_minutes = 1
[[quotas]]
name = "all"
classes = ["any"]
gpu_hours = 0.001
""")
    seen = [0.0]

    def see(key):
        seen[0] += 60.0
        from hashwarden.serve.jobs.job import Job

        job = Job(key, "slurm", key[6:], ("GPU-0",), "alice", 1000)
        return world.see("clear", job=job, gpu_seconds={"training": seen[0]})

    world.run(30, partial(see, "slurm:7"))
    assert world.asked()[:3] == ["warn", "warn", "cancel"]
    world.engine.ended("slurm:7", world.unix_s)
    world.actions.clear()
    world.run(6, partial(see, "slurm:8"))
    assert world.asked() == ["warn", "cancel"]
    assert AlertKind.QUOTA in {alert.kind for alert in world.alerts}
