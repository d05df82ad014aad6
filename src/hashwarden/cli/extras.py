"""An optional package that is not there becomes an error that names the extra to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hashwarden.errors import MissingExtraError

__all__ = ["needs_extra"]


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Use what ``extra`` brings inside this block.

    Raises
    ------
    MissingExtraError
        If one of its packages is missing; a missing module of our own stays what it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "hashwarden"):
            raise
        raise MissingExtraError.of(package, extra) from error
