"""Reads all sources at every tick, so that one that fails, or hangs in the driver, never stops the others.

Each source lives in a thread of its own: a call into a dead driver may never come back, and no timeout in the
calling thread ends it. Such a source is left alone, its samples are missing, and that is counted as an alert.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Final, final

from hashwarden.serve.sources.health import Backoff, Health
from hashwarden.serve.sources.source import Device, NoData, Reading, Source, SourceLost

__all__ = ["HANG_S", "Runner"]

HANG_S: Final = 5.0
"""A reading that takes longer is a hang."""

_CLOSE_S: Final = 2.0

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a thread did. Devices are None unless it opened the source; kind is a name in `_Worker._try`."""

    kind: str
    readings: Sequence[Reading] = ()
    devices: Sequence[Device] | None = None
    seconds: float = 0.0
    error: BaseException | None = None


class _Worker:
    """The thread of one source. ``ask`` and ``collect`` are called from outside, the rest runs in the thread."""

    def __init__(self, name: str, make: Callable[[], Source], clock: Clock, backoff: Backoff) -> None:
        self._make, self._clock, self._backoff = make, clock, backoff
        self._source: Source | None = None
        self._jobs: SimpleQueue[str] = SimpleQueue()
        self._answers: SimpleQueue[_Answer] = SimpleQueue()
        self.asked_s: float | None = None
        self.thread = threading.Thread(target=self._loop, name=f"source-{name}", daemon=True)
        self.thread.start()

    def ask(self, job: str) -> None:
        self.asked_s = self._clock()
        self._jobs.put(job)

    def collect(self, wait_s: float) -> _Answer | None:
        try:
            answer = self._answers.get(timeout=max(wait_s, 0.0)) if wait_s > 0 else self._answers.get_nowait()
        except Empty:
            return None
        self.asked_s = None
        return answer

    @property
    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """Read from another thread: a source that has labels puts a new mapping in place of the old one."""
        found: Mapping[str, Mapping[str, str]] = getattr(self._source, "labels", {})
        return found

    @property
    def devices(self) -> Sequence[Device]:
        """Read from another thread, as `labels`, of a source whose devices come and go; of others there are none."""
        found: Sequence[Device] = getattr(self._source, "devices", ())
        return found

    @property
    def counts(self) -> Mapping[str, int]:
        """Read from another thread, as `labels`; a counter that grows meanwhile is looked at again next time."""
        try:
            return dict(getattr(self._source, "counts", {}))
        except RuntimeError:
            return {}

    def evidence(self, job: str) -> tuple[object, ...]:
        """What the source can show of a job for a case; empty if it has nothing of that kind."""
        ask = getattr(self._source, "evidence", None)
        return () if ask is None else tuple(ask(job))

    def _loop(self) -> None:
        while (job := self._jobs.get()) != "end":
            self._answers.put(self._try(job))
        self._close()

    def _try(self, job: str) -> _Answer:
        start, devices = self._clock(), None
        if self._source is None and not self._backoff.ready(start):
            return _Answer("waiting")
        try:
            if self._source is None:
                devices = self._open()
            readings = self._source.read() if self._source is not None and job == "read" else ()
            return _Answer("read", readings, devices, self._clock() - start)
        except NoData:
            return _Answer("empty", (), devices, self._clock() - start)
        except Exception as error:  # whatever a source raises must not stop the others
            if isinstance(error, SourceLost) or self._source is None:
                self._close()
                self._backoff.failed(self._clock())
            return _Answer("failed", (), devices, self._clock() - start, error)

    def _open(self) -> Sequence[Device]:
        source = self._make()
        try:
            devices = source.open()
        except BaseException:
            source.close()
            raise
        self._source = source
        self._backoff.succeeded()
        return devices

    def _close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            with suppress(Exception):
                source.close()


@final
class Runner:
    """All sources of one process.

    Parameters
    ----------
    makers : mapping of str to callable
        See `hashwarden.serve.sources.registry.makers`.
    hang_s : float
        After so many seconds a reading counts as a hang.
    clock : callable
        Seconds of a monotonic clock.
    backoff : callable
        Makes the wait between two tries to open a source.
    """

    def __init__(
        self,
        makers: Mapping[str, Callable[[], Source]],
        *,
        hang_s: float = HANG_S,
        clock: Clock = time.monotonic,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._hang_s, self._clock = hang_s, clock
        self.health = {name: Health() for name in makers}
        self.errors: dict[str, BaseException] = {}
        self._devices: dict[str, tuple[Device, ...]] = {}
        self._workers = {name: _Worker(name, make, clock, backoff()) for name, make in makers.items()}

    @property
    def devices(self) -> tuple[Device, ...]:
        """What the sources speak of, each once: as the first that knows it says; what that leaves open as others do."""
        found: dict[str, Device] = {}
        for name, opened in self._devices.items():
            for device in self._workers[name].devices or opened:
                known = found.get(device.gpu)
                found[device.gpu] = device if known is None else _completed(known, device)
        return tuple(found.values())

    @property
    def labels(self) -> dict[str, Mapping[str, str]]:
        """What sources say of whose work each device does, by UUID; for those that have such labels (``dcgm``)."""
        found: dict[str, Mapping[str, str]] = {}
        for worker in self._workers.values():
            for gpu, labels in worker.labels.items():
                found.setdefault(gpu, labels)
        return found

    @property
    def counts(self) -> dict[str, Mapping[str, int]]:
        """What sources counted beside their readings (what was lost, what could not be joined), by their names."""
        return {name: worker.counts for name, worker in self._workers.items()}

    def evidence(self, job: str) -> tuple[object, ...]:
        """What sources can show of a job for a case: kernels with the hashes of their code (``code``)."""
        return tuple(each for worker in self._workers.values() for each in worker.evidence(job))

    def open(self, wait_s: float = 30.0) -> tuple[Device, ...]:
        """Open all sources; `errors` then holds what those said that failed, by name."""
        self._round("open", wait_s)
        return self.devices

    def read(self, wait_s: float) -> list[Reading]:
        """Ask every source that is not busy, and wait for answers.

        Parameters
        ----------
        wait_s : float
            Longest wait in seconds. What comes later is given by the next call, with its own time; what comes after
            a hang is thrown away.

        Returns
        -------
        list of Reading
            In the order of the sources.
        """
        return self._round("read", wait_s)

    def close(self) -> None:
        """Close all sources; one that hangs is left to the end of the process."""
        for worker in self._workers.values():
            worker.ask("end")
        deadline = self._clock() + _CLOSE_S
        for worker in self._workers.values():
            worker.thread.join(max(0.0, deadline - self._clock()))

    def _round(self, job: str, wait_s: float) -> list[Reading]:
        found: list[Reading] = []
        for name, worker in self._workers.items():
            found += self._collected(name, worker, 0.0)
            if worker.asked_s is None:
                worker.ask(job)
        deadline = self._clock() + wait_s
        for name, worker in self._workers.items():
            if not self.health[name].hanging:
                found += self._collected(name, worker, deadline - self._clock())
            self._watch(name, worker)
        return found

    def _collected(self, name: str, worker: _Worker, wait_s: float) -> Sequence[Reading]:
        if worker.asked_s is None:
            return ()
        answer = worker.collect(wait_s)
        if answer is None:
            return ()
        late = self.health[name].hanging
        self._count(name, answer)
        return () if late else answer.readings

    def _watch(self, name: str, worker: _Worker) -> None:
        health = self.health[name]
        away = worker.asked_s is not None and self._clock() - worker.asked_s >= self._hang_s
        if away and not health.hanging:
            health.hanging, health.success = True, False
            health.hangs += 1
            health.error = f"no answer for {self._hang_s:g} s: it hangs in the driver"

    def _count(self, name: str, answer: _Answer) -> None:
        health = self.health[name]
        health.hanging = False
        if answer.devices is not None:
            health.opens += 1
            self._devices[name] = tuple(answer.devices)
        if answer.kind == "waiting":
            return
        health.success, health.duration_s = answer.kind != "failed", answer.seconds
        health.busy_s += answer.seconds
        health.reads += answer.kind == "read"
        health.empty += answer.kind == "empty"
        if answer.error is not None:
            health.failures += 1
            health.error = f"{type(answer.error).__name__}: {answer.error}"
            self.errors[name] = answer.error
        else:
            self.errors.pop(name, None)


def _completed(device: Device, other: Device) -> Device:
    """A device with what another source knows of it: dcgm-exporter tells no architecture, by which code is judged."""
    names = ("name", "architecture", "driver", "cuda", "alias")
    more = {name: getattr(other, name) for name in names if not getattr(device, name) and getattr(other, name)}
    return replace(device, **more) if more else device
