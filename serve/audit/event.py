"""What goes into the audit log, and what writes it, for those that only hand events on."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol

__all__ = ["Auditor", "EventKind"]


class EventKind(StrEnum):
    """Kinds of records; a new one is added here, an old one never changes its meaning."""

    START = "start"
    """Version, configuration hash, model and policy hashes, self-test."""
    STOP = "stop"
    VERDICT = "verdict"
    """A verdict that changed state, whole."""
    CASE = "case"
    """A case was opened, changed its step, or was closed."""
    APPROVAL = "approval"
    """Somebody approved or rejected: who (as the system knows them), what, why."""
    INTENT = "intent"
    """An action is about to be asked for."""
    ACTION = "action"
    """What came of it."""
    POLICY = "policy"
    MODEL = "model"
    BLIND = "blind"
    """What cannot be seen, since when, and when it could be seen again."""
    COVERAGE = "coverage"
    """GPU-seconds observed and classified by tenant in an interval; what attestations and metering are made of."""
    CHECKPOINT = "checkpoint"
    """The chain so far, signed; the log writes these itself."""
    LOG = "log"
    """Of the log itself: begun, recovered after a crash, gone on to another file, another key, an old file removed."""


class Auditor(Protocol):
    """Takes events; `hashwarden.serve.audit.log.AuditLog` is the real one."""

    def append(self, kind: EventKind, body: Mapping[str, Any], *, sync: bool = True) -> int:
        """Write a record; when this returns (with `sync`), it survives kill -9 and a power cut.

        Returns
        -------
        int
            Its sequence number, counted from 0 over all rotations.

        Raises
        ------
        StorageError
            If it cannot be written. Nothing of it is left in the log then, and the next call tries again.
        """
