"""Power limits: lowered, put back to what they were, never below the driver's minimum, whatever is killed when."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.power import PowerThrottle
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Result, SchedulerAway

GPUS = ("GPU-00000000-stand-in", "GPU-00000001-stand-in")
CASE = "HW-2345678"


def _job(key="slurm:1", gpus=GPUS[:1]):
    return Job(key, "slurm", "1", gpus)


def _action(kind=ActionKind.THROTTLE, case=CASE, job=None, ratio="0.5"):
    return Action(f"{case}-{kind}", kind, job or _job(), case, "because", 0.0, 60.0, {"watts_ratio": ratio})


@pytest.fixture
def limit(control):
    """The limit of a GPU in watts, as somebody else set it, and as it is."""

    class Limit:
        def path(self, gpu):
            return control.path.with_name(f"{control.path.name}.limit{gpu}")

        def __call__(self, gpu=0):
            return int(self.path(gpu).read_text()) / 1000 if self.path(gpu).exists() else None

        def set(self, watts, gpu=0):
            self.path(gpu).write_text(f"{round(watts * 1000)}")

    return Limit()


@pytest.fixture
def throttle(nvml, tmp_path):
    def make(others=(), **more):
        return PowerThrottle(tmp_path / "power", lambda gpu: (_job(), *others), **more)

    return make


def test_the_limit_is_lowered_and_put_back_to_what_it_was_not_to_the_default(throttle, limit):
    limit.set(600)
    done = throttle().apply(_action())
    assert (done.result, limit()) == (Result.DONE, 300)
    assert "from 600 W to 300 W" in done.detail
    assert throttle().apply(_action()).result is Result.ALREADY
    assert limit() == 300
    assert throttle().apply(_action(ActionKind.RELEASE)).result is Result.DONE
    assert limit() == 600
    assert throttle().apply(_action(ActionKind.RELEASE)).result is Result.ALREADY


def test_it_never_goes_below_the_driver_s_minimum(throttle, limit):
    throttle().apply(_action(ratio="0.05"))
    assert limit() == 200
    limit.set(200, 1)
    assert throttle().apply(_action(case="HW-OTHER22", ratio="0.05")).result is Result.ALREADY


def test_all_gpus_of_the_job_or_none(nvml, throttle, limit):
    nvml.write("gpus 2", "mig 1 2")
    refused = throttle().apply(_action(job=_job(gpus=GPUS)))
    assert refused.result is Result.REFUSED
    assert "MIG" in refused.detail
    nvml.write("gpus 2")
    assert throttle().apply(_action(job=_job(gpus=GPUS))).result is Result.DONE
    assert (limit(0), limit(1)) == (350, 350)


@pytest.mark.parametrize("gpus", [(), ("MIG-0-0-stand-in",), ("GPU-elsewhere",)])
def test_what_is_no_whole_gpu_of_this_machine_is_left_alone(nvml, throttle, limit, gpus):
    nvml.write("mig 0 2")
    assert throttle().apply(_action(job=_job(gpus=gpus))).result is Result.REFUSED
    assert limit() is None


def test_a_gpu_that_others_use_is_left_alone(throttle, limit):
    assert throttle([_job("slurm:2")]).apply(_action()).result is Result.REFUSED
    assert limit() is None


def test_the_last_of_several_cases_puts_it_back(throttle, limit):
    throttle().apply(_action())
    throttle().apply(_action(case="HW-OTHER22"))
    throttle().apply(_action(ActionKind.RELEASE))
    assert limit() == 350
    throttle().apply(_action(ActionKind.RELEASE, "HW-OTHER22"))
    assert limit() == 700


def test_a_limit_that_somebody_else_set_meanwhile_is_left_as_it_is(throttle, limit):
    throttle().apply(_action())
    limit.set(500)
    assert "not of ours" in throttle().apply(_action(ActionKind.RELEASE)).detail
    assert limit() == 500
    assert throttle().notes() == []


def test_a_driver_that_rounds_is_remembered_as_it_rounded(nvml, throttle, limit):
    nvml.write("value limit_step 40000")
    throttle().apply(_action())
    assert limit() == 320
    nvml.write()
    assert throttle().recover() == [f"{GPUS[0]} back to 700 W"]
    assert limit() == 700


@pytest.mark.parametrize("answer", ["value deaf 1", "fail nvmlDeviceSetPowerManagementLimit 4"])
def test_a_driver_that_does_not_lower_it_is_told_of(nvml, throttle, answer):
    nvml.write(answer)
    done = throttle().apply(_action())
    assert done.result is Result.REFUSED
    assert "does not lower" in done.detail
    assert throttle().notes() == []


def test_a_driver_that_is_away_is_asked_again_later(nvml, throttle, limit):
    throttle().apply(_action())
    for trouble in ("gone 1", "lost 0", "fail nvmlDeviceGetPowerManagementLimit 3", "value deaf 1"):
        nvml.write(trouble)
        with pytest.raises(SchedulerAway):
            throttle().apply(_action(ActionKind.RELEASE))
    assert len(throttle().notes()) == 1
    nvml.write()
    throttle().apply(_action(ActionKind.RELEASE))
    assert limit() == 700


def test_at_start_up_everything_is_put_back_but_for_cases_that_are_open(throttle, limit):
    throttle().apply(_action())
    assert throttle().recover(frozenset({CASE})) == []
    assert limit() == 350
    throttle().recover()
    assert limit() == 700
    assert throttle().recover() == []


def test_a_damaged_note_is_no_ground_to_set_anything(throttle, limit, tmp_path):
    (tmp_path / "power").mkdir()
    (tmp_path / "power" / "x.power").write_bytes(b"\xff{")
    assert throttle().recover() == []
    assert limit() is None


KILLED = """
import os, signal, sys
from pathlib import Path
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.power import PowerThrottle
from hashwarden.serve.schedulers.scheduler import Action, ActionKind
job = Job("slurm:1", "slurm", "1", ("GPU-00000000-stand-in",))
def passed(step):
    if step == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
power = PowerThrottle(Path(sys.argv[1]), lambda gpu: (job,), passed=passed)
for kind in (ActionKind.THROTTLE, ActionKind.RELEASE):
    power.apply(Action(f"HW-2345678-{kind}", kind, job, "HW-2345678", "", 0.0, 60.0, {"watts_ratio": "0.5"}))
"""


@pytest.mark.parametrize(("step", "left"), [("noted", 600), ("lowered", 300), ("restored", 600)])
def test_whoever_is_killed_between_two_steps_leaves_what_the_next_start_puts_back(
    throttle, limit, environment, tmp_path, step, left
):
    limit.set(600)
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "power"), step], env=environment, check=False)
    assert (done.returncode, limit()) == (-9, left)
    throttle().recover()
    assert limit() == 600
    assert throttle().notes() == []
