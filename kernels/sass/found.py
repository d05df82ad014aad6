"""What a walk through a container finds, and the one place where its failures become errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from hashwarden.errors import HashwardenError, LimitError, MalformedError, TargetError
from hashwarden.kernels.sass.limits import FLAGS
from hashwarden.kernels.sass.table import MixTable

__all__ = ["Code", "Found", "Mixes", "Problem", "Ptx", "as_target_error", "guarded"]


@final
@dataclass(frozen=True, slots=True)
class Code:
    """A cubin.

    Attributes
    ----------
    where : str
        The object it lies in (``a.whl!lib/b.so#fatbin3``).
    data : bytes or memoryview
        The whole ELF file.
    """

    where: str
    data: bytes | memoryview


@final
@dataclass(frozen=True, slots=True)
class Ptx:
    """PTX text.

    Attributes
    ----------
    where : str
        The object it lies in.
    arch : int
        Compute capability times 10 that it was written for; 0 if it does not say.
    data : bytes
        The text, without trailing zeros.
    beside_code : bool
        Every kernel of it lies beside it as machine code too.
    """

    where: str
    arch: int
    data: bytes
    beside_code: bool = False


@final
@dataclass(frozen=True, slots=True)
class Mixes:
    """Rows of a Parquet kernel mix table, in their order."""

    where: str
    table: MixTable


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be read; the walk goes on behind it."""

    where: str
    error: TargetError


Found = Code | Ptx | Mixes | Problem


def as_target_error(error: BaseException, where: str) -> TargetError:
    """What any failure of a parser means to the user.

    Parsers and the libraries below them fail on hostile bytes in many ways; all that is not an error of ours is
    the object's fault, except that memory ran out.
    """
    if isinstance(error, TargetError):
        error.where = error.where or where
        return error
    if isinstance(error, MemoryError):
        return LimitError(
            "more memory wanted than a worker may use", "an object that fits (limit memory_bytes)",
            f"If you trust it, raise the limit with {FLAGS['memory_bytes']}.", where=where,
        )  # fmt: skip
    if isinstance(error, HashwardenError):
        return MalformedError(error.got, error.expected, error.remedy, where=error.where or where)
    said = " ".join(str(error).split())[:200]
    return MalformedError(
        f"{type(error).__name__}: {said}" if said else type(error).__name__,
        "an object that keeps to its format", "Fetch or build it again.", where=where,
    )  # fmt: skip


def guarded(items: Iterator[Found], where: str) -> Iterator[Found]:
    """Yield ``items``; a failure among them becomes a `Problem` and ends them."""
    try:
        yield from items
    except Exception as error:
        yield Problem(where, as_target_error(error, where))
