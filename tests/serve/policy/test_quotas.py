"""Quotas: hours that count, for whom, in which window; exemptions and approvals of agents take them out."""

from __future__ import annotations

import json

import pytest

from hashwarden.serve.policy.alerts import AlertKind
from hashwarden.serve.policy.quotas import MOST_SUBJECTS, Ledger
from hashwarden.serve.schedulers.scheduler import ActionKind

QUOTA = """
mode = "enforce"
[ladder]
sampling_period_minutes = 1
cancel_minutes = 5
require_approval = []
[[quotas]]
name = "hash"
classes = ["hash-other", "mining"]
gpu_hours = 1.0
window = "day"
action = "hold"
"""

AGENTS = """
mode = "enforce"
[agents]
accounts = ["agents-*"]
labels = { "hashwarden.io/agent" = "*" }
[[agents.approved]]
accounts = ["agents-known"]
reason = "reviewed by the board"
expires = 2030-01-01T00:00:00Z
[[quotas]]
name = "agents"
agents = true
classes = ["any"]
gpu_hours = 1.0
action = "hold"
require_approval = []
cancel_minutes = 5
"""


def _hours(world, hours, class_="hash-other", job=None, state="clear", **fields):
    """A job that used so many GPU-hours, in steps of an hour."""
    return lambda: world.see(state, job, likeliest=class_, gpu_seconds={class_: hours * 3600}, **fields)


def test_a_quota_that_is_used_up_warns_and_then_acts(make_world):
    world = make_world(QUOTA)
    world.run(3, _hours(world, 0.9))
    assert world.case(origin="quota:hash") is None
    world.run(12, _hours(world, 1.5))
    assert world.asked() == ["warn", "hold"]
    assert "used 1.50 GPU-hours" in world.actions[0][1].reason
    assert [a.kind for a in world.alerts if a.kind is AlertKind.QUOTA] == [AlertKind.QUOTA]


def test_blind_time_is_unknown_and_charged_to_no_class(make_world):
    world = make_world(QUOTA)
    world.run(12, lambda: world.see("clear", likeliest="hash-other", gpu_seconds={"unknown": 1e6}))
    assert world.asked() == []


def test_a_user_who_stays_small_in_each_job_is_charged_for_the_sum(make_world, tools):
    world = make_world(QUOTA)
    for number in range(6):
        job = tools.job(f"slurm:{number}")
        world.run(2, _hours(world, 0.25, "mining", job, state="watching"))
        world.engine.ended(job.key, world.unix_s)
    assert world.case("slurm:5", "quota:hash") is not None
    assert world.case("slurm:3", "quota:hash") is None


def test_the_window_slides(make_world):
    world = make_world(QUOTA)
    world.run(2, _hours(world, 0.9))
    world.now_s += 25 * 3600
    world.run(3, _hours(world, 1.5))
    assert world.case(origin="quota:hash") is None, "0.9 of the 1.5 hours are older than a day"


def test_hours_survive_a_restart_and_a_job_that_counts_from_0_again_is_not_charged_twice(make_world):
    world = make_world(QUOTA)
    world.run(2, _hours(world, 0.9))
    world.restart()
    world.run(2, _hours(world, 0.9))
    assert world.case(origin="quota:hash") is None
    world.restart()
    world.run(2, _hours(world, 0.2))
    assert world.case(origin="quota:hash").standing == "quota"


def test_an_agent_without_approval_gets_its_hours_of_anything_then_is_held(make_world, tools):
    world = make_world(AGENTS)
    jobs = [
        tools.job("slurm:1", user="a", account="agents-new"),
        tools.job("slurm:2", user="b", account="agents-known"),
        tools.job("slurm:3", user="c", account="people"),
        tools.job("slurm:4", user="d", account="people", labels={"hashwarden.io/agent": "yes"}),
    ]
    world.run(12, *[_hours(world, 2.0, "training", job) for job in jobs])
    assert {a.job.user for _, a in world.actions if a.kind is ActionKind.HOLD} == {"a", "d"}


def test_a_label_can_make_an_agent_but_never_approve_one():
    from hashwarden.errors import UsageError
    from hashwarden.serve.policy.load import read_policy

    with pytest.raises(UsageError, match=r"unknown key 'agents\.approved\.0\.labels'"):
        read_policy(AGENTS.replace('accounts = ["agents-known"]', "labels = {}").encode())


def test_a_quota_is_not_acted_on_while_the_job_cannot_be_seen(make_world, tools):
    from hashwarden.serve.policy.observation import Blindness

    world = make_world(AGENTS)
    job = tools.job(account="agents-new")
    world.run(20, _hours(world, 2.0, "training", job, blind=frozenset({Blindness.SOURCE_DOWN})))
    assert world.asked() == []


def test_an_exemption_holds_for_quotas_too(make_world):
    text = QUOTA + '[[exemptions]]\nusers = ["alice"]\nclasses = ["hash-other"]\nreason = "password audit"\n'
    world = make_world(text + "expires = 2030-01-01T00:00:00Z\n")
    world.run(12, _hours(world, 5.0))
    assert world.asked() == []
    world.run(12, _hours(world, 9.0, "mining", state="watching"))
    assert world.asked() == ["warn", "hold"]


def test_a_damaged_ledger_begins_anew_and_is_put_aside(make_world):
    world = make_world(QUOTA)
    world.run(2, _hours(world, 0.9))
    (world.folder / "quotas.state").write_bytes(b"{")
    world.restart()
    assert world.engine.cases.damaged == ["quotas.state"]
    world.run(2, _hours(world, 0.9))
    assert json.loads((world.folder / "quotas.state").read_text())["hours"]


def test_the_ledger_is_bounded(make_world, tools):
    world = make_world(QUOTA)
    quota, ledger = world.policy.quotas[0], Ledger(world.engine.cases)
    for number in range(MOST_SUBJECTS + 5):
        job = tools.job(f"slurm:{number}", user=f"u{number}")
        ledger.see(world.see("clear", job, gpu_seconds={"mining": 10.0 + number}), [quota])
        ledger.ended(job.key)
    ledger.fold(world.unix_s)
    assert ledger.used_hours(quota, f"u{MOST_SUBJECTS + 4}", world.unix_s) > 0
    assert ledger.used_hours(quota, "u0", world.unix_s) == 0
