"""What the tables of sources, providers and schedulers have in common: each entry is a file of its name."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Protocol, TypeVar

from hashwarden.errors import UsageError

__all__ = ["chosen", "find", "made"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class _Optional(_Named, Protocol):
    @property
    def default(self) -> bool: ...


_One = TypeVar("_One", bound=_Named)
_Other = TypeVar("_Other", bound=_Optional)


def find(table: Iterable[_One], name: str, what: str) -> _One:
    """The entry of this name; `what` says in words what is looked for.

    Raises
    ------
    UsageError
        If there is none.
    """
    known = {one.name: one for one in table}
    if name not in known:
        raise UsageError(f"no {what} is called {name!r}", "one of " + ", ".join(known), "Choose one.")
    return known[name]


def chosen(table: Iterable[_Other], names: Iterable[str], what: str) -> list[_Other]:
    """The named entries in the order of the table; the defaults if none is named. Errors as `find`."""
    every = list(table)
    wanted = {find(every, name, what).name for name in names} or {one.name for one in every if one.default}
    return [one for one in every if one.name in wanted]


def made(package: str, name: str, options: object) -> Any:  # noqa: ANN401  each file says what it makes
    """What the function ``make`` of the entry's file makes."""
    return import_module(f"{package}.{name}").make(options)
