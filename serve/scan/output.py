"""A report goes to its file whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO, TextIO

from hashwarden.errors import UsageError

__all__ = ["atomic_bytes", "atomic_text"]


@contextmanager
def atomic_bytes(path: Path, mode: int) -> Iterator[BinaryIO]:
    """Write a file beside its place and move it there when it is whole; on any error the old one stays.

    Parameters
    ----------
    path : Path
    mode : int
        Permissions of the new file.

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """
    descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name[:32]}.")
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor, not a path
            yield file
            file.flush()
            os.fsync(descriptor)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """Write a report for ``--output``; what is no plain file (``/dev/stdout``, a pipe) is written to directly.

    Raises
    ------
    UsageError
        If it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8") as out:
                yield out
            return
        with atomic_bytes(path.resolve(), 0o666 & ~_umask()) as file:
            text = io.TextIOWrapper(file, encoding="utf-8")
            yield text
            text.flush()
            text.detach()
    except OSError as error:
        raise UsageError(
            f"cannot be written ({error.strerror})",
            "a file in a folder that can be written to, with room for it",
            "Choose another --output.",
            where=str(path),
        ) from error


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
