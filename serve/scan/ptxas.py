"""PTX compiled behind the walls, so that text without machine code beside it is judged too."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from hashwarden.errors import TargetError, UnsupportedError
from hashwarden.kernels.sass.limits import Limits
from hashwarden.kernels.sass.ptx import Ptxas, compile_arch
from hashwarden.serve.scan.sandbox import NOBODY, Bounds, confined_command

__all__ = ["Compilation", "not_judged"]

_SECONDS: Final = 120
_SAID: Final = 400


def not_judged(where: str, why: str) -> TargetError:
    """The problem of a PTX text that stays unread."""
    return UnsupportedError(
        f"not judged: PTX only ({why})", "machine code, or PTX that ptxas compiles",
        "Install ptxas (pip install nvidia-cuda-nvcc), or scan the process that compiled it.", where=where,
    )  # fmt: skip


@final
class Compilation:
    """A running ptxas.

    Parameters
    ----------
    ptxas : Ptxas
        Which.
    text : bytes
        The PTX.
    where : str
        Its name.
    limits : Limits
        ``memory_bytes``, ``object_bytes`` and ``seconds`` bound it.
    """

    def __init__(self, ptxas: Ptxas, text: bytes, where: str, limits: Limits) -> None:
        self.where, self._limits = where, limits
        self._folder = tempfile.mkdtemp(prefix="hashwarden-ptx-")
        source = Path(self._folder) / "source.ptx"
        source.write_bytes(text)
        if os.geteuid() == 0:
            os.chown(self._folder, NOBODY, NOBODY)
            source.chmod(0o444)
        seconds = max(1, min(_SECONDS, int(limits.seconds)))
        bounds = Bounds(limits.memory_bytes, limits.object_bytes, seconds, 256)
        with (Path(self._folder) / "said").open("wb") as said:
            self._process = subprocess.Popen(
                confined_command(ptxas.command(compile_arch(text), "source.ptx", "out.cubin"), bounds),
                cwd=self._folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
        self.seconds = 0.0
        self.limit = float(seconds)
        self.pidfd = os.pidfd_open(self._process.pid)

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it, and what it may have started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def result(self) -> tuple[int, int] | TargetError:
        """Descriptor and bytes of the cubin, or why there is none; the folder is gone afterwards."""
        try:
            if self._process.wait() != 0:
                return not_judged(self.where, f"ptxas: {self._said()}")
            descriptor = os.open(Path(self._folder) / "out.cubin", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_size:
                return descriptor, status.st_size
            os.close(descriptor)
            return not_judged(self.where, "ptxas wrote nothing")
        except OSError as error:
            return not_judged(self.where, f"ptxas: {error.strerror}")
        finally:
            self.close()

    def _said(self) -> str:
        with (Path(self._folder) / "said").open("rb") as file:
            text = " ".join(file.read(_SAID).decode("utf-8", "replace").split())
        return "".join(c for c in text if c.isprintable()) or f"exit code {self._process.returncode}"

    def close(self) -> None:
        """Give everything back."""
        os.close(self.pidfd)
        shutil.rmtree(self._folder, ignore_errors=True)
