"""What sites install: prolog and epilog that never fail a job, and a job_submit.lua that never blocks by mistake."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.schedulers.slurm_cases import OpenCase, read_open_cases, write_open_cases

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "slurm"
UUID = "GPU-5f0b1c2d-0000-1111-2222-333344445555"
MIG = "MIG-5f0b1c2d-0000-1111-2222-333344445556"
SOON = 600.0


@pytest.fixture
def scripts(tmp_path):
    """Prolog and epilog for a folder of the test, with a driver that has two GPUs, listed by another order."""
    for name in ("prolog.sh", "epilog.sh"):
        text = (DEPLOY / name).read_text().replace("/run/gpustat", str(tmp_path / "gpustat"))
        (tmp_path / name).write_text(text.replace("/proc/driver/nvidia/gpus", str(tmp_path / "driver")))
        (tmp_path / name).chmod(0o755)
    for place, minor in enumerate((1, 0)):
        info = tmp_path / "driver" / f"0000:0{place}:00.0" / "information"
        info.parent.mkdir(parents=True)
        info.write_text(f"Model: \t\t H100\nGPU UUID: \t {UUID[:-1]}{minor}\nDevice Minor: \t {minor}\n")

    def run(name, **env):
        done = subprocess.run([str(tmp_path / name)], env=env, capture_output=True, check=False, timeout=20)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        folder = tmp_path / "gpustat"
        return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()} if folder.is_dir() else {}

    return run


def test_each_gpu_of_a_job_is_noted_by_number_and_uuid_and_taken_away_again(scripts):
    first = scripts("prolog.sh", SLURM_JOB_ID="12", SLURM_JOB_UID="1000", SLURM_JOB_GPUS="1")
    assert first == {"1": "12 1000\n", UUID[:-1] + "1": "12 1000\n"}
    scripts("prolog.sh", SLURM_JOB_ID="13", SLURM_JOB_UID="1001", CUDA_VISIBLE_DEVICES=f"0,{MIG}")
    left = scripts("epilog.sh", SLURM_JOB_ID="12", SLURM_JOB_UID="1000")
    assert left == {"0": "13 1001\n", UUID[:-1] + "0": "13 1001\n", MIG: "13 1001\n"}
    assert scripts("epilog.sh", SLURM_JOB_ID="13") == {}


def test_places_in_gres_conf_become_minor_numbers_or_no_uuid_is_written(scripts, tmp_path):
    for place in (0, 1):
        info = tmp_path / "driver" / f"0000:0{place}:00.0" / "information"
        info.write_text(info.read_text().replace("Minor: \t 0", "Minor: \t 4").replace("Minor: \t 1", "Minor: \t 7"))
    job = {"SLURM_JOB_ID": "12", "SLURM_JOB_UID": "7", "SLURM_JOB_GPUS": "1"}
    assert scripts("prolog.sh", **job) == {"1": "12 7\n"}
    scripts("epilog.sh", **job)
    prolog = tmp_path / "prolog.sh"
    prolog.write_text(prolog.read_text().replace("MINORS=\n", 'MINORS="4 7"\n'))
    assert scripts("prolog.sh", **job) == {"7": "12 7\n", UUID[:-1] + "1": "12 7\n"}
    assert scripts("prolog.sh", SLURM_JOB_ID="13", SLURM_JOB_UID="7", SLURM_JOB_GPUS="2")["7"] == "12 7\n"


def test_an_epilog_that_comes_late_takes_nothing_of_the_next_job(scripts):
    scripts("prolog.sh", SLURM_JOB_ID="12", SLURM_JOB_UID="1000", SLURM_JOB_GPUS="0")
    after = scripts("prolog.sh", SLURM_JOB_ID="13", SLURM_JOB_UID="1001", SLURM_JOB_GPUS="0")
    assert scripts("epilog.sh", SLURM_JOB_ID="12", SLURM_JOB_GPUS="0") == after


@pytest.mark.parametrize(
    "gpus",
    ["", "../../etc/passwd", "$(touch x)", "0;rm -rf /", "*", "-n", "GPU-../x", "MIG-", "1 -rf", "9" * 9000, "0\nx/y"],
)
def test_hostile_lists_of_gpus_write_nothing_but_numbers_and_uuids(scripts, tmp_path, gpus):
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    found = scripts("prolog.sh", SLURM_JOB_ID="12", SLURM_JOB_UID="7", SLURM_JOB_GPUS=gpus)
    assert set(found) <= {"0", "1", f"{UUID[:-1]}0", f"{UUID[:-1]}1"}
    after = {str(path) for path in tmp_path.rglob("*")} - {str(tmp_path / "gpustat" / name) for name in found}
    assert after - {str(tmp_path / "gpustat")} == set(before)


@pytest.mark.parametrize("job", ["", "1 2", "../x", "$(id)", "1\n2", "12345678901"])
def test_without_a_job_nothing_is_written_or_taken_away(scripts, job):
    assert scripts("prolog.sh", SLURM_JOB_ID=job, SLURM_JOB_UID="7", SLURM_JOB_GPUS="0") == {}
    noted = scripts("prolog.sh", SLURM_JOB_ID="12", SLURM_JOB_UID="7", SLURM_JOB_GPUS="0")
    assert scripts("epilog.sh", SLURM_JOB_ID=job) == noted


def test_the_environment_of_a_user_changes_no_command(scripts, tmp_path):
    evil = tmp_path / "bin"
    evil.mkdir()
    for name in ("tr", "head", "mv", "find", "sed", "mkdir", "rm", "sleep"):
        (evil / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/taken\n")
        (evil / name).chmod(0o755)
    env = {"PATH": str(evil), "ENV": str(evil / "tr"), "BASH_ENV": str(evil / "tr"), "IFS": "0", "FOLDER": "/etc"}
    found = scripts("prolog.sh", SLURM_JOB_ID="12", SLURM_JOB_UID="7", SLURM_JOB_GPUS="0", **env)
    assert found["0"] == "12 7\n"
    assert scripts("epilog.sh", SLURM_JOB_ID="12", **env) == {}
    assert not (tmp_path / "taken").exists()


@pytest.mark.parametrize("what", ["file", "link", "open", "stranger"])
def test_a_folder_that_is_not_ours_alone_is_left_alone(scripts, tmp_path, what):
    folder, target = tmp_path / "gpustat", tmp_path / "target"
    target.mkdir()
    {"file": folder.touch, "link": lambda: folder.symlink_to(target)}.get(what, folder.mkdir)()
    if what == "open":
        folder.chmod(0o777)
    if what == "stranger":
        os.chown(folder, 65534, 65534)
    scripts("prolog.sh", SLURM_JOB_ID="12", SLURM_JOB_UID="7", SLURM_JOB_GPUS="0")
    scripts("epilog.sh", SLURM_JOB_ID="12")
    assert list(target.iterdir()) == []
    assert what == "file" or list(folder.iterdir()) == []


def test_a_driver_that_hangs_holds_up_no_job(scripts, tmp_path):
    info = tmp_path / "driver" / "0000:00:00.0" / "information"
    info.unlink()
    os.mkfifo(info)  # nobody writes: whoever opens it waits
    begin = time.monotonic()
    found = scripts("prolog.sh", SLURM_JOB_ID="12", SLURM_JOB_UID="7", SLURM_JOB_GPUS="0")
    assert found == {"0": "12 7\n"}
    assert time.monotonic() - begin < 15
    os.close(os.open(info, os.O_WRONLY | os.O_NONBLOCK))  # fails if nobody waits; who does goes on, and ends


@pytest.mark.slurm
def test_shellcheck_finds_nothing():
    assert shutil.which("shellcheck"), "apt-get install shellcheck"
    done = subprocess.run(["shellcheck", *sorted(DEPLOY.glob("*.sh"))], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slurm
def test_slurm_runs_them_and_the_files_are_there_while_the_job_is(slurm):
    first, second = slurm.start_job(user="daemon"), slurm.start_job(user="nobody")
    noted = {path.name: path.read_text() for path in slurm.gpustat.iterdir()}
    assert sorted(noted.items()) == [("0", f"{first} 1\n"), ("1", f"{second} 65534\n")]
    slurm.clear()
    assert list(slurm.gpustat.iterdir()) == []
    assert slurm.is_idle()


def try_to_submit(slurm, *options, user="daemon"):
    script = slurm.folder / "jobs" / "nothing.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    return slurm.run("sbatch", "--parsable", "--hold", "--output=/dev/null", *options, str(script), user=user)


@pytest.mark.slurm
@pytest.mark.parametrize("option", ["--gres=gpu:1", "--gpus=1", "--gpus-per-node=1", "--gpus-per-task=1"])
def test_gpu_jobs_of_a_user_with_an_open_case_are_refused_others_are_not(slurm, option):
    write_open_cases([OpenCase(1, "case-7", time.time() + SOON)], slurm.cases)
    more = ("--ntasks=1",)
    refused = try_to_submit(slurm, option, *more)
    assert refused.returncode != 0
    assert "Case case-7 on your GPU use is open" in refused.stderr
    assert try_to_submit(slurm, *more).returncode == 0
    assert try_to_submit(slurm, option, *more, user="nobody").returncode == 0
    write_open_cases([], slurm.cases)
    assert try_to_submit(slurm, option, *more).returncode == 0


@pytest.mark.slurm
def test_what_was_refused_is_not_won_back_by_a_change(slurm):
    job = try_to_submit(slurm).stdout.strip()
    write_open_cases([OpenCase(1, "case-7", time.time() + SOON)], slurm.cases)
    for change in ("Partition=debug", "Gres=gpu:1", "TresPerNode=gres:gpu:1"):
        done = slurm.run("scontrol", "update", f"JobId={job}", change, user="daemon")
        assert (done.returncode != 0, change) == (True, change)
    assert slurm.run("scontrol", "update", f"JobId={job}", "Name=x", user="daemon").returncode == 0
    assert slurm.run("scontrol", "update", f"JobId={job}", "Partition=debug").returncode == 0


@pytest.mark.slurm
def test_jobs_are_held_or_routed_if_the_case_says_so(slurm):
    write_open_cases([OpenCase(1, "case-7", time.time() + SOON, "hold")], slurm.cases)
    held = slurm.submit(user="daemon")
    assert slurm.show(held)["Priority"] == "0"
    assert slurm.run("scontrol", "release", held, user="daemon").returncode != 0
    assert slurm.show(held)["Priority"] == "0"
    write_open_cases([OpenCase(1, "case-7", time.time() + SOON, "route:debug")], slurm.cases)
    routed = slurm.submit("sleep 300", "--hold", user="daemon")
    assert slurm.show(routed)["Partition"] == "debug"
    write_open_cases([OpenCase(1, "case-7", time.time() + SOON, "route:nowhere")], slurm.cases)
    passed = slurm.submit("sleep 300", "--hold", user="daemon")
    assert slurm.show(passed)["Partition"] == "gpu"
    write_open_cases([], slurm.cases)
    assert slurm.run("scontrol", "release", held, user="daemon").returncode == 0


@pytest.mark.slurm
@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"1 case-7 1 refuse\n",
        b"1 case-7 refuse\n",
        b"1 case-7 99999999999 reboot\n",
        b"\x00\xff 1 case 99999999999 refuse",
        b"1 case-7 99999999999 refuse extra\n",
        b"x" * 2_000_000,
        "folder",
        "unreadable",
    ],
    ids=["missing", "empty", "over", "no end", "no act", "bytes", "extra", "huge", "folder", "unreadable"],
)
def test_submission_goes_on_whatever_is_wrong_with_the_file(slurm, text):
    if text == "folder":
        slurm.cases.mkdir()
    elif text == "unreadable":
        slurm.cases.symlink_to("/proc/self/mem")
    elif text is not None:
        slurm.cases.write_bytes(text)
    try:
        assert try_to_submit(slurm, "--gres=gpu:1").returncode == 0
    finally:
        if text == "folder":
            slurm.cases.rmdir()


def test_the_list_is_written_whole_readable_for_slurm_and_read_as_it_was(tmp_path):
    cases = [
        OpenCase(1000, "case-7", 1_800_000_000.0),
        OpenCase(7, "a:b.c_d", 5.0, "route:slow"),
        OpenCase(8, "c", 9.0, "hold"),
    ]
    path = tmp_path / "open-cases"
    old = os.umask(0o077)
    try:
        write_open_cases(cases, path)
    finally:
        os.umask(old)
    assert path.read_text().splitlines()[0] == "1000 case-7 1800000000 refuse"
    assert (read_open_cases(path), path.stat().st_mode & 0o777) == (cases, 0o644)
    assert read_open_cases(tmp_path / "none") == []


@pytest.mark.parametrize(
    "case",
    [
        OpenCase(0, "case", 1.0), OpenCase(-1, "case", 1.0), OpenCase(1, "a b", 1.0), OpenCase(1, "", 1.0),
        OpenCase(1, "a\n0 x 1 refuse", 1.0), OpenCase(1, "a", 1.0, "reboot"), OpenCase(1, "a", 1.0, "route:"),
        OpenCase(1, "a", -1.0),
    ],
)  # fmt: skip
def test_what_cannot_stand_in_the_list_is_refused_and_the_list_stays(tmp_path, case):
    path = tmp_path / "open-cases"
    write_open_cases([OpenCase(5, "five", 1.0)], path)
    with pytest.raises(UsageError):
        write_open_cases([OpenCase(6, "six", 1.0), case], path)
    assert [one.uid for one in read_open_cases(path)] == [5]
    assert [one.name for one in tmp_path.iterdir()] == ["open-cases"]
