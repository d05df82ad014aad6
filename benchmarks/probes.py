"""What the contention probes cost, and what they tell.

One command::

    python benchmarks/probes.py [--seconds 55] [--out benchmarks/results]

Without a GPU: the machine code of the probes for four architectures (instructions of the timed loops, registers,
bytes), the device memory of a session, and the host's time for reducing a round by each engine; what needs a GPU is
listed as open. With one, also: GPU time of a round, the slowdown of a training step in another process at one round a
second, and how well rounds tell mining from training when both share the GPU with the probes (each workload held out
in turn). Writes probes.json and probes.md. 55 seconds are enough for cost and slowdown; telling mining from training
needs about 15 more for each workload, and two of each kind at least: 180 are well spent.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hashwarden.errors import HashwardenError
from hashwarden.kernels.probes import layout, numba_engine, reference
from hashwarden.kernels.probes.code_check import check
from hashwarden.kernels.probes.cupy_device import OPTIONS, SOURCES, source_text
from hashwarden.kernels.probes.probe import ARCHITECTURES, LINKS, PERMILLES, PROBES
from hashwarden.kernels.sass.cubin import Cubin, read_cubin

sys.path.insert(0, str(Path(__file__).parent))
from probes_on_gpu import OPEN, on_gpu, run_workload, train

ROOT = Path(__file__).resolve().parent.parent


def compiled(name: str, arch: str) -> Cubin:
    """One source for one architecture, by NVRTC; needs no GPU."""
    from cuda import core

    defines = [tuple(option.removeprefix("-D").split("=")) for option in OPTIONS]
    program = core.Program(source_text(name), "c++", core.ProgramOptions(arch=arch, define_macro=defines))
    try:
        return read_cubin(bytes(program.compile("cubin").code), f"{name}.{arch}.cubin")
    finally:
        program.close()


def code() -> list[dict[str, Any]]:
    """The checked machine code of each probe on each architecture."""
    rows = []
    for arch in ARCHITECTURES:
        cubin = compiled("chains", arch)
        for probe in PROBES:
            report = check(cubin, probe)
            others = {name: count for name, count in report.others if name != "never run"}
            rows.append(
                {
                    "arch": arch,
                    "probe": probe.name,
                    "instruction": report.instruction,
                    "in_chain": report.chained,
                    "address_instructions_in_chain": report.helpers,
                    "beside_the_chain": sum(others.values()) - report.helpers,
                    "never_run": dict(report.others).get("never run", 0),
                    "registers": report.registers,
                    "code_bytes": report.code_bytes,
                }
            )
    return rows


def other_code() -> list[dict[str, Any]]:
    """Registers and bytes of the kernels that build, watch and reduce."""
    return [
        {"arch": arch, "kernel": name, "registers": int(cubin.regs[i]), "code_bytes": int(cubin.sizes[i])}
        for arch in ARCHITECTURES
        for cubin in (compiled(source, arch) for source in SOURCES if source != "chains")
        for i, name in enumerate(cubin.names)
    ]


def median_us(function: Callable[[], Any], times: int = 30) -> float:
    """Median processor time of a call, in microseconds."""
    function()
    taken = []
    for _ in range(times):
        start = time.process_time_ns()
        function()
        taken.append((time.process_time_ns() - start) / 1e3)
    return float(np.median(taken))


def reductions() -> dict[str, float]:
    """Host time to reduce one full round of samples, which a session does on the device."""
    rows = len(PROBES) + 1
    samples = np.random.default_rng(1).integers(0, 100_000, (rows, layout.CAPACITY)).astype(np.uint32)
    counts, permilles = np.full(rows, layout.CAPACITY, np.uint32), np.array(PERMILLES, np.uint32)
    return {
        "NumPy reference": median_us(lambda: reference.row_quantiles(samples, counts, permilles)),
        "Numba, CPU": median_us(
            lambda: numba_engine.row_quantiles(samples, counts, permilles, numba_engine.run_on_cpu)
        ),
    }


def machine() -> dict[str, Any]:
    """Where and with what it was measured."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    versions = {}
    for name in ("numpy", "numba", "cuda-core", "nvidia-cuda-nvrtc", "cupy-cuda13x", "torch"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "versions": versions,
    }


def measure(seconds: float, save: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """All measurements of one run; ``save`` gets what there is after each part, should the time be cut short."""
    begun = time.monotonic()
    result: dict[str, Any] = {"machine": machine(), "device_bytes": layout.bytes_needed(), "links": LINKS}
    result["reduce_us"] = reductions()
    try:
        result |= {"code": code(), "other_code": other_code()}
    except ImportError as error:
        result["no_code"] = f"not compiled: {error}"
    result["on_gpu"] = {}
    try:
        for name, part in on_gpu(seconds - (time.monotonic() - begun)):
            result["on_gpu"][name] = part
            save(result)
    except HashwardenError as error:
        result |= {"no_gpu": str(error), "open": list(OPEN)}
    save(result)
    return result


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    at = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in at["versions"].items())
    lines = ["# Contention probes", ""]
    lines += [
        f"{at['date']}, {at['cpu']}, {at['cores']} cores (load {at['load']:.1f}); Python {at['python']}, {versions}."
    ]
    lines += [
        "",
        f"Device memory of a session beyond its context: {result['device_bytes'] / 1e6:.1f} MB (limit 64 MB).",
    ]
    lines += [
        "",
        f"Reducing one full round ({len(PROBES) + 1} rows of {layout.CAPACITY:,} samples) on the host, one core: ",
    ]
    lines[-1] += ", ".join(f"{name} {us:,.0f} us" for name, us in result["reduce_us"].items()) + "."
    lines += ["", "## On a GPU", ""]
    if result["on_gpu"]:
        lines += ["```json", json.dumps(result["on_gpu"], indent=1), "```", ""]
    if "open" in result:
        lines += ["Open, since no GPU could be used:", "", *(f"- {what}" for what in result["open"]), ""]
        lines += [f"({result['no_gpu']})"]
    if "code" in result:
        lines += ["", "## Machine code of the timed loops", "", *code_table(result["code"])]
    return "\n".join(lines) + "\n"


def code_table(rows: list[dict[str, Any]]) -> list[str]:
    """Counts, read from compiled code by our own decoder."""
    lines = [
        f"One pass of the timed loop holds {LINKS} claimed instructions, each fed by the one before; read from NVRTC's",
        "code by our own decoder. Cells: claimed in the chain + address arithmetic in the chain / beside the chain;",
        "registers; bytes of the kernel. Padding of tensor code that never runs is not counted.",
        "",
        "| probe | instruction | " + " | ".join(ARCHITECTURES) + " |",
        "| --- | --- |" + " --- |" * len(ARCHITECTURES),
    ]
    for probe in PROBES:
        cells = []
        for row in (r for r in rows if r["probe"] == probe.name):
            chain = f"{row['in_chain']} + {row['address_instructions_in_chain']}"
            cells.append(f"{chain} / {row['beside_the_chain']}; {row['registers']}; {row['code_bytes']:,}")
        lines.append(f"| {probe.name} | {probe.instruction} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=55.0, help="time for all of it")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--workload", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train()
    if arguments.workload:
        run_workload(arguments.workload)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)

    def save(result: dict[str, Any]) -> None:
        (arguments.out / "probes.json").write_text(json.dumps(result, indent=1) + "\n")
        (arguments.out / "probes.md").write_text(markdown(result))

    print(markdown(measure(arguments.seconds, save)))


if __name__ == "__main__":
    main()
