"""Where an agent's things lie: its folder, or a copy of its audit log; nothing is ever written there."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from hashwarden.errors import DataError, PrivilegeError, UsageError
from hashwarden.serve.audit.files import is_name

__all__ = ["STATE_DIR", "Place", "locate"]

STATE_DIR: Final = Path("/var/lib/hashwarden")
"""Where an agent keeps its things if nothing else is said."""


@final
@dataclass(frozen=True, slots=True)
class Place:
    """What there is of one node.

    Attributes
    ----------
    audit : Path
        The folder of the audit log; it may hold nothing.
    evidence : Path
        The folder of the bundles; it may not be there.
    """

    audit: Path
    evidence: Path

    def bundle(self, case: str) -> Path | None:
        """The bundle of a case, if it is there."""
        path = self.evidence / f"{case}.tar"
        try:
            return path if stat.S_ISREG(path.lstat().st_mode) else None
        except OSError:
            return None

    def bundles(self) -> list[str]:
        """Cases that there are bundles of."""
        try:
            return sorted(name[:-4] for name in os.listdir(self.evidence) if name.endswith(".tar"))  # noqa: PTH208
        except OSError:
            return []


def locate(folders: Sequence[Path]) -> list[Place]:
    """The places that folders stand for, in their order.

    Parameters
    ----------
    folders : sequence of Path
        Each an agent's ``state_dir``, or the folder of a log as it was copied away.

    Raises
    ------
    UsageError
        If one comes twice.
    DataError
        If one is not there, or is neither.
    PrivilegeError
        If one may not be read.
    """
    real = [folder.resolve() for folder in folders]
    if twice := next((folder for folder in real if real.count(folder) > 1), None):
        raise UsageError("a folder twice", "each once", "Leave one out: its hours would count twice.", where=str(twice))
    return [_place(folder) for folder in folders]


def _place(folder: Path) -> Place:
    expected = "an agent's folder, with audit/ in it, or a copy of an audit log"
    try:
        names = os.listdir(folder)  # noqa: PTH208  names are enough
    except PermissionError as error:
        raise PrivilegeError(
            "it may not be read by this user", "the rights to read what an agent keeps",
            "Run as root, or copy it away as root.", where=str(folder),
        ) from error  # fmt: skip
    except OSError as error:
        got = f"it cannot be read ({error.strerror})"
        raise DataError(got, expected, "Name it with --state-dir.", where=str(folder)) from error
    if "audit" in names or "evidence" in names:
        return Place(folder / "audit", folder / "evidence")
    if any(map(is_name, names)):
        return Place(folder, folder.parent / "evidence")
    raise DataError("no audit log in it", expected, "Name it with --state-dir.", where=str(folder))
