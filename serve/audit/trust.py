"""Whose signatures count while a log is read: the keys one was given, and those that they handed over to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from hashwarden.serve.audit.checkpoint import Checkpoint
from hashwarden.serve.audit.key_change import new_key
from hashwarden.serve.audit.keys import PublicKey

__all__ = ["Trust"]


@final
class Trust:
    """Follows the keys of a log.

    Parameters
    ----------
    given : sequence of PublicKey
        Those that the reader got by a way of their own; with none, the first one that the log names is believed.
    """

    def __init__(self, given: Sequence[PublicKey]) -> None:
        self.pinned = bool(given)
        self._trusted = {key.id: key for key in given}
        self._given = dict(self._trusted)
        self._ever: dict[str, PublicKey] = {}
        self._now: PublicKey | None = None
        self._next: tuple[PublicKey, str] | None = None

    def introduced(self, key: PublicKey | None) -> None:
        """The log names its first key."""
        self._now = key
        if key is not None and not self.pinned:
            self._trusted = {key.id: key}

    def changes(self, body: Mapping[str, Any], log: str) -> str:
        """The log names another key; gives what is wrong with that, empty for nothing."""
        old = str(body.get("old", ""))
        if body.get("endorsed"):
            key = new_key(body, log)
            if key is None or (self._now and self._now.id != old):
                return "a change of the key that its new holder has not signed"
            self._next = (key, old)
            return ""
        first, key = self._now is None, PublicKey.parse(body.get("public_key"))
        self._now = key
        if key is not None and (key.id in self._given or (first and not self.pinned)):
            self._trusted = {key.id: key}
            return ""
        return "the key was changed and the one before has not signed that"

    @property
    def keys(self) -> dict[str, PublicKey]:
        """All that were trusted so far, by id: those that were given, and those that were handed over to."""
        return {**self._given, **self._ever}

    def awaits(self) -> bool:
        """Whether the next record must be a checkpoint by the old key."""
        return self._next is not None

    def weigh(self, found: Checkpoint) -> tuple[bool, str]:
        """Whether a trusted key signed a checkpoint, and what is wrong with it, empty for nothing."""
        if not found.key:
            signed = self._now is not None or self.pinned
            return False, "a checkpoint that nobody signed" if signed else ""
        key = self._trusted.get(found.key) or (self._now if self._now and self._now.id == found.key else None)
        if key is None:
            return False, f"a checkpoint by a key that does not belong to this log ({found.key[:16]})"
        if not found.is_signed_by(key):
            return False, "a checkpoint whose signature is wrong"
        trusted = found.key in self._trusted
        self._now = self._now or key
        wrong = self._hand_over(found.key)
        return trusted and not wrong, wrong

    def _hand_over(self, by: str) -> str:
        if self._next is None:
            other = self._now is not None and self._now.id != by
            return "a checkpoint by a key that was given up" if other else ""
        (key, old), self._next = self._next, None
        if by != old:
            return "a change of the key that the old one has not signed"
        if self._trusted.pop(old, None):
            self._trusted[key.id] = self._ever[key.id] = key
        self._now = key
        return ""
