"""The worker processes as the parent sees them: asked for, spoken with, ended."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from tempfile import TemporaryFile
from typing import Any, Final, final

from hashwarden.errors import WorkerError
from hashwarden.serve.scan.sandbox import Bounds
from hashwarden.serve.scan.wire import Header, Inbox, WireError, send
from hashwarden.serve.scan.worker import nursery_command

__all__ = ["Pool", "Worker"]

_KEPT_ENVIRONMENT: Final = ("PATH", "HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "LD_LIBRARY_PATH", "TMPDIR")
_MALLOC: Final = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""Large buffers go back to the system at once; by default the C library keeps up to 32 MiB of each for later."""
_BUFFER: Final = 1 << 20
_PATIENCE: Final = 20.0
"""Seconds that a worker may leave a message of ours unread."""


@final
class Worker:
    """One worker.

    Attributes
    ----------
    number : int
        Its number in this pool.
    channel : socket
        To it.
    task : object
        What it was given; None while it is idle.
    ready : bool
        It stands behind its walls and waits for work.
    walls : dict of str to bool
        Which walls stand.
    """

    def __init__(self, number: int, channel: socket.socket) -> None:
        self.number, self.channel, self.inbox = number, channel, Inbox()
        self.task: Any = None
        self.ready, self.pidfd, self.pid = False, -1, -1
        self.walls: dict[str, bool] = {}
        self.ended = False

    def kill(self) -> None:
        """End it; the nursery tells when it is gone."""
        self.ended = True
        if self.pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def tell(self, header: Header, descriptors: tuple[int, ...] = ()) -> None:
        """Send it a message; one that does not listen is ended."""
        try:
            send(self.channel, header, descriptors=descriptors)
        except WireError:
            self.kill()


@final
class Pool:
    """A nursery and the workers forked from it.

    Parameters
    ----------
    bounds : Bounds
        Of each worker.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.workers: dict[int, Worker] = {}
        self.selector = selectors.DefaultSelector()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_PATIENCE)
        self._inbox = Inbox()
        self._errors = TemporaryFile()  # noqa: SIM115  closed in `close`
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        environment |= _MALLOC | {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1", "LC_ALL": "C.UTF-8"}
        self._nursery = subprocess.Popen(
            nursery_command(theirs.fileno()), pass_fds=(theirs.fileno(),), env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._errors, cwd="/",
        )  # fmt: skip
        theirs.close()
        self.selector.register(self._control, selectors.EVENT_READ, self)
        self._next = 0

    def spawn(self) -> None:
        """Ask for one more worker."""
        ours, theirs = socket.socketpair()
        ours.settimeout(_PATIENCE)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        worker = Worker(self._next, ours)
        self._next += 1
        self.workers[worker.number] = worker
        self.selector.register(ours, selectors.EVENT_READ, worker)
        try:
            send(
                self._control, {"worker": worker.number, "bounds": asdict(self._bounds)}, descriptors=(theirs.fileno(),)
            )
        except WireError as error:
            raise self._broken() from error
        finally:
            theirs.close()

    def idle(self) -> Worker | None:
        """A worker that waits for work."""
        return next((w for w in self.workers.values() if w.ready and w.task is None and not w.ended), None)

    def alive(self) -> int:
        """Workers that live or are being born."""
        return sum(not worker.ended for worker in self.workers.values())

    def hear(self, worker: Worker) -> Iterator[tuple[Header, bytes]]:
        """What a worker has said; one that breaks the protocol, or is gone, is ended."""
        if worker.number not in self.workers:
            return
        try:
            for header, blob in worker.inbox.take(worker.channel):
                if header.get("t") == "walls":
                    worker.ready, worker.walls = True, {k: bool(v) for k, v in header.items() if k != "t"}
                else:
                    yield header, blob
        except WireError:
            self.selector.unregister(worker.channel)
            worker.kill()

    def hear_nursery(self) -> Iterator[tuple[Worker, int]]:
        """Workers that have ended, and their exit codes (negative: a signal).

        Raises
        ------
        WorkerError
            If the nursery itself is gone.
        """
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, 1 << 16, 64)
            messages = list(self._inbox.feed(data))
        except (WireError, OSError) as error:
            raise self._broken() from error
        for header, _ in messages:
            if header["t"] == "born":
                worker = self.workers[header["worker"]]
                worker.pid, worker.pidfd = header["pid"], descriptors.pop(0)
                if worker.ended:
                    worker.kill()
            elif header["t"] == "ended":
                ended = next((w for w in self.workers.values() if w.pid == header["pid"]), None)
                if ended is not None:
                    yield ended, int(header["code"])
                    self._forget(ended)

    def _forget(self, worker: Worker) -> None:
        del self.workers[worker.number]
        with suppress(KeyError, ValueError):
            self.selector.unregister(worker.channel)
        worker.channel.close()
        os.close(worker.pidfd)

    def _broken(self) -> WorkerError:
        self._errors.seek(0)
        said = self._errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        return WorkerError(
            f"the worker processes cannot be started ({said[-1] if said else 'they end at once'})",
            "a Python that can start itself",
            "Check the installation: python -c 'import hashwarden.serve.scan.worker'.",
        )  # fmt: skip

    def close(self) -> None:
        """End everything."""
        for worker in self.workers.values():
            worker.kill()
            worker.channel.close()
            if worker.pidfd >= 0:
                os.close(worker.pidfd)
        self._control.close()
        self.selector.close()
        try:
            self._nursery.wait(5)
        except subprocess.TimeoutExpired:
            self._nursery.kill()
            self._nursery.wait()
        self._errors.close()
