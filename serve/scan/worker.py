"""The processes behind the walls: a nursery that is warm and touches no input, and the workers that it forks.

The nursery is a fresh interpreter, so a worker inherits nothing of the process that runs the scan: no memory, no
threads, no descriptors. It compiles the decoder once; its workers are forked in milliseconds and never compile.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from typing import Any, Final, NoReturn

from hashwarden.serve.scan.sandbox import Bounds, enter
from hashwarden.serve.scan.wire import WireError, receive, send

__all__ = ["nursery", "nursery_command"]

_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from hashwarden.serve.scan.worker import nursery; nursery(int(sys.argv[2]))"
)


def nursery_command(descriptor: int) -> list[str]:
    """The command line of a nursery that listens on ``descriptor``.

    Isolated from the environment and the current folder, which may be the one that is scanned.
    """
    return [sys.executable, "-I", "-c", _START, json.dumps(sys.path), str(descriptor)]


def nursery(descriptor: int) -> NoReturn:
    """Fork a worker for every socket that comes in, and tell when one ends; ends with its parent."""
    channel = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _warm_up()
    gc.collect()
    gc.freeze()
    send(channel, {"t": "ready"})
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([descriptor, *running], [], [])
        for pidfd in ready:
            if pidfd != descriptor:
                _bury(channel, pidfd, running.pop(pidfd))
        if descriptor in ready:
            try:
                said, descriptors = receive(channel)
            except (WireError, OSError):
                _end(running)
            pid = _fork(channel, descriptors[0], Bounds(**said["bounds"]))
            pidfd = os.pidfd_open(pid)
            running[pidfd] = pid
            send(channel, {"t": "born", "worker": said["worker"], "pid": pid}, descriptors=(pidfd,))


def _warm_up() -> None:
    """Import and compile everything that a worker may need once it sees no file any more."""
    import encodings.cp437  # noqa: F401  names in zip files

    from hashwarden.kernels.sass import mix
    from hashwarden.kernels.sass.table import MixTable
    from hashwarden.serve.scan.reader import pack_table

    mix.warm_up()
    mix.unknown_opcodes(MixTable.empty())
    pack_table(MixTable.empty())


def _bury(channel: socket.socket, pidfd: int, pid: int) -> None:
    status = os.waitpid(pid, 0)[1]
    os.close(pidfd)
    send(channel, {"t": "ended", "pid": pid, "code": os.waitstatus_to_exitcode(status)})


def _end(running: dict[int, int]) -> NoReturn:
    """Leave no process behind: the parent is gone, or has ended the workers."""
    for pidfd, pid in running.items():
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
    os._exit(0)


def _fork(channel: socket.socket, descriptor: int, bounds: Bounds) -> int:
    empty = _empty_folder()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            channel.close()
            _close_others({0, 1, 2, descriptor, empty})
            _work(socket.socket(fileno=descriptor), bounds, empty)
            code = 0
        except BaseException:
            code = 70
        finally:
            os._exit(code)
    os.close(descriptor)
    if empty >= 0:
        os.close(empty)
    return pid


def _empty_folder() -> int:
    """A folder that is deleted already: nothing is in it and nothing can be made in it."""
    if os.geteuid() != 0:
        return -1
    with tempfile.TemporaryDirectory() as path:
        return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _close_others(kept: set[int]) -> None:
    for text in os.listdir("/proc/self/fd"):  # noqa: PTH208  names are wanted
        if int(text) not in kept:
            with suppress(OSError):
                os.close(int(text))


def _work(channel: socket.socket, bounds: Bounds, empty: int) -> None:
    """The life of a worker: enter the walls, then read piece after piece."""
    from hashwarden.serve.scan.reader import Reader

    walls = enter(bounds, empty)
    send(channel, {"t": "walls", **_as_dict(walls)})
    while True:
        try:
            task, descriptors = receive(channel)
            Reader(channel, task, descriptors).run()
        except WireError:
            return
        finally:
            for descriptor in locals().get("descriptors", []):
                os.close(descriptor)


def _as_dict(walls: Any) -> dict[str, bool]:  # noqa: ANN401
    from dataclasses import asdict

    return asdict(walls)
