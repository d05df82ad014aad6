import os
import subprocess
import sys
from pathlib import Path

import pytest

from hashwarden.serve.jobs.proc import Proc


def child(code: str, **options) -> subprocess.Popen:
    """A real process that says that it is ready, and waits."""
    code = f"import os, sys\n{code}\nprint('ready', flush=True)\nsys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
    assert process.stdout.readline() == b"ready\n"
    return process


def end(process: subprocess.Popen) -> None:
    process.communicate(timeout=10)


def test_facts_of_a_real_process_are_those_that_the_system_calls_tell():
    process = child("os.setsid()")
    facts = Proc().facts(process.pid)
    assert (facts.pid, facts.ppid, facts.session, facts.uid) == (process.pid, os.getpid(), process.pid, os.getuid())
    assert facts.comm.startswith("python")
    assert facts.paths
    assert all(path.startswith("/") for path in facts.paths)
    end(process)
    assert Proc().facts(process.pid) is None


def test_a_process_that_cannot_be_dumped_is_still_its_users():
    """Its files in /proc belong to root then; who started it is told in one of them."""
    process = child("os.setuid(65534)")
    assert Path(f"/proc/{process.pid}/environ").stat().st_uid == 0
    assert Proc().facts(process.pid).uid == 65534
    end(process)


@pytest.mark.parametrize("name", [b"a) R 1 (b", b"x\ny", b"\x1b[31mred", b"\xff\xfe", b"()", b"))))"])
def test_a_name_can_hold_anything_and_misleads_nobody(name):
    process = child(f"open('/proc/self/comm', 'wb').write({name!r})")
    facts = Proc().facts(process.pid)
    assert facts.ppid == os.getpid()
    assert facts.uid == os.getuid()
    assert facts.comm.isprintable()
    end(process)


def test_only_the_chosen_variables_are_read_and_the_first_of_two_counts():
    process = child("", env={"SLURM_JOB_ID": "7\x1b[2J", "AWS_SECRET_ACCESS_KEY": "s3cret", "X": "y" * 100_000})
    found = Proc().facts(process.pid).environment
    assert found == {"SLURM_JOB_ID": "7\\x1b[2J"}
    end(process)


def test_the_first_of_two_variables_of_one_name_counts(tree):
    tree.put(5, 100)
    (tree.folder / "5/environ").write_bytes(b"SLURM_JOB_ID=1\0SLURM_JOB_ID=2\0nonsense\0=x\0")
    assert tree.proc.facts(5).environment == {"SLURM_JOB_ID": "1"}


def test_an_environment_without_end_is_read_up_to_a_limit(tree):
    tree.put(5, 100)
    (tree.folder / "5/environ").write_bytes(b"A=" + b"x" * (1 << 20) + b"\0SLURM_JOB_ID=2\0")
    assert tree.proc.facts(5).environment == {}


def test_the_environment_of_a_process_that_took_the_number_is_not_that_of_the_first(tree):
    tree.put(5, 100, environ={"SLURM_JOB_ID": "1"})
    facts = tree.proc.facts(5)
    tree.put(5, 200, environ={"SLURM_JOB_ID": "2"})
    assert facts.environment == {}


@pytest.mark.parametrize("broken", [b"", b"5", b"5 (x", b"5 (x) S 1", b"5 (x) S a b c" + b" 0" * 30, b"\0" * 5000])
def test_a_broken_stat_is_no_process(tree, broken):
    tree.put(5, 100)
    (tree.folder / "5/stat").write_bytes(broken)
    assert tree.proc.stat(5) is None
    assert tree.proc.facts(5) is None


def test_a_zombie_is_gone_and_what_cannot_be_read_is_not_known(tree):
    tree.put(5, 100, state=b"Z")
    assert tree.proc.facts(5) is None
    tree.put(6, 100)
    for name in ("cgroup", "status", "environ"):
        (tree.folder / "6" / name).unlink()
    facts = tree.proc.facts(6)
    assert (facts.cgroups, facts.uid, facts.environment) == ((), -1, {})


def test_cgroups_keep_what_is_after_the_second_colon(tree):
    tree.put(5, 100, cgroup="12:cpu,cpuacct:/a:b\n1:name=systemd:/x (deleted)\n0::/y\nnonsense\n")
    facts = tree.proc.facts(5)
    assert facts.paths == ("/y", "/a:b", "/x")
    assert facts.cgroups[0].controllers == ("cpu", "cpuacct")


def test_paths_are_told_from_the_root_of_the_machine_where_init_shows_the_way(tree):
    step = "/system.slice/slurmstepd.scope/job_1"
    tree.put(1, 1, cgroup="1:name=systemd:/../../init.scope\n0::/../../../init.scope\n")
    tree.put(5, 100, cgroup=f"1:name=systemd:/../../x\n0::/../../..{step}\n")
    tree.put(6, 100, cgroup=f"0::/../..{step}\n")  # below a folder that we are below, too
    tree.put(7, 100, cgroup=f"0::/../../../..{step}\n")
    proc = tree.proc
    assert proc.facts(5).paths == (step, "/x")
    assert proc.facts(6).paths == (f"/../..{step}",)
    assert proc.facts(7).paths == (f"/../../../..{step}",)


@pytest.mark.parametrize("init", ["/", "/init.scope", "/../own.service", "/x/..", "/../x/../init.scope"])
def test_an_init_that_is_elsewhere_shows_no_way(tree, init):
    tree.put(1, 1, cgroup=f"0::{init}\n")
    tree.put(5, 100, cgroup="0::/../system.slice/slurmstepd.scope/job_1\n")
    assert tree.proc.facts(5).paths == ("/../system.slice/slurmstepd.scope/job_1",)


def test_the_boot_is_named_and_a_machine_that_hides_it_has_zeros(tree, tmp_path):
    assert tree.proc.boot_id() == "7494866814e9"
    assert Proc(tmp_path / "nothing").boot_id() == "0" * 12


def test_the_clock_of_ticks_is_that_of_the_starts():
    before = Proc().ticks()
    process = child("")
    assert before - 1 <= Proc().stat(process.pid).key.started <= Proc().ticks() + 1
    end(process)
