"""An agent for a look around: it watches a trace, has folders of its own, and can ask no scheduler for anything."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from hashwarden.errors import DataError, UsageError
from hashwarden.serve.agent_client import ask

__all__ = ["POLICY", "Drill"]

POLICY: Final = """\
# Of a drill: in force, but there is no scheduler to ask for anything.
mode = "enforce"
four_eyes = false
require_approval = ["cancel"]

[[rules]]
name = "mining"
first_warning_minutes = 1
second_warning_minutes = 2
cancel_minutes = 3
action = "cancel"
act_if_warning_refused = true

[[rules]]
name = "hash-work"
classes = ["hash-other"]
first_warning_minutes = 5
"""
_START: Final = (
    "import ctypes, json, sys; ctypes.CDLL(None).prctl(1, 15, 0, 0, 0); sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from hashwarden.cli import main; main()"
)
"""It ends with whoever started it, also with one that was killed: PR_SET_PDEATHSIG is 1, SIGTERM is 15."""
_KEPT: Final = ("PATH", "LANG", "HOME", "LD_LIBRARY_PATH", "TMPDIR")
_PATIENCE_S: Final = 60.0
_END_S: Final = 10.0


@final
class Drill:
    """The agent; `close` ends it and removes its folders.

    Parameters
    ----------
    trace : Path
    speed : float
        So many times as fast.

    Raises
    ------
    UsageError
        If there is no such file.
    DataError
        If the agent ends, or does not answer.
    """

    def __init__(self, trace: Path, speed: float) -> None:
        if not trace.is_file():
            raise UsageError("no such file", "a trace", "data/job/demo.parquet of a clone is one.", where=str(trace))
        self._folder = tempfile.TemporaryDirectory(prefix="hashwarden-")
        folder = Path(self._folder.name)
        self.socket = folder / "run" / "agent.sock"
        (folder / "policy.toml").write_text(POLICY)
        (folder / "policy.toml").chmod(0o600)
        (folder / "agent.toml").write_text(_configuration())
        arguments = ["agent", "--config", "agent.toml", "--policy", "policy.toml", "--state-dir", "state", "--run-dir",
                     str(folder / "run"), "--replay", str(trace.resolve()), "--speed", f"{speed:g}"]  # fmt: skip
        self._said = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, json.dumps(sys.path), *arguments], cwd=folder,
            stdin=subprocess.DEVNULL, stdout=self._said, stderr=self._said, start_new_session=True,
            env={name: os.environ[name] for name in _KEPT if name in os.environ} | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        try:
            self._wait()
            self._check()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()
        self._folder.cleanup()

    def _check(self) -> None:
        """An agent whose trace cannot be read goes on, blind."""
        sources = ask(self.socket, "GET", "/v1/status").get("sources", [])
        wrong = [str(one.get("error")) for one in sources if not one.get("ok")]
        if wrong:
            raise DataError(f"the drill has nothing to watch: {wrong[0]}", "a trace", "Name another file.")

    def _wait(self) -> None:
        end_s = time.monotonic() + _PATIENCE_S
        while not self.socket.is_socket():
            if self._process.poll() is not None or time.monotonic() > end_s:
                lines = (Path(self._folder.name) / "log").read_text(errors="replace").strip().splitlines()
                raise DataError(f"the agent of the drill did not begin: {lines[-1] if lines else 'it says nothing'}",
                                "a running agent", "Is the file a trace? 'hashwarden replay FILE' tells.")  # fmt: skip
            time.sleep(0.05)


def _configuration() -> str:
    user = pwd.getpwuid(os.geteuid()).pw_name
    return f'[http]\nlisten = ""\napprovers = [{json.dumps(user)}]\n[log]\nformat = "text"\nlevel = "warning"\n'
