"""Processes for the agent's benchmark: real ones that load code and launch it all the time, and ever new short ones."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import time
from pathlib import Path
from types import ModuleType
from typing import Final, final

from hashwarden.kernels.workloads import catalogue, compiler

__all__ = ["GAP_S", "Sessions", "group", "stand_in"]

GAP_S: Final = 0.1
"""Between two launches of one process."""

_KERNELS: Final = (("progpow", b"progpow_search"), ("ml_layers", b"softmax_rows"))
_FOREVER: Final = 100_000_000


def stand_in() -> ModuleType:
    """The tests' libcuda and its caller."""
    place = Path(__file__).parents[1] / "tests" / "serve" / "sources" / "cuda_stand_in.py"
    spec = importlib.util.spec_from_file_location("benchmark_stand_in", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def group(leader: int) -> list[int]:
    """The processes of a session."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                if int((path / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                    found.append(int(path.name))
            except OSError:
                continue
    return found


@final
class Sessions:
    """Sessions of processes that wait, and launch kernels from `go` on; one of each maps the library at once.

    Parameters
    ----------
    folder : Path
    sessions, processes : int
        Of each session.
    """

    def __init__(self, folder: Path, sessions: int, processes: int) -> None:
        self._go, self._folder = folder / "go", folder
        library, caller = stand_in().build(folder)
        self.leaders: list[subprocess.Popen[bytes]] = []
        for number in range(sessions):
            code, kernel = _KERNELS[number % len(_KERNELS)]
            commands = folder / f"commands-{code}"
            commands.write_text(f"load {_cubin(code, folder)}\nfind 0 {kernel.hex()}\n"
                                f"launch cuLaunchKernel 0 2 1 1 32 1 1 {_FOREVER} {GAP_S * 1e9:.0f}\n")  # fmt: skip
            wait = f"while [ ! -e {self._go} ]; do sleep 1; done"
            run = f"exec {caller} {library} < {commands} > /dev/null"
            early = f"({wait}; cat {commands}; exec sleep 99999) | {caller} {library} > /dev/null &"
            script = f"{early} for i in $(seq {processes - 3}); do ({wait}; {run}) & done; wait"
            self.leaders.append(subprocess.Popen(["sh", "-c", script], start_new_session=True))
        time.sleep(2)

    @property
    def pids(self) -> list[list[int]]:
        """Of each session, without those that wait for a second."""
        return [[pid for pid in group(one.pid) if _name(pid) != "sleep"] for one in self.leaders]

    def go(self) -> None:
        """Let them work."""
        self._go.touch()

    def close(self) -> None:
        """End them."""
        for one in self.leaders:
            os.killpg(one.pid, signal.SIGKILL)
            one.wait()


def _cubin(name: str, folder: Path) -> Path:
    path = folder / f"{name}.cubin"
    if not path.exists():
        workload = catalogue.find(name)
        path.write_bytes(compiler.compile_cubin(workload, workload.all_variants()[0], "sm_90"))
    return path


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "sleep"
