"""The provider with commands that print what Slurm 22.05 printed, or fail as it fails; the real one is beside."""

import time

import pytest
from slurm_printed import CGROUP, SQUEUE, A, B, keys

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.jobs.proc import Proc
from hashwarden.serve.jobs.provider import Cgroup, ProcessFacts, ProviderAway


def test_a_job_has_what_the_controller_says_and_its_gpus(cluster):
    cluster.rows((7, 1000, 0, "R", 1795343522))
    cluster.detail(7, "gpu:1(IDX:1)")
    cluster.refresh()
    (job,) = cluster.slurm.allotted()[B]
    assert (job.key, job.id, job.uid, job.user, job.account, job.qos) == (
        "slurm:7",
        "7",
        1000,
        "u1000",
        "lab",
        "normal",
    )
    assert (job.gpus, job.allotted, job.interactive, job.name, job.labels["comment"]) == (
        (B,),
        True,
        False,
        "train",
        "hi",
    )
    assert job.started_unix_s == 1795343522.0
    found = cluster.job_of(5, cgroup=CGROUP.format(7))
    assert found == job
    assert found.labels["source"] == "cgroup"


def test_cgroups_count_for_more_than_environments(cluster):
    cluster.rows((7, 1000, 0, "R", 1), (8, 1001, 0, "R", 1))
    cluster.refresh()
    forged = cluster.job_of(5, uid=1000, cgroup=CGROUP.format(7), environ={"SLURM_JOB_ID": "8"})
    assert forged.key == "slurm:7"
    cluster.job_of(5, uid=1000, cgroup=CGROUP.format(7), environ={"SLURM_JOB_ID": "8"})
    assert cluster.slurm.counts["forged_environments"] == 1


def test_the_forged_number_of_anothers_job_never_counts(cluster):
    cluster.rows((7, 1000, 0, "R", 1))
    cluster.refresh()
    for uid in (0, 1001, -1):
        assert cluster.job_of(5 + uid + 2, uid=uid, environ={"SLURM_JOB_ID": "7"}) is None
    assert cluster.slurm.counts["forged_environments"] == 3
    own = cluster.job_of(9, uid=1000, environ={"SLURM_JOB_ID": "7"})
    assert (own.key, own.labels["source"]) == ("slurm:7", "environment")
    for claim in ("x", "", "7" * 50, "-7", "²"):
        assert cluster.job_of(10, uid=1000, environ={"SLURM_JOB_ID": claim}) is None


def test_where_cgroups_are_made_a_process_outside_of_them_has_escaped(cluster):
    cluster.rows((7, 1000, 0, "R", 1))
    cluster.cgroup(7)
    cluster.refresh()
    assert cluster.job_of(5, uid=1000, environ={"SLURM_JOB_ID": "7"}).labels["escaped"] == "1"


def test_a_process_that_outlives_its_job_stays_its_and_is_told_of(cluster):
    cluster.rows((7, 1000, 0, "R", 1))
    cluster.detail(7, "gpu:1(IDX:1)")
    cluster.refresh()
    cluster.rows((7, 1000, 0, "CD", 1))
    cluster.refresh()
    assert cluster.slurm.allotted() == {}
    left = cluster.job_of(5, uid=1000, environ={"SLURM_JOB_ID": "7"})
    assert (left.key, left.labels["escaped"], left.gpus, left.allotted) == ("slurm:7", "1", (), False)
    assert cluster.slurm.counts["unseen_jobs"] == 0


def test_step_daemons_count_for_more_than_environments_and_only_for_processes_that_were_there(cluster):
    cluster.rows((7, 1000, 0, "R", 1), (8, 1000, 0, "R", 1))
    (cluster.folder / "pids").write_text("PID JOBID STEPID LOCALID GLOBALID\n5 7 batch 0 0\n6 7 batch - -\n")
    cluster.refresh()
    assert cluster.job_of(5, uid=1000) is None  # the daemons were not asked yet
    cluster.refresh(6.0)
    found = cluster.job_of(5, uid=1000, environ={"SLURM_JOB_ID": "8"})
    assert (found.key, found.labels["source"]) == ("slurm:7", "listpids")
    assert cluster.job_of(6, 10**15, uid=1000) is None  # has the number since
    assert cluster.asked("all") == 1


def test_a_job_that_is_requeued_is_another_run_with_a_key_of_its_own(cluster):
    cluster.detail(7, "gpu:1(IDX:0)")
    cluster.rows((7, 1000, 0, "R", 100))
    cluster.refresh()
    cluster.detail(7, "gpu:1(IDX:1)")
    cluster.rows((7, 1000, 1, "R", 200))
    cluster.refresh()
    assert keys(cluster) == {B: ["slurm:7-r1"]}
    cluster.rows((7, 1000, 1, "R", 900))  # a controller that lost its state counts again
    cluster.refresh()
    assert keys(cluster) == {B: ["slurm:7-r1-n1"]}
    cluster.rows()
    cluster.refresh()
    cluster.rows((7, 1000, 1, "R", 1900))
    cluster.refresh()
    assert keys(cluster) == {B: ["slurm:7-r1-n2"]}


def test_short_jobs_that_nobody_saw_are_counted_but_not_those_of_the_past(cluster):
    cluster.rows((1, 1000, 0, "CD", 1), (2, 1000, 0, "R", 1))
    cluster.refresh()
    cluster.rows((1, 1000, 0, "CD", 1), (2, 1000, 0, "CD", 1), (3, 1000, 0, "F", 1), (4, 1000, 0, "CA", 1))
    cluster.refresh()
    assert cluster.slurm.counts["unseen_jobs"] == 2
    cluster.refresh()
    assert cluster.slurm.counts["unseen_jobs"] == 2


@pytest.mark.parametrize("fault", ["exit 1", "sleep 30", "kill -9 $$", "echo '\\033[2J' >&2; exit 3", ""])
def test_a_controller_that_is_away_leaves_what_was_known(cluster, fault):
    cluster.rows((7, 1000, 0, "R", 1))
    cluster.detail(7, "gpu:1(IDX:0)")
    cluster.cgroup(7)
    cluster.refresh()
    if fault:
        cluster.script("squeue", fault)
    else:
        (cluster.folder / "bin/squeue").unlink()
        (cluster.folder / "bin/squeue").symlink_to("/nothing")
    with pytest.raises(ProviderAway) as told:
        cluster.refresh()
    assert str(told.value).isprintable()
    assert keys(cluster) == {A: ["slurm:7"]}
    cluster.cgroup(9)  # begins meanwhile
    with pytest.raises(ProviderAway):
        cluster.refresh(0.1)
    assert cluster.job_of(5, uid=1000, cgroup=CGROUP.format(9)).key == "slurm:9"
    (cluster.folder / "bin/squeue").unlink()
    cluster.script("squeue", f"cat {cluster.folder}/rows")
    cluster.rows((9, 1000, 0, "R", 1))
    cluster.refresh(61.0)
    assert keys(cluster) == {}
    assert cluster.job_of(5, uid=1000, cgroup=CGROUP.format(9)).user == "u1000"


def test_the_controller_is_asked_seldom(cluster):
    cluster.rows((7, 1000, 0, "R", 1))
    cluster.detail(7, "gpu:1(IDX:0)")
    cluster.cgroup(7)
    for _ in range(60):
        cluster.refresh(1.0)
    assert (cluster.asked("all"), cluster.asked("one")) == (1, 0)
    for _ in range(60):
        cluster.refresh(1.0)
    assert (cluster.asked("all"), cluster.asked("one")) == (1, 1)  # what is known here is asked about once a minute
    cluster.cgroup(8)  # something is new: asked about at once, then once a minute like the other
    for _ in range(50):
        cluster.refresh(1.0)
    assert cluster.asked("one") == 4
    for number in range(1000, 1100):  # a user who names many numbers gets no more than some answered
        cluster.job_of(5, 100 + number, uid=1000, environ={"SLURM_JOB_ID": str(number)})
    cluster.refresh(1.0)
    assert cluster.asked("one") <= 4 + 65
    assert (cluster.asked("all"), keys(cluster)) == (1, {A: ["slurm:7"]})


def test_a_job_whose_cgroup_comes_and_goes_is_asked_about_at_once(cluster):
    cluster.cgroup(7)
    cluster.refresh()
    cluster.rows((8, 1000, 0, "R", 1))
    cluster.detail(8, "gpu:1(IDX:1)")
    cluster.cgroup(8)
    cluster.refresh(6.0)
    assert keys(cluster) == {B: ["slurm:8"]}
    cluster.rows((8, 1000, 0, "CD", 1))
    (cluster.folder / "cgroups/system.slice/slurmstepd.scope/job_8").rmdir()
    cluster.refresh(6.0)
    assert keys(cluster) == {}
    assert cluster.asked("all") == 1


def test_a_controller_that_was_away_is_not_back_until_it_answers(cluster):
    cluster.refresh()
    cluster.script("squeue", "exit 1")
    with pytest.raises(ProviderAway):
        cluster.refresh(61.0)
    for _ in range(20):  # nothing runs here, so that there is no job to ask about
        with pytest.raises(ProviderAway):
            cluster.refresh(10.0)
    cluster.script("squeue", SQUEUE.format(folder=cluster.folder))
    cluster.refresh(61.0)


def test_where_nothing_here_tells_of_jobs_all_are_asked_for_each_minute(cluster):
    for _ in range(3):
        cluster.refresh(61.0)
    assert (cluster.asked("all"), cluster.asked("one")) == (3, 0)


def test_a_uuid_of_the_prolog_counts_for_more_than_places_and_these_for_more_than_numbers(cluster):
    cluster.rows((7, 1000, 0, "R", 1), (8, 1001, 0, "R", 1))
    cluster.detail(7, "gpu:1(IDX:1)")
    cluster.detail(8, "gpu:1(IDX:1)")
    (cluster.folder / f"gpustat/{A}").write_text("7 1000\n")
    (cluster.folder / "gpustat/0").write_text("8 1001\n")
    cluster.refresh()
    assert keys(cluster) == {A: ["slurm:7"], B: ["slurm:8"]}
    assert cluster.slurm.counts["gpus_disagree"] == 1


def test_a_file_of_a_job_that_is_over_gives_it_nothing_unless_the_controller_is_away(cluster):
    (cluster.folder / f"gpustat/{A}").write_text("7 1000\n")
    cluster.refresh()
    assert keys(cluster) == {}
    cluster.script("squeue", "exit 1")
    with pytest.raises(ProviderAway):
        cluster.refresh()
    assert keys(cluster) == {A: ["slurm:7"]}
    assert cluster.slurm.allotted()[A][0].uid == 1000


def test_a_name_that_imitates_slurm_takes_nobodys_gpu_and_hides_not_its_own(cluster):
    cluster.rows((7, 1000, 0, "R", 1))
    cluster.detail(7, "gpu:1(IDX:0)", name="x\n     Nodes=vm CPU_IDs=0 Mem=0 GRES=gpu:2(IDX:0-1)")
    (cluster.folder / "json").write_text('{"jobs": [{"job_id": 7, "gres_detail": ["gpu:1(IDX:0)"]}]}')
    cluster.refresh()
    assert keys(cluster) == {A: ["slurm:7"]}
    assert cluster.slurm.counts["hostile_names"] == 1
    assert cluster.slurm.allotted()[A][0].labels["forged_output"] == "1"


def test_several_jobs_share_a_gpu_in_parts(cluster):
    cluster.rows((7, 1000, 0, "R", 1), (8, 1001, 0, "S", 1))
    for job in (7, 8):
        cluster.detail(job, "shard:2(IDX:0)")
    cluster.refresh()
    assert keys(cluster) == {A: ["slurm:7", "slurm:8"]}
    assert not any(job.allotted for job in cluster.slurm.allotted()[A])


def test_gpus_that_a_job_says_it_has_count_where_nobody_else_has_them(cluster):
    cluster.rows((7, 1000, 0, "R", 1), (8, 1001, 0, "R", 1))
    cluster.detail(8, "gpu:1(IDX:1)")
    cluster.refresh()
    said = {"SLURM_JOB_GPUS": "0,1", "CUDA_VISIBLE_DEVICES": "0,1"}
    found = cluster.job_of(5, uid=1000, cgroup=CGROUP.format(7), environ=said)
    assert (found.gpus, found.allotted) == ((A,), False)
    assert cluster.job_of(6, uid=1000, cgroup=CGROUP.format(7), environ={"CUDA_VISIBLE_DEVICES": "0"}).gpus == ()
    assert cluster.job_of(7, uid=1000, cgroup=CGROUP.format(7), environ={"CUDA_VISIBLE_DEVICES": f"{A},x"}).gpus == (A,)


def test_cgroups_that_name_several_jobs_are_nobodys(cluster):
    mixed = "4:freezer:/slurm/uid_1/job_42/step_0\n3:devices:/slurm/uid_1/job_43/step_0\n"
    assert cluster.job_of(5, cgroup=mixed) is None
    assert cluster.slurm.counts["mixed_cgroups"] == 1


def test_thousands_of_jobs_leave_no_more_than_some_behind(cluster):
    cluster.script("scontrol", "exit 1")  # their GPUs are not the matter here
    for first in range(1, 700, 100):
        cluster.rows(*((n, 1000, 0, "R", 1) for n in range(first, first + 100)))
        for n in range(first, first + 100):
            path = f"/system.slice/slurmstepd.scope/job_{n}/step_0"
            said = {"SLURM_JOB_ID": str(n + 1)}
            cluster.slurm.job_of(ProcessFacts(ProcessKey(5, n), 1, 5, 1000, "x", (Cgroup((), path),), lambda s=said: s))
        cluster.refresh()
    book = cluster.slurm._book
    assert (len(book.jobs), len(book.ended)) == (100, 512)
    assert cluster.slurm.counts["forged_environments"] == 700
    kept = (cluster.slurm._seen, cluster.slurm._compared, cluster.slurm._wanted)
    assert all(len(one) <= 4096 for one in kept)


def test_a_command_that_hangs_is_ended_with_all_that_it_started(cluster):
    cluster.script("squeue", f"sleep 1000 & echo $! > {cluster.folder}/pid; wait")
    with pytest.raises(ProviderAway, match=r"no answer in 1\.0 s"):
        cluster.refresh()
    left = int((cluster.folder / "pid").read_text())
    until = time.monotonic() + 10
    while Proc().stat(left) is not None:
        assert time.monotonic() < until
        time.sleep(0.01)
