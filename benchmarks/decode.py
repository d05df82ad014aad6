"""How fast machine code is decoded, against NVIDIA's tools on the same cubins in the same run.

One command, one core::

    python benchmarks/decode.py [--seconds 2] [--out benchmarks/results]

It fetches small public packages, takes the cubins of their own code, and measures in megabytes of machine
code per second of processor time: each engine at hand, the opcode histogram alone, decompression apart,
and the disassemblers nvdisasm (whole cubins and raw code) and cuobjdump -sass on a sample, since
they are slow. Writes decode.json and decode.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hashwarden.kernels.sass import isa, mix
from hashwarden.kernels.sass.cubin import Cubin, read_cubin
from hashwarden.kernels.sass.elf import read_elf
from hashwarden.kernels.sass.fatbin import FATBIN_SECTIONS, FatbinEntry, iter_fatbin
from hashwarden.kernels.sass.limits import Limits
from hashwarden.kernels.sass.source import MemorySource

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "xformers==0.0.35": ("_C.so",),
    "cukks-cu128==0.2.2": ("libDeviceFunctions.so",),
    "jax-cuda13-plugin==0.10.2": ("_linalg.so", "_prng.so", "_solver.so"),
    "torchvision==0.29.2": ("_C_stable.so",),
    "ctranslate2==4.8.5": ("libctranslate2-a7a60d30.so.4.8.5",),
    "pycolmap-cuda12==4.2.1": ("_core.cpython-311-x86_64-linux-gnu.so",),
}
"""Permissively licensed packages and their own files; never NVIDIA's closed libraries."""

TOOL_ARCHITECTURES = (75, 80, 86, 89, 90, 100, 110, 120)
SAMPLE_BYTES = 3_000_000


def wheel(requirement: str, folder: Path) -> Path:
    """Fetch a wheel into the cache, unless it is there."""
    name, version = requirement.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not any(folder.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--dest", folder]
        command += ["--implementation", "cp", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"]
        subprocess.run([*map(str, command), requirement], check=True)
    return next(folder.glob(pattern))


def entries_of(folder: Path) -> list[tuple[str, FatbinEntry]]:
    """The cubin entries of all packages, not yet decompressed."""
    found = []
    for requirement, files in PACKAGES.items():
        with zipfile.ZipFile(wheel(requirement, folder)) as archive:
            for member in (m for m in archive.namelist() if Path(m).name in files):
                elf = read_elf(MemorySource(archive.read(member), Path(member).name))
                for section in elf.named(*FATBIN_SECTIONS):
                    items = iter_fatbin(elf.window(section), Limits())
                    found += [(requirement, i) for i in items if isinstance(i, FatbinEntry) and i.kind == "elf"]
    return found


def rate(function: Callable[[], Any], bytes_: int, seconds: float) -> dict[str, float]:
    """Median and best MB per second of this process's time, over about ``seconds``."""
    function()
    speeds: list[float] = []
    until = time.perf_counter() + seconds
    while len(speeds) < 3 or time.perf_counter() < until:
        start = time.process_time()
        function()
        speeds.append(bytes_ / 1e6 / max(time.process_time() - start, 1e-9))
    return {"median_mb_s": float(np.median(speeds)), "best_mb_s": max(speeds), "runs": len(speeds)}


def code_bytes(cubins: list[Cubin]) -> int:
    """Bytes of machine code that are decoded."""
    return sum(int(cubin.sizes.sum()) for cubin in cubins if isa.is_supported(cubin.arch))


def histogram(cubins: list[Cubin]) -> None:
    """The opcode histogram alone: the floor."""
    for cubin in cubins:
        for kernel in range(len(cubin)):
            np.bincount(np.frombuffer(cubin.code(kernel), np.uint32)[::4] & 0xFFF, minlength=4096)


def tool(name: str) -> Path:
    """A binary of NVIDIA's wheels (nvidia-cuda-nvdisasm, nvidia-cuda-cuobjdump)."""
    found = sorted(Path(sysconfig.get_paths()["purelib"]).glob(f"nvidia/**/bin/{name}"))
    if not found:
        raise SystemExit(f"{name} is not installed: pip install nvidia-cuda-{name}")
    return found[0]


def tool_rate(commands: list[list[str]], bytes_: int) -> dict[str, float]:
    """MB per second of the processor time of the given commands."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PATH": f"{tool('nvdisasm').parent}:{os.environ['PATH']}"}
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    speed = bytes_ / 1e6 / spent
    return {"median_mb_s": speed, "best_mb_s": speed, "runs": 1}


def tool_sample(cubins: list[Cubin]) -> list[Cubin]:
    """Cubins for the disassemblers: of each architecture in turn, the larger ones first.

    Very large ones would take minutes; with small ones the start of a process is what is measured.
    """
    ordered = sorted((c for c in cubins if c.arch in TOOL_ARCHITECTURES), key=lambda c: -int(c.sizes.sum()))
    ordered = [c for c in ordered if int(c.sizes.sum()) < 500_000]
    picked: list[Cubin] = []
    while ordered and code_bytes(picked) < SAMPLE_BYTES:
        for arch in TOOL_ARCHITECTURES:
            candidate = next((c for c in ordered if c.arch == arch), None)
            if candidate is not None and code_bytes(picked) < SAMPLE_BYTES:
                ordered.remove(candidate)
                picked.append(candidate)
    return picked


def disassemblers(sample: list[Cubin]) -> dict[str, dict[str, float]]:
    """The speeds of NVIDIA's tools."""
    size, nvdisasm = code_bytes(sample), str(tool("nvdisasm"))
    with tempfile.TemporaryDirectory() as folder:
        whole, raw = [], []
        for index, cubin in enumerate(sample):
            path = Path(folder) / f"{index}.cubin"
            path.write_bytes(cubin.data)
            whole.append(str(path))
        for arch in sorted({cubin.arch for cubin in sample}):
            codes = [bytes(c.code(k)) for c in sample if c.arch == arch for k in range(len(c))]
            code = Path(folder) / f"{arch}.bin"
            code.write_bytes(b"".join(codes))
            raw.append([nvdisasm, "-b", f"SM{arch}", str(code)])
        return {
            "nvdisasm -c": tool_rate([[nvdisasm, "-c", path] for path in whole], size),
            "nvdisasm -b (bare code)": tool_rate(raw, size),
            "cuobjdump -sass": tool_rate([[str(tool("cuobjdump")), "-sass", path] for path in whole], size),
        }


def measure(seconds: float) -> dict[str, Any]:
    """All measurements of one run."""
    entries = entries_of(ROOT / ".cache" / "wheels")
    cubins = [read_cubin(entry.data(), entry.source.where) for _, entry in entries]
    sample = tool_sample(cubins)
    mix.warm_up()
    size = code_bytes(cubins)
    speeds = {
        "numba, all features": rate(lambda: mix.analyse(cubins), size, seconds),
        "numba, the tools' sample": rate(lambda: mix.analyse(sample), code_bytes(sample), seconds),
        "reference (NumPy, Python), the tools' sample": rate(
            lambda: mix.analyse(sample, "reference"), code_bytes(sample), 0
        ),
        "opcode histogram alone": rate(lambda: histogram(cubins), size, seconds),
        "read_cubin with SHA-1": rate(
            lambda: [read_cubin(cubin.data, "x") for cubin in cubins], sum(len(c.data) for c in cubins), seconds
        ),
    }
    for how in ("lz4", "zstd"):
        packed = [entry for _, entry in entries if entry.compression == how]
        expanded = sum(entry.expanded for entry in packed)
        speeds[f"decompress {how}"] = rate(lambda packed=packed: [e.data() for e in packed], expanded, seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    speeds |= disassemblers(sample)
    return {
        "what": "MB (10^6 bytes) per second of processor time, one core; decompression in expanded bytes",
        "code_mb": size / 1e6,
        "sample_mb": code_bytes(sample) / 1e6,
        "kernels": sum(len(c) for c in cubins if isa.is_supported(c.arch)),
        "packages": list(PACKAGES),
        "architectures": sorted({c.arch for c in cubins if isa.is_supported(c.arch)}),
        "peak_rss_mb": peak,
        "speeds": speeds,
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """Where and with what it was measured."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    names = ("numpy", "numba", "lz4", "zstandard", "nvidia-cuda-nvdisasm", "nvidia-cuda-cuobjdump")
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    speeds, at = result["speeds"], result["machine"]
    base, ours = speeds["nvdisasm -c"]["median_mb_s"], speeds["numba, the tools' sample"]["median_mb_s"]
    lines = [
        "# Decoding speed",
        "",
        f"{at['date']}, {at['cpu']}, {at['cores']} cores (load {at['load']:.1f}), one used; Python {at['python']}, "
        + ", ".join(f"{name} {version}" for name, version in at["versions"].items())
        + ".",
        "",
        f"{result['code_mb']:.1f} MB of machine code, {result['kernels']} kernels, sm_"
        + ", ".join(map(str, result["architectures"]))
        + f", of {', '.join(result['packages'])}. The disassemblers and the reference ran on "
        + f"{result['sample_mb']:.1f} MB of it. Peak memory of the process, all cubins held: "
        + f"{result['peak_rss_mb']:.0f} MB. Processor time, not wall time, so that a busy machine shows less.",
        "",
        "| what | MB/s, median | best | times nvdisasm -c |",
        "| --- | --- | --- | --- |",
    ]
    for name, speed in speeds.items():
        median = speed["median_mb_s"]
        same_code = "sample" in name or name.startswith(("nvdisasm", "cuobjdump"))
        ratio = f"{median / base:,.1f}" if same_code else ""
        lines.append(f"| {name} | {median:,.2f} | {speed['best_mb_s']:,.2f} | {ratio} |")
    others = [n for n in speeds if n.startswith(("nvdisasm -b", "cuobjdump"))]
    lines += ["", "On the same sample the default engine is " + ", ".join(
        f"{ours / speeds[n]['median_mb_s']:,.0f} times as fast as {n}" for n in ["nvdisasm -c", *others]
    ) + ". They write text for people, we count features: the work is alike (every instruction is decoded), the output is not."]  # fmt: skip  # noqa: E501
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each fast measurement")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    arguments = parser.parse_args()
    result = measure(arguments.seconds)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "decode.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "decode.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()
