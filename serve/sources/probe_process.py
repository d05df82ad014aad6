"""The probes' process, as the agent sees it: started, told what to do, listened to, ended. Nothing here waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, final

from hashwarden import errors
from hashwarden.errors import HashwardenError, NoDeviceError
from hashwarden.serve.scan.text import printable, shorten

__all__ = ["ANSWER_S", "START_S", "ProbeProcess", "child_command"]

START_S: Final = 60.0
"""To import CuPy, open a context and compile eight kernels for the first time."""

ANSWER_S: Final = 10.0
"""To answer, beyond what the rounds take by themselves."""

_MOST_LINE: Final = 65_536
_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from hashwarden.serve.sources.probe_child import main; main()"
)
_KEPT: Final = (
    "PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "CUDA_PATH", "CUPY_CACHE_DIR", "CUDA_CACHE_PATH",
    "CUDA_MPS_PIPE_DIRECTORY",
)  # fmt: skip
_KINDS: Final = ("PrivilegeError", "NoDeviceError", "MemoryShortError", "MissingExtraError", "UsageError", "DataError")


def child_command() -> list[str]:
    """The command line, isolated from the environment and the current folder."""
    return [sys.executable, "-I", "-c", _START, json.dumps(sys.path)]


@final
class ProbeProcess:
    """One process on one GPU.

    Parameters
    ----------
    gpu : str
        UUID: the only GPU that it sees.
    clock : callable
        Seconds of the monotonic clock.
    command : sequence of str, optional
        See `child_command`.

    Attributes
    ----------
    facts : dict or None
        What it said of the GPU; None until it is ready.
    """

    def __init__(
        self, gpu: str, clock: Callable[[], float] = time.monotonic, command: Sequence[str] | None = None
    ) -> None:
        self._gpu, self._clock = gpu, clock
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment = kept | {"CUDA_VISIBLE_DEVICES": gpu, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command or child_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment, start_new_session=True,
        )  # fmt: skip
        os.set_blocking(self._out, False)
        self._line = b""
        self._deadline_s = clock() + START_S
        self.facts: dict[str, Any] | None = None

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def idle(self) -> bool:
        """Whether it is ready and has nothing to do."""
        return self.facts is not None and self._deadline_s == float("inf")

    @property
    def gone(self) -> bool:
        """Whether it has ended; one that was killed may hang in the driver all the same."""
        return self._process.poll() is not None

    def order(self, seconds: float, **words: Any) -> None:  # noqa: ANN401
        """Tell it what to do, which takes so many seconds by itself.

        Raises
        ------
        NoDeviceError
            If it is gone.
        """
        self._deadline_s = self._clock() + seconds + ANSWER_S
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(words).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._failed("it does not listen any longer") from error

    def hear(self) -> dict[str, Any] | None:
        """What it said, if it said something since the last call.

        Raises
        ------
        HashwardenError
            What it says is missing, or NoDeviceError if it ended, does not answer in time or speaks nonsense.
        """
        line = self._read_line()
        if line is None:
            if self._clock() > self._deadline_s:
                raise self._failed("no answer in time: it hangs in the driver")
            return None
        try:
            said = json.loads(line)
            kind = str(said["said"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._failed(
                f"nonsense ({shorten(printable(line[:80].decode('utf-8', 'replace')), 60)!r})"
            ) from error
        if kind == "error":
            raise _error(said, self._gpu)
        self._deadline_s = float("inf")
        if kind == "ready":
            self.facts = dict(said.get("facts") or {})
        return dict(said)

    def end(self) -> None:
        """Kill it, without waiting: one that hangs in the driver cannot be waited for."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        with suppress(OSError):
            self._process.kill()
        self._process.poll()

    def wait(self, seconds: float) -> None:
        """Wait until it is gone, or so long."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    @property
    def _out(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def _read_line(self) -> bytes | None:
        while b"\n" not in self._line:
            try:
                got = os.read(self._out, _MOST_LINE)
            except BlockingIOError:
                return None
            self._line += got
            if len(self._line) > _MOST_LINE:
                raise self._failed("a line without an end")
            if not got:
                code = self._process.poll()
                raise self._failed(f"it ended{'' if code is None else f' with {code}'}")
        line, _, self._line = self._line.partition(b"\n")
        return line

    def _failed(self, got: str) -> NoDeviceError:
        return NoDeviceError(f"the probes' process: {got}", "one that answers", "It is started anew.", where=self._gpu)


def _error(said: Mapping[str, Any], gpu: str) -> HashwardenError:
    """What the process says as an error of the house."""
    name = str(said.get("kind"))
    kind = getattr(errors, name) if name in _KINDS else NoDeviceError
    got, expected, remedy = (shorten(printable(str(said.get(word))), 300) for word in ("got", "expected", "remedy"))
    found: HashwardenError = kind(got, expected, remedy, where=gpu)
    return found
