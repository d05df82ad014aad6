"""As one of slurmdbd's Operators: no AdminComment, no drain, all else. A real Slurm, but for what it refuses to them.

What it refuses was seen with slurmdbd 22.05 and MariaDB 10.11, which tests do without.
"""

import math
import os
import shutil
import time
from pathlib import Path

import pytest

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.schedulers.options import SchedulerOptions
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Result
from hashwarden.serve.schedulers.slurm import Slurm

pytestmark = pytest.mark.slurm

REFUSES = """#!/bin/sh
case "$*" in
*AdminComment=*) echo "Access/permission denied for job ${2#JobId=}"; exit 1 ;;
*NodeName=*) echo "slurm_update error: Invalid user id"; exit 1 ;;
esac
exec SCONTROL "$@"
"""


@pytest.fixture
def operator(slurm, tmp_path: Path, monkeypatch):
    wrapper = tmp_path / "scontrol"
    wrapper.write_text(REFUSES.replace("SCONTROL", shutil.which("scontrol")))
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Slurm(SchedulerOptions(node=slurm.node, timeout_s=20.0))


def action(slurm, kind, job, number=1, **parameters):
    start = slurm.show(job).get("StartTime", "")
    meant = Job(f"slurm:{job}", "slurm", job, user="daemon", uid=1,
                started_unix_s=float(start) if start.isdecimal() else math.nan)  # fmt: skip
    now = time.time()
    return Action(f"case-7.{number}", kind, meant, "case-7", "mining", now, now + 600, parameters)


def test_a_warning_is_the_mail_alone_and_none_without(slurm, operator, tmp_path):
    job = slurm.start_job()
    silent = operator.apply(action(slurm, ActionKind.WARN, job))
    assert (silent.result, "permission denied" in silent.detail) == (Result.REFUSED, True)
    mailed = operator.apply(action(slurm, ActionKind.WARN, job, mail_command=f"tee {tmp_path}/mail"))
    assert mailed.result is Result.DONE
    assert mailed.detail.startswith("no comment; without a mark of ours: Access/permission denied")
    assert mailed.detail.endswith("; mail sent")
    assert "mining" in (tmp_path / "mail").read_text()


def test_jobs_are_held_and_cancelled_without_a_mark_and_let_go_by_a_person(slurm, operator):
    job = slurm.start_job()
    meant = action(slurm, ActionKind.REQUEUE_HOLD, job)
    held = operator.apply(meant)
    assert held.result is Result.DONE
    assert held.detail.startswith("in the queue, held; without a mark of ours: Access/permission denied")
    assert slurm.state(job) == "PENDING"
    assert operator.apply(meant).result is Result.ALREADY
    let = operator.apply(Action("case-7.2", ActionKind.RELEASE, meant.job, "case-7", "", time.time(),
                                time.time() + 600, {"of": "requeuehold"}))  # fmt: skip
    assert (let.result, "no mark of this case" in let.detail) == (Result.REFUSED, True)
    other = slurm.start_job()
    assert operator.apply(action(slurm, ActionKind.HOLD, other, 3)).result is Result.DONE
    assert operator.apply(action(slurm, ActionKind.CANCEL, other, 4)).result is Result.DONE
    drained = operator.apply(action(slurm, ActionKind.DRAIN, other, 5))
    assert (drained.result, drained.detail) == (Result.REFUSED, "slurm_update error: Invalid user id")
