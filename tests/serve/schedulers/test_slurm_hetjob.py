"""Heterogeneous jobs of a real Slurm: each part runs on a node of its own, and has a number of its own."""

import importlib.util
import math
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.proc import Proc
from hashwarden.serve.jobs.slurm import Slurm as Provider
from hashwarden.serve.schedulers.options import SchedulerOptions
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Result
from hashwarden.serve.schedulers.slurm import Slurm as Scheduler
from hashwarden.serve.sources.source import Device

pytestmark = pytest.mark.slurm

_SPEC = importlib.util.spec_from_file_location("slurm_cluster", Path(__file__).parents[2] / "slurm_cluster.py")
cluster = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(cluster)

A, B = (f"GPU-{c * 8}-0000-0000-0000-000000000000" for c in "ab")
WAIT_S = 60.0


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[object]:
    with cluster.running(2) as running:
        (running.folder / "scratch").mkdir()
        (running.folder / "scratch").chmod(0o777)
        yield running


@pytest.fixture
def slurm(two_nodes, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", two_nodes.env["SLURM_CONF"])
    two_nodes.clear()
    yield two_nodes
    two_nodes.clear()


def until(slurm, holds):
    cluster.until(holds, "what is to come", lambda: str(states(slurm)) + slurm.logs(), WAIT_S)


def states(slurm):
    """State, restarts, and whether it is held, by offset."""
    asked = "HetJobOffset:8,State:20,RestartCnt:8,PriorityLong:12"
    lines = slurm.run("squeue", "--noheader", "--all", "--states=all", "-O", asked).stdout.splitlines()
    rows = [line.split() for line in lines if line.strip()]
    return {int(offset): (state, int(count), priority == "0") for offset, state, count, priority in rows}


def submit(slurm, *options, script="srun --het-group=0,1 sleep 300"):
    """A job of two parts with a GPU each; returns the numbers of the leader and of the other."""
    path = slurm.folder / "jobs" / f"{time.monotonic_ns()}.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    words = ("--parsable", "--output=/dev/null", *options, "--gres=gpu:1", ":", *options, "--gres=gpu:1")
    done = slurm.run("sbatch", *words, str(path), user="daemon")
    assert done.returncode == 0, done.stderr
    leader = int(done.stdout)
    return leader, leader + 1


def start(slurm, **more):
    """The same, when both parts run, as the agents of the two nodes know them."""
    numbers = submit(slurm, **more)
    until(slurm, lambda: {state for state, _, _ in states(slurm).values()} == {"RUNNING"} and len(states(slurm)) == 2)
    parts = []
    for node, number in zip(slurm.nodes, numbers, strict=True):
        options = JobOptions(node=node, cgroups=slurm.folder / "none", driver=slurm.folder / "none",
                             gpustat=slurm.folder / "none")  # fmt: skip
        provider = Provider(options)
        provider.refresh((Device(A, 0), Device(B, 1)))
        [job] = provider.allotted()[A]
        assert job.id == str(number)
        parts.append(SimpleNamespace(provider=provider, job=job, scheduler=Scheduler(SchedulerOptions(node, 20.0))))
    return parts


def action(kind, job, number=1, **parameters):
    now = time.time()
    return Action(f"case-7.{number}", kind, job, "case-7", "mining", now, now + 600, parameters)


def test_each_part_is_a_job_of_its_node_though_all_processes_name_the_leader(slurm):
    scratch = slurm.folder / "scratch"
    names = f"{scratch}/pid.$SLURM_PROCID"
    script = f"srun --het-group=0,1 sh -c 'echo $$ > {names}.part; mv {names}.part {names}; sleep 300; :'"
    leader, other = start(slurm, script=script)
    assert (leader.job.labels["het_job"], other.job.labels["het_job"]) == (f"{leader.job.id}+0", f"{leader.job.id}+1")
    until(slurm, lambda: (scratch / "pid.0").exists() and (scratch / "pid.1").exists())
    for part, name in ((leader, "pid.0"), (other, "pid.1")):
        facts = Proc().facts(int((scratch / name).read_text()))
        assert facts.environment["SLURM_JOB_ID"] == leader.job.id
        found = part.provider.job_of(facts)
        assert (found.key, found.labels["source"], found.gpus) == (part.job.key, "environment", (A,))
        assert part.provider.counts["forged_environments"] == 0


def test_a_part_that_is_new_is_found_by_the_leaders_number_that_its_process_names(slurm):
    """The prolog tells of another job, so that all jobs are asked for every ten minutes."""
    gpustat = slurm.folder / "only-others"
    gpustat.mkdir(mode=0o755)
    (gpustat / "1").write_text("9 1\n")
    options = JobOptions(node=slurm.nodes[1], cgroups=slurm.folder / "none", driver=slurm.folder / "none",
                         gpustat=gpustat, soonest_s=0.1)  # fmt: skip
    provider = Provider(options)
    provider.refresh((Device(A, 0), Device(B, 1)))
    scratch = slurm.folder / "scratch"
    script = f"srun --het-group=0,1 sh -c 'echo $$ > {scratch}/new.$SLURM_PROCID; sleep 300; :'"
    _, other = start(slurm, script=script)
    until(slurm, lambda: (scratch / "new.1").exists() and (scratch / "new.1").read_text().strip() != "")
    facts = Proc().facts(int((scratch / "new.1").read_text()))

    def is_found():
        found = provider.job_of(facts)
        provider.refresh((Device(A, 0), Device(B, 1)))
        return found is not None and found.key == other.job.key

    until(slurm, is_found)


def test_a_part_is_warned_and_cancelled_alone_and_the_leader_takes_all_along(slurm):
    leader, other = start(slurm)
    assert other.scheduler.apply(action(ActionKind.WARN, other.job)).result is Result.DONE
    shown = [slurm.run("scontrol", "show", "job", f"{leader.job.id}+{offset}").stdout for offset in (0, 1)]
    assert ["[hashwarden case-7 warn" in text for text in shown] == [False, True]
    assert other.scheduler.apply(action(ActionKind.CANCEL, other.job, 2)).result is Result.DONE
    assert {offset: state for offset, (state, _, _) in states(slurm).items()} == {0: "RUNNING", 1: "CANCELLED"}
    assert other.scheduler.apply(action(ActionKind.CANCEL, other.job, 3)).result is Result.ALREADY
    slurm.clear()
    leader, other = start(slurm)
    assert leader.scheduler.apply(action(ActionKind.CANCEL, leader.job, 4)).result is Result.DONE
    until(slurm, lambda: all(states(slurm)[offset][0] in {"CANCELLED", "COMPLETING"} for offset in states(slurm)))


@pytest.mark.parametrize("which", [0, 1])
def test_any_part_puts_the_whole_job_back_into_the_queue_and_lets_it_go_again(slurm, which):
    """Slurm requeues no part alone, and takes no other address than the leader's number for that."""
    part = start(slurm)[which]
    held = part.scheduler.apply(action(ActionKind.REQUEUE_HOLD, part.job))
    assert (held.result, held.detail) == (Result.DONE, "in the queue, held")
    until(slurm, lambda: set(states(slurm).values()) == {("PENDING", 1, True)})
    again = part.scheduler.apply(action(ActionKind.REQUEUE_HOLD, part.job))
    assert again.result is Result.ALREADY
    freed = part.scheduler.apply(action(ActionKind.RELEASE, part.job, 2, of="requeuehold"))
    assert (freed.result, freed.detail) == (Result.DONE, "released")
    until(slurm, lambda: set(states(slurm).values()) == {("PENDING", 1, False)})


def test_a_part_that_waits_is_cancelled_with_its_leader_alone(slurm):
    numbers = submit(slurm, "--hold")
    until(slurm, lambda: set(states(slurm).values()) == {("PENDING", 0, True)})
    scheduler = Scheduler(SchedulerOptions(slurm.node, 5.0))
    other, leader = (Job(f"slurm:{n}", "slurm", str(n), user="daemon", uid=1, started_unix_s=math.nan)
                     for n in reversed(numbers))  # fmt: skip
    assert scheduler.apply(action(ActionKind.CANCEL, other)).result is Result.REFUSED
    assert set(states(slurm).values()) == {("PENDING", 0, True)}
    assert scheduler.apply(action(ActionKind.CANCEL, leader, 2)).result is Result.DONE
    assert {state for state, _, _ in states(slurm).values()} == {"CANCELLED"}
