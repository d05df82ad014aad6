"""What a worker does with one piece: walk, decode, and say what it found."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, final

import pyarrow as pa

from hashwarden.errors import TargetError
from hashwarden.kernels.sass import isa, mix
from hashwarden.kernels.sass.containers import Walker
from hashwarden.kernels.sass.cubin import Cubin, read_cubin
from hashwarden.kernels.sass.found import Code, Found, Mixes, Ptx, as_target_error
from hashwarden.kernels.sass.limits import Budget, Limits
from hashwarden.kernels.sass.parquet import to_arrow
from hashwarden.kernels.sass.pieces import Piece
from hashwarden.kernels.sass.process import ProcessMemory, present_ranges
from hashwarden.kernels.sass.spool import FilePart
from hashwarden.kernels.sass.table import MixTable
from hashwarden.serve.scan.wire import Header, WireError, receive, send

__all__ = ["Reader", "pack_table"]

_BATCH_BYTES: Final = 8 << 20
_BATCH_ROWS: Final = 2048
_TEXT: Final = 2000
_TOLD_EVERY: Final = 0.2


def pack_table(table: MixTable) -> memoryview:
    """A table as an Arrow IPC stream."""
    arrow = to_arrow(table)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, arrow.schema) as stream:
        stream.write_table(arrow)
    return memoryview(sink.getvalue())


@final
class Reader:
    """Reads one piece and tells the parent.

    Parameters
    ----------
    channel : socket
        To the parent.
    task : dict
        What the parent asked for: ``piece``, ``limits``, what was spent of them, ``number`` and ``size`` of the file;
        after a crash ``careful`` (one object at a time), ``skip`` (items that were delivered), ``taken`` (items among
        them that others read) and ``avoid`` (objects to leave out, and how many items stand before each).
    descriptors : list of int
        The file; for the memory of a process, ``mem`` and ``pagemap``.
    """

    def __init__(self, channel: socket.socket, task: Header, descriptors: list[int]) -> None:
        self._channel, self._task, self._descriptors = channel, {**task, "taken": set(task["taken"])}, descriptors
        budget = Budget(Limits(**task["limits"]), task["expanded"], task["objects"], clock=time.process_time)
        budget.started -= task["seconds"]
        self._walker = Walker(budget, self, self._offer, self._enter)
        self._spent = (budget.expanded, budget.objects)
        self._items, self._told = 0, 0.0
        self._cubins: list[Cubin] = []
        self._bytes = 0
        self._stats: Counter[str] = Counter()
        self._unsupported: Counter[int] = Counter()

    def run(self) -> None:
        """Read the piece; raises `WireError` if the parent is gone."""
        for found in self._founds():
            self._items += 1
            if self._items > self._task["skip"]:
                self._take(found)
        self._flush()
        budget = self._walker.budget
        self._stats["bytes_expanded"] += budget.expanded - self._spent[0]
        self._tell("done", objects=budget.objects - self._spent[1])

    def _founds(self) -> Iterator[Found]:
        piece = Piece.load(self._task["piece"])
        if piece.kind == "memory":
            yield from self._memory(piece)
            return
        file = FilePart(self._descriptors[0], self._task["number"], 0, self._task["size"], piece.where)
        if piece.kind == "object" and not piece.depth:
            yield from self._walker.target(file.part(piece.offset, piece.size, piece.where))
        else:
            yield from self._walker.piece(file, piece)

    def _memory(self, piece: Piece) -> Iterator[Found]:
        for start, end in piece.extents:
            for low, high in present_ranges(self._descriptors[1], start, end):
                memory = ProcessMemory(self._descriptors[0], low, high, f"{piece.where}![memory {low:#x}]")
                self._stats["bytes_read"] += high - low
                yield from self._walker.searched(memory)
                self._stats["pages_unreadable"] += len(memory.unreadable)

    def _take(self, found: Found) -> None:
        if self._task["careful"]:
            self._tell("at", where=found.where, item=self._items)
        if isinstance(found, Code):
            self._decode(found)
        elif isinstance(found, Ptx) and found.beside_code:
            self._stats["ptx_beside_code"] += 1
        else:
            self._flush(self._items - 1)
            if isinstance(found, Ptx):
                self._tell("ptx", found.data, where=found.where, arch=found.arch, items=self._items)
            elif isinstance(found, Mixes):
                self._stats["table_rows"] += len(found.table)
                self._send_table(found.table, self._items, found.where)
            else:
                self._problem(found.error, self._items)

    def _decode(self, found: Code) -> None:
        try:
            cubin = read_cubin(found.data, found.where)
        except Exception as error:
            self._flush(self._items - 1)
            self._problem(as_target_error(error, found.where), self._items)
            return
        self._cubins.append(cubin)
        self._bytes += len(found.data)
        if self._bytes >= _BATCH_BYTES or self._task["careful"]:
            self._flush()

    def _flush(self, items: int | None = None) -> None:
        """Decode what has gathered; ``items`` of the piece are delivered then, all so far by default."""
        cubins, self._cubins, self._bytes = self._cubins, [], 0
        items = self._items if items is None else items
        if not cubins:
            return
        try:
            self._analyse(cubins, items)
        except WireError:
            raise
        except Exception:
            for cubin in cubins:
                try:
                    self._analyse([cubin], 0)
                except WireError:
                    raise
                except Exception as error:
                    self._problem(as_target_error(error, cubin.where), 0)

    def _analyse(self, cubins: list[Cubin], items: int) -> None:
        table = mix.analyse(cubins)
        supported = [cubin for cubin in cubins if isa.is_supported(cubin.arch)]
        self._unsupported.update(mix.unsupported(cubins))
        self._stats["objects"] += len(cubins)
        self._stats["code_bytes"] += sum(int(cubin.sizes.sum()) for cubin in supported)
        self._stats["kernels_too_small"] += sum(len(cubin) for cubin in supported) - len(table)
        self._stats["unknown_opcodes"] += sum(sum(ops.values()) for ops in mix.unknown_opcodes(table).values())
        self._send_table(table, items)

    def _send_table(self, table: MixTable, items: int, from_table: str = "") -> None:
        self._stats["kernels"] += len(table)
        for start in range(0, max(len(table), 1), _BATCH_ROWS):
            part = table.take(range(start, min(start + _BATCH_ROWS, len(table))))
            last = start + _BATCH_ROWS >= len(table)
            self._tell("kernels", pack_table(part), items=items if last else 0, from_table=from_table, rows=len(part))

    def _problem(self, error: TargetError, items: int) -> None:
        said = {"got": error.got, "expected": error.expected, "remedy": error.remedy, "where": error.where}
        cut: dict[str, Any] = {name: text[:_TEXT] for name, text in said.items()}
        self._tell("problem", error=type(error).__name__, items=items, **cut)

    def _tell(self, kind: str, blob: bytes | memoryview = b"", **said: Any) -> None:  # noqa: ANN401  JSON
        stats, self._stats = dict(self._stats), Counter()
        unsupported, self._unsupported = dict(self._unsupported), Counter()
        send(self._channel, {"t": kind, "stats": stats, "unsupported": unsupported, **said}, blob)

    def _enter(self, where: str) -> bool:
        avoid: dict[str, int] = self._task["avoid"]
        if where in avoid:
            self._items = max(self._items, avoid[where])
            return False
        now = time.monotonic()
        if self._task["careful"] or now - self._told > _TOLD_EVERY:
            self._told = now
            self._tell("at", where=where, item=0)
        return True

    def _offer(self, file: FilePart, piece: Piece) -> bool:
        index = self._items + 1
        if index in self._task["taken"]:
            self._items = index
            return True
        if index <= self._task["skip"]:
            return False
        self._tell("wants", bytes=piece.size or sum(size for _, size in piece.extents))
        if not receive(self._channel)[0]["ok"]:
            return False
        self._flush()
        self._items = index
        budget = self._walker.budget
        self._tell("offer", piece=piece.dump(), number=file.number, items=index,
                   expanded=budget.expanded, objects=budget.objects)  # fmt: skip
        return True

    def open(self) -> tuple[int, int]:
        """A spool file from the parent (see `Spool`)."""
        self._tell("spool")
        said, descriptors = receive(self._channel)
        return descriptors[0], int(said["number"])

    def close(self, descriptor: int, number: int) -> None:
        """Give it back (see `Spool`)."""
        os.close(descriptor)
        self._tell("drop", number=number)
