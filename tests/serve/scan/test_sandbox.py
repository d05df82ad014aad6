"""The walls: what a confined process can no longer do."""

import json
import os
import platform
import shutil
import subprocess
import sys
import textwrap

import pytest

from hashwarden.serve.scan.sandbox import NOBODY, Bounds, confined_command

TRIES = textwrap.dedent("""
    import ctypes, json, os, resource, socket, sys, tempfile
    sys.path[:] = json.loads(sys.argv[1])
    from hashwarden.serve.scan.sandbox import Bounds, enter
    with tempfile.TemporaryDirectory() as path:
        empty = os.open(path, os.O_PATH | os.O_DIRECTORY) if os.geteuid() == 0 else -1
    spool = tempfile.TemporaryFile(buffering=0)
    parent = os.getppid()
    walls = enter(Bounds(256 << 20, 1 << 20, 60, 20), empty)
    libc = ctypes.CDLL(None)

    def attempt(act):
        try:
            act()
        except (OSError, MemoryError) as error:
            return type(error).__name__
        return "allowed"

    def many():
        for _ in range(30):
            os.dup(0)

    out = {
        "open": attempt(lambda: os.open("/etc/passwd", os.O_RDONLY)),
        "write": attempt(lambda: os.open("/tmp/hashwarden-escaped", os.O_WRONLY | os.O_CREAT)),
        "socket": attempt(lambda: socket.socket()),
        "fork": attempt(lambda: os.posix_spawn("/bin/true", ["true"], {})),
        "exec": attempt(lambda: os.execv("/bin/true", ["true"])),
        "kill": attempt(lambda: os.kill(parent, 0)),
        "memory": attempt(lambda: bytearray(512 << 20)),
        "file size": attempt(lambda: os.pwrite(spool.fileno(), b"x", 2 << 20)),
        "spool": attempt(lambda: os.pwrite(spool.fileno(), b"x", 100)),
        "descriptors": attempt(many),
        "ptrace": libc.ptrace(0, 0, 0, 0),
        "user": [os.getresuid(), os.getresgid(), os.getgroups()],
        "no_new_privs": libc.prctl(39, 0, 0, 0, 0),
        "dumpable": libc.prctl(3, 0, 0, 0, 0),
        "walls": [walls.other_user, walls.no_network, walls.no_files, walls.call_filter],
    }
    os.write(1, json.dumps(out).encode())
    os._exit(0)
""")


@pytest.fixture(scope="module")
def tried():
    done = subprocess.run([sys.executable, "-c", TRIES, json.dumps(sys.path)], capture_output=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "what", ["open", "write", "socket", "fork", "exec", "kill", "memory", "file size", "descriptors"]
)
def test_what_a_worker_cannot_do(tried, what):
    assert tried[what] != "allowed"


def test_a_worker_can_write_to_the_file_it_was_given(tried):
    assert tried["spool"] == "allowed"


def test_a_worker_has_no_way_back(tried):
    assert tried["no_new_privs"] == 1
    assert tried["dumpable"] == 0
    assert tried["ptrace"] == -1
    if os.geteuid() == 0:
        assert tried["user"] == [[NOBODY] * 3, [NOBODY] * 3, []]


def test_all_walls_stand_here(tried):
    root = os.geteuid() == 0
    assert tried["walls"] == [root, root, root, platform.machine() in ("x86_64", "aarch64")]


def test_a_program_behind_the_walls_keeps_files_and_its_bounds(tmp_path):
    (tmp_path / "in").write_text("read")
    for folder in (tmp_path, *tmp_path.parents[:-1]):
        folder.chmod(folder.stat().st_mode | 0o055)
    said = ["/bin/sh", "-c", "cat in; echo; ulimit -c; ulimit -n; grep -c Seccomp:.2 /proc/self/status"]
    done = subprocess.run(
        confined_command(said, Bounds(1 << 30, 1 << 20, 20, 77)),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.split() == ["read", "0", "77", "1"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_root_without_capabilities_still_gets_the_other_walls():
    """As in a container that drops all capabilities."""
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", TRIES, json.dumps(sys.path)]
    done = subprocess.run(command, capture_output=True, check=True)
    said = json.loads(done.stdout)
    assert said["walls"] == [False, False, False, True]
    assert said["open"] == said["socket"] == said["exec"] == "PermissionError"
