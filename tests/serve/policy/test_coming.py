"""What an approver is told of the steps that a case has before it: what the engine then does."""

from __future__ import annotations

import pytest

from hashwarden.serve.policy.coming import coming


def _told(world):
    return coming(world.case(), world.engine.policy)


def test_the_whole_ladder_is_before_a_new_case_and_less_with_every_step(make_world, tools):
    world, seen = make_world(tools.enforce), []
    for _ in range(14):
        world.run(1, world.see)
        told = _told(world)
        assert not {one["name"] for one in told} & set(world.case().steps)
        seen.append([one["name"] for one in told])
        if told and told[0]["left_s"] > 60:  # a tick is a minute: what has longer to go is not asked for in this one
            before = len(world.actions)
            world.run(1, world.see)
            assert len(world.actions) == before
    assert seen[0] in (["warn1", "warn2", "act"], ["warn2", "act"])
    assert seen[-1] == []
    assert world.asked() == ["warn", "warn", "cancel"]


def test_what_comes_is_of_the_scheduler_of_the_job(make_world, tools):
    for kind, act in (("slurm", "cancel"), ("kubernetes", "evict"), ("process", "terminate"), ("gpu", "")):
        world = make_world(tools.enforce)
        world.run(2, lambda world=world, kind=kind: world.see(job=tools.job("x:7", kind=kind)))
        assert coming(world.case("x:7"), world.engine.policy)[-1]["kind"] == act


def test_who_comes_again_has_the_shorter_ladder_before_him(make_world, tools):
    world = make_world(tools.enforcing(repeat_cancel_minutes=1))
    world.run(12, world.see)
    world.engine.ended("slurm:7", world.unix_s)
    world.run(1, lambda: world.see(job=tools.job("slurm:8")))
    told = coming(world.case("slurm:8"), world.engine.policy)
    assert [one["name"] for one in told if one["name"] != "warn1"] == ["act"]
    assert told[-1]["after_s"] == 60


@pytest.mark.parametrize("why", ["closed", "no rule"])
def test_nothing_comes_where_nothing_will_be_done(make_world, tools, why):
    world = make_world(tools.enforce)
    world.run(2, world.see)
    assert _told(world)
    case = world.case()
    if why == "closed":
        world.engine.reject(case.id, "root", "a benchmark of ours", world.unix_s)
        case = world.case()
    else:
        case = case.having(rule="gone")
    assert coming(case, world.engine.policy) == []
