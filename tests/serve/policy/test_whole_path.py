"""Engine, audit log and queue of actions together, each the real one; only the scheduler is none."""

from __future__ import annotations

import pytest

from hashwarden.serve.audit.bodies import faults
from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.audit.verify import Wanted, verify_log
from hashwarden.serve.policy.cases import CaseStore
from hashwarden.serve.policy.engine import Engine
from hashwarden.serve.schedulers.queue import ActionQueue
from hashwarden.serve.schedulers.scheduler import ActionKind, Outcome, Result, SchedulerAway


class Scheduler:
    """Does what it is asked for, or is away."""

    kinds = frozenset(ActionKind)

    def __init__(self):
        self.done, self.away = [], False

    def apply(self, action):
        if self.away:
            raise SchedulerAway("down")
        self.done.append(action.id)
        return Outcome(action.id, Result.DONE)

    def close(self):
        pass


@pytest.fixture
def node(world, tools, tmp_path):
    """A world whose engine writes to a real log and whose actions go through a real queue."""

    class Node:
        def __init__(self):
            self.scheduler = Scheduler()
            self.open()

        def open(self):
            self.audit = AuditLog(tmp_path / "audit", None, clock=lambda: world.unix_s)
            self.queue = ActionQueue(tmp_path / "queue", {"slurm": self.scheduler}, self.audit, lambda: world.unix_s)
            world.engine = Engine(world.policy, CaseStore(world.folder), self.audit, {"model": tools.model})
            world.answer = None

        def close(self):
            self.queue.close()
            self.audit.close()

        def run(self, minutes, *seen, lose=False):
            for _ in range(minutes):
                for action in world.step(*seen).actions:
                    if not lose:
                        self.queue.put(action)
                for outcome in self.queue.step(world.unix_s):
                    world.engine.report(outcome, world.unix_s)

    made = Node()
    yield made
    made.close()


def test_the_whole_ladder_is_in_a_log_that_verifies_and_holds_no_odd_record(node, world, tmp_path):
    node.run(14, world.see)
    case = world.case().id
    assert node.scheduler.done == [f"{case}-warn1", f"{case}-warn2", f"{case}-act"]
    node.close()
    records = []
    report = verify_log(tmp_path / "audit", Wanted(), records.append)
    assert report.ok
    told = [(str(record.kind), record.body()) for record in records]
    assert [words for kind, body in told if kind == "case" for words in faults(kind, body)] == []
    kinds = [kind for kind, _ in told if kind in {"case", "intent", "action"}]
    assert kinds.index("case") < kinds.index("intent") < kinds.index("action")
    node.open()


def test_a_scheduler_that_is_away_for_minutes_is_asked_once_for_each_step(node, world):
    node.scheduler.away = True
    node.run(10, world.see)
    assert node.scheduler.done == []
    node.scheduler.away = False
    node.run(16, world.see)
    case = world.case().id
    assert node.scheduler.done == [f"{case}-warn1", f"{case}-warn2", f"{case}-act"]


def test_an_action_that_was_lost_before_it_was_queued_is_asked_for_anew_and_done_once(node, world):
    node.run(4, world.see, lose=True)
    node.close()
    node.open()
    node.run(45, world.see)
    case = world.case().id
    assert node.scheduler.done == [f"{case}-warn1-2", f"{case}-warn2", f"{case}-act"]


def test_a_restart_of_the_machine_begins_its_clock_at_0_and_loses_no_minute(node, world):
    node.run(4, world.see)
    before = world.case().clock_s
    node.close()
    world.now_s = -100.0
    node.open()
    node.run(1, world.see)
    assert world.case().clock_s == before
    node.run(1, world.see)
    assert world.case().clock_s == before + 60
