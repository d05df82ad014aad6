"""Jobs that nothing but their processes tells of, and what a user's false words about jobs may cost."""

from contextlib import suppress
from itertools import islice

import pytest
from slurm_printed import SQUEUE, A, B, keys

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.jobs.provider import ProcessFacts, ProviderAway


@pytest.mark.parametrize("seen_to_end", [True, False])
def test_a_job_that_runs_again_is_found_by_what_its_process_says(cluster, seen_to_end):
    """Where root tells of other jobs alone, so that all jobs of the node are asked for every ten minutes."""
    (cluster.folder / "gpustat/1").write_text("9 1000\n")
    cluster.detail(7, "gpu:1(IDX:0)")
    cluster.rows((7, 1000, 0, "R", 100))
    cluster.refresh()
    if seen_to_end:
        cluster.rows((7, 1000, 1, "PD", 100))
        cluster.refresh()
        assert keys(cluster) == {}
        for _ in range(20):  # what is left of the old run lives on for a while
            cluster.job_of(4, uid=1000, environ={"SLURM_JOB_ID": "7"})
            cluster.refresh(1.0)
        assert cluster.asked("one") <= 6
    cluster.detail(7, "gpu:1(IDX:1)")
    cluster.rows((7, 1000, 1, "R", 200))
    assert cluster.job_of(5, uid=1000, environ={"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "1"}).key == "slurm:7"
    for _ in range(16):
        cluster.refresh(1.0)
    assert keys(cluster) == {B: ["slurm:7-r1"]}
    assert cluster.asked("all") == 1


def test_a_job_that_runs_again_and_hides_its_environment_is_found_by_the_step_daemons(cluster):
    (cluster.folder / "gpustat/1").write_text("9 1000\n")
    cluster.detail(7, "gpu:1(IDX:0)")
    cluster.rows((7, 1000, 0, "R", 100))
    cluster.refresh()
    cluster.rows((7, 1000, 1, "PD", 100))
    cluster.refresh()
    cluster.rows((7, 1000, 1, "R", 200))
    (cluster.folder / "pids").write_text("PID JOBID STEPID LOCALID GLOBALID\n5 7 batch 0 0\n")
    assert cluster.job_of(5, uid=1000) is None
    for _ in range(16):
        cluster.refresh(1.0)
    assert keys(cluster) == {A: ["slurm:7-r1"]}
    assert cluster.job_of(5, uid=1000).key == "slurm:7-r1"
    assert cluster.asked("all") == 1


def test_who_names_thousands_of_jobs_keeps_nobodys_job_from_being_seen(cluster):
    cluster.cgroup(7)
    cluster.rows((7, 1000, 0, "R", 1))
    cluster.detail(7, "gpu:1(IDX:0)")
    cluster.refresh()
    numbers = iter(range(100_000, 200_000))

    def flood(seconds):
        for _ in range(seconds):
            for number in islice(numbers, 40):
                said = {"SLURM_JOB_ID": str(number)}
                cluster.slurm.job_of(ProcessFacts(ProcessKey(5, number), 1, 5, 1001, "x", (), lambda s=said: s))
            cluster.refresh(1.0)

    flood(6)
    asked = cluster.asked("one")
    cluster.rows((7, 1000, 0, "CD", 1), (8, 1000, 0, "R", 1))
    cluster.detail(8, "gpu:1(IDX:1)")
    cluster.cgroup(8)
    flood(10)
    assert keys(cluster) == {A: ["slurm:7"], B: ["slurm:8"]}  # what is new comes first
    flood(50)
    assert keys(cluster) == {B: ["slurm:8"]}  # and what is known in its turn
    assert cluster.asked("one") - asked <= 8 * 60 / 5 + 10
    assert len(cluster.slurm._wanted) <= 512 * 3


def test_a_controller_that_is_away_is_not_asked_more_often_for_what_processes_say(cluster):
    cluster.rows((7, 1000, 0, "R", 1))
    cluster.cgroup(9)
    cluster.refresh()
    cluster.rows()
    cluster.refresh()
    cluster.script("squeue", f"echo one >> {cluster.folder}/asked; exit 1")
    before = cluster.asked("one")
    for _ in range(120):
        cluster.job_of(5, uid=1000, environ={"SLURM_JOB_ID": "7"})
        with suppress(ProviderAway):
            cluster.refresh(1.0)
    assert cluster.asked("one") - before <= 8
    cluster.script("squeue", SQUEUE.format(folder=cluster.folder))
    cluster.rows((7, 1000, 1, "R", 9))
    cluster.refresh()
    assert "slurm:7-r1" in {job.key for job in cluster.slurm._book.jobs.values()}
