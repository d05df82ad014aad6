"""What the agent tells of jobs: of one that mines, of one that ended, of one that nobody knows."""

from __future__ import annotations

import json
import math

import pytest

from hashwarden.errors import UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.serve.agent.job_pages import NOW, kernels_page
from hashwarden.serve.sources.code_join import LaunchedKernel

GPU = "GPU-00000000-stand-in"
MINER = "mining-progpow-plain"


@pytest.fixture
def miner(rig, worker, demo):
    one = rig()
    one.more = [f"pid {worker.pid}"]
    one.play(demo[MINER], 60)
    assert one.state() == "confirmed"
    return one


def test_a_job_that_mines_is_told_of_with_all_that_decided(miner):
    show = miner.agent.show
    [row] = show.jobs()
    json.dumps(row, allow_nan=False)
    verdict = row["verdicts"][GPU]
    assert (verdict["state"], verdict["likeliest"]) == ("confirmed", "mining")
    assert verdict["probabilities"] == miner.agent.show._seen[0].verdicts[GPU].probabilities
    assert verdict["trend"][-1] == 1.0
    assert len(verdict["trend"]) > 10
    assert 0 < verdict["now"]["power_watts"] < 1000
    assert set(verdict["now"]) <= set(NOW)
    assert "code_mining_ratio" not in verdict["now"]  # nothing read it: missing, not 0
    assert row["code_mining"] is None
    assert row["case"] == show.cases()[0]["id"]
    assert row["standing"] == "confirmed"

    page = show.job(row["job"])
    json.dumps(page, allow_nan=False)
    assert page["verdicts_full"][GPU]["deciding"]
    assert page["history"][GPU]["state"][-1] == "confirmed"
    assert page["cases"] == [row["case"]]
    assert page["ended_unix_s"] is None
    assert show.job("slurm:404") is None


def test_the_stretch_that_decided_lies_in_the_samples_that_are_shown(miner):
    show = miner.agent.show
    key = show.jobs()[0]["job"]
    page = show.channels(key, GPU)
    json.dumps(page, allow_nan=False)
    times = page["unix_s"]
    assert len(times) == 60
    assert times[-1] == pytest.approx(miner.nvml() + miner.unix_ahead, abs=1.5)
    assert {len(values) for values in page["channels"].values()} == {60}
    assert page["units"]["power_watts"] == "watts"
    assert page["groups"]["power_watts"] == "nvml"
    assert page["deciding"]
    assert times[0] <= page["interval"]["from_unix_s"] < page["interval"]["to_unix_s"] <= times[-1]
    raw = miner.agent.parts.window.rows_of(key, GPU)[-1][2]
    for place, channel in enumerate(CHANNELS):
        if channel.name in page["channels"]:
            got, wanted = page["channels"][channel.name][-1], float(raw[place])
            assert (got is None and math.isnan(wanted)) or got == pytest.approx(wanted, rel=1e-4)
    few = show.channels(key, GPU, ("power_watts", "code_mining_ratio"))
    assert set(few["channels"]) == {"power_watts", "code_mining_ratio"}
    assert set(few["channels"]["code_mining_ratio"]) == {None}
    assert show.channels(key, "GPU-of-others")["unix_s"] == []
    assert show.channels("slurm:404", GPU) is None
    with pytest.raises(UsageError, match="no_such"):
        show.channels(key, GPU, ("no_such",))


def test_kernels_are_told_with_their_mix_and_their_absence_with_the_reason(miner):
    show = miner.agent.show
    key = show.jobs()[0]["job"]
    page = show.kernels(key)
    assert (page["kernels"], page["known_ratio"]) == ([], None)
    assert "launches" in page["note"]
    assert show.kernels("slurm:404") is None
    kernel = LaunchedKernel("k", "00ff", 90, 0.9, 0.95, 0.8, {"logic": 0.5})
    page = kernels_page(key, (kernel, "no kernel"), 0.75)
    json.dumps(page, allow_nan=False)
    assert (page["note"], page["known_ratio"]) == ("", 0.75)
    assert page["kernels"] == [
        {"name": "k", "code_sha1": "00ff", "arch": 90, "p_mining": 0.9, "p_hash": 0.95, "thread_ratio": 0.8,
         "mix": {"logic": 0.5}}
    ]  # fmt: skip


def test_status_and_gpus_say_what_is_there(miner):
    status = miner.agent.show.status()
    json.dumps(status, allow_nan=False)
    assert status["sources"] == [{"name": "nvml", "ok": True, "error": ""}]
    assert (status["gpus"], status["jobs"], status["cases"], status["alpha"]) == (1, 1, 1, 1e-3)
    [gpu] = miner.agent.show.gpus()
    json.dumps(gpu, allow_nan=False)
    assert gpu["gpu"] == GPU
    assert gpu["jobs"] == [miner.agent.show.jobs()[0]["job"]]
    assert gpu["now"]["power_watts"] > 0


def test_a_job_that_ended_is_still_told_of_as_it_was_seen_last(miner, worker):
    show = miner.agent.show
    key = show.jobs()[0]["job"]
    assert show.ended_jobs() == []
    worker.kill()
    worker.wait()
    miner.more = []
    for _ in range(90):
        miner.nvml.write("value gpu 0")
        miner.idle(1)
    assert key not in {row["job"] for row in show.jobs()}
    [row] = [row for row in show.ended_jobs() if row["job"] == key]
    assert row["verdicts"][GPU]["state"] == "confirmed"
    assert row["ended_unix_s"] <= miner.agent.parts.clocks.unix()
    assert [each["job"] for each in show.ended_jobs(gpu=GPU)][-1] == key
    assert show.ended_jobs(user="nobody-else") == []
    page = show.job(key)
    assert page["history"][GPU]["state"][-1] == "confirmed"
    assert page["ended_unix_s"] == row["ended_unix_s"]
