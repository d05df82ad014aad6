"""A desk on a host that may ask Slurm: that cluster's jobs can be acted on, once a person approved."""

import json
import pwd
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from desk_rig import a_service, ago, demo, job, push
from serve_rig import until

POLICY = """
mode = "enforce"
[[rules]]
name = "miners"
first_warning_minutes = 0.001
cancel_minutes = 0.002
action = "cancel"
act_if_warning_refused = true
sampling_period_minutes = 0.02
"""


@pytest.mark.slurm
def test_an_approved_case_ends_the_job_of_this_cluster_and_of_no_other(slurm, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    mine, other = slurm.start_job("sleep 300"), slurm.start_job("sleep 300")
    uid = pwd.getpwnam("daemon").pw_uid
    with a_service(tmp_path, policy=policy, schedulers=("slurm",), home="east", cluster="east") as (rig, _):
        run, start = demo()[2], ago(122)
        for cluster, id_ in (("east", mine), ("west", other)):
            mined = job(run, range(120), start, gpu=f"GPU-{id_}", user="daemon", uid=uid) | {"id": id_}
            assert push(rig, [mined], cluster=cluster, scheduler="slurm")[0] == 200

        def cases():
            return {case["job"]["key"]: case for case in rig.ask("/v1/cases")[1]["cases"]}

        def approve(case):
            body = json.dumps({"reason": "seen"})
            return rig.ask(f"/v1/cases/{case['id']}/approve", "POST", body)[0]

        keys = {name: f"pushed:{name}:slurm:{id_}" for name, id_ in (("east", mine), ("west", other))}
        until(lambda: set(keys.values()) <= cases().keys())
        assert approve(cases()[keys["east"]]) == 200
        approve(cases()[keys["west"]])

        until(lambda: slurm.state(mine) == "CANCELLED")
        assert cases()[keys["west"]]["job"]["kind"] == "pushed"
        assert slurm.state(other) == "RUNNING", "another cluster's job has the same number"
