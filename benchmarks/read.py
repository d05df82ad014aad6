"""How long a whole CUDA wheel takes to read, decompression included, and how much memory.

One command::

    python benchmarks/read.py [--wheel FILE] [--jobs 2] [--out benchmarks/results]

Fetches a large, permissively licensed wheel (Apache-2.0; no library of NVIDIA's is in it) if none is given. Beside
hashwarden, in the same run: `unzip -p` to nowhere (the floor of any tool that unpacks with zlib), Python's zipfile to
a folder, and `cuobjdump --list-elf` over what was unpacked, which lists code objects and decodes nothing. Memory is
the peak of the sum over all processes, shared pages once (PSS), sampled in a second run so that the clock is not
disturbed. Writes read.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from processes import peak_memory

from hashwarden.kernels.sass.limits import Limits
from hashwarden.serve.scan.events import Finished, Kernels, Unreadable
from hashwarden.serve.scan.pipeline import read_targets

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "sgl-kernel==0.3.21"
AIM_SECONDS, AIM_BYTES = 15.0, 300e6


def fetch(folder: Path) -> Path:
    """The wheel, from the cache or from PyPI."""
    name, version = PACKAGE.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not any(folder.glob(pattern)):
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:",
                        "--dest", str(folder), PACKAGE], check=True)  # fmt: skip
    return next(folder.glob(pattern))


def timed(act: Callable[[], object]) -> tuple[float, object]:
    """Wall seconds and result."""
    start = time.perf_counter()
    result = act()
    return time.perf_counter() - start, result


def read(wheel: Path, jobs: int) -> dict[str, Any]:
    """Everything that `scan` does before it scores."""
    rows, problems, stats = 0, [], None
    for event in read_targets([wheel], Limits(), jobs=jobs):
        if isinstance(event, Kernels):
            rows += len(event.table)
        elif isinstance(event, Unreadable):
            problems.append(str(event.error))
        elif isinstance(event, Finished):
            stats = event.stats
    return {"kernels": rows, "problems": problems, "code_mb": stats.code_bytes / 1e6, "objects": stats.objects,
            "expanded_mb": stats.bytes_expanded / 1e6}  # fmt: skip


def unzip_to_nowhere(wheel: Path) -> None:
    """The floor: one process, nothing written."""
    subprocess.run(["unzip", "-p", str(wheel)], stdout=subprocess.DEVNULL, check=True)


def list_elf(folder: Path, program: str) -> int:
    """Code objects that cuobjdump lists."""
    lines = 0
    for path in folder.rglob("*.so*"):
        done = subprocess.run([program, "--list-elf", str(path)], capture_output=True, text=True, check=False)
        lines += done.stdout.count("ELF file")
    return lines


def main() -> None:
    """Run everything and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    given = parser.parse_args()
    wheel = given.wheel or fetch(ROOT / ".cache" / "wheels")
    wheel.read_bytes()  # into the page cache: the disk is not what is measured
    read(wheel, given.jobs)  # compiles the decoder on a fresh machine
    result: dict[str, Any] = {
        "wheel": wheel.name, "wheel_mb": wheel.stat().st_size / 1e6,
        "machine": {"cpu": cpu_name(), "cores": len(os.sched_getaffinity(0)), "python": platform.python_version(),
                    "load_before": os.getloadavg()[0]},
    }  # fmt: skip
    for jobs in sorted({1, given.jobs}):
        seconds, found = timed(lambda jobs=jobs: read(wheel, jobs))
        with peak_memory() as peak:
            read(wheel, jobs)
        result[f"hashwarden_{jobs}_jobs"] = {
            "seconds": seconds, "seconds_per_300_mb": seconds * AIM_BYTES / wheel.stat().st_size,
            "peak_pss_mb": peak.pss / 1e6, "peak_rss_mb": peak.rss / 1e6, **found,
        }  # fmt: skip
    if shutil.which("unzip"):
        result["unzip_to_nowhere"] = {"seconds": timed(lambda: unzip_to_nowhere(wheel))[0]}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as text, zipfile.ZipFile(wheel) as archive:
        folder = Path(text)
        result["zipfile_extract"] = {"seconds": timed(lambda: archive.extractall(folder))[0]}
        program = shutil.which("cuobjdump", path=f"{os.environ['PATH']}:{cuobjdump_folder()}")
        if program:
            seconds, lines = timed(lambda: list_elf(folder, program))
            result["cuobjdump_list_elf"] = {"seconds": seconds, "objects": lines}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "read.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def cuobjdump_folder() -> str:
    """Where the package nvidia-cuda-cuobjdump puts its program."""
    site = Path(sysconfig.get_paths()["purelib"]) / "nvidia"
    return ":".join(str(path.parent) for path in site.glob("**/bin/cuobjdump"))


def cpu_name() -> str:
    """The processor, as Linux names it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
