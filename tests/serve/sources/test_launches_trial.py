"""The trial of return probes under a container's filter: a real kernel, real eBPF. Needs root."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from hashwarden.errors import UnsupportedError
from hashwarden.serve.sources import launches_trial, launches_trial_child
from hashwarden.serve.sources.launches import LaunchesSource
from hashwarden.serve.sources.launches_tables import Tables
from hashwarden.serve.sources.launches_tracer import Places
from hashwarden.serve.sources.launches_trial import check, is_suspect
from hashwarden.serve.sources.launches_uprobes import Uprobes
from hashwarden.serve.sources.source import Options

pytestmark = [
    pytest.mark.bpf,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the system call of x86-64"),
]


@pytest.fixture(params=[True, False], ids=["links", "single probes"])
def uprobes(request):
    tables = Tables()
    made = Uprobes(tables.maps, 0, many=request.param)
    yield made
    made.close()
    tables.close()


def test_this_kernel_brings_a_confined_process_back_from_a_return_probe(uprobes):
    if is_suspect(os.uname().release):
        pytest.skip("a kernel that may not")
    check(uprobes)


def test_the_probe_is_there_when_it_is_tried(uprobes, monkeypatch):
    codes = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: codes.append(run(*a, **k)) or codes[-1])
    check(uprobes)
    assert [done.returncode for done in codes] == [0]  # without its probe the child would say NO_PROBE


def test_the_child_says_when_there_is_no_probe_and_really_is_confined():
    fd = os.memfd_create("trial", 0)
    os.write(fd, launches_trial_child.CODE)
    child = [sys.executable, "-I", "-S", launches_trial_child.__file__, str(fd)]
    assert subprocess.run(child, pass_fds=(fd,), check=False).returncode == launches_trial_child.NO_PROBE
    os.close(fd)
    code = (  # with the number of a harmless call in place of the kernel's own
        "import ctypes, os, sys; sys.path.insert(0, sys.argv[1]); import launches_trial_child as c; c._URETPROBE = 110;"
        "c._confine(); print(ctypes.CDLL(None).getppid(), os.getpid() > 0)"
    )
    folder = str(Path(launches_trial_child.__file__).parent)
    done = subprocess.run([sys.executable, "-I", "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout == "-1 True\n"


@pytest.mark.parametrize(
    ("child", "release", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "6.8.0", "ends a process"),
        ("raise SystemExit(1)", "6.8.0", "ends a process"),
        ("raise SystemExit(3)", "6.12.0-55.el10.x86_64", "no trial was possible"),
        ("raise SystemExit(3)", "6.8.0-60-generic", None),
        ("raise SystemExit(3)", "6.14.0", None),
        ("pass", "6.12.0", None),
    ],
)
def test_where_jobs_would_crash_the_source_does_not_open(child, release, says, tmp_path, monkeypatch):
    (tmp_path / "child.py").write_text(child)
    monkeypatch.setattr(launches_trial, "_CHILD", tmp_path / "child.py")
    names = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*names[:2], release, *names[3:])))
    source = LaunchesSource(Options(), Places(standard=()))
    if says is None:
        source.open()
        source.close()
    else:
        with pytest.raises(UnsupportedError, match=says):
            source.open()
        assert not [fd for fd in Path("/proc/self/fd").iterdir() if "hashwarden-trial" in _target(fd)]


def _target(fd):
    try:
        return str(fd.readlink())
    except FileNotFoundError:
        return ""


def test_which_versions_are_suspect():
    assert [is_suspect(r) for r in ("6.10.3", "6.11.0-26-generic", "6.13", "6.14.1", "7.0", "5.15.0", "odd")] == [
        False, True, True, False, False, False, False,
    ]  # fmt: skip
