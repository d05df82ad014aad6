"""The regular files under a folder, opened one by one without following a link.

Every folder is opened relative to its parent and every file is looked at before it is opened, so nothing that is
swapped meanwhile leads out of the tree, and no device or FIFO is ever opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Final

from hashwarden.errors import PermissionError_, TargetError, UnsupportedError

__all__ = ["MAX_DEPTH", "open_regular", "open_tree"]

MAX_DEPTH: Final = 128
"""Folders inside one another; each open level holds a descriptor."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_tree(path: str) -> Iterator[tuple[str, int] | TargetError]:
    """All regular files with bytes in them, by name, depth first.

    Parameters
    ----------
    path : str
        The folder; it may be a link, what lies in it not.

    Yields
    ------
    (str, int) or TargetError
        Path of a file and its open descriptor, which the caller closes; or what could not be opened.
    """
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        yield _refused(path, error)
        return
    yield from _folder(top, path, 1, _kernel_devices())


def _folder(descriptor: int, path: str, depth: int, left_out: set[int]) -> Iterator[tuple[str, int] | TargetError]:
    try:
        if os.fstat(descriptor).st_dev in left_out:
            return
        with os.scandir(descriptor) as entries:
            names = sorted((entry.name, entry.is_dir(follow_symlinks=False), _has_bytes(entry)) for entry in entries)
        for name, is_folder, has_bytes in names:
            where = os.path.join(path, name)  # noqa: PTH118  names, not places
            if is_folder and depth >= MAX_DEPTH:
                yield UnsupportedError(f"more than {MAX_DEPTH} folders inside one another", "fewer",
                                       "Scan the inner folder by itself.", where=where)  # fmt: skip
            elif is_folder or has_bytes:
                try:
                    opened = os.open(name, _FOLDER if is_folder else _FILE, dir_fd=descriptor)
                except OSError as error:
                    yield _refused(where, error)
                    continue
                if is_folder:
                    yield from _folder(opened, where, depth + 1, left_out)
                elif open_regular(opened):
                    yield where, opened
                else:
                    os.close(opened)
    except OSError as error:
        yield _refused(path, error)
    finally:
        os.close(descriptor)


def open_regular(descriptor: int) -> bool:
    """Whether an open file is regular and holds bytes."""
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_size > 0


def _has_bytes(entry: os.DirEntry[str]) -> bool:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0


def _kernel_devices() -> set[int]:
    """The device numbers of /proc and /sys: their files are no files."""
    found = set()
    for path in ("/proc", "/sys"):
        if os.path.ismount(path):
            found.add(os.stat(path).st_dev)  # noqa: PTH116
    return found


def _refused(where: str, error: OSError) -> PermissionError_:
    return PermissionError_(
        f"cannot be opened ({error.strerror})", "a file that may be read", "Run as a user who may read it, or as root.",
        where=where,
    )  # fmt: skip
