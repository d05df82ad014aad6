"""The queue of actions: durable before it is told, asked in order, expired in time, never doubled, whatever dies."""

import json
import resource
import threading
import time
from dataclasses import replace

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.journal import StorageError
from hashwarden.serve.schedulers.queue import ActionQueue, Limits
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Outcome, Result, SchedulerAway

NOW = 1_800_000_000.0


class Recorder:
    """An audit log in memory."""

    def __init__(self):
        self.events, self.full = [], False

    def append(self, kind, body, *, sync=True):
        if self.full:
            raise StorageError("it cannot be written", "room", "Make room.")
        self.events.append((kind, json.loads(json.dumps(body))))
        return len(self.events) - 1

    def of(self, kind):
        return [body["action"] for one, body in self.events if one is kind]


class Told:
    """A scheduler that does what it was told to, and remembers what it was asked."""

    kinds = frozenset(ActionKind)

    def __init__(self):
        self.asked, self.away, self.fault = [], False, None
        self.hold = threading.Event()
        self.hangs_on = set()

    def apply(self, action):
        self.asked.append(action.id)
        if action.id in self.hangs_on:
            self.hold.wait(30)
        if self.away:
            raise SchedulerAway("no controller")
        if self.fault:
            raise self.fault
        return Outcome(action.id, Result.DONE, "so it is\x1b[31m")

    def close(self):
        pass


@pytest.fixture
def told():
    scheduler = Told()
    yield scheduler
    scheduler.hold.set()


@pytest.fixture
def audit():
    return Recorder()


def action(number, job="slurm:1", kind=ActionKind.CANCEL, lasts_s=600.0, **parameters):
    owner = Job(job, "slurm", "1", gpus=("GPU-a",), user="eve\udcff", uid=7, labels={"a": "b"})
    return Action(f"c.{number}", kind, owner, "c", "mining", NOW, NOW + lasts_s, parameters)


def put_all(queue, actions):
    for one in actions:
        queue.put(one)


@pytest.fixture
def opened(tmp_path, told, audit):
    """Open the queue, again if it is open; ``opened.at["steady"]`` is the clock that nobody sets."""
    queues, clocks = [], {"steady": lambda: 0.0}

    def open_(**limits):
        for queue in queues:
            queue.close()
        bounds, both = Limits(**{"patience_s": 2.0, **limits}), {"slurm": told, "gpu": told}
        folder = tmp_path / "queue"
        queues.append(ActionQueue(folder, both, audit, lambda: NOW, limits=bounds, steady=clocks["steady"]))
        return queues[-1]

    open_.at = clocks
    yield open_
    told.hold.set()
    for queue in queues:
        queue.close()


def test_an_action_is_written_down_asked_for_once_and_written_down_again(opened, told, audit):
    queue = opened()
    queue.put(action(1))
    queue.put(action(1))
    assert [one.id for one in queue.pending] == ["c.1"]
    assert queue.step(NOW) == [Outcome("c.1", Result.DONE, r"so it is\x1b[31m")]
    queue.put(action(1))
    assert queue.step(NOW + 1) == []
    assert told.asked == ["c.1"]
    assert [kind for kind, _ in audit.events] == [EventKind.INTENT, EventKind.ACTION]
    assert audit.events[1][1]["result"] == "done"


def test_what_was_put_is_there_after_a_new_start_with_every_field(opened, told):
    first = action(1, of="hold")
    nameless = replace(action(2), job=Job("pod:x", "kubernetes", "ns/pod/c", namespace="ns"))
    opened().put(first)
    queue = opened()
    queue.put(nameless)
    again = opened().pending
    assert [repr(one) for one in again] == [repr(first), repr(nameless)]  # not by ==: a start that is not known is NaN


def test_what_was_done_before_a_new_start_is_not_asked_for_again(opened, told):
    queue = opened(heard_s=0.0)
    queue.put(action(1))
    queue.step(NOW)
    queue.step(NOW)
    queue = opened()
    queue.put(action(1))
    assert queue.step(NOW) == []
    assert told.asked == ["c.1"]


def test_what_was_told_last_before_a_new_start_is_told_again_and_then_no_more(opened, told, audit):
    """Between the queue and who asked it a kill -9 may lose an outcome: the same would be asked for under a new id."""
    now, queue = time.time(), opened(heard_s=0.0)  # files have times of their own
    for number, result in ((1, Result.DONE), (2, Result.REFUSED)):
        told.fault = ValueError("ours") if result is Result.REFUSED else None
        queue.put(action(number, f"slurm:{number}"))
        assert [one.result for one in queue.step(now)] == [result]
    again = [Outcome("c.2", Result.REFUSED, "told again after a restart")]
    assert opened(heard_s=0.0).step(now) == again
    queue = opened(heard_s=0.0)
    assert queue.step(now) == again
    assert queue.step(now) == []
    assert opened(heard_s=0.0).step(now) == []
    assert told.asked == ["c.1", "c.2"]
    assert len(audit.of(EventKind.ACTION)) == 2


def test_actions_of_a_job_keep_their_order_and_others_do_not_wait_for_them(opened, told):
    queue = opened()
    told.away = True
    queue.put(action(1))
    queue.step(NOW)
    told.away = False
    queue.put(action(2))
    queue.put(action(3, "slurm:2"))
    assert [outcome.action for outcome in queue.step(NOW + 0.5)] == ["c.3"]
    ended = [o.action for second in range(1, 5) for o in queue.step(NOW + second)]
    assert ended == ["c.1", "c.2"]


def test_a_scheduler_that_is_away_is_asked_ever_more_seldom_until_it_is_too_late(opened, told, audit):
    queue = opened()
    told.away = True
    queue.put(action(1, lasts_s=900))
    outcomes = [(second, one) for second in range(1000) for one in queue.step(NOW + second)]
    assert [(second, one.result) for second, one in outcomes] == [(900, Result.EXPIRED)]
    assert outcomes[0][1].detail == "no controller"
    assert 15 <= len(told.asked) <= 22
    assert (audit.of(EventKind.INTENT), audit.of(EventKind.ACTION)) == (["c.1"], ["c.1"])


def test_a_scheduler_that_comes_back_after_minutes_is_asked_once_more(opened, told):
    queue = opened()
    told.away = True
    queue.put(action(1))
    for second in range(0, 300, 5):
        assert queue.step(NOW + second) == []
    assert queue.away == {"c.1": "no controller"}
    told.away, before = False, len(told.asked)
    outcomes = [one for second in range(300, 500) for one in queue.step(NOW + second)]
    assert [one.result for one in outcomes] == [Result.DONE]
    assert len(told.asked) == before + 1


def test_a_clock_set_forward_drops_and_one_set_back_keeps_nothing_alive(opened, told):
    seconds = [0.0]
    opened.at["steady"] = lambda: seconds[0]
    queue = opened()
    told.away = True
    queue.put(action(1))
    assert [one.result for one in queue.step(NOW + 86400)] == [Result.EXPIRED]
    queue.put(action(2))
    queue.step(NOW)
    seconds[0] = 300.0
    told.asked.clear()
    queue.step(NOW - 86400)
    assert told.asked == ["c.2"]
    seconds[0] = 601.0
    assert [one.result for one in queue.step(NOW - 86400)] == [Result.EXPIRED]


def test_a_clock_set_back_while_nobody_ran_keeps_nothing_alive_either(opened, told):
    seconds = [50.0]
    opened.at["steady"] = lambda: seconds[0]
    opened().put(action(1))
    seconds[0] = 700.0
    assert [one.result for one in opened().step(NOW - 5000)] == [Result.EXPIRED]
    assert told.asked == []


def test_after_a_reboot_the_wall_clock_counts_and_doubt_is_too_late(opened, told, monkeypatch):
    opened().put(action(1))
    monkeypatch.setattr("hashwarden.serve.schedulers.queue.boot_id", lambda: "another")
    opened.at["steady"] = lambda: 1e9
    assert [one.result for one in opened().step(NOW + 30)] == [Result.DONE]
    opened().put(action(2))
    monkeypatch.setattr("hashwarden.serve.schedulers.queue.boot_id", lambda: "a third")
    found = opened().step(NOW - 3600)
    assert [one.result for one in found if one.action == "c.2"] == [Result.EXPIRED]


def test_a_call_that_hangs_holds_up_its_own_job_only(opened, told):
    queue = opened(parallel=1, patience_s=0.2, hang_s=0.0)
    told.hangs_on = {"c.1"}
    for number, job in ((1, "slurm:1"), (2, "slurm:1"), (3, "slurm:2"), (4, "slurm:3")):
        queue.put(action(number, job))
    ended = {o.action for second in range(4) for o in queue.step(NOW + second)}
    assert ended == {"c.3", "c.4"}
    assert told.asked.count("c.1") == 1
    late = {o.action: o for o in queue.step(NOW + 601)}
    assert late["c.1"].detail == "it was asked for, and there was no answer"


def test_threads_are_bounded_however_much_hangs(opened, told):
    queue = opened(parallel=2, threads=3, patience_s=0.05, hang_s=0.0)
    told.hangs_on = {f"c.{number}" for number in range(10)}
    for number in range(10):
        queue.put(action(number, f"slurm:{number}"))
    for second in range(5):
        queue.step(NOW + second)
    assert len(told.asked) == 3


def test_a_fault_of_ours_a_stranger_and_what_cannot_be_asked_are_refused(opened, told):
    queue = opened()
    told.fault = ValueError("oh\nno")
    queue.put(action(1))
    queue.put(replace(action(2), job=Job("session:1", "process", "1")))
    found = {o.action: o for second in (0, 1) for o in queue.step(NOW + second)}
    assert found["c.1"] == Outcome("c.1", Result.REFUSED, r"ValueError: oh\x0ano")
    assert found["c.2"] == Outcome("c.2", Result.REFUSED, "there is no scheduler for process")


def test_power_is_the_gpus_business(opened, told, tmp_path, audit):
    power = Told()
    with_power = ActionQueue(tmp_path / "power", {"gpu": power, "slurm": told}, audit, lambda: NOW)
    with_power.put(action(1, kind=ActionKind.THROTTLE))
    with_power.put(action(2, "slurm:2", ActionKind.RELEASE, of="throttle"))
    with_power.put(action(3, "slurm:3", ActionKind.RELEASE, of="hold"))
    with_power.step(NOW)
    with_power.close()
    assert (sorted(power.asked), told.asked) == (["c.1", "c.2"], ["c.3"])


def test_nothing_is_asked_for_and_nothing_is_told_that_the_log_does_not_hold(opened, told, audit):
    queue = opened()
    queue.put(action(1))
    audit.full = True
    with pytest.raises(StorageError):
        queue.step(NOW)
    assert told.asked == []
    audit.full = False
    told.hangs_on = {"c.1"}
    threading.Timer(0.1, lambda: (setattr(audit, "full", True), told.hold.set())).start()
    with pytest.raises(StorageError):
        queue.step(NOW + 1)
    with pytest.raises(StorageError):
        queue.step(NOW + 2)
    audit.full = False
    assert [one.result for one in queue.step(NOW + 3)] == [Result.DONE]
    assert told.asked == ["c.1"]


def test_a_full_disk_refuses_an_action_whole(opened, tmp_path):
    queue = opened()
    queue.put(action(1))
    before = sorted(path.name for path in (tmp_path / "queue" / "waiting").iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(StorageError, match="cannot be written"):
            queue.put(action(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in (tmp_path / "queue" / "waiting").iterdir()) == before
    queue.put(action(2))
    assert [one.id for one in opened().pending] == ["c.1", "c.2"]


def test_a_disk_without_room_for_a_name_refuses_and_ends_what_waits(told, audit, small_disk):
    small = small_disk("64k")
    queue = ActionQueue(small / "queue", {"slurm": told}, audit, lambda: NOW, steady=lambda: 0.0)
    with pytest.raises(StorageError):
        put_all(queue, (action(number, f"slurm:{number}") for number in range(100)))
    kept = [one.id for one in queue.pending]
    assert 0 < len(kept) < 20
    ended = [one.action for second in range(100) for one in queue.step(NOW + second)]
    assert sorted(ended) == sorted(kept)
    queue.close()


def test_too_many_too_long_and_a_second_agent_are_refused(opened, tmp_path, told, audit):
    queue = opened(most=2)
    queue.put(action(1))
    queue.put(replace(action(2), job=replace(action(2).job, labels={"x": "y" * 100_000})))
    with pytest.raises(StorageError, match="2 actions wait"):
        queue.put(action(3))
    queue = opened()
    assert [len(one.job.labels) for one in queue.pending] == [1, 0]
    with pytest.raises(UsageError):
        queue.put(replace(action(3), reason="x" * 100_000))
    with pytest.raises(UsageError, match="another process"):
        ActionQueue(tmp_path / "queue", {}, audit)


def test_a_folder_that_others_can_write_to_is_refused(tmp_path, audit):
    folder = tmp_path / "queue"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(UsageError, match="others can write"):
        ActionQueue(folder, {}, audit)


def test_a_damaged_file_is_set_aside_and_named_the_others_are_done(opened, tmp_path, told):
    queue = opened()
    for number in (1, 2):
        queue.put(action(number, f"slurm:{number}"))
    first = min((tmp_path / "queue" / "waiting").iterdir())
    first.write_bytes(first.read_bytes().replace(b"cancel", b"warn  "))
    (first.parent / "000000000009-abc.part").write_bytes(b"half")
    queue = opened()
    assert [one.id for one in queue.pending] == ["c.2"]
    assert "checksum" in queue.damaged[0]
    queue.put(action(3, "slurm:3"))
    assert {o.action for o in queue.step(NOW)} == {"c.2", "c.3"}


def test_what_was_done_is_forgotten_after_a_week(opened, tmp_path):
    queue = opened()
    queue.put(action(1))
    queue.step(NOW)
    done = tmp_path / "queue" / "done"
    assert len(list(done.iterdir())) == 1
    opened().step(time.time() + 8 * 86400)
    assert list(done.iterdir()) == []
