"""What reading a target yields: kernels, problems, and at the end the numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from hashwarden.errors import TargetError
from hashwarden.kernels.sass.table import MixTable

__all__ = ["Event", "Finished", "Kernels", "ReadStats", "Unreadable"]


@final
@dataclass(slots=True)
class ReadStats:
    """What reading one target took and found.

    Attributes
    ----------
    files : int
        Files opened: 1 for a file, the regular files of a folder, the mapped files of a process.
    bytes_read : int
        Bytes of those files, as they lie on disk; bytes searched in the memory of a process.
    bytes_expanded : int
        Bytes that came out of archives and compressed streams.
    code_bytes : int
        Bytes of machine code that were decoded.
    objects : int
        Code objects (cubins) decoded.
    kernels : int
        Rows of the mix tables.
    kernels_too_small : int
        Kernels with fewer instructions than a mix needs; they have no row.
    table_rows : int
        Rows that came from Parquet kernel mix tables; they are counted in ``kernels`` too.
    ptx_compiled : int
        PTX texts that no machine code stood beside and that ptxas compiled.
    ptx_not_judged : int
        PTX texts that were not judged; each is an `Unreadable` too.
    ptx_beside_code : int
        PTX texts whose kernels all lie beside them as machine code; not compiled again.
    unsupported_archs : dict of int to int
        Kernels of architectures that are not decoded, by compute capability times 10.
    unknown_opcodes : int
        Instructions whose opcode the decoder does not know.
    pages_unreadable : int
        Pages of a process's memory that could not be read or vanished.
    seconds : float
        Wall time from the first byte to the last, without the time the caller took between events.
    """

    files: int = 0
    bytes_read: int = 0
    bytes_expanded: int = 0
    code_bytes: int = 0
    objects: int = 0
    kernels: int = 0
    kernels_too_small: int = 0
    table_rows: int = 0
    ptx_compiled: int = 0
    ptx_not_judged: int = 0
    ptx_beside_code: int = 0
    unsupported_archs: dict[int, int] = field(default_factory=dict)
    unknown_opcodes: int = 0
    pages_unreadable: int = 0
    seconds: float = 0.0


@final
@dataclass(frozen=True, slots=True)
class Kernels:
    """A batch of kernels of one target, in the order in which they lie in it.

    Attributes
    ----------
    target : int
        Index of the target in the order given.
    table : MixTable
        ``table.text["file"]`` names the object that each kernel lies in (``a.whl!lib/b.so#fatbin3``; what
        stands before ``#`` is the file); at most a few thousand rows.
    from_table : str
        "" for kernels decoded from machine code. For rows of a Parquet kernel mix table, the name of that table;
        their order is that of the table and ``text["file"]`` is what the table says, or the table's name where
        it says nothing.
    """

    target: int
    table: MixTable
    from_table: str = ""


@final
@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a target that could not be judged.

    Attributes
    ----------
    target : int
        Index of the target in the order given.
    error : TargetError
        With ``where`` set.
    """

    target: int
    error: TargetError


@final
@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of every target.

    Attributes
    ----------
    target : int
        Index of the target in the order given.
    name : str
        The target as the user named it; ``pid 4711`` for a process.
    stats : ReadStats
        Numbers of the reading.
    """

    target: int
    name: str
    stats: ReadStats


Event = Kernels | Unreadable | Finished
