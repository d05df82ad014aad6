"""The mapping from processes to jobs with a real Slurm of Debian, which tracks processes without cgroups."""

import os
import time
from pathlib import Path

import pytest

from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.proc import Proc
from hashwarden.serve.jobs.sessions import Sessions
from hashwarden.serve.jobs.slurm import Slurm
from hashwarden.serve.jobs.table import JobTable
from hashwarden.serve.sources.source import Device

pytestmark = pytest.mark.slurm

A, B = (f"GPU-{c * 8}-0000-0000-0000-000000000000" for c in "ab")
DEVICES = (Device(A, 0), Device(B, 1))
ROW = "9|9|N/A|N/A|N/A|0|root|x|gpu|x|0|1|R|1|"
NAME = f"a b UserId=root(0)|x\n{ROW}\n     Nodes={{node}} CPU_IDs=0 Mem=0 GRES=gpu:2(IDX:0-1)"


class Bench:
    def __init__(self, slurm, folder, **options):
        self.options = JobOptions(**{
            "node": slurm.node, "cgroups": folder, "driver": folder, "timeout_s": 2.0,
            "every_s": 0.2, "soonest_s": 0.1, "whole_s": 1.0,
            "gpustat": folder / "gpustat",
        } | options)  # fmt: skip
        self.cluster, self.slurm = slurm, Slurm(self.options)
        self.table = JobTable((self.slurm, Sessions(Proc())), wait_s=None)
        self.pids = {A: frozenset(), B: frozenset()}

    def refresh(self):
        return self.table.refresh(self.pids, DEVICES, time.monotonic(), time.time())

    def until(self, holds):
        end = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < end, (self.table.jobs, self.table.health, self.slurm.counts, self.told())
            time.sleep(0.05)
            self.refresh()

    def told(self):
        return self.cluster.run("scontrol", "show", "job").stdout + self.cluster.logs()

    def on(self, gpu):
        return [job.key for job in self.table.jobs_on(gpu)]


@pytest.fixture
def bench(slurm, tmp_path):
    bench = Bench(slurm, tmp_path)
    yield bench
    bench.table.close()


def pid_in(file: Path) -> int:
    end = time.monotonic() + 20
    while not file.exists() or not file.read_text().strip():
        assert time.monotonic() < end
        time.sleep(0.02)
    return int(file.read_text())


@pytest.fixture
def scratch(slurm):
    """Where jobs of any user can write."""
    folder = slurm.folder / "scratch"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    return folder


def test_jobs_of_an_array_are_known_with_gpus_and_processes_and_hostile_names(slurm, bench, scratch):
    script = f"echo $$ > {scratch}/array.$SLURM_ARRAY_TASK_ID.part; cd {scratch}\n"
    script += "mv array.$SLURM_ARRAY_TASK_ID.part array.$SLURM_ARRAY_TASK_ID; sleep 300"
    array = slurm.submit(script, "--array=3-4", "--job-name", NAME.format(node=slurm.node), "--comment", "hi | there")
    bench.until(lambda: bench.on(A) and bench.on(B))
    jobs = {job.id: job for job in bench.table.jobs.values()}
    assert jobs.keys() == {f"{array}_3", f"{array}_4"}
    for job in jobs.values():
        assert (job.user, job.uid, job.partition, job.interactive, job.allotted) == ("daemon", 1, "gpu", False, True)
        assert len(job.gpus) == 1
        assert abs(job.started_unix_s - time.time()) < 60
        assert job.labels["forged_output"] == "1"
        assert job.name.startswith("a b UserId=root(0)|x")
    assert bench.slurm.counts["hostile_names"] == 2
    assert slurm.run("scontrol", "show", "job", "9").returncode != 0  # the name alone spoke of it
    for task in ("3", "4"):
        pid, job = pid_in(scratch / f"array.{task}"), jobs[f"{array}_{task}"]
        bench.pids = {gpu: frozenset({pid}) if gpu in job.gpus else frozenset() for gpu in (A, B)}
        bench.until(lambda job=job: bench.table.jobs[job.key].labels and bench.on(job.gpus[0]) == [job.key])
        assert bench.table.owner(pid).job == job.key
        assert bench.table.own_pids(job.gpus[0]) == {pid}


def test_a_process_that_forged_the_number_of_anothers_job_is_not_of_it(slurm, bench, scratch):
    victim = slurm.start_job("sleep 300", user="daemon")
    forge = f"export SLURM_JOB_ID={victim}; exec sh -c 'echo $$ > {scratch}/forged; sleep 300; :'"
    slurm.start_job(forge, user="nobody")
    pid = pid_in(scratch / "forged")
    assert Proc().facts(pid).environment["SLURM_JOB_ID"] == victim
    bench.until(lambda: bench.on(A) and bench.on(B))
    bench.pids = {A: frozenset({pid}), B: frozenset()}
    bench.until(lambda: bench.table.owner(pid) is not None and bench.table.owner(pid).job.startswith("slurm:"))
    owner = bench.table.jobs[bench.table.owner(pid).job]
    assert owner.user == "nobody"
    assert owner.id != victim


def test_a_process_that_left_its_job_and_outlives_it_stays_its(slurm, bench, scratch):
    left = f"setsid sh -c 'echo $$ > {scratch}/left; exec sleep 300' & sleep 1.5"
    number = slurm.start_job(left, "--job-name=leaves")
    pid = pid_in(scratch / "left")
    bench.pids = {A: frozenset({pid}), B: frozenset()}
    bench.until(lambda: bench.on(A) == [f"slurm:{number}"])
    try:
        slurm.wait(number, "COMPLETED")
        bench.until(lambda: bench.slurm.allotted() == {})
        if Proc().stat(pid) is not None:  # Slurm's linuxproc ends what it can follow
            assert bench.on(A) == [f"slurm:{number}"]
            bench.until(lambda: bench.table.jobs[f"slurm:{number}"].labels.get("escaped") == "1")
    finally:
        if Proc().stat(pid) is not None:
            os.kill(pid, 9)


def test_a_job_that_is_requeued_is_another_run(slurm, bench):
    number = slurm.start_job("sleep 300", "--requeue")
    bench.until(lambda: bench.on(A) == [f"slurm:{number}"])
    slurm.run("scontrol", "requeue", number)
    bench.until(lambda: not bench.on(A))

    bench.until(lambda: again(slurm, number) and [f"slurm:{number}-r1"] in (bench.on(A), bench.on(B)))


def again(slurm, number):
    """Let a requeued job run.

    Slurm lets it wait for two minutes, and forgets that it shall not while it is still completing. Told so at every
    look, it would always begin in a moment, and never now. Told so at once, it fails: for slurmd, what begins in the
    second in which it was ended is ended already.
    """
    if time.monotonic() - TOLD.setdefault(number, time.monotonic()) > 2:
        slurm.run("scontrol", "update", f"JobId={number}", "StartTime=now")
        TOLD[number] = time.monotonic()
    return True


TOLD: dict[str, float] = {}


@pytest.mark.parametrize("hides", [False, True])
def test_a_requeued_job_is_found_though_all_jobs_are_asked_for_every_ten_minutes(slurm, tmp_path, scratch, hides):
    """By its process alone: the prolog tells of another job; without an environment, by the step daemons."""
    other = slurm.start_job()
    (tmp_path / "gpustat").mkdir(mode=0o755)
    (tmp_path / "gpustat" / "7").write_text(f"{other} 1\n")
    bench = Bench(slurm, tmp_path, every_s=2.0, soonest_s=0.5, whole_s=600.0)
    file = f"{scratch}/requeued.{hides}"
    run = f"sh -c 'echo $$ > {file}.$N; sleep 300; :'"
    begin = "exec env -i N=$N" if hides else "export N; exec"
    number = slurm.start_job(f"N=${{SLURM_RESTART_COUNT:-0}}; {begin} {run}", "--requeue")
    bench.pids = {A: frozenset(), B: frozenset({pid_in(Path(f"{file}.0"))})}
    bench.until(lambda: f"slurm:{number}" in bench.table.jobs)
    slurm.run("scontrol", "requeue", number)
    bench.until(lambda: number not in {job.id for gpu in (A, B) for job in bench.slurm.allotted().get(gpu, ())})
    bench.until(lambda: again(slurm, number) and Path(f"{file}.1").exists())
    bench.pids = {A: frozenset(), B: frozenset({pid_in(Path(f"{file}.1"))})}
    bench.until(lambda: f"slurm:{number}-r1" in bench.table.jobs)
    assert bench.table.owner(pid_in(Path(f"{file}.1"))).job == f"slurm:{number}-r1"
    bench.table.close()


def test_a_controller_that_is_down_leaves_what_was_known(slurm, bench):
    number = slurm.start_job()
    bench.until(lambda: bench.on(A) == [f"slurm:{number}"])
    slurm.stop_controller()
    bench.until(lambda: bench.table.jobs[f"slurm:{number}"].labels.get("stale") == "1")
    assert bench.on(A) == [f"slurm:{number}"]
    slurm.start_controller()
    bench.until(lambda: "stale" not in bench.table.jobs[f"slurm:{number}"].labels)


def test_an_agent_that_starts_while_the_controller_is_down_knows_what_the_prolog_wrote(slurm, tmp_path):
    number = slurm.start_job()
    (tmp_path / "gpustat").mkdir(mode=0o755)
    (tmp_path / "gpustat" / "0").write_text(f"{number} 1\n")  # as the prolog does
    slurm.stop_controller()
    bench = Bench(slurm, tmp_path)
    bench.refresh()
    assert bench.on(A) == [f"slurm:{number}"]
    job = bench.table.jobs[f"slurm:{number}"]
    assert (job.user, job.account, job.labels["stale"], job.labels["gpus_from"]) == ("daemon", "", "1", "gpustat")
    slurm.start_controller()
    bench.until(lambda: bench.table.jobs[f"slurm:{number}"].partition == "gpu")
    slurm.run("scancel", number)
    bench.until(lambda: f"slurm:{number}" not in bench.table.jobs)
    bench.table.close()


def test_a_controller_that_says_nothing_stops_no_refresh(slurm, bench):
    number = slurm.start_job()
    bench.until(lambda: bench.on(A) == [f"slurm:{number}"])
    table = JobTable((bench.slurm,), wait_s=0.05)
    with slurm.controller_frozen():
        for _ in range(10):
            start = time.monotonic()
            table.refresh(bench.pids, DEVICES, start, time.time())
            time.sleep(0.05)
        assert [job.key for job in table.jobs_on(A)] == [f"slurm:{number}"]
    table.close()


def test_a_short_job_between_two_looks_is_counted(slurm, bench):
    bench.refresh()
    bench.until(lambda: bench.slurm.counts["questions"] > 1)
    before = bench.slurm.counts["unseen_jobs"]
    number = slurm.submit("true")
    slurm.wait(number, "COMPLETED")
    bench.until(lambda: bench.slurm.counts["unseen_jobs"] == before + 1)
    assert not any(job.startswith("slurm:") for job in bench.table.jobs)
