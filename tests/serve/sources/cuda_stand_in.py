"""A libcuda.so.1 that does nothing, and processes that call it; for tests of what watches processes.

Load it as tests load helpers: ``importlib.util.spec_from_file_location``.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).parent


BEGINNINGS = {
    "push %rbp": ("-O0",),
    "mov $0,%eax": ("-O1",),
    "cmpl $x,y(%rip)": ("-O1", "-DOBSERVED"),
}
"""What functions of the library begin with on x86-64, by the flags of its compilation."""


def build(folder: Path, flags: tuple[str, ...] = BEGINNINGS["push %rbp"]) -> tuple[Path, Path]:
    """Compile the library, with these flags, and the program that calls it; gives both paths."""
    library, caller = folder / "libcuda.so.1", folder / "cuda_caller"
    source = HERE / "cuda_stand_in.c"
    subprocess.run(["gcc", "-w", *flags, "-shared", "-fPIC", "-o", library, source], check=True)
    subprocess.run(["gcc", "-w", "-O0", "-o", caller, HERE / "cuda_caller.c", "-ldl"], check=True)
    return library, caller


class Caller:
    """One process; its commands are those of ``cuda_caller.c``. Ends with its context."""

    def __init__(self, caller: Path, library: Path, *, prefix: tuple[str, ...] = ()) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([*prefix, str(caller), str(library)], **pipes)
        self.pid = self._answer()

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()

    def ask(self, command: str) -> int:
        """Give a command, wait until it is done; its result."""
        self.begin(command)
        return self._answer()

    def begin(self, command: str) -> None:
        """Give a command and go on; `wait` waits."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def wait(self) -> int:
        """The result of the command that was begun."""
        return self._answer()

    def find(self, name: bytes, module: int = 0) -> int:
        """Number of the function of this name."""
        return self.ask(f"find {module} {name.hex()}")

    def launch(
        self, function: int, times: int, gap_ns: int = 0, how: str = "cuLaunchKernel", size: str = "2 1 1 32 1 1"
    ):
        """Launch so often; in the background, `wait` waits."""
        self.begin(f"launch {how} {function} {size} {times} {gap_ns}")

    def _answer(self) -> int:
        line = self.process.stdout.readline()
        if not line.startswith("ok "):
            raise RuntimeError(f"the caller said {line!r}")
        return int(line[3:])
