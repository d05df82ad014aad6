"""A system call filter for processes that read hostile bytes: no files by name, no network, no other processes.

A list of what is refused, not of what is allowed: the C libraries below a parser change what they call, and the
calls that could do harm are known. They fail with EPERM, so that a library that can do without goes on.
"""

from __future__ import annotations

import ctypes
import platform
import struct
from typing import Final

__all__ = ["NEEDED_TO_RUN", "install_filter"]

_X86_64: Final = {
    "open": 2, "creat": 85, "openat": 257, "openat2": 437, "name_to_handle_at": 303, "open_by_handle_at": 304,
    "unlink": 87, "unlinkat": 263, "rename": 82, "renameat": 264, "renameat2": 316, "link": 86, "linkat": 265,
    "symlink": 88, "symlinkat": 266, "mkdir": 83, "mkdirat": 258, "rmdir": 84, "mknod": 133, "mknodat": 259,
    "chmod": 90, "fchmod": 91, "fchmodat": 268, "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260,
    "truncate": 76, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308,
    "socket": 41, "connect": 42, "bind": 49, "listen": 50, "accept": 43, "accept4": 288, "socketpair": 53,
    "execve": 59, "execveat": 322, "fork": 57, "vfork": 58, "kill": 62, "tkill": 200, "pidfd_open": 434,
    "pidfd_getfd": 438, "pidfd_send_signal": 424, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311,
    "prlimit64": 302, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425,
    "keyctl": 250, "add_key": 248, "request_key": 249, "memfd_create": 319, "shmget": 29, "msgget": 68,
    "semget": 64, "init_module": 175, "finit_module": 313, "kexec_load": 246, "ioctl": 16,
}  # fmt: skip
_AARCH64: Final = {
    "openat": 56, "openat2": 437, "name_to_handle_at": 264, "open_by_handle_at": 265, "unlinkat": 35,
    "renameat": 38, "renameat2": 276, "linkat": 37, "symlinkat": 36, "mkdirat": 34, "mknodat": 33, "fchmod": 52,
    "fchmodat": 53, "fchown": 55, "fchownat": 54, "truncate": 45, "mount": 40, "umount2": 39, "pivot_root": 41,
    "chroot": 51, "unshare": 97, "setns": 268, "socket": 198, "connect": 203, "bind": 200, "listen": 201,
    "accept": 202, "accept4": 242, "socketpair": 199, "execve": 221, "execveat": 281, "kill": 129, "tkill": 130,
    "pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424, "ptrace": 117, "process_vm_readv": 270,
    "process_vm_writev": 271, "prlimit64": 261, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
    "io_uring_setup": 425, "keyctl": 219, "add_key": 217, "request_key": 218, "memfd_create": 279, "shmget": 194,
    "msgget": 186, "semget": 190, "init_module": 105, "finit_module": 273, "kexec_load": 104, "ioctl": 29,
}  # fmt: skip
_MACHINES: Final = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000
_X32 = 0x40000000
_PR_SET_SECCOMP, _FILTER = 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


NEEDED_TO_RUN: Final = frozenset(
    ("open", "openat", "creat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "fchmod", "chmod", "ftruncate",
     "execve", "fork", "vfork", "ioctl", "prlimit64", "memfd_create", "mkdir", "mkdirat", "rmdir"),
)  # fmt: skip
"""What a program needs that is executed behind the filter and reads and writes files."""


def install_filter(spared: frozenset[str] = frozenset()) -> bool:
    """Refuse the calls from now on, for this process and its children; PR_SET_NO_NEW_PRIVS has to be set.

    Parameters
    ----------
    spared : frozenset of str
        Calls that are not refused.

    Returns
    -------
    bool
        False on a machine or kernel that has no filter; the other walls stand all the same.
    """
    if platform.machine() not in _MACHINES:
        return False
    machine, calls = _MACHINES[platform.machine()]
    code = _program(machine, [number for name, number in calls.items() if name not in spared])
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p).value)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0) == 0)


def _program(machine: int, calls: list[int]) -> bytes:
    """The filter as BPF: another machine's call kills, a listed call is refused, all others pass."""
    numbers = sorted(set(calls))
    steps = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, machine), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    steps.append((_AT_LEAST, len(numbers) + 1, 0, _X32))
    for index, number in enumerate(numbers):
        steps.append((_EQUAL, len(numbers) - index, 0, number))
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    return b"".join(struct.pack("<HBBI", *step) for step in steps)
