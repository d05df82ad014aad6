"""Whether what is missing at the beginning of a log was removed by its rule, as the log itself says and signs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from hashwarden.errors import DataError
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import LogFile, lines, opened
from hashwarden.serve.audit.keys import PublicKey
from hashwarden.serve.audit.record import Record, parse

__all__ = ["Removal", "Removals", "first_key"]

_MOST: Final = 100_000


@final
@dataclass(frozen=True, slots=True)
class Removal:
    """What a record says of records that were removed.

    Attributes
    ----------
    seq : int
        Number of the record that says it.
    before : int
        All records up to this number, without it.
    hash : str
        Of the last of them, hexadecimal.
    unix_s : float
        When it was written down.
    """

    seq: int
    before: int
    hash: str
    unix_s: float

    @property
    def date(self) -> str:
        """When, for people."""
        try:
            return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.unix_s))
        except (ValueError, OverflowError, OSError):
            return "an impossible date"

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"record": self.seq, "before": self.before, "hash": self.hash, "unix_s": self.unix_s}


@final
class Removals:
    """Takes what a log says of removals, and where its files begin, while it is read."""

    def __init__(self) -> None:
        self._said: dict[int, Removal] = {}
        self._begins: dict[int, str] = {}

    @property
    def any(self) -> bool:
        """Whether the log tells of one."""
        return bool(self._said)

    def begins(self, seq: int, before: bytes) -> None:
        """A file begins with this record, after this hash."""
        self._begins[seq] = before.hex()

    def take(self, record: Record, body: Mapping[str, Any]) -> None:
        """A record of a removal; of one that was begun twice, the first counts."""
        before, digest = body.get("next"), body.get("hash")
        if isinstance(before, int) and isinstance(digest, str) and len(self._said) < _MOST:
            one = Removal(record.seq, before, digest, record.stamp.unix_s)
            known = self._said.get(before)
            if known is None or (known.hash != digest and digest == self._begins.get(before)):
                self._said[before] = one

    def excuse(self, first: int) -> Removal | None:
        """What says that a log begins with this record on purpose; None if nothing does."""
        found = self._said.get(first)
        return found if found is not None and found.hash == self._begins.get(first) else None

    def wrong(self, first: int) -> str:
        """Why nothing excuses this beginning."""
        found = self._said.get(first)
        if found is not None:
            return f"record {found.seq} tells of their removal, but the last of them had another hash"
        return f"the log tells of the removal of those before {max(self._said)} only"

    def unfinished(self, first: int) -> Removal | None:
        """A removal after which the log should begin later than it does."""
        latest = max(self._said, default=0)
        return self._said[latest] if latest > first else None

    def contradictions(self) -> list[str]:
        """Removals that tell another hash than the records which are here have."""
        return [
            f"record {one.seq} says that the records before {before} ended with another hash than they do"
            for before, one in sorted(self._said.items())
            if self._begins.get(before, one.hash) != one.hash
        ]


def first_key(files: Sequence[LogFile]) -> PublicKey | None:
    """The key by which a log begins whose beginning was removed, as the record of the removal names it."""
    for file in reversed(files):
        try:
            with opened(file) as stream:
                for line in lines(stream, file.path):
                    if b'"event":"pruned"' in line and (key := _named(parse(line), files[0].first)) is not None:
                        return key
        except DataError:  # whoever checks the log tells
            continue
    return None


def _named(record: Record | None, first: int) -> PublicKey | None:
    if record is None or record.kind != EventKind.LOG:
        return None
    body = record.body()
    fits = body.get("event") == "pruned" and body.get("next") == first
    return PublicKey.parse(body.get("public_key")) if fits else None
