"""The files that a process has mapped: which of them are worth reading, what their content is, and a copy that stays.

What is hashed must be what is parsed: a file that its owner changes in between would put the verdict on one content
under the hash of another, and other users' processes would be judged by it. So a file that is read for the first time
is copied to an unnamed file, hashed on the way, and the copy is parsed.
"""

from __future__ import annotations

import ctypes
import errno
import os
from hashlib import sha256
from tempfile import TemporaryFile
from typing import Final

__all__ = ["MOST_BYTES", "copied", "hashed", "is_worth_reading", "volatile"]

MOST_BYTES: Final = 8 << 30
"""A larger file is not read; the largest library of the CUDA toolkits has a tenth of it."""
_PLAIN_BYTES: Final = 64 << 20
"""A file that does not begin like a program, a package or code is data if it is larger: weights, tensors."""
_BEGINNINGS: Final = (b"\x7fELF", b"\x50\xed\x55\xba", b"PK\x03\x04")
_PORTION: Final = 1 << 20
_VOLATILE: Final = frozenset({0x01021994, 0x858458F6, 0x958458F6, 0x65735546})
"""tmpfs, ramfs and hugetlbfs, which keep no time of a change through a mapping, and FUSE, where a user's own program
says what the times are (statfs(2))."""


def volatile(descriptor: int) -> bool:
    """Whether the times of change of a file prove nothing, so that its content has to be hashed each time."""
    buffer = (ctypes.c_long * 64)()
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.fstatfs(descriptor, buffer) != 0 or (buffer[0] & 0xFFFFFFFF) in _VOLATILE


def is_worth_reading(descriptor: int, size: int) -> bool:
    """Whether a file of this size may hold machine code that a process runs."""
    if not 0 < size <= MOST_BYTES:
        return False
    if size <= _PLAIN_BYTES:
        return True
    try:
        return os.pread(descriptor, 4, 0) in _BEGINNINGS
    except OSError:
        return False


def hashed(descriptor: int, size: int) -> str:
    """SHA-256 of the first ``size`` bytes.

    Raises
    ------
    OSError
        If they cannot be read.
    """
    return _pass_on(descriptor, size, -1)


def copied(descriptor: int, size: int, folder: str) -> tuple[int, str]:
    """An unnamed copy in a folder, and the SHA-256 of the copy; the caller closes it.

    Raises
    ------
    OSError
        If the file cannot be read or the disk does not take it.
    """
    with TemporaryFile(dir=folder) as file:
        free = os.fstatvfs(file.fileno())
        if free.f_bavail * free.f_frsize < 2 * size:
            raise OSError(errno.ENOSPC, "no room for a copy")
        digest = _pass_on(descriptor, size, file.fileno())
        return os.dup(file.fileno()), digest


def _pass_on(descriptor: int, size: int, target: int) -> str:
    digest, offset = sha256(), 0
    while offset < size:
        data = os.pread(descriptor, min(_PORTION, size - offset), offset)
        if not data:
            break
        digest.update(data)
        if target >= 0:
            _write(target, data)
        offset += len(data)
    return digest.hexdigest()


def _write(target: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(target, rest) :]
