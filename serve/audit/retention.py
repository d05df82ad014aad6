"""How long the files of a log are kept: the rule, and the oldest file if its time has come.

The log writes down, and signs, that a file goes before it does: so what is missing without such a record was taken
away. The rule would rather keep too much. Nothing goes while the wall clock is not known to be steady; a file that is
stamped in the future stays; and size alone removes nothing younger than `Retention.least_days`, or whoever can make
the agent write much could push out what it wrote about him.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import DataError
from hashwarden.model.storage import synced
from hashwarden.serve.audit.checkpoint import Checkpoint
from hashwarden.serve.audit.files import LogFile, lines, log_files, opened
from hashwarden.serve.audit.keys import PublicKey, Signer
from hashwarden.serve.audit.record import Record, parse
from hashwarden.serve.audit.tail import link_of

__all__ = ["EVERY_S", "FOREVER", "JUMP_S", "Due", "Keeper", "Retention", "public_text"]

EVERY_S: Final = 600.0
"""Seconds between two looks, and from one file to the next; the first look comes so long after the start."""

JUMP_S: Final = 60.0
"""A change of the wall clock against the monotonic one after which no age is believed for `_STEADY_S`."""

_STEADY_S: Final = 3600.0
_DAY_S: Final = 86400.0


@final
@dataclass(frozen=True, slots=True)
class Retention:
    """The rule; by default all is kept for ever.

    Attributes
    ----------
    keep_days : float
        A file whose last record is older is removed; 0 for never.
    disk_bytes : int
        While all files together are larger, the oldest is removed; 0 for no such bound.
    least_days : float
        Whatever the size, younger files stay.
    """

    keep_days: float = 0.0
    disk_bytes: int = 0
    least_days: float = 30.0

    def why(self, age_s: float, whole: int) -> str:
        """Why a file of this age goes, with so many bytes in all files; empty if it stays."""
        if 0 < self.keep_days * _DAY_S < age_s:
            return "age"
        return "size" if 0 < self.disk_bytes < whole and age_s > self.least_days * _DAY_S else ""


FOREVER: Final = Retention()


@final
@dataclass(frozen=True, slots=True)
class Due:
    """The oldest file, whose time has come.

    Attributes
    ----------
    path : Path
    body : mapping
        Of the record that has to be written first.
    """

    path: Path
    body: Mapping[str, Any]

    def remove(self) -> None:
        """Remove it, for good; one that is gone already is no error.

        Raises
        ------
        OSError
            If that is refused.
        """
        self.path.unlink(missing_ok=True)
        synced(self.path.parent)


@final
class Keeper:
    """Looks now and then whether a file is due.

    Parameters
    ----------
    rule : Retention
    time_s, unix_s : float
        Both clocks now.
    """

    def __init__(self, rule: Retention, time_s: float, unix_s: float) -> None:
        self._rule, self._next_s, self._offset_s = rule, time_s + EVERY_S, unix_s - time_s

    def due(self, folder: Path, signer: Signer | None, time_s: float, unix_s: float) -> Due | None:
        """The file that goes now; never the newest one, and never two within `EVERY_S`."""
        if abs(unix_s - time_s - self._offset_s) > JUMP_S:
            self._next_s = max(self._next_s, time_s + _STEADY_S)
        self._offset_s = unix_s - time_s
        if not (self._rule.keep_days or self._rule.disk_bytes) or time_s < self._next_s:
            return None
        self._next_s = time_s + EVERY_S
        try:
            files = log_files(folder, twice=True)
            return self._judged(files, signer, unix_s) if len(files) > 1 else None
        except (DataError, OSError):  # one that cannot be read stays, and verify tells
            return None

    def _judged(self, files: Sequence[LogFile], signer: Signer | None, unix_s: float) -> Due | None:
        oldest, following = files[:2]
        own, other = _first(oldest), _first(following)
        link = link_of(other, following)
        if own is None or other is None or link is None:
            return None
        ended_unix_s = max(own.stamp.unix_s, other.stamp.unix_s)
        sizes = {file: file.path.stat().st_size for file in files}
        why = self._rule.why(unix_s - ended_unix_s, sum(sizes.values()))
        if not why:
            return None
        rule = {name: getattr(self._rule, name) for name in Retention.__slots__}
        body = {
            "event": "pruned", "file": oldest.path.name, "bytes": sizes[oldest], "first": oldest.first,
            "next": following.first, "hash": link.hex(), "why": why, "ended_unix_s": ended_unix_s, "rule": rule,
        }  # fmt: skip
        return Due(oldest.path, body | _key(other, files, signer))


def _first(file: LogFile) -> Record | None:
    with opened(file) as stream:
        return next((parse(line) for line in lines(stream, file.path)), None)


def _key(record: Record, files: Sequence[LogFile], signer: Signer | None) -> dict[str, str]:
    """The key by which the file that is the first from now on begins: who reads it needs it, and what named it goes."""
    found = Checkpoint.of(record.body())
    if found is None or not found.key:
        return {}
    text = signer.public.text if signer is not None and signer.public.id == found.key else public_text(files, found.key)
    return {"key": found.key, "public_key": text} if text else {"key": found.key}


def public_text(files: Sequence[LogFile], key: str) -> str:
    """The public key of this id, where a log names it; empty if it does not."""
    for file in files:
        with opened(file) as stream:
            for line in lines(stream, file.path):
                record = parse(line) if b'"public_key":"' in line else None
                found = None if record is None else PublicKey.parse(record.body().get("public_key"))
                if found is not None and found.id == key:
                    return found.text
    return ""
