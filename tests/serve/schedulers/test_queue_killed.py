"""The queue of actions when something dies: the agent by kill -9, the controller of a real Slurm."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.audit.verify import Wanted, verify_log
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.schedulers.options import SchedulerOptions
from hashwarden.serve.schedulers.queue import ActionQueue, Limits
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Result
from hashwarden.serve.schedulers.slurm import Slurm

DIES = Path(__file__).parent / "queue_dies.py"
NOW = 1_800_000_000.0


def audited(folder):
    """What came of each action, and how often that was written down; the log is whole and fits its schema."""
    bodies = []
    report = verify_log(folder, Wanted(strict=True), lambda one: bodies.append((one.kind, one.body())))
    assert (report.problem_count, report.problems) == (0, [])
    return Counter((body["action"], body["result"]) for kind, body in bodies if kind == "action")


def test_killed_at_any_point_every_action_that_was_kept_is_done_once(tmp_path):
    """A real process with a real audit log is killed over and over; the scheduler's side is a folder of effects."""
    chance, kills = random.Random(7), 60
    acknowledged = set()
    command = [sys.executable, str(DIES), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        for turn in range(kills + 1):
            last = turn == kills
            nursery.stdin.write(f"{turn} {'end' if last else 'die'}\n")
            nursery.stdin.flush()
            pid = int(nursery.stdout.readline())
            if not last:
                time.sleep(chance.uniform(0.0, 0.1))
                os.kill(pid, signal.SIGKILL)
            while (line := nursery.stdout.readline().strip()) != "over":
                acknowledged.add(line)
        nursery.stdin.close()
    asked = Counter((tmp_path / "asked").read_text().split())
    results = audited(tmp_path / "audit")
    effects = {path.name for path in (tmp_path / "effects").iterdir()}
    assert len(acknowledged) > kills / 2
    assert acknowledged <= effects
    assert all(results[one, "done"] <= 1 for one in effects)
    assert {one for one in effects if not results[one, "done"] + results[one, "already"]} == set()
    assert list((tmp_path / "queue" / "waiting").iterdir()) == []
    assert sum(count > 1 for count in asked.values()) <= 4 * kills  # those in flight when it died, at most


@pytest.mark.slurm
def test_a_job_is_cancelled_once_though_the_controller_was_killed_meanwhile(slurm, tmp_path):
    first, second = slurm.start_job(user="daemon"), slurm.start_job(user="nobody")
    jobs = [Job(f"slurm:{job}", "slurm", job, uid=uid) for job, uid in ((first, 1), (second, 65534))]
    asked = [Action(job.id, ActionKind.CANCEL, job, "case", "mining", NOW, NOW + 600) for job in jobs]
    slurm.kill_controller()
    audit = AuditLog(tmp_path / "audit", None)
    queue = ActionQueue(tmp_path / "queue", {"slurm": Slurm(SchedulerOptions(timeout_s=0.5))}, audit, lambda: NOW)
    queue.put(asked[0])
    queue.put(replace(asked[1], expires_unix_s=NOW + 60))
    outcomes = [one for minute in range(4) for one in queue.step(NOW + 30 * minute) or queue.step(NOW + 30 * minute)]
    assert [(one.action, one.result) for one in outcomes] == [(second, Result.EXPIRED)]
    queue.close()
    slurm.start_controller()
    patient = {"slurm": Slurm(SchedulerOptions(timeout_s=10.0))}
    queue = ActionQueue(tmp_path / "queue", patient, audit, lambda: NOW, limits=Limits(patience_s=20.0))
    outcomes = [one for more in range(3) for one in queue.step(NOW + 120 + more)]
    queue.close()
    audit.close()
    # What was told shortly before a restart is told again: whoever was to hear it may have been killed.
    assert [(one.action, one.result) for one in outcomes] == [(second, Result.EXPIRED), (first, Result.DONE)]
    assert (slurm.state(first), slurm.state(second)) == ("CANCELLED", "RUNNING")
    assert audited(tmp_path / "audit") == {(first, "done"): 1, (second, "expired"): 1}
