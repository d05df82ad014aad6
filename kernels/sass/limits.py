"""What reading one target may cost; every limit is a flag of the command line."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from hashwarden.errors import LimitError

__all__ = ["FLAGS", "RATIO_FREE_BYTES", "Budget", "Limits", "limit_error"]

FLAGS: Final[dict[str, str]] = {
    "nesting": "--max-nesting",
    "expanded_bytes": "--max-expanded",
    "expansion_ratio": "--max-ratio",
    "object_bytes": "--max-object",
    "objects": "--max-objects",
    "seconds": "--timeout",
    "memory_bytes": "--max-memory",
}
"""The command-line flag that sets each limit."""

RATIO_FREE_BYTES: Final = 64 << 20
"""Decompressed bytes of one member below which its expansion ratio is not looked at."""


@final
@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on reading hostile objects.

    Attributes
    ----------
    nesting : int
        Containers inside containers, 0 = only the object itself.
    expanded_bytes : int
        Bytes that one target may grow to when decompressed, over all its members.
    expansion_ratio : int
        Decompressed bytes per compressed byte of one member, checked above 64 MiB.
    object_bytes : int
        Size of one cubin or PTX text.
    objects : int
        Number of members and code objects of one target.
    seconds : float
        Wall time for one target.
    memory_bytes : int
        Address space that a parsing worker may add to what it starts with.
    """

    nesting: int = 6
    expanded_bytes: int = 64 << 30
    expansion_ratio: int = 200
    object_bytes: int = 1 << 30
    objects: int = 2_000_000
    seconds: float = 600.0
    memory_bytes: int = 4 << 30


def limit_error(name: str, got: str, bound: float, where: str) -> LimitError:
    """The error for a broken limit; it names the limit and the flag that raises it.

    Parameters
    ----------
    name : str
        Field of `Limits`.
    got : str
        What broke it.
    bound : float
        The limit's value.
    where : str
        The object.
    """
    text = f"at most {bound:,.0f} (limit {name})"
    return LimitError(got, text, f"If you trust it, raise the limit with {FLAGS[name]}.", where=where)


@final
@dataclass(slots=True)
class Budget:
    """What is left of the limits of one target; shared by everything that is read for it.

    Attributes
    ----------
    limits : Limits
        The bounds.
    expanded : int
        Decompressed bytes so far.
    objects : int
        Members and code objects so far.
    clock : callable
        Seconds; a worker counts its processor time, so that waiting for others is not charged.
    started : float
        What the clock said at the start of the target; now by default.
    spent : bool
        A limit of the whole target was reached: loops over members end instead of failing once a member.
    """

    limits: Limits
    expanded: int = 0
    objects: int = 0
    clock: Callable[[], float] = time.monotonic
    started: float = -1.0
    spent: bool = False

    def __post_init__(self) -> None:
        self.started = self.clock() if self.started < 0 else self.started

    def count(self, where: str, objects: int = 1) -> None:
        """Count members or code objects, and look at the clock.

        Raises
        ------
        LimitError
            If there are too many of them or the time is up.
        """
        self.objects += objects
        if self.objects > self.limits.objects:
            self.spent = True
            raise limit_error("objects", f"more than {self.limits.objects:,} members and objects",
                              self.limits.objects, where)  # fmt: skip
        self.check_time(where)

    def check_time(self, where: str) -> None:
        """Raise `LimitError` if the time of the target is up."""
        seconds = self.clock() - self.started
        if seconds > self.limits.seconds:
            self.spent = True
            raise limit_error("seconds", f"{seconds:.0f} seconds of reading", self.limits.seconds, where)

    def expand(self, size: int, where: str) -> None:
        """Count decompressed bytes, before or while they are made.

        Raises
        ------
        LimitError
            If the target grows beyond its limit or the time is up.
        """
        self.expanded += size
        if self.expanded > self.limits.expanded_bytes:
            self.spent = True
            raise limit_error("expanded_bytes", f"more than {self.limits.expanded_bytes:,} decompressed bytes",
                              self.limits.expanded_bytes, where)  # fmt: skip
        self.check_time(where)

    def check_ratio(self, packed: int, expanded: int, where: str) -> None:
        """Raise `LimitError` if ``packed`` bytes grew beyond the ratio allowed."""
        bound = max(RATIO_FREE_BYTES, packed * self.limits.expansion_ratio)
        if expanded > bound:
            raise limit_error("expansion_ratio", f"{packed:,} bytes that grow to {expanded:,} or more",
                              self.limits.expansion_ratio, where)  # fmt: skip

    def check_object(self, size: int, where: str) -> None:
        """Raise `LimitError` if a code object or a PTX text of ``size`` bytes is too large."""
        if size > self.limits.object_bytes:
            raise limit_error("object_bytes", f"a code object of {size:,} bytes", self.limits.object_bytes, where)

    def check_nesting(self, depth: int, where: str) -> None:
        """Raise `LimitError` if ``depth`` containers lie inside one another."""
        if depth > self.limits.nesting:
            raise limit_error("nesting", f"{depth} containers inside one another", self.limits.nesting, where)
