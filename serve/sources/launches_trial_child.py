"""A process like those in containers: calls a function with a return probe under a filter that knows no ``uretprobe``.

A program of its own, with nothing but the standard library; see `hashwarden.serve.sources.launches_trial`.
"""

import ctypes
import mmap
import struct
import sys

__all__ = ["ANSWER", "CODE", "NO_PROBE", "WRONG", "main"]

ANSWER = 42
CODE = b"\xb8" + struct.pack("<I", ANSWER) + b"\xc3"
"""``mov $42,%eax; ret``"""

WRONG, NO_PROBE = 1, 3
"""Exit codes."""

_TRAP = 0xCC
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE, _NOT_PERMITTED = 0x7FFF0000, 0x00050000, 1
_URETPROBE, _UPROBE = 335, 336
"""Numbers of system calls of x86-64 that filters made before them refuse."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def _confine() -> None:
    """Refuse the two calls, as a container's filter refuses what it does not know."""
    code = b"".join(
        struct.pack("<HBBI", *line)
        for line in (
            (_LOAD, 0, 0, 0),
            (_IF_EQUAL, 1, 0, _URETPROBE),
            (_IF_EQUAL, 0, 1, _UPROBE),
            (_RETURN, 0, 0, _REFUSE | _NOT_PERMITTED),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    program = _Program(len(code) // 8, code)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "no seccomp filter")


def main(fd: int) -> int:
    """Exit code: 0 if the function came back with its answer."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_long)
    place = libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE, fd, 0)
    if place is None or place == ctypes.c_void_p(-1).value or ctypes.string_at(place, 1)[0] != _TRAP:
        return NO_PROBE
    _confine()
    return 0 if ctypes.CFUNCTYPE(ctypes.c_int)(place)() == ANSWER else WRONG


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
