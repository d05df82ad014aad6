"""The process that reads machine code, as the agent sees it: sent out, looked after, ended. Nothing here waits.

It is a fresh interpreter for every reading. A reader that stays would hold 239 MB for good (interpreter, model,
compiled decoder; benchmarks/code.py), more than the whole agent may, to save two seconds of a core every few minutes.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final, final

from hashwarden.serve.sources.code_wire import MOST_BYTES, Answer, Question

__all__ = ["Child", "Outcome", "answer", "child_command"]

_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from hashwarden.serve.sources.code_child import answer; answer()"
)
_KEPT_ENVIRONMENT: Final = (
    "PATH", "HOME", "XDG_CACHE_HOME", "HASHWARDEN_CACHE", "NUMBA_CACHE_DIR", "LD_LIBRARY_PATH", "TMPDIR",
)  # fmt: skip
_SETTINGS: Final = {"OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
_PR_SET_PDEATHSIG: Final = 1
_NICE: Final = 10
_GRACE_S: Final = 30.0
"""Wall time beyond what the processor time would take on a busy machine."""
_SLOWNESS: Final = 8.0
_STUCK_S: Final = 10.0
"""After a SIGKILL; a process that still lives waits in the kernel, for a file system that does not answer."""
MOST_STUCK: Final = 3


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a question.

    Attributes
    ----------
    question : Question
    answer : Answer or None
        None if the process failed.
    seconds : float
        Processor time that it took, with its workers.
    error : str
        Why there is no answer.
    """

    question: Question
    answer: Answer | None
    seconds: float
    error: str = ""


def child_command() -> list[str]:
    """The command line of the process, isolated from the environment and the current folder."""
    return [sys.executable, "-I", "-c", _START, json.dumps(sys.path)]


def answer() -> None:
    """What the process does: read a question from the standard input, answer to the standard output."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.nice(_NICE)
    with suppress(OSError):  # where memory is short, this ends and not the agent or a job
        Path("/proc/self/oom_score_adj").write_text("1000")
    from hashwarden.serve.scorer import shipped_model
    from hashwarden.serve.sources.code_reader import CodeReader
    from hashwarden.serve.sources.code_store import CodeStore, model_hash

    question = Question.load(os.read(0, MOST_BYTES))
    bound = int(10 * question.seconds) + 60
    resource.setrlimit(resource.RLIMIT_CPU, (bound, bound))
    _keep_compiled(Path(question.folder))
    store = CodeStore(Path(question.folder), model_hash(shipped_model()))
    data = CodeReader(store, question.seconds).read(question.processes).dump()
    while data:
        data = data[os.write(1, data) :]


def _keep_compiled(folder: Path) -> None:
    """Let Numba keep the decoder that it compiles, also where the installation cannot be written to."""
    from hashwarden.kernels.sass import engines

    if not os.access(Path(str(engines.__file__)).parent, os.W_OK):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(folder / "numba"))


@final
class Child:
    """One reading at a time.

    Parameters
    ----------
    clock : callable
        Seconds of the monotonic clock.
    command : callable
        Gives the command line.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, command: Callable[[], list[str]] = child_command
    ) -> None:
        self._clock, self._command = clock, command
        self._process: subprocess.Popen[bytes] | None = None
        self._question: Question | None = None
        self._said: IO[bytes] | None = None
        self._deadline = self._killed = float("inf")
        self.stuck: list[subprocess.Popen[bytes]] = []

    @property
    def ready(self) -> bool:
        """Whether it can be asked."""
        self.stuck = [process for process in self.stuck if _reap(process) is None]
        return self._process is None and len(self.stuck) < MOST_STUCK

    def ask(self, question: Question) -> None:
        """Send a process out; only when `ready`.

        Raises
        ------
        OSError
            If none can be started.
        """
        said = TemporaryFile()  # noqa: SIM115  closed in `_end`
        with TemporaryFile() as asked:
            asked.write(question.dump())
            asked.seek(0)
            environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ} | _SETTINGS
            try:
                self._process = subprocess.Popen(
                    self._command(), stdin=asked, stdout=said, stderr=subprocess.DEVNULL, env=environment, cwd="/",
                )  # fmt: skip
            except OSError:
                said.close()
                raise
        self._said = said
        self._question = question
        self._deadline = self._clock() + _GRACE_S + _SLOWNESS * question.seconds
        self._killed = float("inf")

    def poll(self) -> Outcome | None:
        """What came of the question, once; None while it is under way, or if there was none."""
        if self._process is None or self._question is None:
            return None
        seconds = _reap(self._process)
        now = self._clock()
        if seconds is not None:
            return self._end(self._question, seconds)
        if now > self._deadline and self._killed > now:
            self._process.kill()
            self._killed = now
        if now - self._killed > _STUCK_S:
            self.stuck.append(self._process)
            return self._end(self._question, 0.0)
        return None

    def close(self) -> None:
        """End it."""
        if self._process is not None and self._question is not None:
            self._process.kill()
            deadline = time.monotonic() + 1.0
            while _reap(self._process) is None and time.monotonic() < deadline:
                time.sleep(0.01)
            self._end(self._question, 0.0)

    def _end(self, question: Question, seconds: float) -> Outcome:
        process, said = self._process, self._said
        self._process = self._question = self._said = None
        found, error = None, ""
        if process is not None and said is not None:
            with said:
                said.seek(0)
                data = said.read(MOST_BYTES)
            try:
                found = Answer.load(data)
            except ValueError:
                code = process.returncode
                error = "it hangs in the kernel" if code is None else f"it ended with {code}"
        # one that was ended may have left workers that are not counted: all that it was allowed counts then
        return Outcome(question, found, seconds if found else max(seconds, question.seconds), error)


def _reap(process: subprocess.Popen[bytes]) -> float | None:
    """Processor time of a process that has ended, and of all that it waited for; None while it lives."""
    if process.returncode is not None:
        return 0.0
    pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    if pid == 0:
        return None
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime
