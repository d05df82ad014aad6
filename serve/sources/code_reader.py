"""Reads the machine code of processes, in a process of its own that ends when it has answered.

It opens and hashes; what the bytes mean is found out by workers behind the walls of `hashwarden.serve.scan`; here
their tables, which are checked, are scored. Processes of different users are read by different workers, and what was
found for one user is not taken for another: whoever gets a worker to lie gets it to lie of himself.

It is apart from the agent because the decoder, the kernel model and a library's kernels take more memory than the
agent may have for good, and none of it is needed between two readings.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, final

import numpy as np

from hashwarden.errors import LimitError, PermissionError_, TargetError, WorkerError
from hashwarden.kernels.sass.limits import Limits
from hashwarden.kernels.sass.process import Mapping, file_mappings, memory_ranges
from hashwarden.kernels.sass.table import MixTable
from hashwarden.model.kernel.counts import counts_of
from hashwarden.model.kernel.features import features_of_counts
from hashwarden.model.kernel.shares import shares_of
from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.scan.events import Finished, Kernels, ReadStats, Unreadable
from hashwarden.serve.scan.opening import Opened, OpenedMemory, OpenedProcess
from hashwarden.serve.scan.pipeline import Held, read_targets, spool_folder
from hashwarden.serve.scorer import KernelScorer
from hashwarden.serve.sources import code_files
from hashwarden.serve.sources.code_index import ROW, Rows, merged, name_key
from hashwarden.serve.sources.code_store import EMPTY, CodeStore, identity
from hashwarden.serve.sources.code_wire import Answer, State, Told

__all__ = ["CodeReader", "rows_of"]

MOST_FILES: Final = 4096
"""Mapped files of one process that are looked at."""
MOST_ROWS: Final = 1_000_000
"""Kernels of one content that are kept."""
MOST_IN_MEMORY: Final = 20_000
"""Kernels from the memory of one process that are kept, those of earlier readings among them."""
MOST_ADDRESSES: Final = 1 << 40
"""Bytes of address space of one process in which pages are looked for; looking at nothing costs time too."""
_VAST: Final = 4 << 30
LEAST_SECONDS: Final = 2.0
TRIES: Final = 3
"""Readings of one content that may end too early: the last one's finds are kept; after one more it is left alone."""

_Entries = Iterator[Opened | OpenedMemory | TargetError]


def rows_of(table: MixTable, scorer: KernelScorer) -> Rows:
    """What is said of each kernel of a table, in its order."""
    counts = counts_of(table)
    groups, _, novelty = scorer.run(features_of_counts(counts))
    hashing, mining, _ = scorer.probabilities(groups)
    rows = np.zeros(len(table), ROW)
    rows["name"] = [name_key(str(name)) for name in table.text["kernel"]]
    rows["code"] = [int(str(code)[:16] or "0", 16) for code in table.text["code_sha1"]]
    rows["arch"], rows["size"] = table.scalars["arch"], table.scalars["n_instr"]
    rows["values"] = np.concatenate([np.stack([mining, hashing, novelty], 1), shares_of(counts)], 1)
    return rows


@final
@dataclass(eq=False, slots=True)
class _Process:
    """A process that is being read."""

    key: ProcessKey
    held: OpenedProcess
    mappings: list[Mapping] = field(default_factory=list)
    uid: int = -1
    state: State = "read"
    keys: list[str] = field(default_factory=list)
    loose: list[Rows] = field(default_factory=list)


@final
@dataclass(eq=False, slots=True)
class _Target:
    """A file of some processes, or the memory of one."""

    owners: list[_Process]
    mapping: Mapping | None = None
    content: str = ""
    names: list[str] = field(default_factory=list)
    copied: str = ""
    rows: list[Rows] = field(default_factory=list)
    count: int = 0
    unfinished: bool = False
    last_try: bool = False
    given_up: bool = False


@final
class CodeReader:
    """See the module.

    Parameters
    ----------
    store : CodeStore
        Takes what is found, and knows what was found before.
    seconds : float
        Processor time that it may take, about.
    """

    def __init__(self, store: CodeStore, seconds: float) -> None:
        self._store, self._seconds = store, seconds
        self._scorer: KernelScorer | None = None
        self._files: dict[str, _Target] = {}
        self._spent = 0.0
        self.counts: Counter[str] = Counter()

    def read(self, processes: Sequence[ProcessKey]) -> Answer:
        """Read processes, those that come first first; nothing raises for a bad process."""
        self._store.load()
        with ExitStack() as stack:
            held = [_Process(key, OpenedProcess(key.pid)) for key in processes]
            for process in held:
                stack.callback(process.held.close)
                self._survey(process)
            targets = [*self._files.values(), *(_Target([process]) for process in held if process.mappings)]
            for uid in dict.fromkeys(target.owners[0].uid for target in targets):
                self._read([target for target in targets if target.owners[0].uid == uid])
            told = tuple(self._told(process) for process in held)
        self._store.save()
        return Answer(told, dict(self.counts))

    # What there is

    def _survey(self, process: _Process) -> None:
        """Take hold of a process and look at its files: most are known."""
        mappings = process.held.mappings()
        if isinstance(mappings, TargetError):
            process.state = "refused" if isinstance(mappings, PermissionError_) else "gone"
            return
        process.uid = _user(process.key.pid)
        if process.uid < 0 or _started(process.key.pid) != process.key.started or process.held.is_gone():
            process.state = "gone"
            return
        process.mappings = mappings
        files = file_mappings(mappings)
        self.counts["files_left_out"] += max(len(files) - MOST_FILES, 0)
        written = {(m.device, m.inode) for m in mappings if m.shared and m.writable}
        for mapping in files[:MOST_FILES]:
            if self._left() <= 0:
                process.state = "later"
                return
            self._look_at(process, mapping, (mapping.device, mapping.inode) in written)

    def _look_at(self, process: _Process, mapping: Mapping, written: bool) -> None:
        opened = process.held.open_mapping(mapping)
        if isinstance(opened, TargetError):
            self.counts["files_unreadable"] += 1
            return
        try:
            self._identify(process, mapping, opened, written)
        except OSError:
            self.counts["files_unreadable"] += 1
        finally:
            os.close(opened.descriptor)

    def _identify(self, process: _Process, mapping: Mapping, opened: Opened, written: bool) -> None:
        if not code_files.is_worth_reading(opened.descriptor, opened.size):
            self.counts["files_left_out"] += 1
            return
        self.counts["files"] += 1
        trusted = not written and not code_files.volatile(opened.descriptor)
        name = f"{process.uid}/{identity(os.fstat(opened.descriptor))}"
        key = self._store.known(name) if trusted else None
        if key is None:
            content = _content(process, code_files.hashed(opened.descriptor, opened.size))
            key = self._store.known(content)
            if key is None:
                self._wanted(process, mapping, content, name if trusted else "")
                return
            self._store.learn([name] if trusted else [], key)
        self.counts["files_known"] += 1
        if key != EMPTY:
            process.keys.append(key)

    def _wanted(self, process: _Process, mapping: Mapping, content: str, name: str) -> None:
        target = self._files.setdefault(content, _Target([], mapping, content))
        target.owners.append(process)
        target.names += [name] if name else []

    # Reading

    def _read(self, targets: list[_Target]) -> None:
        """Read what is not known, until the time is up."""
        if not targets or self._left() <= 0:
            self._put_off(targets)
            return
        limits = Limits(seconds=max(self._left() / 2, LEAST_SECONDS), expanded_bytes=16 << 30, objects=500_000)
        opened = [Held("code", partial(self._items, target)) for target in targets]
        with closing(read_targets(opened, limits, jobs=1)) as events:  # type: ignore[type-var]
            for event in events:
                target = targets[event.target]
                match event:
                    case Kernels() if not event.from_table:  # a table of kernels is somebody's word, not their code
                        self._take(target, event.table)
                    case Unreadable():
                        self._failed(target, event.error)
                    case Finished():
                        self._spent += event.stats.seconds
                        self._count(event.stats)
                        self._conclude(target)
                        if self._left() <= 0:
                            self._put_off(targets[event.target + 1 :])
                            return

    def _count(self, stats: ReadStats) -> None:
        self.counts["bytes_read"] += stats.bytes_read
        self.counts["pages_unreadable"] += stats.pages_unreadable
        self.counts["kernels_too_small"] += stats.kernels_too_small
        self.counts["kernels_unsupported"] += sum(stats.unsupported_archs.values())

    def _left(self) -> float:
        return self._seconds - time.process_time() - self._spent

    @staticmethod
    def _put_off(targets: Iterable[_Target]) -> None:
        for target in targets:
            for process in target.owners:
                process.state = "later" if process.state == "read" else process.state

    def _items(self, target: _Target) -> _Entries:
        process = target.owners[0]
        if target.mapping is None:
            yield from process.held.memory(self._memory_of(process))
            return
        tried = self._store.begin(target.content)
        target.last_try = tried >= TRIES - 1
        self._store.save()  # before anything can happen to this process
        if tried >= TRIES:
            target.given_up = True
            return
        opened = process.held.open_mapping(target.mapping)
        if isinstance(opened, TargetError):
            yield opened
            return
        try:
            copy, target.copied = code_files.copied(opened.descriptor, opened.size, spool_folder())
            yield Opened("code", copy, opened.size)
        except OSError as error:
            yield WorkerError(f"no copy ({error.strerror})", "room on the disk", "Make room.", where="code")
        finally:
            os.close(opened.descriptor)

    def _memory_of(self, process: _Process) -> list[tuple[int, int]]:
        """Where to search: not always in the same order, for the time may not suffice for all; the vast parts last."""
        ranges = memory_ranges(process.mappings)
        random.shuffle(ranges)
        ranges.sort(key=lambda pair: pair[1] - pair[0] > _VAST)
        total = 0
        for place, (start, end) in enumerate(ranges):
            total += end - start
            if total > MOST_ADDRESSES:
                self.counts["memory_left_out"] += len(ranges) - place
                return ranges[:place]
        return ranges

    def _take(self, target: _Target, table: MixTable) -> None:
        if self._scorer is None:
            self._scorer = KernelScorer()
        most = MOST_ROWS if target.mapping is not None else MOST_IN_MEMORY
        kept = table.take(range(min(len(table), max(most - target.count, 0))))
        self.counts["kernels"] += len(kept)
        self.counts["kernels_left_out"] += len(table) - len(kept)
        if len(kept):
            target.rows.append(rows_of(kept, self._scorer))
            target.count += len(kept)

    def _failed(self, target: _Target, error: TargetError) -> None:
        self.counts[f"problems_{type(error).__name__}"] += 1
        target.unfinished |= isinstance(error, (LimitError, WorkerError))

    # What was found

    def _conclude(self, target: _Target) -> None:
        if target.mapping is None:
            process = target.owners[0]
            self._keep_memory(process, target.rows)
            self.counts["memory_unfinished"] += target.unfinished
        elif target.given_up:
            self.counts["files_given_up"] += 1
            self._store.learn([target.content, *target.names], EMPTY)
        elif not target.copied or (target.unfinished and not target.last_try):
            self._put_off([target])
            for process in target.owners:  # what was found is good for these processes, not for ever
                process.loose += target.rows
        else:
            self._keep_file(target)

    def _keep_file(self, target: _Target) -> None:
        rows = merged(target.rows, MOST_ROWS)
        content = _content(target.owners[0], target.copied)
        key = self._store.key(content) if len(rows) else EMPTY
        if len(rows) and not self._store.write(key, rows):
            self.counts["disk_refusals"] += 1
            return
        self.counts["files_read"] += 1
        self._store.learn([content, *(target.names if content == target.content else ())], key)
        for process in target.owners:
            process.keys += [key] if key != EMPTY else []

    def _keep_memory(self, process: _Process, found: list[Rows]) -> None:
        """What was in memory once stays: a host may drop the text of a module that the GPU goes on to run."""
        key = self._store.process_key(process.key)
        before = self._store.open(key)
        rows = merged([*found, *process.loose, *([before.rows] if before is not None else [])], MOST_IN_MEMORY)
        if len(rows) and not self._store.write(key, rows):
            self.counts["disk_refusals"] += 1

    def _told(self, process: _Process) -> Told:
        if process.state in {"read", "later"} and process.held.is_gone():
            process.state = "gone"
            self.counts["processes_gone"] += 1
        key = self._store.process_key(process.key)
        own = [key] if self._store.has(key) else []
        return Told(process.key, process.state, (*dict.fromkeys(process.keys), *own))


def _content(process: _Process, digest: str) -> str:
    """What content is called: by its user too, for what one user's bytes made a worker say is nobody else's truth."""
    return f"{process.uid}/sha256:{digest}"


def _user(pid: int) -> int:
    """The real user of a process, who started it, not whom a set-user-ID bit made of it; -1 if it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_bytes()
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith(b"Uid:")))
    except (OSError, ValueError, IndexError, StopIteration):
        return -1


def _started(pid: int) -> int:
    """When a process was started, in clock ticks since boot; -1 if it is gone."""
    try:
        return int(
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        )
    except (OSError, ValueError, IndexError):
        return -1
