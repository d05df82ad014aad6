"""Writes bundles in a process of its own, which ends when nothing more is to be written.

Parquet and compression take 90 MiB of the 200 that the agent may hold, and never give them back; a case is rare.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, final

from hashwarden.errors import HashwardenError

if TYPE_CHECKING:
    from hashwarden.serve.agent.packing import Package

__all__ = ["Packer", "serve", "written"]

PATIENCE_S: Final = 120.0
"""For one bundle; then the process is ended, and that is told."""

_END_S: Final = 5.0
_MOST_ANSWER: Final = 1 << 16
_LENGTH: Final = struct.Struct("<Q")
_KEPT: Final = ("PATH", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
_SETTINGS: Final = {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from hashwarden.serve.agent.packer import serve; serve(sys.stdin.buffer, sys.stdout.buffer)"
)


@final
class Packer:
    """The process, started when there is something to pack. For one thread.

    Parameters
    ----------
    folder : Path
        Where bundles go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def pack(self, package: Package) -> tuple[str, str]:
        """Write a bundle; gives its path and its SHA-256.

        Where this program has loaded Parquet anyway (``replay``), no process is needed.

        Raises
        ------
        HashwardenError, OSError
            If it was not written.
        """
        if "pyarrow" in sys.modules:
            return written(self._folder, package)
        process = self._process = self._process or self._started()
        try:
            if process.stdin is None or process.stdout is None:
                raise ChildProcessError("it has no pipes")
            data = pickle.dumps((self._folder, package))
            process.stdin.write(_LENGTH.pack(len(data)) + data)
            process.stdin.flush()
            told = json.loads(_line(process.stdout, time.monotonic() + PATIENCE_S))
        except (OSError, ValueError) as error:
            process.kill()
            self.rest()
            raise ChildProcessError(f"the process that packs failed: {error}") from error
        if "error" in told:
            raise ChildProcessError(told["error"])
        return told["path"], told["sha256"]

    def rest(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @staticmethod
    def _started() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-c", _START, json.dumps(sys.path)]
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | _SETTINGS
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                env=environment)  # fmt: skip


def _line(pipe: IO[bytes], deadline: float) -> bytes:
    found = b""
    while not found.endswith(b"\n"):
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        more = os.read(pipe.fileno(), _MOST_ANSWER) if ready else b""
        if not more or len(found) > _MOST_ANSWER:
            raise ChildProcessError("no answer")
        found += more
    return found


def written(folder: Path, package: Package) -> tuple[str, str]:
    """Write a bundle, here; gives its path and its SHA-256."""
    from hashwarden.serve.audit.bundle import write_bundle

    bundle = write_bundle(folder, **{field.name: getattr(package, field.name) for field in fields(package)})
    return str(bundle.path), bundle.sha256


def serve(asked: IO[bytes], said: IO[bytes]) -> None:
    """What the process does: write what it is handed, until nobody hands it anything."""
    while len(head := asked.read(_LENGTH.size)) == _LENGTH.size:
        folder, package = pickle.loads(asked.read(*_LENGTH.unpack(head)))  # noqa: S301  of the agent, its parent
        try:
            told = dict(zip(("path", "sha256"), written(folder, package), strict=True))
        except (HashwardenError, OSError) as error:
            told = {"error": str(error)}
        except Exception as error:  # a fault of ours must not lose the next bundle
            told = {"error": repr(error)}
        said.write(json.dumps(told).encode() + b"\n")
        said.flush()
