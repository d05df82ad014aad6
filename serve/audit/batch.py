"""Records that are written together, with the checkpoints that fall between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from hashwarden.serve.audit.checkpoint import Checkpoint, Statement
from hashwarden.serve.audit.clean import clean
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.keys import Signer
from hashwarden.serve.audit.record import Stamp, chained, line_of, payload_of
from hashwarden.serve.audit.tail import Head

__all__ = ["Batch", "Event"]

Event = tuple[EventKind, Mapping[str, Any]]
"""A kind and a body."""


@final
class Batch:
    """Lines to be, in memory; nothing of it counts until they are written.

    Parameters
    ----------
    head : Head
        Where they go.
    log : str
        Id of the log.
    signer : Signer or None
    every : int
        Most records between checkpoints.
    stamp : Stamp

    Attributes
    ----------
    head : Head
        After what was added.
    told : list of Checkpoint
        Those among them.
    """

    def __init__(self, head: Head, log: str, signer: Signer | None, every: int, stamp: Stamp) -> None:
        self.head, self.told = head, list[Checkpoint]()
        self._log, self._signer, self._every, self._stamp = log, signer, every, stamp
        self._lines: list[bytes] = []

    @property
    def data(self) -> bytes:
        """All lines."""
        return b"".join(self._lines)

    def add(self, kind: EventKind, body: Mapping[str, Any]) -> int:
        """Add a record, after a checkpoint if one is due; gives its number."""
        if self.head.since >= self._every:
            self.checkpoint()
        return self._add(kind, clean(body), self.head.since + 1)

    def hand_over(self, signer: Signer) -> None:
        """Go on with another key, which signs at once."""
        self._signer = signer
        self.checkpoint()

    def checkpoint(self) -> None:
        """Add a checkpoint of all before it."""
        before = self.head
        statement = Statement(
            log=self._log, seq=before.seq - 1, hash=before.hash.hex(), unix_s=round(self._stamp.unix_s, 6),
            every=self._every,
        )  # fmt: skip
        one = Checkpoint.signed(statement, self._signer)
        self._add(EventKind.CHECKPOINT, one.line().encode("ascii"), 0)
        self.told.append(one)

    def _add(self, kind: EventKind, body: bytes, since: int) -> int:
        number = self.head.seq
        payload = payload_of(number, kind.value, self._stamp, body)
        digest = chained(self.head.hash, payload)
        self._lines.append(line_of(digest, payload))
        self.head = Head(number + 1, digest, since)
        return number
