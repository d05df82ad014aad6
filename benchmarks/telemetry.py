"""What a tick of recording costs in CPU time, against the bare calls of nvidia-ml-py that nobody could do without.

One command::

    python benchmarks/telemetry.py [--real] [--seconds 1] [--out benchmarks/results]

Without ``--real`` NVML is a stand-in that answers at once (tests/serve/sources/nvml_stand_in.c, compiled with gcc): it
shows what the Python around the driver costs, not what a driver takes. With ``--real`` it is the driver's.
Writes telemetry.json and telemetry.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hashwarden.model.channels import CHANNELS
from hashwarden.serve.recorder import Recording, joined, run_of
from hashwarden.serve.sources.gpm import LEAST_S
from hashwarden.serve.sources.nvml import NvmlSource
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import Options

STAND_IN = Path(__file__).resolve().parents[1] / "tests" / "serve" / "sources" / "nvml_stand_in.c"
CALLS = (
    "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetEncoderUtilization",
    "nvmlDeviceGetDecoderUtilization", "nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses",
)  # fmt: skip
"""Of the calls of a tick, those that take nothing but the handle; `bare` adds the others."""

Step = Callable[[], object]


def bare() -> Step:
    """The peer: the same questions to NVML, and the answers thrown away; GPM too, where there is some."""
    import pynvml

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    pairs = [[pynvml.nvmlGpmSampleAlloc() for _ in range(2)] for _ in handles]
    ids = [c.gpm for c in CHANNELS if c.gpm is not None] + [164, *range(172, 208, 5)]
    get = pynvml.c_nvmlGpmMetricsGet_t()

    def asked(function: str, *arguments: object) -> None:
        try:
            getattr(pynvml, function)(*arguments)
        except pynvml.NVMLError:
            return

    def step() -> None:
        for handle, (first, second) in zip(handles, pairs, strict=True):
            for call in CALLS:
                asked(call, handle)
            for call, argument in (("Temperature", 0), ("FieldValues", [82]), ("ClockInfo", 1), ("ClockInfo", 2)):
                asked(f"nvmlDeviceGet{call}", handle, argument)
            asked("nvmlDeviceGetProcessUtilization", handle, 0)
            asked("nvmlGpmSampleGet", handle, second)
            get.version, get.numMetrics, get.sample1, get.sample2 = 1, len(ids), first, second
            for place, number in enumerate(ids):
                get.metrics[place].metricId = number
            asked("nvmlGpmMetricsGet", get)
            _ = [get.metrics[place].value for place in range(len(ids))]

    for handle, (first, _) in zip(handles, pairs, strict=True):
        asked("nvmlGpmSampleGet", handle, first)
    time.sleep(LEAST_S)
    return step


def source() -> Step:
    """The source ``nvml`` alone."""
    made = NvmlSource(Options())
    made.open()
    return made.read


def whole(folder: Path) -> Step:
    """All of a tick: the runner's thread, the joining, the journal."""
    runner = Runner({"nvml": lambda: NvmlSource(Options())})
    devices = runner.open()
    runs = {device.gpu: run_of(device, 0.1, str(device.index), {}) for device in devices}
    recording = Recording(folder / "t.parquet", runs)

    def step() -> None:
        recording.take(joined(runner.read(5.0), 0.05))

    return step


def cost(step: Step, seconds: float) -> list[float]:
    """CPU seconds of ticks 0.1 s apart, as when recording: a GPM sample needs that; all threads count."""
    found: list[float] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or len(found) < 5:
        start = time.process_time()
        step()
        found.append(time.process_time() - start)
        time.sleep(LEAST_S)
    return found[2:]


def measure(seconds: float) -> dict[str, float]:
    """Median CPU seconds a tick of each, taken in turns."""
    with tempfile.TemporaryDirectory() as name:
        steps = {"bare nvidia-ml-py": bare(), "source nvml": source(), "recording": whole(Path(name))}
        taken: dict[str, list[float]] = {key: [] for key in steps}
        for _ in range(3):
            for key, step in steps.items():
                taken[key] += cost(step, seconds)
        return {key: statistics.median(times) for key, times in taken.items()}


def measured(gpus: int, seconds: float, real: bool) -> dict[str, Any]:
    """The costs with so many GPUs, in a process of its own: the library is chosen when it starts."""
    with tempfile.TemporaryDirectory() as name:
        environment = dict(os.environ)
        if not real:
            library, control = Path(name) / "libnvidia-ml.so.1", Path(name) / "control"
            subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, STAND_IN], check=True)
            control.write_text(f"gpus {gpus}\ngpm 1\nvalue process_sm 50\npid 41\n")
            environment |= {"LD_LIBRARY_PATH": name, "HASHWARDEN_STAND_IN": str(control)}
        command = [sys.executable, __file__, "--inner", "--seconds", str(seconds)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def markdown(found: dict[str, Any]) -> str:
    """The results as a page."""
    lines = [f"# What a tick of recording costs: {found['machine']}, {found['date'][:10]}", ""]
    lines += [f"NVML: {found['nvml']}. CPU time of the process, all threads, median of ticks 0.1 s apart.", ""]
    lines += ["| GPUs | what | CPU, us a tick | against the bare calls | of a core at 10 Hz |"]
    lines += ["| ---: | --- | ---: | ---: | ---: |"]
    for row in found["rows"]:
        base = row["cpu_s"]["bare nvidia-ml-py"]
        for name, taken in row["cpu_s"].items():
            share = f"{taken * 1e6:,.0f} | {taken / base:.2f} | {taken * 10:.2%}"
            lines.append(f"| {row['gpus']} | {name} | {share} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", action="store_true", help="ask the driver of this machine")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=2, help="of each, three times")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    if options.inner:
        print(json.dumps(measure(options.seconds)))
        return
    counts = ("all",) if options.real else (1, 8)
    rows = [{"gpus": count, "cpu_s": measured(count, options.seconds, options.real)} for count in counts]
    found = {
        "machine": f"{platform.machine()} CPU" + ("" if options.real else ", no GPU"),
        "nvml": "the driver's" if options.real else "a stand-in that answers at once; no GPU and no driver was asked",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": rows,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "telemetry.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "telemetry.md").write_text(markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
