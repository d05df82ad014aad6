"""Kernel verdicts on disk, one JSON line each, so that a report of a million kernels costs no memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Self, final

from hashwarden.model.kernel.verdict import KernelVerdict
from hashwarden.serve.scan.records import kernel_from_record, kernel_record

__all__ = ["KernelSpool"]


@final
class KernelSpool:
    """Verdicts of all kernels of a run, in order, in an unnamed temporary file.

    Attributes
    ----------
    count : int
        Kernels so far; also the ``index`` of the next one.
    end : int
        Bytes so far: what `lines` takes to begin with the next one.
    """

    def __init__(self) -> None:
        self._file = TemporaryFile(prefix="hashwarden-")  # noqa: SIM115  closed by __exit__
        self.count = self.end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def extend(self, verdicts: Iterable[KernelVerdict]) -> None:
        """Append verdicts; their ``index`` becomes their place here."""
        self.extend_records(kernel_record(verdict) for verdict in verdicts)

    def extend_records(self, records: Iterable[dict[str, Any]]) -> None:
        """Append records of `kernel_record`; their ``index`` becomes their place here."""
        self._file.seek(self.end)
        for record in records:
            line = json.dumps(record | {"index": self.count}, separators=(",", ":")) + "\n"
            self.end += self._file.write(line.encode("ascii"))
            self.count += 1

    def cut(self, count: int, end: int) -> None:
        """Forget everything after an earlier ``count`` and ``end``."""
        self._file.truncate(end)
        self.count, self.end = count, end

    def lines(self, start: int = 0) -> Iterator[str]:
        """Give the JSON texts of all kernels from byte ``start`` on; append nothing meanwhile."""
        self._file.seek(start)
        for line in self._file:
            yield line.decode("ascii").rstrip("\n")

    def __iter__(self) -> Iterator[KernelVerdict]:
        return (kernel_from_record(json.loads(line)) for line in self.lines())
