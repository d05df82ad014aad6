"""The agent's folder: one agent at a time, nobody else's business, and the evidence kept over a restart."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import UsageError
from hashwarden.model.storage import refusal, replacing
from hashwarden.serve.journal import StorageError

__all__ = ["EVIDENCE", "SESSIONS", "StateFolder"]

EVIDENCE: Final = "evidence.json"
SESSIONS: Final = "sessions.json"
_MOST_BYTES: Final = 64 << 20


@final
class StateFolder:
    """Held by a lock until it is closed.

    Parameters
    ----------
    path : Path
        Made if it is not there, with mode 0700.

    Raises
    ------
    UsageError
        If another agent holds it, or it belongs to somebody else.
    StorageError
        If it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            remedy = "Run it as root" if isinstance(error, PermissionError) else "Mend the disk"
            raise StorageError(
                refusal(error), "a folder that this program may write", f"{remedy}, or change state_dir.",
                where=str(path),
            ) from error  # fmt: skip
        info = path.stat()
        if info.st_uid != os.geteuid():
            os.close(self._lock)
            raise UsageError(f"it belongs to user {info.st_uid}", f"user {os.geteuid()}", "Change its owner.",
                             where=str(path))  # fmt: skip
        if info.st_mode & 0o022:
            os.close(self._lock)
            raise UsageError(f"others can write to it (mode {info.st_mode & 0o777:o})", "a folder of its owner alone",
                             f"chmod 700 {path}", where=str(path))  # fmt: skip
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise UsageError("another agent uses it", "one agent a folder", "Stop that one.", where=str(path)) from None

    def part(self, name: str) -> Path:
        """A folder in it, made if it is not there."""
        path = self.path / name
        path.mkdir(exist_ok=True, mode=0o700)
        return path

    def keep_evidence(self, model: str, saved: Mapping[str, Any], unix_s: float) -> None:
        """Keep the evidence on all jobs.

        Raises
        ------
        StorageError
            If there is no room; what was kept before stays.
        """
        self._keep(EVIDENCE, {"model": model, "unix_s": unix_s, "jobs": saved})

    def keep_sessions(self, sessions: Mapping[str, Any]) -> None:
        """Keep which sessions are one job; errors as `keep_evidence`."""
        self._keep(SESSIONS, sessions)

    def sessions(self) -> dict[str, Any]:
        """What was kept of that; nothing if it cannot be read."""
        return self._kept(SESSIONS)

    def evidence(self, model: str) -> dict[str, Any]:
        """What was kept; nothing if it is of another model, or cannot be read: then evidence begins anew."""
        found = self._kept(EVIDENCE)
        jobs = found.get("jobs")
        return dict(jobs) if found.get("model") == model and isinstance(jobs, dict) else {}

    def _keep(self, name: str, content: Mapping[str, Any]) -> None:
        text = json.dumps(content, separators=(",", ":"))
        try:
            with replacing(self.path / name) as file:
                file.write(text.encode())
        except OSError as error:
            raise StorageError(refusal(error), "room on the disk", "Make room.", where=str(self.path)) from error

    def _kept(self, name: str) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            with (self.path / name).open("rb") as file:
                found = json.loads(file.read(_MOST_BYTES))
            return found if isinstance(found, dict) else {}
        return {}

    def close(self) -> None:
        """Let another agent have it."""
        os.close(self._lock)
