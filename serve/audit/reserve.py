"""Room kept back on the disk, for what must still be written when it is full: what was done, and why no more is."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import final

__all__ = ["Reserve"]


@final
class Reserve:
    """A file of zeros that is let go when the disk is full, and made again when there is room.

    Another program may take the room first: this makes it likely that the last words are kept, not certain.

    Parameters
    ----------
    path : Path
    size : int
        Bytes; 0 for none.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size = path, size
        self.ready = False

    def keep(self) -> bool:
        """Take the room if it is not taken; gives whether there is some."""
        if self.ready or not self._size:
            return self.ready
        with suppress(OSError):
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.posix_fallocate(handle, 0, self._size)
                self.ready = True
            except OSError:
                self._path.unlink()
            finally:
                os.close(handle)
        return self.ready

    def release(self) -> bool:
        """Give the room back to the disk; gives whether there was some."""
        was = self.ready
        self.ready = False
        with suppress(OSError):
            self._path.unlink()
        return was
