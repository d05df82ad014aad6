"""Runs one command without a shell: bounded in time and output, with nothing of our environment but what it needs."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Final, final

from hashwarden.serve.scan.text import printable, shorten

__all__ = ["Missing", "Said", "TooLong", "run", "words"]

_LIMIT: Final = 8 << 20
"""Bytes of output: an array of ten thousand tasks takes less."""

_WORDS: Final = 300
_KEPT: Final = ("PATH", "SLURM_CONF")


class Missing(Exception):  # noqa: N818  a state, not a fault
    """There is no such command on this machine."""


class TooLong(Exception):  # noqa: N818  a state, not a fault
    """It took too long, or said too much, and was killed."""


@final
@dataclass(frozen=True, slots=True)
class Said:
    """What came of a command.

    Attributes
    ----------
    code : int
        Its exit code; negative for a signal.
    text : str
        Standard output and error, as they came; not fit for a log (see `words`).
    """

    code: int
    text: str


def run(command: Sequence[str], timeout_s: float, text: str = "") -> Said:
    """Run a command to its end.

    Parameters
    ----------
    command : sequence of str
        Program, looked up in PATH, and arguments.
    timeout_s : float
        After that it is killed, with all processes of its session.
    text : str
        Its standard input.

    Raises
    ------
    Missing
        If there is no such program.
    TooLong
        If it was killed.
    """
    program = shutil.which(command[0])
    if program is None:
        raise Missing(f"no command {command[0]!r} in PATH")
    with tempfile.TemporaryFile() as source:
        source.write(text.encode(errors="replace"))
        source.seek(0)
        return _run([program, *command[1:]], time.monotonic() + timeout_s, source)


def _run(command: Sequence[str], end_s: float, source: BinaryIO) -> Said:
    try:
        child = subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 env=_environment(), cwd="/", start_new_session=True)  # fmt: skip
    except OSError as error:
        raise Missing(f"{command[0]} cannot be run: {error.strerror}") from error
    with child:
        try:
            said = _read(child, end_s)
            return Said(child.wait(max(0.0, end_s - time.monotonic())), said)
        except subprocess.TimeoutExpired:
            raise TooLong("it closed its output and did not end") from None
        finally:
            with suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)  # what it started and left; its own number is not free before wait


def _read(child: subprocess.Popen[bytes], end_s: float) -> str:
    """All that it says, until it closes its output."""
    assert child.stdout is not None  # for the type checker: it was asked for
    found = bytearray()
    while True:
        left = end_s - time.monotonic()
        if left <= 0 or not select.select([child.stdout], [], [], left)[0]:
            raise TooLong("no answer in time")
        part = os.read(child.stdout.fileno(), 1 << 16)
        if not part:
            return found.decode(errors="replace")
        found += part
        if len(found) > _LIMIT:
            raise TooLong(f"more than {_LIMIT} bytes of output")


def _environment() -> Mapping[str, str]:
    """Times as seconds since 1970, words in English."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C", "SLURM_TIME_FORMAT": "%s", **kept}


def words(text: str) -> str:
    """What was said, on one line, printable and short."""
    return shorten(printable(" ".join(text.split())), _WORDS)
