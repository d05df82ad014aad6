"""Whether processes in containers survive return probes on this kernel; tried on a process of our own.

From Linux 6.11 on a probed function of x86-64 comes back by a system call, ``uretprobe``. Filters of containers that
were made before it refuse it, and then the process goes on at a wild address and crashes: nginx did, and systemd's own
services (nginx issue 226, systemd issue 34615). Later kernels let it pass whatever a filter says. A tracer that crashes
every job in a container is worse than none, so where that would happen the source does not open.
"""

from __future__ import annotations

import mmap
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from hashwarden.errors import UnsupportedError
from hashwarden.serve.sources import launches_trial_child as child
from hashwarden.serve.sources.launches_functions import Function
from hashwarden.serve.sources.launches_uprobes import Uprobes, detach

__all__ = ["check", "is_suspect"]

_LONGEST_S: Final = 30.0
_MAY_RUN: Final = 0x10
_CHILD: Final = Path(child.__file__)
_FIRST, _MENDED = (6, 11), (6, 14)


def check(uprobes: Uprobes) -> None:
    """Place a return probe in a process of our own that has a container's filter, and let it come back.

    Parameters
    ----------
    uprobes : Uprobes

    Raises
    ------
    UnsupportedError
        If it does not survive that; or if it could not be tried, and the kernel is one of those that are known for it.
    """
    if platform.machine() != "x86_64":
        return
    fd = _memory()
    probes: list[int] = []
    try:
        os.write(fd, child.CODE.ljust(mmap.PAGESIZE, b"\xcc"))
        probes, _ = uprobes.attach(f"/proc/self/fd/{fd}", {"trial": 0}, [Function("trial", "load", at_return=True)])
        command = [sys.executable, "-I", "-S", str(_CHILD), str(fd)]
        code = subprocess.run(
            command, pass_fds=(fd,), check=False, timeout=_LONGEST_S, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ).returncode  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        code = child.NO_PROBE
    finally:
        detach(probes)
        os.close(fd)
    release = os.uname().release
    if code < 0 or code == child.WRONG:
        raise _refusal(f"Linux {release} ends a process with a seccomp filter at a return probe (code {code})")
    if code != 0 and is_suspect(release):
        raise _refusal(
            f"Linux {release} may end processes with seccomp filters at return probes; no trial was possible"
        )


def _refusal(got: str) -> UnsupportedError:
    return UnsupportedError(
        got,
        "a kernel that lets uretprobe() pass such filters: before 6.11, 6.14 and later, and later releases of 6.12",
        "Install a newer kernel, or leave the sources launches and code out: jobs in containers would crash.",
    )


def _memory() -> int:
    """A file in memory whose content may run, also where that has to be said (Linux 6.3)."""
    name, flags = "hashwarden-trial", os.MFD_CLOEXEC
    try:
        return os.memfd_create(name, flags | _MAY_RUN)
    except OSError:
        return os.memfd_create(name, flags)


def is_suspect(release: str) -> bool:
    """Whether a kernel is of those versions of which some do this."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and _FIRST <= (int(found[1]), int(found[2])) < _MENDED
