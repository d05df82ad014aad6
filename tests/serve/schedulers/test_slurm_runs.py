"""A job as the table of jobs knows it, acted on by the scheduler: the run that was watched, and no later one."""

import time
from dataclasses import replace

import pytest

from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.slurm import Slurm as Jobs
from hashwarden.serve.jobs.table import JobTable
from hashwarden.serve.schedulers.options import SchedulerOptions
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Result
from hashwarden.serve.schedulers.slurm import Slurm
from hashwarden.serve.sources.source import Device

pytestmark = pytest.mark.slurm

GPU = "GPU-aaaaaaaa-0000-0000-0000-000000000000"


@pytest.fixture
def watched(slurm, tmp_path):
    """The one job that the table sees on the first GPU, once it sees another than before."""
    options = JobOptions(
        node=slurm.node, gpustat=slurm.gpustat, cgroups=tmp_path, driver=tmp_path, timeout_s=5.0,
        every_s=0.2, soonest_s=0.1,
    )  # fmt: skip
    table = JobTable((Jobs(options),), wait_s=None)

    def find(before=""):
        end = time.monotonic() + 30
        while True:
            table.refresh({GPU: frozenset()}, (Device(GPU, 0),), time.monotonic(), time.time())
            found = [job for job in table.jobs_on(GPU) if job.key != before and job.started_unix_s > 0]
            if found:
                return found[0]
            assert time.monotonic() < end, (table.jobs, table.health)
            time.sleep(0.05)

    yield find
    table.close()


def test_a_job_that_was_requeued_and_runs_again_is_another_until_it_is_watched_itself(slurm, watched):
    scheduler, now = Slurm(SchedulerOptions(node=slurm.node, timeout_s=20.0)), time.time()
    number = slurm.start_job()
    first = watched()
    assert (first.id, first.user, first.uid) == (number, "daemon", 1)
    hold = Action("c.1", ActionKind.REQUEUE_HOLD, first, "c", "mining", now, now + 600)
    assert scheduler.apply(hold).result is Result.DONE
    release = replace(hold, id="c.2", kind=ActionKind.RELEASE, parameters={"of": "requeuehold"})
    assert scheduler.apply(release).result is Result.DONE
    time.sleep(max(0.0, first.started_unix_s + 3.5 - time.time()))  # start times are whole seconds
    slurm.run("scontrol", "update", f"JobId={number}", "StartTime=now")
    slurm.wait(number, "RUNNING")
    late = replace(hold, id="c.3", kind=ActionKind.CANCEL)
    assert scheduler.apply(late).result is Result.ALREADY
    assert slurm.state(number) == "RUNNING"
    again = watched(before=first.key)
    assert again.id == number
    anew = Action("d.1", ActionKind.CANCEL, again, "d", "mining", time.time(), time.time() + 600)
    assert scheduler.apply(anew).result is Result.DONE
    assert slurm.state(number) == "CANCELLED"
