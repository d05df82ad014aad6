"""Keeps the memory of bodies and tensors between requests: giving it back and asking anew costs as much as scoring.

By default glibc returns blocks of some hundred kilobytes to the kernel as soon as they are free, and the kernel clears
every page of them anew: of a batch of 1,000 samples that was half of the time.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

__all__ = ["keep_freed"]

_MIB: Final = 1 << 20
_TRIM, _MMAP = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h (mallopt(3))."""

_SETTINGS: Final = ((_MMAP, 4 * _MIB, "MALLOC_MMAP_THRESHOLD_"), (_TRIM, 32 * _MIB, "MALLOC_TRIM_THRESHOLD_"))
"""Blocks from 4 MiB on go back at once, so one huge body does not stay; of smaller ones up to 32 MiB are kept."""


def keep_freed() -> bool:
    """Set it for this process; gives whether that was done. Who set the environment variables has his way.

    With another C library than glibc nothing is done.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return all(mallopt(name, size) == 1 for name, size, variable in _SETTINGS if variable not in os.environ)
