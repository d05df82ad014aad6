"""Finds libcuda among what a process has mapped, by the bytes of /proc/PID/maps: hostile, and of any length."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["MOST_BYTES", "Mapping", "mapped_library"]

MOST_BYTES: Final = 8 << 20
"""Of one process's mappings; what lies beyond is not looked at."""

_CHUNK: Final = 1 << 16
_LINE: Final = re.compile(
    rb"^([0-9a-f]{1,16}-[0-9a-f]{1,16}) [r-][w-]x[ps] ([0-9a-f]{1,16}) ([0-9a-f]+:[0-9a-f]+) ([0-9]+) +[^\n]*"
    rb"/libcuda\.so[.0-9]*(?: \(deleted\))?$",
    re.MULTILINE,
)


class Mapping(NamedTuple):
    """Where a process has libcuda.

    Attributes
    ----------
    inode : str
        Device and inode as the kernel writes them: which file it is.
    path : str
        A name that leads to the mapped file itself, deleted or in a container.
    base : int
        Address at which the beginning of the file would lie.
    """

    inode: str
    path: str
    base: int = 0


def mapped_library(pid: int, proc: Path = Path("/proc")) -> Mapping | None:
    """The file that a process has mapped as libcuda; None if there is none, or the process is gone.

    Raises
    ------
    PermissionError
        If the kernel does not show it.
    """
    folder = f"{proc}/{pid}"
    rest, seen = b"", 0
    try:
        with open(f"{folder}/maps", "rb", buffering=0) as file:  # noqa: PTH123  a Path is as dear as the reading
            while seen < MOST_BYTES and (chunk := file.read(_CHUNK)):
                seen += len(chunk)
                lines, _, rest = (rest + chunk).rpartition(b"\n")
                found = _LINE.search(lines) if b"/libcuda.so" in lines else None
                if found:
                    place, offset, device, inode = (part.decode() for part in found.groups())
                    base = int(place.partition("-")[0], 16) - int(offset, 16)
                    return Mapping(f"{device}:{inode}", f"{folder}/map_files/{_unpadded(place)}", base)
                rest = rest[-2 * _CHUNK :]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def _unpadded(place: str) -> str:
    """Addresses as the names in map_files have them: without leading zeros."""
    return "-".join(f"{int(end, 16):x}" for end in place.split("-"))
