"""Between the workers and the results: hands out tasks, takes in what is found, and buries the dead.

Runs in the process that opens; it looks at headers and numbers only, never at what a target holds.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, final

from hashwarden.errors import TargetError, WorkerError, target_error
from hashwarden.kernels.sass.limits import Limits, limit_error
from hashwarden.kernels.sass.pieces import Piece
from hashwarden.kernels.sass.ptx import Ptxas
from hashwarden.serve.scan.events import ReadStats
from hashwarden.serve.scan.opening import Opened, OpenedMemory
from hashwarden.serve.scan.order import Node, Ordered
from hashwarden.serve.scan.pool import Pool, Worker
from hashwarden.serve.scan.ptxas import Compilation, not_judged
from hashwarden.serve.scan.tally import count, death, nothing_found
from hashwarden.serve.scan.tasks import Files, Reading, Task
from hashwarden.serve.scan.wire import Header

__all__ = ["Broker", "Means"]

_PROBLEMS: Final = 1000
"""Problems of one target that are told one by one."""
_SPOOLS: Final = 64
_WAIT: Final = 0.2


@final
@dataclass(frozen=True, slots=True)
class _Heard:
    """A message of a worker, and the task that it is about."""

    worker: Worker
    task: Task
    said: Header
    blob: bytes


@final
@dataclass(frozen=True, slots=True)
class Means:
    """What a broker works with: processes, results, open files, bounds."""

    pool: Pool
    ordered: Ordered
    files: Files
    limits: Limits
    jobs: int
    ptxas: Ptxas | None


@final
class Broker:
    """Reads targets with a pool of workers.

    Parameters
    ----------
    means : Means
        The pool, where results go, the open files, the limits of each target, the number of workers at most, and
        the ptxas that compiles PTX that stands alone.
    """

    def __init__(self, means: Means) -> None:
        self._pool, self._ordered, self._files = means.pool, means.ordered, means.files
        self._limits, self._jobs, self._ptxas = means.limits, means.jobs, means.ptxas
        self._limits_said = Task.of_limits(means.limits)
        self._queue: deque[Task] = deque()
        self._texts: deque[tuple[Reading, Node, bytes, str]] = deque()
        self._compiling: dict[int, tuple[Compilation, Reading, Node]] = {}
        self.readings: list[Reading] = []
        self.now = ""
        self._past = ReadStats()
        self._handlers: dict[str, Callable[[_Heard], None]] = {
            "at": self._at, "wants": self._wants, "offer": self._offer, "spool": self._spool, "drop": self._drop,
            "kernels": self._kernels, "problem": self._problem, "ptx": self._ptx, "done": self._done,
        }  # fmt: skip

    def step(self, coming: Iterator[Reading]) -> bool:
        """Hand out what there is to do, then wait a moment for what the workers say.

        Returns
        -------
        bool
            Whether anything is left to do.
        """
        self._assign(coming)
        if not self.readings:
            return False
        start = time.monotonic()
        for key, _ in self._pool.selector.select(_WAIT):
            self._hear(key.data)
        self._charge(time.monotonic() - start)
        return True

    def total(self) -> ReadStats:
        """Bytes read, bytes of code and kernels so far, over all targets; the other numbers are not added up."""
        parts = [self._past, *(reading.stats for reading in self.readings)]
        names = ("bytes_read", "code_bytes", "kernels")
        return ReadStats(**{name: sum(getattr(part, name) for part in parts) for name in names})

    # What is to be done

    def _assign(self, coming: Iterator[Reading]) -> None:
        while len(self._compiling) < self._jobs and self._texts:
            self._compile(*self._texts.popleft())
        while True:
            worker = self._pool.idle()
            if worker is None and self._pool.alive() >= self._jobs:
                return
            task = self._queue.popleft() if self._queue else self._next_task(coming)
            if task is None:
                return
            if worker is None:
                self._queue.appendleft(task)
                self._pool.spawn()
                return
            self._give(worker, task)

    def _give(self, worker: Worker, task: Task) -> None:
        worker.task = task
        task.at, task.at_item = task.piece.where, 0
        descriptors = tuple(self._files.descriptor(number) for number in task.files)
        worker.tell(task.header(self._limits_said), descriptors)

    def _next_task(self, coming: Iterator[Reading]) -> Task | None:
        """The next file of the target that is being listed, or of the next target."""
        while True:
            reading = self.readings[-1] if self.readings and not self.readings[-1].listed else next(coming, None)
            if reading is None:
                return None
            if not self.readings or self.readings[-1] is not reading:
                self.readings.append(reading)
            for item in reading.opened:
                if isinstance(item, TargetError):
                    self._tell_problem(reading, reading.node, item)
                else:
                    return self._root_task(reading, item)
            reading.listed = True
            self._conclude_if_done(reading)

    def _root_task(self, reading: Reading, item: Opened | OpenedMemory) -> Task:
        node = reading.node.child()
        reading.outstanding += 1
        if isinstance(item, Opened):
            reading.stats.files += 1
            reading.stats.bytes_read += item.size
            piece = Piece("object", item.where, 0, item.size)
            return Task(reading, node, piece, (self._files.add(item.descriptor),), item.size)
        piece = Piece("memory", item.where, extents=item.ranges)
        return Task(reading, node, piece, (self._files.add(item.memory), self._files.add(item.pagemap)), 0)

    def _compile(self, reading: Reading, node: Node, text: bytes, where: str) -> None:
        if reading.over or self._ptxas is None:
            return
        compilation = Compilation(self._ptxas, text, where, self._limits)
        self._compiling[compilation.pidfd] = (compilation, reading, node)
        self._pool.selector.register(compilation.pidfd, 1, compilation)

    # What is said

    def _hear(self, source: Pool | Worker | Compilation) -> None:
        if isinstance(source, Pool):
            for worker, code in source.hear_nursery():
                self._bury(worker, code)
        elif isinstance(source, Compilation):
            self._compiled(source)
        else:
            for header, blob in self._pool.hear(source):
                task = source.task
                if task is None or source.ended:
                    continue
                try:
                    count(task.reading.stats, header)
                    self._handlers[header["t"]](_Heard(source, task, header, blob))
                except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                    source.kill()  # it does not keep to the protocol: whatever runs there is no worker of ours

    def _at(self, heard: _Heard) -> None:
        heard.task.at, heard.task.at_item = str(heard.said["where"])[:4096], int(heard.said["item"])
        self.now = heard.task.at

    def _wants(self, heard: _Heard) -> None:
        heard.worker.tell({"ok": self._jobs > 1 and len(self._queue) < 2 * self._jobs})

    def _offer(self, heard: _Heard) -> None:
        piece, number, item = Piece.load(heard.said["piece"]), int(heard.said["number"]), int(heard.said["items"])
        if piece.kind == "memory" or (piece.depth == 0 and piece.kind == "object"):
            raise ValueError("a piece that no worker offers")
        if number != heard.task.files[0] and number not in heard.task.spools:
            raise ValueError("a piece of a file that it was not given")
        self._files.use(number)
        size = os.fstat(self._files.descriptor(number)).st_size
        heard.task.taken.add(item)
        self._delivered(heard.task, item)
        heard.task.reading.outstanding += 1
        expanded, objects = int(heard.said["expanded"]), int(heard.said["objects"])
        self._queue.append(Task(heard.task.reading, heard.task.node.child(), piece, (number,), size, expanded, objects))

    def _spool(self, heard: _Heard) -> None:
        if len(heard.task.spools) >= _SPOOLS:
            raise ValueError("too many temporary files")
        number = self._files.spool()
        heard.task.spools.add(number)
        heard.worker.tell({"number": number}, (self._files.descriptor(number),))

    def _drop(self, heard: _Heard) -> None:
        number = int(heard.said["number"])
        heard.task.spools.remove(number)
        self._files.drop(number)

    def _kernels(self, heard: _Heard) -> None:
        if int(heard.said["rows"]):
            kept = {"t": "kernels", "from_table": str(heard.said["from_table"])[:4096], "where": heard.task.at}
            self._ordered.add(heard.task.node, heard.task.reading.index, kept, heard.blob)
        self._delivered(heard.task, int(heard.said["items"]))

    def _problem(self, heard: _Heard) -> None:
        texts = (str(heard.said[name]) for name in ("error", "got", "expected", "remedy", "where"))
        self._tell_problem(heard.task.reading, heard.task.node, target_error(*texts))
        self._delivered(heard.task, int(heard.said["items"]))

    def _ptx(self, heard: _Heard) -> None:
        where = str(heard.said["where"])[:4096]
        self._delivered(heard.task, int(heard.said["items"]))
        if self._ptxas is None:
            heard.task.reading.stats.ptx_not_judged += 1
            self._tell_problem(heard.task.reading, heard.task.node, not_judged(where, "no ptxas is installed"))
        else:
            heard.task.reading.outstanding += 1
            self._texts.append((heard.task.reading, heard.task.node.child(), heard.blob, where))

    def _delivered(self, task: Task, items: int) -> None:
        task.delivered = max(task.delivered, items)

    def _done(self, heard: _Heard) -> None:
        heard.task.reading.objects += int(heard.said["objects"])
        heard.task.reading.expanded = heard.task.reading.stats.bytes_expanded
        heard.worker.task = None
        heard.task.node.done = True
        self._release(heard.task)
        self._finished(heard.task.reading)

    # What ends

    def _compiled(self, compilation: Compilation) -> None:
        _, reading, node = self._compiling.pop(compilation.pidfd)
        self._pool.selector.unregister(compilation.pidfd)
        result = compilation.result()
        if isinstance(result, TargetError):
            reading.stats.ptx_not_judged += 1
            self._tell_problem(reading, node, result)
            node.done = True
            self._finished(reading)
        elif not reading.over:
            reading.stats.ptx_compiled += 1
            piece = Piece("object", compilation.where, 0, result[1], depth=1)
            self._queue.append(Task(reading, node, piece, (self._files.add(result[0]),), result[1]))
        else:
            os.close(result[0])

    def _bury(self, worker: Worker, code: int) -> None:
        """A worker has died: read on behind the object that it died of, with a fresh one."""
        task, worker.task = worker.task, None
        if task is None or task.reading.over:
            return
        self._drop_spools(task)
        reading = task.reading
        reading.lives -= 1
        if task.careful or reading.lives <= 0:
            self._tell_problem(reading, task.node, death(code, task.at or task.piece.where))
        if reading.lives <= 0 or (task.careful and not self._step_over(task)):
            task.node.done = True
            self._release(task)
            self._finished(reading)
            return
        task.careful = True
        self._queue.appendleft(task)

    def _step_over(self, task: Task) -> bool:
        """Leave out what a careful worker died of; False if nothing of the piece would be left."""
        if task.at_item > task.delivered:
            task.delivered = task.at_item
            return True
        if task.at in task.avoid or task.at == task.piece.where:
            return False
        task.avoid[task.at] = task.delivered
        return True

    def _drop_spools(self, task: Task) -> None:
        for number in task.spools:
            self._files.drop(number)
        task.spools.clear()

    def _release(self, task: Task) -> None:
        self._drop_spools(task)
        for number in task.files:
            self._files.drop(number)

    def _finished(self, reading: Reading) -> None:
        reading.outstanding -= 1
        self._conclude_if_done(reading)

    def _conclude_if_done(self, reading: Reading) -> None:
        if reading.listed and reading.outstanding == 0 and not reading.over:
            if reading.process is not None and reading.stats.files and reading.process.is_gone():
                self._tell_problem(reading, reading.node, reading.process.gone())
            self._conclude(reading)

    def _conclude(self, reading: Reading) -> None:
        stats = reading.stats
        if not (stats.kernels or reading.problems or stats.kernels_too_small):
            self._tell_problem(reading, reading.node, nothing_found(reading.name, reading.stats))
        reading.over = True
        if reading.process is not None:
            reading.process.close()
        self._ordered.add(reading.node, reading.index, {"t": "finished", "stats": stats})
        reading.node.finish()
        self._past = self.total()
        self.readings = [other for other in self.readings if other is not reading]

    def _charge(self, seconds: float) -> None:
        """Count the time of the targets that are being read, and end those whose time is up."""
        busy = {id(w.task.reading): w.task.reading for w in self._pool.workers.values() if w.task is not None}
        busy |= {id(reading): reading for _, reading, _ in self._compiling.values()}
        for reading in busy.values():
            reading.stats.seconds += seconds
            if reading.stats.seconds > self._limits.seconds and not reading.over:
                self._time_is_up(reading)
        for compilation, _, _ in list(self._compiling.values()):
            compilation.seconds += seconds
            if compilation.seconds > compilation.limit:
                compilation.kill()

    def _time_is_up(self, reading: Reading) -> None:
        for worker in self._pool.workers.values():
            if worker.task is not None and worker.task.reading is reading:
                worker.kill()
                self._release(worker.task)
                worker.task = None
        for task in [task for task in self._queue if task.reading is reading]:
            self._queue.remove(task)
            self._release(task)
        for compilation, owner, _ in self._compiling.values():
            if owner is reading:
                compilation.kill()
        bound = self._limits.seconds
        self._tell_problem(
            reading, reading.node, limit_error("seconds", f"{bound:g} seconds of reading", bound, reading.name)
        )
        reading.listed, reading.outstanding = True, 0
        self._conclude(reading)

    def _tell_problem(self, reading: Reading, node: Node, error: TargetError) -> None:
        reading.problems += 1
        if reading.problems > _PROBLEMS + 1:
            return
        if reading.problems > _PROBLEMS:
            error = WorkerError("more problems than are told", f"at most {_PROBLEMS}", "See to the first ones.",
                                where=reading.name)  # fmt: skip
        said = {"t": "problem", "error": type(error).__name__, "got": error.got, "expected": error.expected,
                "remedy": error.remedy, "where": error.where or reading.name}  # fmt: skip
        self._ordered.add(node, reading.index, said)

    def close(self) -> None:
        """End what runs beside the pool."""
        for compilation, _, _ in self._compiling.values():
            compilation.kill()
            compilation.close()
        for reading in self.readings:
            if reading.process is not None:
                reading.process.close()
