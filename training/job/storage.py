"""Long work where the disk may be full: one error that says where, and all that was made or none of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hashwarden.errors import DataError, UsageError
from hashwarden.model.storage import FULL, refusal, synced

__all__ = ["room", "spare", "staged"]


@contextmanager
def room(*places: Path, remedy: str) -> Iterator[None]:
    """Turn what a disk refuses inside this block into one error; other errors pass.

    Parameters
    ----------
    places : Path
        Folders that are written to; they need not be there yet.
    remedy : str
        What to do once there is room.

    Raises
    ------
    UsageError
        If a disk is full, or one of the folders cannot be used. It names the one with the least room.
    """
    try:
        yield
    except OSError as error:
        if not _refused(error, places):
            raise
        raise _no_room(error, places, remedy) from error
    except DataError as error:  # a trace that could not be written
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in FULL:
            raise
        raise _no_room(error.__cause__, places, remedy) from error


def _no_room(error: OSError, places: tuple[Path, ...], remedy: str) -> UsageError:
    """The error for a disk that refuses, about the folder that has the least room."""
    named = [place for place in places if _within(error, place)]
    where = min(named or places, key=_free)
    return UsageError(refusal(error), "a folder that can be written to, with room", remedy, where=str(where))


def _refused(error: OSError, places: tuple[Path, ...]) -> bool:
    return error.errno in FULL or any(_within(error, place) for place in places)


def _within(error: OSError, place: Path) -> bool:
    return isinstance(error.filename, str | os.PathLike) and Path(error.filename).absolute().is_relative_to(
        place.absolute()
    )


def _free(place: Path) -> int:
    """Bytes that are free where a folder is, or would be made."""
    there = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


@contextmanager
def staged(output: Path, last: str = "") -> Iterator[Path]:
    """Give a folder whose files go to ``output`` together, once all are whole; on any error none does.

    Parameters
    ----------
    output : Path
        Made if it is not there.
    last : str
        Name of the file that goes last, for readers that look at it first.
    """
    output.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=output, prefix=".new-"))
    try:
        yield folder
        made = sorted(folder.iterdir(), key=lambda path: (path.name == last, path.name))
        for path in made:
            synced(path)
        for path in made:
            path.replace(output / path.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def spare(output: Path, size: int) -> Iterator[BinaryIO]:
    """Hold room for what is to be written at the end of long work; close the file to have it.

    It has no name, so that nothing is left of it if the program is killed.

    Parameters
    ----------
    output : Path
        Made if it is not there.
    size : int
        Bytes.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=output) as file:
        os.posix_fallocate(file.fileno(), 0, size)
        yield file
