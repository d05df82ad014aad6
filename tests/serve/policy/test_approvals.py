"""Acts that a person has to approve: who may, for how long, and what a rejection undoes."""

from __future__ import annotations

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.journal import StorageError
from hashwarden.serve.policy.alerts import AlertKind
from hashwarden.serve.schedulers.scheduler import ActionKind, Result


@pytest.fixture
def waiting(make_world, tools):
    """A case that waits for approval."""
    world = make_world(tools.enforcing(require_approval=["cancel"]))
    world.run(12, world.see)
    assert world.case().waiting == "approval of cancel"
    return world


def test_an_act_waits_for_approval_and_then_goes(waiting):
    assert waiting.asked() == ["warn", "warn"]
    assert [a.kind for a in waiting.alerts].count(AlertKind.APPROVAL) == 1
    case = waiting.engine.approve(waiting.case().id.lower(), "root", "no project of ours mines", waiting.unix_s)
    assert case.approval.expires_unix_s - case.approval.unix_s == 86400
    waiting.run(1, waiting.see)
    assert waiting.asked() == ["warn", "warn", "cancel"]
    (event,) = [body for kind, body in waiting.audit.events if kind is EventKind.APPROVAL]
    assert (event["by"], event["what"], event["reason"]) == ("root", "approved", "no project of ours mines")


def test_an_approval_does_not_do_away_with_the_guards(waiting):
    waiting.engine.approve(waiting.case().id, "root", "because", waiting.unix_s)
    waiting.run(5, lambda: waiting.see(tier="nvml"))
    waiting.run(5, lambda: waiting.see("clear"))
    assert waiting.asked() == ["warn", "warn"]


def test_an_approval_expires(waiting):
    waiting.engine.approve(waiting.case().id, "root", "because", waiting.unix_s)
    waiting.now_s += 86400 + 60
    waiting.run(5, waiting.see)
    assert waiting.asked() == ["warn", "warn"]
    assert "that of root has expired" in waiting.case().waiting


def test_approval_survives_a_restart(waiting):
    waiting.engine.approve(waiting.case().id, "root", "because", waiting.unix_s)
    waiting.restart()
    waiting.run(1, waiting.see)
    assert waiting.asked() == ["warn", "warn", "cancel"]


@pytest.mark.parametrize("by", ["alice", "1000", "uid 1000"])
def test_nobody_approves_or_rejects_a_case_of_his_own_job(waiting, by):
    for word in (waiting.engine.approve, waiting.engine.reject):
        with pytest.raises(UsageError, match="user of the job"):
            word(waiting.case().id, by, "because", waiting.unix_s)


@pytest.mark.parametrize(("by", "reason"), [("", "because"), ("root", " "), ("root", "x")])
def test_an_approval_has_a_name_and_a_reason(waiting, by, reason):
    with pytest.raises(UsageError):
        waiting.engine.approve(waiting.case().id, by, reason, waiting.unix_s)


def test_only_approvers_approve(make_world, tools):
    world = make_world('approvers = ["ops-*"]\n' + tools.enforce)
    world.run(2, world.see)
    with pytest.raises(UsageError, match="'root'"):
        world.engine.approve(world.case().id, "root", "because", world.unix_s)
    assert world.engine.approve(world.case().id, "ops-ada", "because", world.unix_s).approval.by == "ops-ada"


def test_what_cannot_be_written_down_is_not_approved(waiting):
    waiting.audit.full = True
    with pytest.raises(StorageError):
        waiting.engine.approve(waiting.case().id, "root", "because", waiting.unix_s)
    assert waiting.case().approval is None


def test_a_rejected_job_is_left_alone_from_then_on(waiting):
    closed = waiting.engine.reject(waiting.case().id, "root", "a password audit", waiting.unix_s)
    assert closed.closed_for == "rejected"
    waiting.run(30, waiting.see)
    assert waiting.asked() == ["warn", "warn"]
    assert len(waiting.engine.cases.of("slurm:7")) == 1
    with pytest.raises(UsageError, match="closed"):
        waiting.engine.approve(closed.id, "root", "because", waiting.unix_s)


THROTTLE = {"throttle_minutes": 5, "throttle_watts_ratio": 0.4}


def _throttled(make_world, tools):
    world = make_world(tools.enforcing(require_approval=["cancel"], **THROTTLE))
    world.run(14, world.see)
    assert world.asked() == ["warn", "warn", "throttle"]
    assert world.actions[2][1].parameters["watts_ratio"] == "0.4"
    assert world.engine.throttled() == {world.case().id}
    return world


@pytest.mark.parametrize("end", ["ended", "rejected", "clear"])
def test_what_was_throttled_is_released_when_the_case_is_closed(make_world, tools, end):
    world = _throttled(make_world, tools)
    if end == "ended":
        world.engine.ended("slurm:7", world.unix_s)
    elif end == "rejected":
        world.engine.reject(world.case().id, "root", "because", world.unix_s)
    world.restart()
    world.run(12, *([] if end == "ended" else [lambda: world.see("clear")]))
    released = [action for _, action in world.actions if action.kind is ActionKind.RELEASE]
    assert [action.parameters["of"] for action in released] == ["throttle"]
    assert world.engine.throttled() == frozenset()


def test_a_release_that_expired_is_asked_for_anew(make_world, tools):
    world = _throttled(make_world, tools)
    world.answer = Result.EXPIRED
    world.engine.ended("slurm:7", world.unix_s)
    world.run(2)
    world.answer = Result.DONE
    world.run(2)
    ids = [action.id for _, action in world.actions if action.kind is ActionKind.RELEASE]
    assert ids == [f"{world.case().id}-release_throttle", *(f"{world.case().id}-release_throttle-{n}" for n in (2, 3))]
