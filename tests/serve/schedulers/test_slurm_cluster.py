"""The Slurm of the tests is real: jobs of several users run on its GPUs, and it comes back after a crash."""

import pytest

pytestmark = pytest.mark.slurm


def test_jobs_of_two_users_get_a_gpu_each(slurm):
    jobs = [slurm.start_job("sleep 300", user=user) for user in ("daemon", "nobody")]
    assert [slurm.show(job)["UserId"] for job in jobs] == ["daemon(1)", "nobody(65534)"]
    shown = [slurm.run("scontrol", "--details", "show", "job", job).stdout for job in jobs]
    assert sorted(text.partition("GRES=gpu:1(IDX:")[2][:1] for text in shown) == ["0", "1"]


def test_a_controller_comes_back_with_its_jobs(slurm):
    job = slurm.start_job()
    slurm.stop_controller()
    assert slurm.run("squeue").returncode != 0
    slurm.start_controller()
    assert slurm.wait(job, "RUNNING")["Restarts"] == "0"


def test_nothing_is_left_of_a_job_that_was_cleared(slurm):
    slurm.start_job("sleep 300 & sleep 301")
    slurm.clear()
    assert slurm.is_idle()
    assert slurm.run("squeue", "-h").stdout == ""
