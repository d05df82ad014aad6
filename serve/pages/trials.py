"""Policies tried on traces for a page: each in a process of its own, with bounds on its time, memory and answer."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

__all__ = ["PATIENCE_S", "Trials"]

PATIENCE_S: Final = 60.0
_MOST_ANSWER: Final = 8 << 20
_KEPT: Final = ("PATH", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "HOME")
_MOST_KEPT: Final = 8
_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from hashwarden.serve.pages.trial import answer; answer(sys.stdin.buffer, sys.stdout.buffer)"
)


@final
class Trials:
    """One at a time: a new one ends that before it.

    Parameters
    ----------
    traces : sequence of Path
    patience_s : float
        Seconds that one may take.
    """

    def __init__(self, traces: Sequence[Path], patience_s: float = PATIENCE_S) -> None:
        self._traces, self._patience_s = [str(Path(trace).resolve()) for trace in traces], patience_s
        self._lock = threading.Lock()
        self._found: dict[str, dict[str, Any]] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, question: Mapping[str, Any]) -> str:
        """Start one; gives its name.

        Parameters
        ----------
        question : mapping
            See `hashwarden.serve.pages.trial.answer`; traces are added here.
        """
        name, asked = secrets.token_hex(8), json.dumps({**question, "traces": self._traces}).encode()
        with self._lock:
            self._end()
            self._found[name] = {"state": "running"}
            for old in list(self._found)[:-_MOST_KEPT]:
                del self._found[old]
            process = self._process = _started()
        thread = threading.Thread(target=self._follow, args=(name, process, asked), daemon=True, name="trial")
        thread.start()
        return name

    def result(self, name: str) -> Mapping[str, Any] | None:
        """How far it is: ``state`` is ``running``, ``done`` or ``failed``; None for an unknown name."""
        with self._lock:
            return self._found.get(name)

    def close(self) -> None:
        """End what runs."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            with suppress(OSError):
                self._process.kill()
            self._process = None

    def _follow(self, name: str, process: subprocess.Popen[bytes], asked: bytes) -> None:
        timer = threading.Timer(self._patience_s, process.kill)
        timer.daemon = True
        timer.start()
        try:
            found = _told(process, asked)
        finally:
            late = not timer.is_alive()
            timer.cancel()
        if "error" in found:
            found = {
                "state": "failed",
                "error": f"not done within {self._patience_s:.0f} s" if late else found["error"],
            }
        with self._lock:
            if name in self._found:
                self._found[name] = found
            if self._process is process:
                self._process = None


def _started() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-c", _START, json.dumps(sys.path)]
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            env=environment)  # fmt: skip


def _told(process: subprocess.Popen[bytes], asked: bytes) -> dict[str, Any]:
    if process.stdin is None or process.stdout is None:
        return {"error": "the process has no pipes"}
    with process, suppress(OSError, ValueError):
        process.stdin.write(asked)
        process.stdin.close()
        text = process.stdout.read(_MOST_ANSWER + 1)
        if len(text) > _MOST_ANSWER:
            process.kill()
            return {"error": "more decisions than a page can show"}
        found = json.loads(text)
        return found if "error" in found else {"state": "done", **found}
    return {"error": "it ended without an answer: out of memory, out of time, or another one was begun"}
