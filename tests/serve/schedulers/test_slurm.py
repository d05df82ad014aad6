"""Actions on jobs of a real Slurm: each does what it says to the job that is meant, once, and to no other."""

import math
import time
from dataclasses import replace

import pytest

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.schedulers.options import SchedulerOptions
from hashwarden.serve.schedulers.registry import find_scheduler
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Result, SchedulerAway

pytestmark = pytest.mark.slurm

WARN, HOLD, REQUEUE_HOLD = ActionKind.WARN, ActionKind.HOLD, ActionKind.REQUEUE_HOLD
CANCEL, DRAIN, RELEASE = ActionKind.CANCEL, ActionKind.DRAIN, ActionKind.RELEASE


@pytest.fixture
def scheduler(slurm):
    return find_scheduler("slurm").make(SchedulerOptions(node=slurm.node, timeout_s=20.0))


def job_of(slurm, job, **changes):
    """As the agent knows a job."""
    shown = slurm.show(job)
    name, _, uid = shown["UserId"].rstrip(")").partition("(")
    start = shown.get("StartTime", "")
    started = float(start) if start.isdecimal() and shown["JobState"] == "RUNNING" else math.nan
    found = Job(f"slurm:{job}", "slurm", job, user=name, uid=int(uid), started_unix_s=started)
    return replace(found, **changes)


def action(kind, job, number=1, reason="mining, 99 %", **parameters):
    now = time.time()
    return Action(f"case-7.{number}", kind, job, "case-7", reason, now, now + 600, parameters)


def test_a_warning_is_in_the_comment_once_and_what_others_wrote_stays(slurm, scheduler, tmp_path):
    mails = tmp_path / "mails"
    job = slurm.start_job()
    slurm.run("scontrol", "update", f"JobId={job}", "AdminComment=JS1:abc=")
    command = f"sh -c 'echo {{user}} {{job}} >> {mails}; cat >> {mails}'"
    warning = action(WARN, job_of(slurm, job), mail_command=command)
    assert scheduler.apply(warning).detail == "comment set; mail sent"
    assert scheduler.apply(warning).result is Result.ALREADY
    shown = slurm.run("scontrol", "show", "job", job).stdout
    assert "AdminComment=[hashwarden case-7 warn case-7.1: mining, 99 %] JS1:abc=" in shown
    assert mails.read_text() == f"daemon {job}\nJob {job}, case case-7\n\nmining, 99 %\n"
    assert slurm.state(job) == "RUNNING"


def test_a_mail_command_that_fails_or_hangs_undoes_no_warning(slurm, scheduler):
    job = job_of(slurm, slurm.start_job())
    quick = find_scheduler("slurm").make(SchedulerOptions(node=slurm.node, timeout_s=3.0))
    commands = ["false", "no-such-mailer", "sleep 60", "unbalanced '"]
    details = [quick.apply(action(WARN, job, n, mail_command=text)).detail for n, text in enumerate(commands)]
    assert "ended with 1" in details[0]
    assert "no command" in details[1]
    assert "no answer in time" in details[2]
    assert "no command" in details[3]
    nameless = replace(job, user="--help")
    assert "not the name" in scheduler.apply(action(WARN, nameless, 9, mail_command="true")).detail
    assert slurm.run("scontrol", "show", "job", job.id).stdout.count("[hashwarden case-7 warn") == 5


def test_a_forged_comment_in_a_jobs_name_hides_no_warning_and_releases_nothing(slurm, scheduler):
    forged = "x\n   AdminComment=[hashwarden case-7 hold case-7.1: ] [hashwarden case-7 warn case-7.1: ]"
    job = slurm.start_job("sleep 300", f"--job-name={forged}")
    slurm.run("scontrol", "update", f"JobId={job}", "AdminComment=site")
    slurm.run("scontrol", "hold", job)
    assert scheduler.apply(action(WARN, job_of(slurm, job))).result is Result.DONE
    outcome = scheduler.apply(action(RELEASE, job_of(slurm, job), 2))
    assert outcome.result is Result.REFUSED
    assert slurm.show(job)["Priority"] == "0"


def test_a_job_that_waits_is_held_and_only_we_let_it_go(slurm, scheduler):
    job = slurm.submit("sleep 300", "--begin=now+600")
    slurm.run("scontrol", "uhold", job, user="daemon")
    meant = job_of(slurm, job)
    assert scheduler.apply(action(HOLD, meant)).result is Result.DONE
    assert scheduler.apply(action(HOLD, meant)).result is Result.ALREADY
    assert slurm.run("scontrol", "release", job, user="daemon").returncode != 0
    other = replace(action(RELEASE, meant, 2), case="case-8")
    assert scheduler.apply(other).result is Result.REFUSED
    assert slurm.show(job)["Reason"] == "JobHeldAdmin"
    assert scheduler.apply(action(RELEASE, meant, 2)).result is Result.DONE
    assert scheduler.apply(action(RELEASE, meant, 2)).result is Result.ALREADY
    assert slurm.show(job)["Priority"] != "0"


def test_a_requeued_job_waits_for_a_person_its_owner_cannot_let_it_go(slurm, scheduler):
    job = slurm.start_job()
    meant = job_of(slurm, job)
    assert scheduler.apply(action(REQUEUE_HOLD, meant)).result is Result.DONE
    assert slurm.show(job)["JobState"] == "PENDING"
    assert slurm.run("scontrol", "release", job, user="daemon").returncode != 0
    assert scheduler.apply(action(REQUEUE_HOLD, meant)).result is Result.ALREADY
    assert slurm.show(job)["Restarts"] == "1"
    assert scheduler.apply(action(RELEASE, meant, 2)).result is Result.DONE
    assert slurm.show(job)["Priority"] != "0"


def test_a_crash_between_requeue_and_hold_is_made_good(slurm, scheduler):
    job = slurm.start_job()
    meant = job_of(slurm, job)
    slurm.run("scontrol", "requeuehold", job)
    slurm.wait(job, "PENDING")
    assert scheduler.apply(action(REQUEUE_HOLD, meant)).result is Result.DONE
    assert slurm.run("scontrol", "release", job, user="daemon").returncode != 0
    assert slurm.show(job)["Restarts"] == "1"


def test_what_cannot_be_requeued_is_refused_in_slurms_words_and_runs_on(slurm, scheduler):
    job = slurm.start_job("sleep 300", "--no-requeue")
    outcome = scheduler.apply(action(REQUEUE_HOLD, job_of(slurm, job)))
    assert outcome.result is Result.REFUSED
    assert "disabled" in outcome.detail
    assert slurm.state(job) == "RUNNING"


def test_a_cancelled_job_has_ended_when_we_say_so(slurm, scheduler):
    job = slurm.start_job("trap '' TERM; sleep 300; sleep 300")
    meant = job_of(slurm, job)
    assert scheduler.apply(action(CANCEL, meant)).result is Result.DONE
    assert slurm.state(job) == "CANCELLED"
    for kind in (CANCEL, HOLD, REQUEUE_HOLD, WARN, RELEASE):
        assert scheduler.apply(action(kind, meant, 2)).result is Result.ALREADY
    assert slurm.state(job) == "CANCELLED"


def test_only_the_task_that_is_meant_ends_by_either_of_its_names(slurm, scheduler):
    array = slurm.submit("sleep 300", "--array=0-2", gpus=0)
    for task in range(3):
        slurm.wait(f"{array}_{task}", "RUNNING")
    last = next(n for n in range(3) if slurm.show(f"{array}_{n}")["JobId"] == array)
    others = [n for n in range(3) if n != last]
    assert scheduler.apply(action(CANCEL, job_of(slurm, f"{array}_{last}", id=array))).result is Result.DONE
    states = [slurm.state(f"{array}_{task}") for task in others]
    assert (slurm.state(f"{array}_{last}"), states) == ("CANCELLED", ["RUNNING", "RUNNING"])
    assert scheduler.apply(action(CANCEL, job_of(slurm, f"{array}_{others[0]}"))).result is Result.DONE
    assert slurm.state(f"{array}_{others[1]}") == "RUNNING"


def test_tasks_that_wait_together_are_not_touched_for_one_of_them(slurm, scheduler):
    array = slurm.submit("sleep 300", "--array=0-5", "--begin=now+600")
    meant = Job(f"slurm:{array}", "slurm", array, user="daemon", uid=1)
    outcome = scheduler.apply(action(CANCEL, meant))
    assert (outcome.result, "several" in outcome.detail) == (Result.REFUSED, True)
    started = replace(meant, started_unix_s=time.time() - 60)
    assert scheduler.apply(action(CANCEL, started)).result is Result.ALREADY
    one = replace(meant, id=f"{array}_3")
    assert scheduler.apply(action(HOLD, one)).result is Result.DONE
    held = [task for task in range(6) if slurm.show(f"{array}_{task}").get("Priority") == "0"]
    assert held == [3]


def test_a_part_of_a_heterogeneous_job_cannot_be_cancelled_alone_while_it_waits(slurm, scheduler):
    leader = slurm.submit("sleep 300", "--begin=now+600", ":", "--gres=gpu:1")
    part = Job("slurm:part", "slurm", f"{leader}+1", user="daemon", uid=1)
    outcome = scheduler.apply(action(CANCEL, part))
    assert outcome.result is Result.REFUSED
    assert "heterogeneous" in outcome.detail


@pytest.mark.parametrize("kind", [WARN, HOLD, REQUEUE_HOLD, CANCEL, RELEASE])
def test_another_job_of_the_same_id_is_left_alone(slurm, scheduler, kind):
    job = slurm.submit("sleep 300", "--begin=now+600")
    slurm.run("scontrol", "hold", job)
    watched = ("JobState", "Priority", "Reason", "Restarts", "SubmitTime", "AdminComment")
    before = slurm.show(job)
    stranger = job_of(slurm, job, uid=65534)
    earlier = job_of(slurm, job, started_unix_s=time.time() - 86400)
    assert [scheduler.apply(action(kind, meant)).result for meant in (stranger, earlier)] == [Result.ALREADY] * 2
    assert scheduler.apply(action(kind, job_of(slurm, job, uid=-1))).result is Result.REFUSED
    after = slurm.show(job)
    assert [after.get(name) for name in watched] == [before.get(name) for name in watched]


def test_a_job_that_runs_again_is_not_cancelled_for_its_first_run(slurm, scheduler):
    job = slurm.start_job()
    first = job_of(slurm, job)
    later = replace(first, started_unix_s=first.started_unix_s - 3)
    unknown = replace(first, started_unix_s=math.nan)
    for kind in (CANCEL, REQUEUE_HOLD, WARN):
        assert scheduler.apply(action(kind, later)).result is Result.ALREADY
        asked = replace(action(kind, unknown), requested_unix_s=first.started_unix_s - 3)
        assert scheduler.apply(asked).result is Result.ALREADY
    assert slurm.state(job) == "RUNNING"


@pytest.mark.parametrize("text", ["", "1 2", "-1", "--help", "12_3_4", "12;reboot", "1\n2", "٣", "0", "12_", "9" * 30])
def test_what_is_no_job_id_never_reaches_a_command(slurm, scheduler, text):
    meant = Job("slurm:x", "slurm", text, uid=1)
    assert scheduler.apply(action(CANCEL, meant)).result is Result.REFUSED


def test_a_node_is_drained_with_a_reason_and_only_our_drain_is_undone(slurm, scheduler):
    meant = job_of(slurm, slurm.start_job())
    assert scheduler.apply(action(DRAIN, meant)).result is Result.DONE
    assert scheduler.apply(action(DRAIN, meant)).result is Result.ALREADY
    assert "hashwarden case-7: mining, 99 %" in slurm.run("scontrol", "show", "node").stdout
    assert scheduler.apply(replace(action(RELEASE, meant, 2), case="case-8")).result is Result.ALREADY
    assert "DRAIN" in slurm.run("scontrol", "show", "node").stdout
    assert scheduler.apply(action(RELEASE, meant, 2)).detail == "node resumed"
    assert "DRAIN" not in slurm.run("scontrol", "show", "node").stdout
    strange = find_scheduler("slurm").make(SchedulerOptions(node="no-such-node", timeout_s=20.0))
    assert strange.apply(action(DRAIN, meant)).result is Result.REFUSED
    option = find_scheduler("slurm").make(SchedulerOptions(node="ALL,x", timeout_s=20.0))
    assert option.apply(action(DRAIN, meant)).result is Result.REFUSED


def test_without_rights_everything_is_refused_and_nothing_changes(slurm, scheduler, tmp_path, monkeypatch):
    job = slurm.start_job()
    meant = job_of(slurm, job)
    for command in ("scontrol", "scancel"):
        wrapper = tmp_path / command
        drop = "setpriv --reuid=games --regid=nogroup --clear-groups"
        wrapper.write_text(f'#!/bin/sh\nexec {drop} /usr/bin/{command} "$@"\n')
        wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    kinds = (WARN, HOLD, REQUEUE_HOLD, CANCEL, DRAIN)
    outcomes = [scheduler.apply(action(kind, meant)) for kind in kinds[:4]]
    assert [(o.result, bool(o.detail)) for o in outcomes] == [(Result.REFUSED, True)] * 4
    assert scheduler.apply(action(DRAIN, meant)).result is Result.REFUSED
    assert slurm.state(job) == "RUNNING"


def test_a_controller_that_says_nothing_is_away(slurm):
    meant = job_of(slurm, slurm.start_job())
    quick = find_scheduler("slurm").make(SchedulerOptions(node=slurm.node, timeout_s=1.0))
    with slurm.controller_frozen(), pytest.raises(SchedulerAway, match="no answer in time"):
        quick.apply(action(CANCEL, meant))
    assert slurm.state(meant.id) == "RUNNING"


def test_without_the_commands_it_is_away(slurm, scheduler, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SchedulerAway, match="no command 'squeue'"):
        scheduler.apply(action(CANCEL, Job("slurm:1", "slurm", "1", uid=1)))


def test_it_does_only_what_slurm_can(slurm, scheduler):
    meant = Job("slurm:1", "slurm", "1", uid=1)
    assert ActionKind.EVICT not in scheduler.kinds
    assert scheduler.apply(action(ActionKind.EVICT, meant)).result is Result.REFUSED
    scheduler.close()
