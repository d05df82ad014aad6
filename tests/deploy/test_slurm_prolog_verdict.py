"""The example of a Slurm prolog: it asks a real service over its socket, and never fails a job."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "serve" / "api"))
from desk_rig import ROOT, a_service, ago, demo, job, push

EXAMPLE = ROOT / "examples" / "slurm_prolog_verdict.sh"
GPUS = tuple(f"GPU-5f0b1c2d-0000-1111-2222-33334444555{number}" for number in range(2))
POLICY = 'mode = "dry-run"\n[[rules]]\nname = "miners"\n'


def installed(folder, **settings):
    """The script as a site installs it, with the settings at its head."""
    text = EXAMPLE.read_text()
    for name, value in settings.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f"{name}="))
        text = text.replace(line, f"{name}={value}")
    script = folder / "20-verdict.sh"
    script.write_text(text)
    script.chmod(0o755)
    return script


@pytest.fixture
def site(tmp_path):
    """A script, its log and notes, and a service on its socket."""
    tmp_path.chmod(0o755)
    log, notes, gpustat = tmp_path / "log", tmp_path / "notes", tmp_path / "gpustat"
    gpustat.mkdir()
    script = installed(tmp_path, SOCKET=tmp_path / "serve.sock", GPUSTAT=gpustat, NOTES=notes, LOG=f"'tee -a {log}'")
    return script, log, notes, gpustat


def run(script, **env):
    done = subprocess.run([str(script)], env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def a_miner(rig, id_, gpu, **said):
    """A job that mined, and is over."""
    run_ = demo()[2]
    mined = job(run_, range(60), ago(61), gpu=gpu, **said) | {"id": id_}
    assert push(rig, [mined], scheduler="slurm")[0] == 200
    return {"scheduler": "slurm", "id": id_}


def end(rig, which):
    assert rig.ask("/v1/jobs/end", "POST", json.dumps(which))[0] == 200


def test_shellcheck_finds_nothing():
    assert shutil.which("shellcheck"), "apt-get install shellcheck"
    done = subprocess.run(["shellcheck", EXAMPLE], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_the_job_before_is_logged_and_the_owner_is_told_of_his_own_cases(site, tmp_path):
    script, log, notes, gpustat = site
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    with a_service(tmp_path, policy=policy) as (rig, _):
        a_miner(rig, "8", GPUS[1], user="daemon", uid=1)
        end(rig, a_miner(rig, "7", GPUS[0], user="eve\x1b[31m $(reboot)", uid=65534, name='"state": "clear"'))
        (gpustat / GPUS[0]).write_text("12 1\n")
        (gpustat / GPUS[1]).write_text("11 1\n")  # another job's
        env = {"SLURM_JOB_ID": "12", "SLURM_JOB_UID": "1"}
        assert run(script, **env) == ""
        (line,) = log.read_text().splitlines()
        assert line.startswith(f"{GPUS[0]} pushed::slurm:7 of eve?x1b?31m ??reboot? was confirmed, most like mining")
        note = notes / "12"
        assert (note.stat().st_uid, note.stat().st_mode & 0o777) == (1, 0o600)
        told = run(script, **env, SLURM_SCRIPT_CONTEXT="prolog_task", SLURM_LOCALID="0")
        assert told.startswith("print hashwarden: case HW-")
        assert told.endswith("about your job 8 is open: confirmed\n")
        assert run(script, SLURM_JOB_ID="12", SLURM_SCRIPT_CONTEXT="prolog_task", SLURM_LOCALID="1") == ""
        run(script, SLURM_JOB_ID="13", SLURM_JOB_UID="2")
        assert not (notes / "13").exists(), "others are told nothing of it"


def test_it_ends_well_whatever_happens(site, tmp_path):
    script, log, notes, gpustat = site
    (gpustat / GPUS[0]).write_text("12 1\n")
    env = {"SLURM_JOB_ID": "12", "SLURM_JOB_UID": "1"}
    for changed in ({}, {"SLURM_JOB_ID": "12; reboot"}, {"SLURM_JOB_UID": "$(reboot)"}, {"SLURM_JOB_ID": "../../etc"}):
        assert run(script, **env | changed) == ""
    with a_service(tmp_path, start=False):
        run(script, **env)
        assert log.read_text() == f"{GPUS[0]} nothing is known of a job before this one\n"
    os.mkfifo(tmp_path / "fifo")
    for broken in ("curl", "python3"):
        other = tmp_path / broken
        other.mkdir()
        text = script.read_text().replace("PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"PATH={other}:/usr/bin:/bin")
        (other / broken).write_text("#!/bin/sh\nexit 9\n")
        (other / broken).chmod(0o755)
        (other / "script").write_text(text)
        (other / "script").chmod(0o755)
        run(other / "script", **env)
    notes.symlink_to(tmp_path / "elsewhere")
    run(script, **env)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.slurm
def test_a_real_slurm_runs_it_for_each_job(slurm, site, tmp_path):
    script, log, _, gpustat = site
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    conf = slurm.folder / "slurm.conf"
    before = conf.read_text()
    noting = tmp_path / "10-gpus.sh"  # what prolog.sh does where there is a driver
    noting.write_text(f'#!/bin/sh\necho "$SLURM_JOB_ID $SLURM_JOB_UID" >{gpustat}/{GPUS[0]}\n')
    noting.chmod(0o755)
    both = tmp_path / "both.sh"
    both.write_text(f"#!/bin/sh\n{noting}\nexec {script}\n")
    both.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents):  # under xdist there is one more
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    lines = [line for line in before.splitlines() if not line.startswith("Prolog=")]
    out = slurm.folder / "jobs" / "out"
    with a_service(tmp_path, policy=policy) as (rig, _):
        a_miner(rig, "8", GPUS[1], user="daemon", uid=1)
        end(rig, a_miner(rig, "7", GPUS[0], user="eve"))
        out.touch()
        out.chmod(0o666)
        conf.write_text("\n".join([*lines, f"Prolog={both}", f"TaskProlog={script}", ""]))
        try:
            assert slurm.run("scontrol", "reconfigure").returncode == 0
            id_ = slurm.submit("srun true", f"--output={out}", user="daemon")
            slurm.wait(id_, "COMPLETED")
        finally:
            conf.write_text(before)
            slurm.run("scontrol", "reconfigure")
    assert "pushed::slurm:7 of eve was confirmed" in log.read_text()
    end_s = time.monotonic() + 30
    while "hashwarden: case HW-" not in out.read_text():
        assert time.monotonic() < end_s, out.read_text() + slurm.logs()
        time.sleep(0.05)
