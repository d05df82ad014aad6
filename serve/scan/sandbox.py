"""Walls around a process that reads hostile bytes; entered once, never left.

As root: user and group nobody, no capabilities, an empty root folder, no network. For every user: no new privileges,
not traceable, ends with its parent, a system call filter, and bounds on memory, processor time, file size and
descriptors. What the kernel does not offer is left out; `Walls` says what stands.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NoReturn, final

from hashwarden.serve.scan.seccomp import NEEDED_TO_RUN, install_filter

__all__ = ["NOBODY", "Bounds", "Walls", "confined_command", "enter", "exec_confined"]

NOBODY: Final = 65534
"""User and group that a worker of root becomes."""

_NEWNS, _NEWUTS, _NEWIPC, _NEWNET = 0x00020000, 0x04000000, 0x08000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


@final
@dataclass(frozen=True, slots=True)
class Bounds:
    """What a confined process may use.

    Attributes
    ----------
    memory_bytes : int
        Address space beyond what it has when it enters.
    file_bytes : int
        Size of a file that it writes.
    cpu_seconds : int
        Processor time.
    descriptors : int
        Open files.
    """

    memory_bytes: int
    file_bytes: int
    cpu_seconds: int
    descriptors: int = 64


@final
@dataclass(frozen=True, slots=True)
class Walls:
    """Which of the walls that a kernel may refuse stand."""

    other_user: bool
    no_network: bool
    no_files: bool
    call_filter: bool


def enter(bounds: Bounds, empty_root: int = -1, *, spared: frozenset[str] = frozenset()) -> Walls:
    """Confine this process.

    Parameters
    ----------
    bounds : Bounds
        What it may use.
    empty_root : int, default -1
        Descriptor of an empty folder that becomes the root folder, if this is root; closed.
    spared : frozenset of str
        System calls that stay allowed; `seccomp.NEEDED_TO_RUN` before a program is executed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    root = os.geteuid() == 0
    _set_bounds(bounds)
    no_network = root and libc.unshare(_NEWNET | _NEWIPC | _NEWUTS | _NEWNS) == 0
    no_files = _change_root(empty_root)
    other_user = root and _become_nobody()
    for option, value in ((_PR_SET_NO_NEW_PRIVS, 1), (_PR_SET_DUMPABLE, 0), (_PR_SET_PDEATHSIG, signal.SIGKILL)):
        libc.prctl(option, int(value), 0, 0, 0)
    return Walls(other_user, no_network, no_files, install_filter(spared))


def _become_nobody() -> bool:
    """Give up root; in a container, root may lack the right to become somebody else."""
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:
        return False
    return True


def _change_root(descriptor: int) -> bool:
    if descriptor < 0:
        return False
    try:
        os.fchdir(descriptor)
        os.chroot(".")
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _set_bounds(bounds: Bounds) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    wanted = {
        resource.RLIMIT_AS: pages * resource.getpagesize() + bounds.memory_bytes,
        resource.RLIMIT_FSIZE: bounds.file_bytes,
        resource.RLIMIT_CPU: bounds.cpu_seconds,
        resource.RLIMIT_NOFILE: bounds.descriptors,
        resource.RLIMIT_CORE: 0,
    }
    for which, value in wanted.items():
        hard = resource.getrlimit(which)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (bound, bound))


_CONFINED: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from hashwarden.serve.scan.sandbox import exec_confined; exec_confined(json.loads(sys.argv[2]), sys.argv[3:])"
)


def confined_command(command: list[str], bounds: Bounds) -> list[str]:
    """The command line that runs ``command`` behind the walls; it keeps the files of the system."""
    return [sys.executable, "-I", "-c", _CONFINED, json.dumps(sys.path), json.dumps(asdict(bounds)), *command]


def exec_confined(bounds: dict[str, int], command: list[str]) -> NoReturn:
    """Enter the walls and become ``command``; what `confined_command` runs."""
    enter(Bounds(**bounds), spared=NEEDED_TO_RUN)
    os.execve(command[0], command, {"PATH": "/usr/bin:/bin", "TMPDIR": "."})  # noqa: S606  no shell is wanted
