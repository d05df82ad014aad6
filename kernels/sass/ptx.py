"""PTX text: what it says of itself, and the ptxas that can compile it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import final

__all__ = ["Ptxas", "compile_arch", "find_ptxas", "looks_like_ptx", "ptx_arch", "ptx_kernels"]

_START = re.compile(rb"(?:\s|//[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*\.version\s+\d+\.\d")
_TARGET = re.compile(rb"\.target\s+sm_(\d{2,3})([af]?)")
_ENTRY = re.compile(rb"\.entry\s+([A-Za-z_$%][\w$]*)")

OLDEST_READ = 70
"""PTX for older architectures is compiled for `FALLBACK_ARCH`, which runs it all the same."""
FALLBACK_ARCH = "90"


def looks_like_ptx(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is PTX text: comments, then ``.version``."""
    return b"\0" not in head.rstrip(b"\0") and _START.match(head[:16384]) is not None


def ptx_arch(text: bytes) -> int:
    """Compute capability times 10 of the ``.target``, 0 without one."""
    target = _TARGET.search(text)
    return int(target[1]) if target else 0


def ptx_kernels(text: bytes) -> set[bytes]:
    """The names of the kernels in a PTX text."""
    return {entry[1] for entry in _ENTRY.finditer(text)}


@final
@dataclass(frozen=True, slots=True)
class Ptxas:
    """A ptxas program."""

    path: str

    def command(self, arch: str, source: str, output: str) -> list[str]:
        """The command line that compiles ``source`` for ``arch`` (``90``, ``90a``) to the cubin ``output``."""
        return [self.path, f"--gpu-name=sm_{arch}", "--opt-level=3", source, f"--output-file={output}"]


def compile_arch(text: bytes) -> str:
    """The architecture to compile a PTX text for: its own, or `FALLBACK_ARCH` where that is too old to read."""
    target = _TARGET.search(text)
    if target is None or int(target[1]) < OLDEST_READ:
        return FALLBACK_ARCH
    return (target[1] + target[2]).decode()


def find_ptxas() -> Ptxas | None:
    """The ptxas on the PATH, or in an installed nvidia-cuda-nvcc package, or None.

    Nothing of the package is imported: its folder is looked at.
    """
    if path := shutil.which("ptxas"):
        return Ptxas(path)
    spec = find_spec("nvidia")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for place in ("cuda_nvcc/bin/ptxas", "cu13/bin/ptxas", "cu12/bin/ptxas"):
            if (Path(folder) / place).is_file():
                return Ptxas(str(Path(folder) / place))
    return None
