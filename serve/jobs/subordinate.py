"""Whose a subordinate user number is: a person may have tens of thousands, to run containers without root.

Each of them is another user to the kernel, and costs nothing: who begins anew as the next one must not be a stranger
each time. See subuid(5); ranges that a directory service gives are not known here.
"""

from __future__ import annotations

import os
import pwd
import stat
from bisect import bisect_right
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Final, final

__all__ = ["SubordinateIds"]

_MOST_BYTES: Final = 1 << 20
_LAST: Final = 2**32 - 2


@final
class SubordinateIds:
    """The ranges of /etc/subuid. `refresh` belongs to one thread, `owner` may be called from any.

    Parameters
    ----------
    path : Path
        Believed if it is root's, and nobody else can write to it.
    """

    def __init__(self, path: Path = Path("/etc/subuid")) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._ranges: tuple[list[int], list[tuple[int, int]]] = ([], [])

    def refresh(self) -> None:
        """Read it, if it is another than before."""
        try:
            with self._path.open("rb") as file:
                info = os.fstat(file.fileno())
                stamp = (info.st_mtime_ns, info.st_ino)
                if stamp != self._stamp:
                    own = info.st_uid == 0 and not info.st_mode & 0o022 and stat.S_ISREG(info.st_mode)
                    self._ranges = _ranges(file.read(_MOST_BYTES) if own else b"")
                    self._stamp = stamp
        except OSError:
            self._ranges, self._stamp = ([], []), None

    def owner(self, uid: int) -> int:
        """Who was given this number; itself if nobody was, or several were."""
        starts, ends = self._ranges
        place = bisect_right(starts, uid) - 1
        return ends[place][1] if place >= 0 and uid < ends[place][0] else uid


def _ranges(text: bytes) -> tuple[list[int], list[tuple[int, int]]]:
    """First numbers, in order; and for each the number after the last, and the owner, where there is but one."""
    changes: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for first, after, owner in filter(None, map(_range, text.decode("utf-8", "replace").splitlines())):
        changes[first].append((owner, 1))
        changes[after].append((owner, -1))
    points, here = sorted(changes), Counter[int]()
    starts, ends = [], []
    for point, following in pairwise(points):
        for owner, many in changes[point]:
            here[owner] += many
        owners = [owner for owner, many in here.items() if many > 0]
        here = Counter({owner: here[owner] for owner in owners})
        if len(owners) == 1:
            starts.append(point)
            ends.append((following, owners[0]))
    return starts, ends


def _range(line: str) -> tuple[int, int, int] | None:
    """The first number, the one after the last, and the owner."""
    name, _, rest = line.strip().partition(":")
    start, _, count = rest.partition(":")
    try:
        first, many = int(start), int(count)
        owner = int(name) if name.isascii() and name.isdigit() else pwd.getpwnam(name).pw_uid
    except (ValueError, KeyError, OverflowError):
        return None
    return (first, first + many, owner) if first > 0 and 0 < many <= _LAST - first and owner > 0 else None
