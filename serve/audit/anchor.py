"""Where checkpoints are told to, outside the log: only so can a log be found out that was cut off at its end."""

from __future__ import annotations

import errno
import os
import syslog
from pathlib import Path
from typing import Final, Protocol, final

from hashwarden.serve.audit.checkpoint import Checkpoint

__all__ = ["Anchor", "FileAnchor", "SyslogAnchor"]

_WORD: Final = "hashwarden-audit-checkpoint"


class Anchor(Protocol):
    """Takes checkpoints that are in the log and on the disk."""

    def tell(self, checkpoint: Checkpoint) -> None:
        """Keep it.

        Raises
        ------
        OSError
            If that fails; the log counts it and goes on.
        """


@final
class FileAnchor:
    """Appends to a file: on another machine's share, or with the append-only attribute (``chattr +a``).

    What was cut off, by a full disk or a crash, cannot be taken back there: the next line begins anew.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path, self._ended = path, False

    def tell(self, checkpoint: Checkpoint) -> None:
        """Append a line, synced to the disk."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe holds nobody up
        handle = os.open(self._path, flags, 0o644)
        try:
            begin = b"\n" if not self._ended and os.fstat(handle).st_size else b""
            self._ended = False
            data = begin + checkpoint.line().encode("ascii") + b"\n"
            if os.write(handle, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fdatasync(handle)
            self._ended = True
        finally:
            os.close(handle)


@final
class SyslogAnchor:
    """Sends to the system log (facility authpriv), which most sites forward to another machine."""

    def tell(self, checkpoint: Checkpoint) -> None:
        """Send one message; the system log answers nothing, so that its loss is not seen here."""
        syslog.syslog(syslog.LOG_NOTICE | syslog.LOG_AUTHPRIV, f"{_WORD} {checkpoint.line()}")
