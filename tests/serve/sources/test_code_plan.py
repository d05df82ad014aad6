"""Whose turn it is: the bounds hold whatever a job does, and nobody waits because of another."""

from itertools import pairwise

import pytest

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.launch_board import KernelLaunches, LaunchProfile
from hashwarden.serve.sources.code_plan import AGAIN_S, BATCH, EVERY_S, FORGET_S, MOST_PROCESSES, CpuBudget, Plan
from hashwarden.serve.sources.code_wire import Told


def profile(pid, loads=0):
    return LaunchProfile(ProcessKey(pid, 1), 0.0, 1.0, (KernelLaunches("k", 1, 1),), module_loads=loads)


def read(plan, now, keys=("a",), state="read"):
    due = plan.due(now)
    for key in due:
        plan.took(Told(key, state, keys), now)
    return [key.pid for key in due]


def test_a_process_is_read_when_it_first_launches_and_then_now_and_then():
    plan = Plan()
    plan.saw(profile(1), "job", 0.0)
    assert read(plan, 0.0) == [1]
    for now in range(30, int(EVERY_S), 30):
        plan.saw(profile(1), "job", now)
        assert read(plan, now) == []
    plan.saw(profile(1), "job", EVERY_S)
    assert read(plan, EVERY_S) == [1]


def test_new_modules_are_a_reason_to_read_again_but_not_at_once():
    plan = Plan()
    plan.saw(profile(1), "job", 0.0)
    read(plan, 0.0)
    plan.saw(profile(1, loads=1), "job", 10.0)
    assert read(plan, 10.0) == []
    assert read(plan, AGAIN_S) == [1]


def test_modules_that_are_loaded_while_it_is_read_are_not_forgotten():
    plan = Plan()
    plan.saw(profile(1), "job", 0.0)
    due = plan.due(0.0)
    plan.saw(profile(1, loads=1), "job", 1.0)
    plan.took(Told(due[0], "read", ("a",)), 2.0)
    assert read(plan, 2.0 + AGAIN_S) == [1]


def test_a_job_that_loads_modules_all_the_time_is_read_less_and_less_often():
    plan, times = Plan(), []
    for now in range(0, 4 * 3600, 30):
        plan.saw(profile(1, loads=5), "job", now)
        if read(plan, now):
            times.append(now)
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == EVERY_S
    assert len(times) < 16


def test_jobs_take_turns_so_that_one_with_a_thousand_processes_keeps_nobody_waiting():
    plan = Plan()
    for pid in range(1, 1001):
        plan.saw(profile(pid), "crowd", 0.0)
    plan.saw(profile(5000), "alone", 1.0)
    first = read(plan, 1.0)
    assert len(first) == BATCH
    assert 5000 in first
    plan.saw(profile(6000), "late", 2.0)
    assert read(plan, 2.0)[0] == 6000


def test_what_was_read_in_part_is_read_on_and_what_failed_waits():
    plan = Plan()
    plan.saw(profile(1), "job", 0.0)
    assert read(plan, 0.0, state="later") == [1]
    assert read(plan, AGAIN_S - 1) == []
    due = plan.due(AGAIN_S)
    plan.failed(due, AGAIN_S)
    assert plan.due(3 * AGAIN_S - 1) == []
    assert plan.due(3 * AGAIN_S) == due


def test_a_process_that_is_gone_or_launches_nothing_is_forgotten():
    plan = Plan()
    plan.saw(profile(1), "job", 0.0)
    plan.saw(profile(2), "job", 0.0)
    assert plan.took(Told(ProcessKey(1, 1), "gone"), 1.0) is None
    assert plan.forget(FORGET_S + 1) == [ProcessKey(2, 1)]
    assert not plan.watched
    assert plan.took(Told(ProcessKey(2, 1), "read"), 1.0) is None


def test_what_may_not_be_read_keeps_what_was_known_of_it():
    plan = Plan()
    plan.saw(profile(1), "job", 0.0)
    read(plan, 0.0, keys=("a", "b"))
    assert plan.took(Told(ProcessKey(1, 1), "refused"), 1.0).keys == ("a", "b")


def test_the_plan_is_bounded():
    plan = Plan()
    for pid in range(MOST_PROCESSES + 10):
        plan.saw(profile(pid), "job", 0.0)
    assert [key.pid for key in plan.forget(0.0)] == list(range(10))
    assert len(plan.watched) == MOST_PROCESSES


def test_no_more_is_spent_than_the_share_and_what_was_saved_up():
    budget, spent, now = CpuBudget(0.005, 120.0), 0.0, 0.0
    while now < 24 * 3600:
        now += 1.0
        if budget.left(now) > 3.0:
            budget.spend(7.0)
            spent += 7.0
    assert spent <= 120.0 + 7.0 + 0.005 * 24 * 3600
    assert spent >= 0.9 * 0.005 * 24 * 3600


def test_a_debt_is_bounded_and_a_clock_that_goes_back_gives_nothing():
    budget = CpuBudget(0.01, 10.0)
    assert budget.left(100.0) == 10.0
    budget.spend(1e6)
    assert budget.left(100.0) == -10.0
    assert budget.left(50.0) == -10.0
    assert budget.left(1050.0) == pytest.approx(0.0)
