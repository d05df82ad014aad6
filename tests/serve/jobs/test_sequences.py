"""Sessions of users over stored trees: which of them are one job, which are apart, and what a storm of them costs."""

from __future__ import annotations

import json

import pytest

from hashwarden.serve.jobs.sequences import CONTINUE_S, LONG_S, MOST_APART, MOST_YOUNG
from hashwarden.serve.jobs.sessions import Sessions
from hashwarden.serve.jobs.table import JobTable
from hashwarden.serve.sources.source import Device

A, B = (f"GPU-{c * 8}-0000-0000-0000-000000000000" for c in "ab")
DEVICES = (Device(A, 0), Device(B, 1))
SESSION = "session:7494866814e9:{}:{}"
HERTZ = 100


class Plain:
    """A plain machine whose time is that of its processes."""

    def __init__(self, tree, **options):
        self.tree, self.now, self.next = tree, 1000.0, 10
        self.table = JobTable((Sessions(tree.proc),), tree.folder, lambda: self.now, wait_s=None,
                              own=frozenset(), **options)  # fmt: skip
        self.table._processes._proc = tree.proc
        tree.now = 1000 * HERTZ

    def begin(self, uid=1000, **more):
        """A process in a session of its own, that begins now."""
        self.next += 1
        self.tree.put(self.next, self.tree.now, uid=uid, **more)
        return self.next

    def look(self, on_a=(), on_b=(), after_s=1.0):
        self.now += after_s
        self.tree.now += int(after_s * HERTZ)
        return self.table.refresh({A: frozenset(on_a), B: frozenset(on_b)}, DEVICES, self.now, 1e9)

    def end(self, *pids):
        for pid in pids:
            self.tree.end(pid)

    def job(self, pid):
        return self.table.owner(pid).job


@pytest.fixture
def plain(tree):
    plain = Plain(tree)
    yield plain
    plain.table.close()


def test_sessions_of_a_user_one_after_the_other_are_one_job(plain):
    keys = set()
    for _ in range(300):
        pid = plain.begin()
        plain.look([pid])
        keys.add(plain.job(pid))
        plain.end(pid)
    assert len(keys) == 1
    assert plain.table.counts["began"] == 1
    assert plain.table.counts["continued"] == 299
    (job,) = plain.table.jobs.values()
    assert (job.labels["sessions"], len(job.labels["latest"].split())) == ("300", 8)
    assert job.labels["session"].split(":")[2] == str(plain.next)


def test_what_ended_is_no_target_of_the_job_that_goes_on(plain):
    first = plain.begin()
    plain.look([first])
    key = plain.job(first)
    plain.end(first)
    second = plain.begin()
    plain.look([second])
    assert plain.job(second) == key
    assert [process.pid for process in plain.table.processes(key)] == [second]


def test_two_users_never_share_a_job(plain):
    keys = {1000: set(), 1001: set()}
    for number in range(40):
        uid = 1000 + number % 2
        pid = plain.begin(uid)
        plain.look([pid])
        keys[uid].add(plain.job(pid))
        plain.end(pid)
    crowd = {uid: [plain.begin(uid) for _ in range(30)] for uid in keys}
    plain.look([*crowd[1000], *crowd[1001]])
    for uid, pids in crowd.items():
        keys[uid] |= {plain.job(pid) for pid in pids}
    assert not keys[1000] & keys[1001]
    assert all(plain.table.jobs[key].uid == uid for uid, mine in keys.items() for key in mine)


def test_sessions_that_are_there_at_the_same_time_stay_apart(plain):
    pids = [plain.begin() for _ in range(MOST_YOUNG)]
    for _ in range(30):
        plain.look(pids)
    keys = [plain.job(pid) for pid in pids]
    assert len(set(keys)) == MOST_YOUNG
    plain.end(pids[3])
    pids[3] = plain.begin()
    plain.look(pids)
    assert [plain.job(pid) for pid in pids] == keys  # and the place of one that ended is taken by the next


def test_those_that_are_too_many_at_once_are_one_job_until_they_have_lasted(plain):
    pids = [plain.begin() for _ in range(500)]
    plain.look(pids)
    keys = {plain.job(pid) for pid in pids[:200]}
    assert len(plain.table.jobs) == MOST_YOUNG + 1
    (pool,) = (key for key in keys if key.startswith("user:"))
    assert plain.table.jobs[pool].uid == 1000
    members = {process.pid for process in plain.table.processes(pool)}
    assert len(members) == 500 - MOST_YOUNG
    for _ in range(30):
        plain.look(pids)
    assert len(plain.table.jobs) == MOST_APART + 1
    left = {process.pid for process in plain.table.processes(pool)}
    assert left < members
    assert len(left) == 500 - MOST_APART
    for key in plain.table.jobs:
        if key != pool:
            assert len(plain.table.processes(key)) == 1
    plain.end(*pids)
    plain.look(after_s=61.0)
    assert plain.table.jobs == {}


def test_a_crowd_of_short_ones_again_and_again_makes_no_more_jobs_than_one(plain):
    for _ in range(20):
        pids = [plain.begin() for _ in range(50)]
        plain.look(pids)
        plain.end(*pids)
    assert plain.table.counts["began"] == MOST_YOUNG + 1
    plain.look(after_s=CONTINUE_S + 2)
    plain.look()
    assert plain.table.jobs == {}
    assert len(plain.table._processes.sequences) == 0


def test_a_session_that_begins_within_minutes_goes_on_under_the_same_key_and_later_not(plain):
    pid = plain.begin()
    plain.look([pid])
    key = plain.job(pid)
    plain.end(pid)
    assert [job.key for job in plain.look(after_s=61.0).ended] == [key]
    pid = plain.begin()
    assert [job.key for job in plain.look([pid], after_s=CONTINUE_S - 70).began] == [key]
    plain.end(pid)
    plain.look(after_s=CONTINUE_S + 2)
    pid = plain.begin()
    plain.look([pid])
    assert plain.job(pid) != key


def test_on_another_gpu_it_is_another_job(plain):
    first = plain.begin()
    plain.look([first])
    plain.end(first)
    second = plain.begin()
    plain.look([], [second])
    assert len(plain.table.jobs) == 2


def test_who_was_asked_about_before_it_is_on_a_gpu_goes_on_too(plain):
    first = plain.begin()
    plain.look([first])
    key = plain.job(first)
    plain.end(first)
    plain.look()
    second = plain.begin()
    assert plain.table.owner(second).job == key
    third = plain.begin()
    assert plain.table.owner(third).job != key


def test_what_lasted_for_an_hour_is_not_gone_on_with(plain):
    first = plain.begin()
    plain.look([first])
    key = plain.job(first)
    plain.look([first], after_s=LONG_S + 10)
    plain.end(first)
    second = plain.begin()
    plain.look([second])
    assert plain.job(second) != key


def test_a_process_that_sleeps_holds_no_place(plain):
    """Else a miner that leaves one behind, and begins anew, would be new each time."""
    first = plain.begin()
    plain.look([first])
    key = plain.job(first)
    plain.look()
    second = plain.begin()
    plain.look([second], after_s=15.0)
    assert plain.job(second) == key
    assert plain.job(first) == key  # it is ended with the rest


def test_nor_does_one_that_was_asked_about_and_never_came_to_a_gpu(plain):
    first = plain.begin()
    decoy = plain.begin(session=first)
    plain.look([first])
    key = plain.job(decoy)
    plain.end(first)
    for _ in range(12):
        plain.look()
    second = plain.begin()
    plain.look([second])
    assert plain.job(second) == key


def test_a_driver_that_says_nothing_makes_nobody_leave(plain):
    first = plain.begin()
    plain.look([first])
    for _ in range(60):
        plain.now += 1.0
        plain.tree.now += HERTZ
        plain.table.refresh({A: None, B: None}, DEVICES, plain.now, 1e9)
    second = plain.begin()
    assert plain.job(second) != plain.job(first)


def test_a_session_whose_place_was_taken_is_a_job_of_its_own_again(plain):
    """Two shells: a program in the first, one in the second, then one in the first beside it."""
    first = plain.begin()
    plain.look([first])
    key, shell, started = plain.job(first), first, plain.tree.now - HERTZ
    plain.tree.put(shell, started)  # the shell lives on, off the GPU
    plain.look(after_s=12.0)
    second = plain.begin()
    plain.look([second])
    assert plain.job(second) == key
    third = plain.begin(session=shell)
    plain.look([second, third])
    assert plain.job(third).startswith(f"{key}-{third}.")
    plain.end(second)
    fourth = plain.begin(session=shell)
    plain.look([third, fourth])
    assert plain.job(fourth) == plain.job(third)


def test_nobody_goes_on_with_what_was_severed(plain):
    shell = plain.begin()
    first = plain.begin(session=shell)
    plain.look([first])
    key = plain.job(first)
    plain.table.sever(key)
    plain.end(first)
    again = plain.begin(session=shell)  # the same session is the same job
    plain.look([again])
    assert plain.job(again) == key
    plain.end(again)
    second = plain.begin()
    plain.look([second])
    assert plain.job(second) != key
    plain.table.sever("session:of:no:job")


def test_a_pool_that_was_severed_is_gone_on_with_by_another(plain):
    pids = [plain.begin() for _ in range(20)]
    plain.look(pids)
    (pool,) = (key for key in plain.table.jobs if key.startswith("user:"))
    plain.table.sever(pool)
    before = plain.table.processes(pool)
    more = [plain.begin() for _ in range(20)]
    plain.look([*pids, *more])
    assert plain.table.processes(pool) == before
    assert len([key for key in plain.table.jobs if key.startswith("user:")]) == 2


def test_a_number_that_comes_again_is_another_session_of_the_same_job(plain):
    plain.tree.put(5, plain.tree.now)
    plain.look([5])
    key = plain.job(5)
    plain.tree.put(5, plain.tree.now)
    plain.look([5])
    assert plain.job(5) == key
    assert plain.table.jobs[key].labels["sessions"] == "2"
    plain.tree.put(5, plain.tree.now, uid=1001)
    plain.look([5])
    assert plain.job(5) != key


def test_containers_and_logins_are_what_they_are(plain):
    for place in (f"/docker/{'a' * 64}", "/user.slice/user-1000.slice/session-3.scope"):
        keys = set()
        for _ in range(3):
            pid = plain.begin(cgroup=f"0::{place}\n")
            plain.look([pid])
            keys.add(plain.job(pid))
            plain.end(pid)
        assert len(keys) == 1
        assert keys.pop().startswith(("container:", "login:"))
    assert plain.table.counts["continued"] == 0


def test_a_child_is_of_the_job_of_a_parent_that_goes_on(plain):
    first = plain.begin()
    plain.look([first])
    key = plain.job(first)
    plain.end(first)
    second = plain.begin()
    plain.look([second])
    child = plain.begin(ppid=second)
    plain.look([second, child])
    assert plain.job(child) == key
    plain.end(second)
    third = plain.begin()
    plain.look([child, third])
    assert plain.job(child) == key
    assert plain.job(third) != key


def test_without_it_each_session_is_a_job(tree):
    plain = Plain(tree, continue_s=0.0)
    for _ in range(20):
        pid = plain.begin()
        plain.look([pid])
        plain.end(pid)
    assert plain.table.counts["began"] == 20
    plain.table.close()


def test_keys_are_what_they_were_after_a_restart_on_the_same_boot(plain, tree):
    first, other = plain.begin(), plain.begin()
    plain.look([first, other])
    key = plain.job(first)
    plain.end(first)
    second = plain.begin()
    plain.look([second, other])
    saved = json.loads(json.dumps(plain.table.sessions()))
    for boot, kept in ((saved["boot"], True), ("0" * 12, False)):
        again = Plain(tree)
        again.now, tree.now = plain.now, 1000 * HERTZ + 500
        again.table.take_up(saved | {"boot": boot})
        again.look([second, other])
        assert (again.job(second) == key) is kept
        assert again.job(other) == plain.job(other)
        assert (again.table.jobs[again.job(second)].labels.get("sessions") == "2") is kept
        again.table.close()


@pytest.mark.parametrize("wrong", [None, [None], [{}], [{"key": 1}], "x", [{"key": "a", "uid": "y"}], {"a": 1}])
def test_what_was_kept_and_is_something_else_is_left_out(plain, wrong):
    plain.table.take_up({"boot": plain.table.sessions()["boot"], "jobs": wrong})
    assert len(plain.table._processes.sequences) == 0
    plain.table.take_up({})


def test_what_the_same_session_does_after_it_was_severed_is_told_apart(plain):
    shell = plain.begin()
    first = plain.begin(session=shell)
    plain.look([first])
    key = plain.job(first)
    plain.table.sever(key)
    plain.look([first])
    assert "session" not in plain.table.jobs[key].labels
    plain.end(first)
    second = plain.begin(session=shell)
    plain.look([second])
    assert plain.job(second) == key
    assert plain.table.jobs[key].labels["session"].endswith(f"+{second}.{plain.tree.now - HERTZ}")
