"""The stand-in for NVML, compiled, and its control file; pynvml is the real one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE / "sources" / "nvml_stand_in.c"


def compile_stand_in(folder: Path) -> Path:
    """libnvidia-ml.so.1 in a folder, for LD_LIBRARY_PATH."""
    library = folder / "libnvidia-ml.so.1"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    return library


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_stand_in(tmp_path_factory.mktemp("nvml"))


class Control:
    """What the stand-in does; a new file each time, so that a reader never sees half of one.

    Called, it is a clock that stands still until `tick`; the stand-in then goes by the same one.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.now, self.stands_still = path, 1000.0, False
        self.lines: tuple[str, ...] = ()
        self.write()

    def __call__(self) -> float:
        return self.now

    def write(self, *lines: str) -> None:
        self.lines = lines
        fresh = self.path.with_suffix(".new")
        clock = [f"value now {self.now:.6f}"] if self.stands_still else []
        fresh.write_text("".join(f"{line}\n" for line in ["gpm 1", *lines, *clock]))
        fresh.rename(self.path)

    def tick(self, seconds: float) -> None:
        self.stands_still = True
        self.now += seconds
        self.write(*self.lines)


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(tmp_path / "control")


@pytest.fixture
def nvml(stand_in: Path, control: Control, monkeypatch: pytest.MonkeyPatch) -> Iterator[Control]:
    """The real pynvml on the stand-in, in this process."""
    import ctypes

    import pynvml

    monkeypatch.setenv("HASHWARDEN_STAND_IN", str(control.path))
    library = ctypes.CDLL(str(stand_in))
    monkeypatch.setattr(pynvml, "nvmlLib", library)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    yield control
    control.write()
    while ctypes.c_int.in_dll(library, "started_count").value > 0:
        library.nvmlShutdown()


@pytest.fixture
def environment(stand_in: Path, control: Control) -> dict[str, str]:
    """For a process of its own."""
    return {**os.environ, "LD_LIBRARY_PATH": str(stand_in.parent), "HASHWARDEN_STAND_IN": str(control.path)}
