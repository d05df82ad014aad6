"""The table over stored trees: whose GPUs and processes are, and what of that changed."""

import math
import threading

import pytest

from hashwarden.serve.jobs.job import Job, Owner, ProcessKey
from hashwarden.serve.jobs.provider import ProviderAway
from hashwarden.serve.jobs.sessions import Sessions
from hashwarden.serve.jobs.table import JobTable
from hashwarden.serve.sources.source import Device

A, B, C = (f"GPU-{c * 8}-0000-0000-0000-000000000000" for c in "abc")
DEVICES = (Device(A, 0), Device(B, 1))
SESSION = "session:7494866814e9:{}:{}"


class Scheduler:
    """Says what it is told to say."""

    name = "slurm"

    def __init__(self):
        self.jobs, self.given, self.away, self.gate = {}, {}, "", None

    def refresh(self, devices):
        if self.gate is not None:
            self.gate.wait(30)
        if self.away:
            raise ProviderAway(self.away)

    def job_of(self, process):
        return self.jobs.get(process.pid)

    def allotted(self):
        return self.given


def slurm_job(number, *gpus, uid=1000, **more):
    return Job(f"slurm:{number}", "slurm", str(number), gpus, uid=uid, allotted=True, **more)


class Bench:
    def __init__(self, tree):
        self.tree, self.now, self.scheduler = tree, 100.0, Scheduler()
        providers = (self.scheduler, Sessions(tree.proc))
        self.table = JobTable(providers, tree.folder, lambda: self.now, wait_s=None, own=frozenset({4000}))

    def refresh(self, pids_on, after_s=1.0, unix_s=1e9, devices=DEVICES):
        self.now += after_s
        pids = {gpu: None if found is None else frozenset(found) for gpu, found in pids_on.items()}
        return self.table.refresh(pids, devices, self.now, unix_s)

    def give(self, job):
        for gpu in job.gpus:
            self.scheduler.given = {**self.scheduler.given, gpu: (*self.scheduler.given.get(gpu, ()), job)}


@pytest.fixture
def bench(tree):
    bench = Bench(tree)
    yield bench
    bench.table.close()


def keys(changes):
    return [[job.key for job in jobs] for jobs in (changes.began, changes.ended, changes.changed)]


def on(bench, gpu):
    return [job.key for job in bench.table.jobs_on(gpu)]


def test_a_process_on_a_gpu_is_a_job_of_its_session_that_begins_and_lingers_and_ends(bench):
    bench.tree.put(5, 100)
    key = SESSION.format(5, 100)
    assert keys(bench.refresh({A: [5], B: []}, unix_s=123.0)) == [[key], [], []]
    job = bench.table.jobs[key]
    assert (job.kind, job.gpus, job.uid, job.started_unix_s, job.allotted) == ("process", (A,), 1000, 123.0, False)
    assert (on(bench, A), on(bench, B)) == ([key], [])
    assert bench.table.own_pids(A) == {5}
    assert bench.table.processes(key) == (ProcessKey(5, 100),)
    assert keys(bench.refresh({A: [5], B: []})) == [[], [], []]
    bench.tree.end(5)
    assert keys(bench.refresh({A: [], B: []}))[:2] == [[], []]
    assert on(bench, A) == []
    bench.tree.put(6, 200, session=5)  # the next program of the same session
    bench.refresh({A: [], B: [6]})
    assert bench.table.jobs[key].started_unix_s == 123.0
    bench.tree.end(6)
    assert keys(bench.refresh({A: [], B: []}, 61.0))[1] == [key]
    assert bench.table.jobs == {}
    assert (bench.table.counts["began"], bench.table.counts["ended"]) == (1, 1)


def test_a_driver_that_fails_to_tell_for_a_moment_changes_nothing(bench):
    bench.tree.put(5, 100)
    bench.tree.put(6, 100, session=5)
    bench.refresh({A: [5, 6], B: []})
    bench.tree.end(6)
    for _ in range(9):
        assert keys(bench.refresh({A: None})) == [[], [], []]
        assert on(bench, A) == [SESSION.format(5, 100)]
    assert bench.table.own_pids(A) == {5}
    bench.refresh({A: None, B: []}, 3.0)
    assert on(bench, A) == [f"gpu:{A}"]


def test_a_number_that_comes_again_is_not_the_job_before(bench):
    bench.tree.put(5, 100)
    bench.refresh({A: [5]})
    bench.tree.put(5, 900, uid=1001)
    assert bench.table.owner(5).job == SESSION.format(5, 900)
    bench.refresh({A: [5]})
    assert on(bench, A) == [SESSION.format(5, 900)]
    assert bench.table.jobs[SESSION.format(5, 900)].uid == 1001
    assert bench.table.processes(SESSION.format(5, 100)) == ()


def test_a_schedulers_job_has_its_gpus_with_processes_and_without(bench):
    bench.give(slurm_job(7, A, B))
    bench.tree.put(5, 100)
    bench.scheduler.jobs[5] = slurm_job(7, A, B)
    assert keys(bench.refresh({A: [5], B: []})) == [["slurm:7"], [], []]
    assert (on(bench, A), on(bench, B)) == (["slurm:7"], ["slurm:7"])
    assert bench.table.jobs["slurm:7"].gpus == (A, B)
    assert bench.table.jobs["slurm:7"].allotted
    assert bench.table.owner(5) == Owner("slurm:7", (A,))
    bench.scheduler.given = {}
    bench.tree.end(5)
    assert keys(bench.refresh({A: [], B: []}))[1] == ["slurm:7"]


def test_a_shared_gpu_belongs_to_several_and_its_processes_to_nobody_alone(bench):
    bench.give(slurm_job(7, A))
    for pid, number in ((5, 7), (6, 8)):
        bench.tree.put(pid, 100)
        bench.scheduler.jobs[pid] = slurm_job(number, A)
    bench.refresh({A: [5, 6], B: []})
    assert on(bench, A) == ["slurm:7", "slurm:8"]
    assert bench.table.own_pids(A) == frozenset()
    assert not any(job.allotted for job in bench.table.jobs.values())
    bench.tree.end(6)
    bench.refresh({A: [5], B: []})
    assert on(bench, A) == ["slurm:7"]
    assert bench.table.own_pids(A) == {5}
    assert bench.table.jobs["slurm:7"].allotted


def test_a_job_on_a_gpu_that_it_was_not_given_is_marked(bench):
    bench.give(slurm_job(7, A))
    bench.tree.put(5, 100)
    bench.scheduler.jobs[5] = slurm_job(7, A)
    changes = bench.refresh({A: [5], B: [5]})
    (job,) = changes.began
    assert (job.gpus, job.allotted, job.labels["beyond_allotment"]) == ((A, B), False, "1")


def test_mig_instances_are_devices_of_their_own(bench):
    devices = (Device("MIG-1", 0, mig=1), Device("MIG-2", 0, mig=2))
    bench.give(slurm_job(7, "MIG-1"))
    bench.give(slurm_job(8, "MIG-2", uid=1001))
    bench.tree.put(5, 100)
    bench.scheduler.jobs[5] = slurm_job(7, "MIG-1")
    bench.refresh({"MIG-1": [5], "MIG-2": []}, devices=devices)
    assert (on(bench, "MIG-1"), on(bench, "MIG-2")) == (["slurm:7"], ["slurm:8"])
    assert bench.table.jobs["slurm:8"].allotted


def test_where_the_driver_tells_no_processes_the_scheduler_alone_speaks(bench):
    bench.give(slurm_job(7, A))
    bench.refresh({A: None, B: None})
    assert on(bench, A) == ["slurm:7"]
    assert on(bench, B) == [f"gpu:{B}"]  # busy or not, it is watched
    assert bench.table.jobs[f"gpu:{B}"].gpus == (B,)
    bench.tree.put(5, 100)
    bench.scheduler.jobs[5] = slurm_job(9, B)
    assert bench.table.owner(5) == Owner("slurm:9", (B,))  # its environment says so, and nobody else has it
    bench.refresh({A: None, B: None})
    assert on(bench, B) == ["slurm:9"]
    assert bench.table.own_pids(B) == {5}


def test_a_process_that_proc_does_not_show_makes_the_gpu_somebodys_else(bench):
    bench.give(slurm_job(7, A))
    for _ in range(3):
        bench.refresh({A: [666], B: []})
        assert on(bench, A) == ["slurm:7"]  # it may have just ended
    bench.refresh({A: [666], B: []})
    assert on(bench, A) == ["slurm:7", f"gpu:{A}"]
    assert bench.table.jobs[f"gpu:{A}"].labels == {"hidden": "1"}
    assert bench.table.counts["hidden"] == 1
    bench.refresh({A: [], B: []})
    assert on(bench, A) == ["slurm:7"]


@pytest.mark.parametrize("comm", [b"nv-hostengine", b"nvidia-persiste", b"nvidia-cuda-mps"])
def test_daemons_of_root_make_no_gpu_a_shared_one_and_hide_none(bench, comm):
    bench.give(slurm_job(7, A))
    bench.tree.put(5, 100, uid=0, comm=comm, cgroup="0::/system.slice/x.service\n")
    bench.refresh({A: [5], B: [5]})
    assert (on(bench, A), on(bench, B)) == (["slurm:7"], [f"gpu:{B}"])
    assert bench.table.owner(5) is None


@pytest.mark.parametrize(
    ("uid", "cgroup"),
    [(1000, "0::/system.slice/x.service\n"), (0, f"0::/docker/{'a' * 64}\n"), (0, "0::/user.slice/user-0.slice/x\n")],
)
def test_a_name_alone_makes_no_daemon(bench, uid, cgroup):
    bench.give(slurm_job(7, A, uid=1001))
    bench.tree.put(5, 100, uid=uid, comm=b"nv-hostengine", cgroup=cgroup)
    bench.refresh({A: [5], B: []})
    assert len(on(bench, A)) == 2


def test_an_mps_server_belongs_to_the_job_of_its_user_and_else_is_a_tenant(bench):
    bench.give(slurm_job(7, A))
    bench.tree.put(5, 100, uid=1000, comm=b"nvidia-cuda-mps")
    bench.refresh({A: [5], B: []})
    assert on(bench, A) == ["slurm:7"]
    bench.tree.put(6, 100, uid=1001, comm=b"nvidia-cuda-mps")
    bench.refresh({A: [5, 6], B: []})
    assert on(bench, A) == ["slurm:7", SESSION.format(6, 100)]


def test_what_we_do_on_a_gpu_is_nobodys_job(bench):
    bench.tree.put(4000, 100)
    bench.refresh({A: [4000], B: []})
    assert bench.table.jobs == {}
    assert bench.table.owner(4000) is None


def test_what_outlives_its_job_stays_its_and_is_told_of(bench):
    bench.give(slurm_job(7, A))
    bench.tree.put(5, 100)
    bench.scheduler.jobs[5] = slurm_job(7, A)
    bench.refresh({A: [5], B: []})
    bench.scheduler.jobs, bench.scheduler.given = {}, {}
    bench.give(slurm_job(8, A, uid=1001))  # the next job on the same GPU
    changes = bench.refresh({A: [5], B: []}, 31.0)
    assert keys(changes)[:2] == [["slurm:8"], []]
    assert bench.table.jobs["slurm:7"].labels["escaped"] == "1"
    assert on(bench, A) == ["slurm:8", "slurm:7"]  # nobody is judged alone by what both do
    bench.tree.end(5)
    assert keys(bench.refresh({A: [], B: []}))[1] == ["slurm:7"]


def test_a_job_that_is_requeued_ends_and_another_begins(bench):
    bench.give(slurm_job(7, A))
    bench.refresh({})
    bench.scheduler.given = {A: (Job("slurm:7-r1", "slurm", "7", (A,), uid=1000),)}
    assert keys(bench.refresh({})) == [["slurm:7-r1"], ["slurm:7"], []]


def test_a_scheduler_that_is_away_leaves_its_jobs_marked_stale_for_an_hour(bench):
    bench.give(slurm_job(7, A))
    bench.refresh({})
    bench.scheduler.away = "no\x1b[2J answer"
    bench.refresh({})
    changes = bench.refresh({})
    assert bench.table.jobs["slurm:7"].labels["stale"] == "1"
    assert keys(changes)[1] == []
    assert bench.table.health["slurm"].error == "no\\x1b[2J answer"
    bench.refresh({}, 3700.0)
    assert bench.table.jobs.keys() == {f"gpu:{A}", f"gpu:{B}"}
    bench.scheduler.away = ""
    bench.refresh({})
    bench.refresh({})
    assert on(bench, A) == ["slurm:7"]
    assert "stale" not in bench.table.jobs["slurm:7"].labels
    assert bench.table.health["slurm"].away_s == 0.0


def test_a_provider_that_hangs_or_fails_stops_nobody(tree):
    hanging, failing = Scheduler(), Scheduler()
    hanging.gate, failing.name = threading.Event(), "kubernetes"
    failing.job_of = failing.allotted = failing.refresh = lambda *_: 1 / 0
    tree.put(5, 100)
    now = 100.0
    table = JobTable((hanging, failing, Sessions(tree.proc)), tree.folder, lambda: now, wait_s=0.0, own=frozenset())
    table.refresh({A: frozenset({5})}, DEVICES, now, 1e9)
    assert [job.key for job in table.jobs_on(A)] == [SESSION.format(5, 100)]
    assert table.health["kubernetes"].faults >= 2
    assert table.health["kubernetes"].error == "ZeroDivisionError: division by zero"
    now += 61
    table.refresh({}, DEVICES, now, 1e9)
    assert table.health["slurm"].away_s == 61
    hanging.gate.set()
    table.close()


def test_the_wall_clock_may_jump(bench):
    bench.tree.put(5, 100)
    for unix_s in (1e9, -5.0, 4e9, math.nan, 1e9):
        changes = bench.refresh({A: [5]}, unix_s=unix_s)
    assert keys(changes) == [[], [], []]
    assert bench.table.jobs[SESSION.format(5, 100)].started_unix_s == 1e9


def test_one_who_was_asked_about_is_watched_before_the_driver_shows_it(bench):
    bench.tree.put(5, 100)
    assert bench.table.owner(5) == Owner(SESSION.format(5, 100), ())
    assert keys(bench.refresh({A: [], B: []}))[0] == [SESSION.format(5, 100)]
    bench.refresh({A: [5], B: []})
    assert bench.table.owner(5).gpus == (A,)
    assert bench.table.owner(99) is None
    assert bench.table.owner(-1) is None
    assert bench.table.counts["gone"] == 2


def test_whether_one_is_watched_can_be_asked_of_every_process_and_makes_no_job(bench):
    bench.tree.put(5, 100)
    bench.refresh({A: [5], B: []})
    for pid in range(5000, 5100):
        bench.tree.put(pid, 100)
    assert [pid for pid in (5, *range(5000, 5100), 99, -1) if bench.table.watches(pid)] == [5]
    assert keys(bench.refresh({A: [5], B: []})) == [[], [], []]
    assert list(bench.table.jobs) == [SESSION.format(5, 100)]


def test_too_many_unknown_processes_in_a_second_are_refused_and_counted(bench):
    for pid in range(5000, 5300):
        bench.tree.put(pid, 100)
    known = [pid for pid in range(5000, 5300) if bench.table.owner(pid) is not None]
    assert (len(known), bench.table.counts["refused"]) == (250, 50)
    bench.now += 1.0
    assert bench.table.owner(5299) is not None
    assert all(bench.table.owner(pid) is not None for pid in known)  # these cost no look-up


def test_nobodys_process_is_looked_up_once_in_a_while(tree):
    calls, now = [], 100.0
    nobody = Scheduler()
    nobody.job_of = lambda process: calls.append(process.pid)
    table = JobTable((nobody,), tree.folder, lambda: now, wait_s=None, own=frozenset())
    tree.put(5, 100)
    assert [table.owner(5) for _ in range(10)] == [None] * 10
    assert len(calls) == 1
    table.refresh({A: frozenset({5})}, DEVICES, now, 1e9)
    assert [job.key for job in table.jobs_on(A)] == [f"gpu:{A}"]
    table.close()


def test_a_job_learnt_late_is_told_of_without_waiting(bench):
    bench.tree.put(5, 100)
    bench.scheduler.jobs[5] = Job("slurm:7", "slurm", "7")
    bench.refresh({A: [5], B: []})
    bench.give(slurm_job(7, A, account="lab"))
    bench.scheduler.jobs[5] = slurm_job(7, A, account="lab")
    (job,) = bench.refresh({A: [5], B: []}).changed
    assert (job.account, job.uid) == ("lab", 1000)


def test_a_process_that_turns_out_to_be_a_schedulers_leaves_no_session_behind(bench):
    bench.tree.put(5, 100)
    bench.refresh({A: [5], B: []})
    bench.scheduler.jobs[5] = slurm_job(7)
    changes = bench.refresh({A: [5], B: []}, 3.0)
    assert keys(changes) == [["slurm:7"], [SESSION.format(5, 100)], []]


def test_hundreds_of_jobs_one_after_the_other_leave_nothing(bench):
    for number in range(300):
        bench.tree.put(5, 100 + number, uid=1000 + number)
        bench.refresh({A: [5], B: []}, 1.0)
    assert len(bench.table.jobs) <= 62
    assert len(bench.table._processes) == 1
    bench.tree.end(5)
    bench.refresh({A: [], B: []}, 62.0)
    assert bench.table.jobs == {}
    assert bench.table._placement._last == {}
    assert (bench.table.counts["began"], bench.table.counts["ended"]) == (300, 300)
