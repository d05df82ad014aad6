"""Has evidence packed beside the watching: compressing ten minutes of samples must not hold it up."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any, Final, final

from hashwarden.errors import HashwardenError
from hashwarden.model.job.verdict import JobVerdict
from hashwarden.model.trace import Run
from hashwarden.serve.agent.logs import said
from hashwarden.serve.agent.packer import Packer
from hashwarden.serve.audit.event import Auditor, EventKind
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.launch_board import LaunchProfile

__all__ = ["Package", "Packing"]

_MOST: Final = 64
_CLOSE_S: Final = 3.0
_TIDY_S: Final = 3600.0
_REST_S: Final = 10.0  # without a case, and the process that writes bundles ends
_JUMP_S: Final = 60.0
_STEADY_S: Final = 3600.0


@final
@dataclass(frozen=True, slots=True)
class Package:
    """What goes into a bundle (`hashwarden.serve.audit.bundle.write_bundle`), as it was at one time."""

    case: Mapping[str, Any]
    job: Job
    verdicts: Sequence[JobVerdict]
    runs: Sequence[Run]
    launches: Sequence[LaunchProfile]
    code: Mapping[str, Any]
    model: Mapping[str, str]
    policy: Mapping[str, str]


@final
class Packing:
    """See the module.

    Parameters
    ----------
    folder : Path
    audit : Auditor or None
        Told of each bundle and its hash, and of each that is removed; None where nothing is packed.
    keep_days : float
        Bundles older than this are removed.
    most_bytes : int
        Of all bundles; where there are more, the oldest go. The audit log keeps their hashes.
    """

    def __init__(self, folder: Path, audit: Auditor | None, keep_days: float, most_bytes: int) -> None:
        self._folder, self._audit = folder, audit
        self._keep_s, self._most_bytes = 86400 * keep_days, most_bytes
        self._queue: Queue[Package | None] = Queue(_MOST)
        self._packer = Packer(folder)
        self._tidied_s = self._steady_s = float("-inf")
        self._offset_s = time.time() - time.monotonic()
        self._thread = threading.Thread(target=self._loop, name="packing", daemon=True)
        self._thread.start()

    def put(self, package: Package) -> None:
        """Have it packed; if too many wait it is left out, and that is told."""
        try:
            self._queue.put_nowait(package)
        except Full:
            said("error", "the evidence of a case was not packed: too many wait", case=package.case.get("id", ""))

    def close(self) -> None:
        """Pack what waits, for a few seconds at most."""
        with suppress(Full):
            self._queue.put_nowait(None)
        self._thread.join(_CLOSE_S)

    def _loop(self) -> None:
        while (package := self._next()) is not None:
            try:
                self._pack(package)
                self._tidy()
            except (HashwardenError, OSError) as error:
                said("error", "the evidence of a case could not be packed", case=package.case.get("id", ""),
                     error=str(error))  # fmt: skip
            except Exception as error:  # a fault of ours must not end the thread
                said("error", "packing failed", error=repr(error))
        self._packer.rest()

    def _next(self) -> Package | None:
        """What is to be packed next; old bundles go also where no case is opened for months."""
        while True:
            try:
                return self._queue.get(timeout=min(_REST_S, _TIDY_S) if self._packer.runs else _TIDY_S)
            except Empty:
                self._packer.rest()
                self._tidy()

    def _pack(self, package: Package) -> None:
        path, sha256 = self._packer.pack(package)
        case = package.case
        if self._audit is not None:
            self._audit.append(EventKind.CASE, {
                "case": case["id"], "event": "bundle", "job": case["job"], "standing": case["standing"],
                "file": path, "sha256": sha256,
            })  # fmt: skip
        said("info", "evidence packed", case=case["id"], file=path)

    def _tidy(self) -> None:
        """Remove old bundles, and what a killed program left half written, now and then."""
        now = time.monotonic()
        if now - self._tidied_s < _TIDY_S or not self._is_steady(now):
            return
        self._tidied_s = now
        bundles: list[tuple[float, int, Path]] = []
        with suppress(OSError):
            for path in self._folder.glob("*.tar*"):
                info = path.stat()
                bundles.append((info.st_mtime, info.st_size, path))
        kept = 0
        for written_s, size, path in sorted(bundles, reverse=True):
            old_s = time.time() - written_s
            half = path.suffix == ".part" and old_s > _TIDY_S
            kept += size
            if old_s > self._keep_s or half or kept > self._most_bytes:
                self._remove(path, "age" if old_s > self._keep_s else "size", told=path.suffix != ".part")

    def _is_steady(self, now: float) -> bool:
        """Whether no bundle is called old because somebody set the wall clock: not for an hour after that."""
        offset_s = time.time() - now
        if abs(offset_s - self._offset_s) > _JUMP_S:
            self._steady_s = now + _STEADY_S
        self._offset_s = offset_s
        return now >= self._steady_s

    def _remove(self, path: Path, why: str, *, told: bool) -> None:
        """First it is written down, so that a bundle that is missing without a word was taken away."""
        try:
            if told and self._audit is not None:
                body = {"case": path.stem, "event": "bundle removed", "file": path.name, "words": f"by {why}"}
                self._audit.append(EventKind.CASE, body)
            path.unlink(missing_ok=True)
        except (OSError, HashwardenError) as error:
            said("error", "old evidence could not be removed", file=path, error=str(error))
