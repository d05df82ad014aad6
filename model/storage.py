"""A file on a disk: synced before it takes its name, and the words for a disk that refuses."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["FULL", "refusal", "replacing", "synced"]

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""What a disk answers that takes no more."""


@contextmanager
def replacing(path: Path, part: Path | None = None) -> Iterator[BinaryIO]:
    """Write a file whole, synced to the disk, or leave what was there; on any error nothing stays beside it.

    Parameters
    ----------
    path : Path
        Its folder must be there.
    part : Path, optional
        Where it lies until it is whole, on the same disk: a name of one's own where several may write at once. By
        default one name for all, so that what a killed program left is written over by the next.
    """
    part = part or path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def synced(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk; only now may it say that it is full."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def refusal(error: OSError, what: str = "it") -> str:
    """The words for what cannot be written, and why."""
    return f"{what} cannot be written ({error.strerror or error})"
