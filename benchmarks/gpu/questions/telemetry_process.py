"""The processes of telemetry_child.py and its like, seen from the one that starts them. Not a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hashwarden.errors import HashwardenError

__all__ = ["Child"]

SCRIPT = Path(__file__).with_name("telemetry_child.py")
LOOK_S = 0.01
GO = "go"


class Child:
    """A process that prints lines; ended whatever happens. Files take what it says: a full pipe would stop it.

    Parameters
    ----------
    *words : str
        What telemetry_child.py is to be.
    script : Path
        Another script that waits for a line and prints JSON.
    """

    def __init__(self, *words: str, script: Path = SCRIPT) -> None:
        self.name = " ".join((script.stem, *words[:2]))
        self._out, self._said = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  closed in `end`
        self._process = subprocess.Popen(
            [sys.executable, str(script), *words], stdin=subprocess.PIPE, stdout=self._out, stderr=self._said,
        )  # fmt: skip
        self.pid = self._process.pid
        self._read = 0

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def lines(self) -> list[str]:
        """All whole lines so far."""
        return self._all(self._out).split("\n")[:-1]

    def steps(self) -> list[float]:
        """When the steps of a load ended; its first line says what it runs on."""
        return [float(line) for line in self.lines()[1:]]

    def tell(self, line: str) -> None:
        """Give it a line.

        Raises
        ------
        HashwardenError
            If it has ended.
        """
        try:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended() from error

    def said(self, limit_s: float) -> dict[str, Any]:
        """Its next line, as JSON.

        Raises
        ------
        HashwardenError
            If it ends before, or takes too long.
        """
        self._wait(lambda: len(self.lines()) > self._read, limit_s)
        self._read += 1
        return json.loads(self.lines()[self._read - 1])

    def asked(self, limit_s: float) -> dict[str, Any]:
        """Let it go on; its next line."""
        self.tell(GO)
        return self.said(limit_s)

    def go(self, limit_s: float) -> dict[str, Any]:
        """Let a load begin; back when its third step has ended, with what it runs on.

        Raises
        ------
        HashwardenError
            As `said`.
        """
        until = time.monotonic() + limit_s
        found = self.asked(limit_s)
        self._wait(lambda: len(self.lines()) > 3, until - time.monotonic())
        return found

    def end(self) -> None:
        """End it; once more does no harm."""
        self._process.kill()
        self._process.communicate()
        self._out.close()
        self._said.close()

    def _wait(self, there: Callable[[], bool], limit_s: float) -> None:
        until = time.monotonic() + limit_s
        while not there():
            if not self.runs and not there():
                raise self._ended()
            if time.monotonic() > until:
                raise HashwardenError(
                    f"{self.name}: no answer within {limit_s:.0f} s", "an answer", "Give it more time."
                )
            time.sleep(LOOK_S)

    def _ended(self) -> HashwardenError:
        code = self._process.wait()
        last = " ".join(self._all(self._said).split()[-60:])
        return HashwardenError(f"{self.name} ended with {code}: {last}", "a process that goes on", "See what it said.")

    @staticmethod
    def _all(file: Any) -> str:
        """Without moving the place in the file, which the process shares."""
        number = file.fileno()
        return os.pread(number, os.fstat(number).st_size, 0).decode(errors="replace")
