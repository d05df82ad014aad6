import os
import subprocess
import sys
from pathlib import Path

import pytest

from hashwarden.serve.jobs.slurm_cgroups import MIXED, job_of_cgroups, local_jobs

SRC = str(Path(__import__("hashwarden").__file__).parent.parent)
STEP = "/system.slice/slurmstepd.scope/job_42/step_0/user/task_0"


@pytest.mark.parametrize(
    "lines",
    [
        f"0::{STEP}",
        "0::/system.slice/slurmstepd.scope/job_42/step_extern/user/task_special",
        "0::/system.slice/node1_slurmstepd.scope/job_42/step_batch/slurm",
        f"1:name=systemd:/system.slice/slurmd.service\n0::{STEP}",
        "4:freezer:/slurm/uid_1000/job_42/step_0/task_0\n3:devices:/slurm/uid_1000/job_42/step_0\n1:pids:/",
        "4:memory:/slurm_node1/uid_0/job_42/step_batch\n0::/",
    ],
)
def test_a_job_is_known_by_the_whole_path(tree, lines):
    tree.put(5, 100, cgroup=lines + "\n")
    assert job_of_cgroups(tree.proc.facts(5)) == 42


@pytest.mark.parametrize(
    "lines",
    [
        f"0::/user.slice/user-1000.slice/user@1000.service{STEP}",
        "0::/user.slice/user-1000.slice/user@1000.service/slurm/uid_0/job_42",
        "0::/slurm/uid_0/job_42",  # v1's place in v2
        f"4:memory:{STEP}",
        "0::/job_42",
        "0::/system.slice/slurmstepd.scope/system",
        "0::/system.slice/slurmstepd.scope/job_x",
        "0::/system.slice/slurmstepd.scope/job_42x/step_0",
        "0::/system.slice/own.service/slurmstepd.scope/job_42",
        "4:memory:/slurm/job_42/uid_0",
        "0::/system.slice/slurmstepd.scope/job_99999999999",
        "",
    ],
)
def test_a_folder_that_a_user_may_have_named_is_no_job(tree, lines):
    tree.put(5, 100, cgroup=lines + "\n")
    assert job_of_cgroups(tree.proc.facts(5)) is None


def test_hierarchies_that_name_several_jobs_name_none(tree):
    tree.put(5, 100, cgroup="4:freezer:/slurm/uid_1/job_42/step_0\n3:devices:/slurm/uid_1/job_43/step_0\n")
    assert job_of_cgroups(tree.proc.facts(5)) == MIXED


@pytest.mark.parametrize(
    "folder",
    ["system.slice/slurmstepd.scope", "system.slice/vm_slurmstepd.scope", "unified/system.slice/slurmstepd.scope"],
)
def test_jobs_that_have_a_cgroup_here(tmp_path, folder):
    assert local_jobs(tmp_path) is None
    for name in ("job_1", "job_23", "system", "job_x", "cgroup.procs"):
        (tmp_path / folder / name).mkdir(parents=True)
    assert local_jobs(tmp_path) == {1, 23}


def test_jobs_that_have_a_cgroup_of_v1_here(tmp_path):
    for name in ("freezer/slurm/uid_1000/job_5", "freezer/slurm/uid_0/job_6/step_0", "freezer/other/uid_0/job_7"):
        (tmp_path / name).mkdir(parents=True)
    assert local_jobs(tmp_path) == {5, 6}


LOOK = """
import subprocess, sys
sys.path.insert(0, {src!r})
from pathlib import Path
from hashwarden.serve.jobs.proc import Proc
from hashwarden.serve.jobs.slurm_cgroups import job_of_cgroups, local_jobs
root = Path({root!r})
for job in ("system.slice/slurmstepd.scope/job_42/step_0/user/task_0", "user.slice/own/slurmstepd.scope/job_43"):
    (root / job).mkdir(parents=True)
    child = subprocess.Popen(["sleep", "60"])
    (root / job / "cgroup.procs").write_text(str(child.pid))
    print(job_of_cgroups(Proc().facts(child.pid)), sorted(local_jobs(root) or ()))
    child.kill(); child.wait()
beside = root.with_name(root.name + "-beside")
child = subprocess.Popen(["sleep", "60"])
(beside / "cgroup.procs").write_text(str(child.pid))
print(Proc().facts(child.pid).paths[0] == "/" + beside.name)
child.kill(); child.wait()
"""


def unified() -> Path:
    """Where cgroup v2 is mounted."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return Path(next(fields[1] for fields in mounts if fields[2] == "cgroup2"))


def test_real_cgroups_in_a_namespace_of_their_own():
    """Real processes in real cgroups, laid out as Slurm does it; nobody outside sees them where Slurm's would be."""
    root = unified() / f"hashwarden-test-{os.getpid()}"
    beside = root.with_name(root.name + "-beside")
    root.mkdir()
    beside.mkdir()
    try:
        enter = f'echo $$ > {root}/cgroup.procs && exec unshare --cgroup "$0" -c "$1"'
        code = LOOK.format(src=SRC, root=str(root))
        done = subprocess.run(
            ["sh", "-c", enter, sys.executable, code], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout == "42 [42]\nNone [42]\nTrue\n", done.stderr
    finally:
        for folder in sorted((p for p in root.rglob("*") if p.is_dir()), key=lambda p: -len(p.parts)):
            folder.rmdir()
        root.rmdir()
        beside.rmdir()
