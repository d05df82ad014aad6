"""What reading one target may cost; every limit is a flag of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

__all__ = ["Limits"]


@final
@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on reading hostile objects.

    Attributes
    ----------
    nesting : int
        Containers inside containers, 0 = only the object itself.
    expanded_bytes : int
        Bytes that one target may grow to when decompressed, over all its members.
    expansion_ratio : int
        Decompressed bytes per compressed byte of one member, checked above 64 MiB.
    object_bytes : int
        Size of one cubin or PTX text.
    objects : int
        Number of members and code objects of one target.
    seconds : float
        Wall time for one target.
    memory_bytes : int
        Address space that a parsing worker may add to what it starts with.
    """

    nesting: int = 6
    expanded_bytes: int = 64 << 30
    expansion_ratio: int = 200
    object_bytes: int = 1 << 30
    objects: int = 2_000_000
    seconds: float = 600.0
    memory_bytes: int = 4 << 30
