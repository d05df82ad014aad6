"""The list of users with an open case that job_submit.lua reads: a line for each, with an end.

``UID CASE UNTIL WHAT``: numbers in decimal, UNTIL in whole seconds since 1970, WHAT one of ``refuse``, ``hold`` or
``route:PARTITION``. Each line has its own end, so that an agent that died keeps nobody out for ever, and that the
lists of several nodes are put together by writing one after the other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from hashwarden.errors import UsageError
from hashwarden.model.storage import refusal, replacing
from hashwarden.serve.journal import StorageError

__all__ = ["OPEN_CASES", "OpenCase", "read_open_cases", "write_open_cases"]

OPEN_CASES: Final = Path("/var/lib/hashwarden/slurm/open-cases")
"""Where job_submit.lua looks."""

_LINE: Final = re.compile(
    r"([0-9]{1,10}) ([A-Za-z0-9_.:-]{1,128}) ([0-9]{1,12}) (refuse|hold|route:[A-Za-z0-9_.-]{1,64})"
)
_MOST_BYTES: Final = 1 << 20
"""More than that job_submit.lua does not read."""


@final
@dataclass(frozen=True, slots=True)
class OpenCase:
    """A user whose new jobs are refused, held or routed.

    Attributes
    ----------
    uid : int
        Never 0: root's jobs always pass.
    case : str
        Letters, digits, ``_.:-``.
    until_unix_s : float
        From then on the line counts no more; write it anew while the case is open.
    what : str
        ``refuse``, ``hold`` or ``route:PARTITION``.
    """

    uid: int
    case: str
    until_unix_s: float
    what: str = "refuse"

    @property
    def line(self) -> str:
        """As in the file."""
        return f"{self.uid} {self.case} {int(self.until_unix_s)} {self.what}"


def write_open_cases(cases: Iterable[OpenCase], path: Path = OPEN_CASES) -> None:
    """Replace the list by another, whole, readable for slurmctld's user.

    Parameters
    ----------
    cases : iterable of OpenCase
    path : Path
        Its folder must be there.

    Raises
    ------
    UsageError
        If a case cannot stand in a line, or there are too many; the file stays as it was.
    StorageError
        If it cannot be written; the file stays as it was.
    """
    text = "".join(_checked(case) + "\n" for case in cases).encode("ascii")
    if len(text) > _MOST_BYTES:
        raise UsageError(f"{len(text)} bytes of open cases", f"at most {_MOST_BYTES}", "Close some.", where=str(path))
    try:
        with replacing(path) as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
    except OSError as error:
        remedy = "Make room; until then jobs are let in by the list as it was."
        raise StorageError(refusal(error, "the list of open cases"), "room", remedy, where=str(path)) from error


def read_open_cases(path: Path = OPEN_CASES) -> list[OpenCase]:
    """What job_submit.lua would see; lines that make no sense are passed over, no file is an empty one."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("ascii", "replace")
    except OSError:
        return []
    found = (_LINE.fullmatch(line) for line in text.split("\n"))
    return [OpenCase(int(one[1]), one[2], float(one[3]), one[4]) for one in found if one]


def _checked(case: OpenCase) -> str:
    line = case.line if case.uid > 0 else ""
    if _LINE.fullmatch(line) is None:
        expected = "a UID above 0, a case of letters and digits, and refuse, hold or route:PARTITION"
        raise UsageError(f"no open case: {case!r}", expected, "Correct it.")
    return line
