"""Sessions on machines without a scheduler: their user was warned already, and their grounds are their own."""

import pytest

from hashwarden.serve.policy.memory import REMEMBER_S

SESSION = {"kind": "process", "labels": {"anchor": "session"}}


@pytest.fixture
def job(tools):
    return lambda number, **fields: tools.job(f"session:b:{number}:1", **SESSION | fields)


def follow(world, job, minutes):
    world.run(minutes, lambda: world.see(job=job))


def test_who_ends_his_session_before_the_ladder_does_goes_on_where_it_was(world, job):
    first, second = job(1), job(2)
    follow(world, first, 6)
    assert world.asked() == ["warn", "warn"]
    before = world.case(first.key)
    world.engine.ended(first.key, world.unix_s)
    follow(world, second, 4)
    after = world.case(second.key)
    assert world.asked() == ["warn", "warn", "terminate"]
    assert (after.linked, after.clock_s > before.clock_s) == (before.id, True)
    assert set(after.steps) == {"warn1", "warn2", "act"}
    assert before.id in after.history[0]


def test_who_was_ended_and_begins_anew_is_not_warned_again(world, job):
    follow(world, job(1), 9)
    assert world.asked() == ["warn", "warn", "terminate"]
    follow(world, job(2), 2)  # its case is open yet: the agent waits a minute for the next of its processes
    assert world.asked() == ["warn", "warn", "terminate", "terminate"]


def test_it_is_ended_for_what_it_does_itself(world, job):
    follow(world, job(1), 6)
    world.engine.ended(job(1).key, world.unix_s)
    world.run(20, lambda: world.see("clear", job=job(2)))
    assert world.case(job(2).key) is None
    world.run(20, lambda: world.see("suspect", job=job(2)))
    assert world.asked() == ["warn", "warn"]


@pytest.mark.parametrize(
    ("fields", "wait_s"),
    [
        ({"user": "bob", "uid": 1001}, 60.0),
        ({"uid": -1}, 60.0),
        ({"labels": {"anchor": "container"}}, 60.0),
        ({"kind": "slurm", "labels": {}}, 60.0),
        ({}, REMEMBER_S + 120.0),
    ],
)
def test_others_and_those_of_long_ago_are_warned_from_the_start(world, job, fields, wait_s):
    follow(world, job(1), 6)
    world.engine.ended(job(1).key, world.unix_s)
    world.step(wait_s=wait_s)
    follow(world, job(2, **fields), 2)
    assert world.case(job(2).key).clock_s <= 120.0
    assert world.asked() == ["warn", "warn"]


def test_what_a_person_rejected_does_not_count(world, job):
    follow(world, job(1), 6)
    world.engine.reject(world.case(job(1).key).id, "jane", "a password audit", world.unix_s)
    follow(world, job(2), 2)
    assert world.case(job(2).key).clock_s <= 120.0


def test_nor_does_what_was_before_it(world, job):
    follow(world, job(1), 6)
    world.engine.ended(job(1).key, world.unix_s)
    follow(world, job(2), 1)
    world.engine.reject(world.case(job(2).key).id, "jane", "a password audit", world.unix_s)
    follow(world, job(3), 2)
    assert world.case(job(3).key).clock_s <= 120.0


def test_an_approval_is_not_taken_over(make_world, tools, job):
    world = make_world(tools.enforce.replace("require_approval = []", 'require_approval = ["cancel"]'))
    follow(world, job(1), 8)
    world.engine.approve(world.case(job(1).key).id, "jane", "seen", world.unix_s)
    follow(world, job(1), 2)
    assert world.asked() == ["warn", "warn", "terminate"]
    follow(world, job(2), 8)
    assert world.asked() == ["warn", "warn", "terminate"]
    assert world.case(job(2).key).waiting == "approval of cancel"
