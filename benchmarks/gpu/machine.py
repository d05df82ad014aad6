"""What GPU this is, asked of its driver alone; and the project put together where nothing can be installed."""

from __future__ import annotations

import ctypes
import importlib.metadata
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["assemble", "describe", "gpu_count"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "numpy",
    "numba",
    "numba-cuda",
    "cupy-cuda13x",
    "cupy-cuda12x",
    "torch",
    "cuda-core",
    "cupti-python",
    "pytest",
)


def _driver() -> Any:
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    return library if library.cuInit(0) == 0 else None


def gpu_count() -> int:
    """How many NVIDIA GPUs the driver answers for."""
    driver, count = _driver(), ctypes.c_int(0)
    return count.value if driver is not None and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def describe() -> dict[str, Any]:
    """Name, memory and architecture of GPU 0, driver, packages and date."""
    driver = _driver()
    name, version, total = ctypes.create_string_buffer(96), ctypes.c_int(0), ctypes.c_size_t(0)
    major, minor = ctypes.c_int(0), ctypes.c_int(0)
    driver.cuDeviceGetName(name, 96, 0)
    driver.cuDriverGetVersion(ctypes.byref(version))
    driver.cuDeviceTotalMem_v2(ctypes.byref(total), 0)
    driver.cuDeviceGetAttribute(ctypes.byref(major), 75, 0)
    driver.cuDeviceGetAttribute(ctypes.byref(minor), 76, 0)
    return {
        "gpu": name.value.decode(),
        "memory_bytes": total.value,
        "compute_capability": f"{major.value}.{minor.value}",
        "driver_cuda": f"{version.value // 1000}.{version.value % 1000 // 10}",
        "driver": _kernel_driver(),
        "python": platform.python_version(),
        "packages": {package: _version(package) for package in PACKAGES},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _kernel_driver() -> str:
    path = Path("/sys/module/nvidia/version")
    return path.read_text().strip() if path.exists() else "unknown"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _built(command: list[str], places: Iterable[str]) -> bool:
    """Let pip build the package, from a copy: setuptools leaves its build in the tree, for the next to stumble on."""
    try:
        with tempfile.TemporaryDirectory() as copy:
            for name in ("pyproject.toml", "README.md", "LICENSE"):
                shutil.copy2(ROOT / name, Path(copy, name))
            for place in places:
                shutil.copytree(ROOT / place, Path(copy, place), ignore=shutil.ignore_patterns("__pycache__"))
            done = subprocess.run([*command, copy], capture_output=True, text=True, check=False)
    except OSError:  # no room for it
        return False
    return done.returncode == 0


def assemble(folder: Path, wheels: Path | None = None) -> str:
    """Put the import package into ``folder``: by pip, or by links where pip cannot build it offline.

    Parameters
    ----------
    folder : Path
    wheels : Path, optional
        Folder of wheels that are put there too, as they are.

    Returns
    -------
    str
        "pip" or "links", and how many wheels; or what pip said of wheels that it could not install.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    command += ["--target", str(folder)]
    more = ""
    if found := sorted(wheels.glob("*.whl")) if wheels else []:
        done = subprocess.run([*command, *map(str, found)], capture_output=True, text=True, check=False)
        more = f" and {len(found)} wheels" if done.returncode == 0 else f" without wheels: {done.stderr.strip()[-300:]}"
    places = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    if _built(command, places.values()):
        return f"pip{more}"
    package = folder / "hashwarden"
    package.mkdir(parents=True, exist_ok=True)
    for item in (ROOT / places["hashwarden"]).iterdir():
        (package / item.name).symlink_to(item)
    for name, place in places.items():
        if name != "hashwarden":
            (package / name.partition(".")[2]).symlink_to(ROOT / place)
    return f"links{more}"
