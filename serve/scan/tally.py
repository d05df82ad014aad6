"""What the numbers of a reading and the end of a worker mean."""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import fields
from typing import Final

from hashwarden.errors import NoGpuCodeError, TargetError, UnsupportedError, WorkerError
from hashwarden.serve.scan.events import ReadStats
from hashwarden.serve.scan.wire import Header

__all__ = ["count", "death", "nothing_found"]

_COUNTED: Final = {field.name for field in fields(ReadStats)} - {"unsupported_archs", "seconds", "files"}
_MOST: Final = 1 << 60
_ARCHS: Final = 256


def count(stats: ReadStats, said: Header) -> None:
    """Add what a worker says it did.

    Raises
    ------
    ValueError, TypeError, AttributeError
        If it says what no worker of ours says.
    """
    for name, value in said.get("stats", {}).items():
        if name not in _COUNTED or not 0 <= int(value) < _MOST:
            raise ValueError(name)
        setattr(stats, name, getattr(stats, name) + int(value))
    counts = stats.unsupported_archs
    for arch, kernels in said.get("unsupported", {}).items():
        if len(counts) < _ARCHS and 0 <= int(arch) < 1 << 16 and 0 <= int(kernels) < _MOST:
            counts[int(arch)] = counts.get(int(arch), 0) + int(kernels)


def nothing_found(name: str, stats: ReadStats) -> TargetError:
    """The problem of a target in which no kernel was found."""
    if stats.unsupported_archs:
        archs = ", ".join(f"sm_{arch}" for arch in sorted(stats.unsupported_archs))
        return UnsupportedError(
            f"GPU code for {archs} only", "sm_70 to sm_121", "Nothing: such GPUs are not judged.", where=name
        )
    return NoGpuCodeError(
        "no GPU machine code", "a cubin, a fat binary, a program or package with one, or PTX",
        "Scan the file or process that holds the kernels.", where=name,
    )  # fmt: skip


def death(code: int, where: str) -> WorkerError:
    """The problem of an object that a worker died on; a negative code is a signal."""
    how = f"exit code {code}"
    with suppress(ValueError):
        how = signal.Signals(-code).name if code < 0 else how
    return WorkerError(
        f"the parsing worker died on it ({how})", "an object that can be parsed",
        "Do not trust it; report it to hashwarden.", where=where,
    )  # fmt: skip
