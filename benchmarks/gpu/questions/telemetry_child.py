"""Processes that telemetry.py starts: a user, a load, a recorder.

    python telemetry_child.py user UID
    python telemetry_child.py load gemm|integer|pulse|train cuda|cpu
    python telemetry_child.py recorder FOLDER

``user`` loads its libraries, waits for a line, becomes that user if root started it, and prints as JSON which
questions NVML answers. ``load`` loads its libraries, waits for a line, then computes until it is ended or its standard
input is: it prints what it runs on, then when each step ended, in seconds of the monotonic clock. ``recorder`` records
as ``hashwarden record`` does, to a journal in the folder: a line on its standard input is the period from then on (0 is
a pause), and it answers with its CPU seconds and ticks so far.
"""

from __future__ import annotations

import json
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

TICKS, APART_S = 4, 0.15
SIZE = 8192
LONGEST_S = 0.08
INTEGER = r"""
extern "C" __global__ void turn(unsigned *out, int rounds) {
    unsigned a = threadIdx.x, b = blockIdx.x + 1;
    for (int i = 0; i < rounds; i++) { a = (a ^ b) * 2654435761u + (b << 7 | b >> 25); b += a ^ i; }
    if (a == 0x12345678u && b == 1u) out[0] = a;
}
"""
Step = Callable[[], Any]


def become(uid: int) -> None:
    """Be that user and nobody else, for good; nothing happens to a process that root did not start."""
    if os.geteuid() == 0 and uid:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    os.environ["HOME"] = "/tmp"


def user(uid: int) -> None:
    """Ask as that user. Modules are imported before: they may lie where only root may read."""
    import pynvml
    import raw_gpm  # noqa: F401
    from telemetry_calls import CALLS, words

    import hashwarden.serve.sources.nvml  # noqa: F401

    sys.stdin.readline()
    become(uid)
    found: dict[str, Any] = {"uid": os.getuid(), "uids": os.getresuid(), "capabilities": capabilities(), "asked": {}}

    def asked(name: str, question: Step) -> None:
        try:
            found["asked"][name] = {"answers": True, "said": question()}
        except Exception as error:  # whatever refuses
            found["asked"][name] = {"answers": False, "said": words(error)}

    def plain(function: str, arguments: tuple[Any, ...]) -> None:
        getattr(pynvml, function)(pynvml.nvmlDeviceGetHandleByIndex(0), *arguments)

    asked("nvmlInit", pynvml.nvmlInit)
    for function, arguments in CALLS:
        asked(f"{function}({', '.join(map(str, arguments))})", lambda f=function, a=arguments: plain(f, a))
    asked("nvmlGpmSampleGet", lambda: sample(pynvml))
    asked("nvmlGpmMetricsGet", answered)
    asked("source nvml", channels)
    print(json.dumps(found), flush=True)


def answered() -> int:
    """How many metrics of GPM have a value."""
    from raw_gpm import RawGpm

    with RawGpm(0) as raw:
        return len(raw.supported)


def channels() -> dict[str, Any]:
    """What the source nvml gives."""
    from hashwarden.serve.sources.nvml import NvmlSource
    from hashwarden.serve.sources.source import Options

    source, names = NvmlSource(Options()), set[str]()
    source.open()
    for _ in range(TICKS):
        names |= {name for reading in source.read() for name in reading.values}
        time.sleep(APART_S)
    found = {"channels": sorted(names), "faults": dict(source.faults)}
    source.close()
    return found


def capabilities() -> str:
    """The effective ones, in hexadecimal, as the kernel shows them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((line.split()[1] for line in lines if line.startswith("CapEff:")), "unknown")


def sample(pynvml: Any) -> None:
    """One sample of GPM."""
    taken = pynvml.nvmlGpmSampleAlloc()
    try:
        pynvml.nvmlGpmSampleGet(pynvml.nvmlDeviceGetHandleByIndex(0), taken)
    finally:
        pynvml.nvmlGpmSampleFree(taken)


def load(kind: str, device: str) -> None:
    """Compute, and tell when each step ended."""
    made = {"gemm": _gemm, "integer": _integer, "pulse": _pulse, "train": _train}
    _libraries(kind, device)
    sys.stdin.readline()
    threading.Thread(target=_end_with_input, daemon=True).start()
    step, on = made[kind](device) if device == "cuda" or kind == "train" else _cpu(kind)
    print(json.dumps({"on": on}), flush=True)
    while True:
        step()
        sys.stdout.write(f"{time.monotonic()}\n")
        sys.stdout.flush()


def _end_with_input() -> None:
    os.read(0, 1)
    os._exit(0)


def _libraries(kind: str, device: str) -> None:
    """Load them: that takes seconds, and touches no GPU."""
    if kind == "integer" and device == "cuda":
        import cupy  # noqa: F401
    elif kind == "train" or device == "cuda":
        import torch  # noqa: F401


def _gemm(device: str) -> tuple[Step, str]:
    import torch

    one = torch.randn(SIZE, SIZE, device=device, dtype=torch.bfloat16)

    def step() -> None:
        for _ in range(10):
            torch.mm(one, one)
        torch.cuda.synchronize()

    return step, f"torch, bf16 matrix products of {SIZE}"


def _integer(_: str) -> tuple[Step, str]:
    import cupy

    kernel, out = cupy.RawKernel(INTEGER, "turn"), cupy.empty(1, cupy.uint32)

    def step() -> None:
        kernel((1056,), (256,), (out, cupy.int32(100_000)))
        cupy.cuda.Device().synchronize()

    return step, "cupy, 32-bit integers in registers"


def _pulse(device: str) -> tuple[Step, str]:
    """Busy and idle for times that are drawn, and memory of a size that is: each value of NVML has reason to change."""
    import torch

    one, drawn = torch.randn(SIZE // 2, SIZE // 2, device=device, dtype=torch.bfloat16), random.Random(0)

    def step() -> None:
        held = torch.empty(drawn.randrange(1, 1024) << 20, dtype=torch.uint8, device=device)
        until = time.monotonic() + drawn.uniform(0, LONGEST_S)
        while time.monotonic() < until:
            torch.mm(one, one)
            torch.cuda.synchronize()
        time.sleep(drawn.uniform(0, LONGEST_S))
        del held
        torch.cuda.empty_cache()

    return step, "torch, matrix products in bursts"


def _train(device: str) -> tuple[Step, str]:
    """A transformer that a GPU is busy with, rather than the CPU that launches its kernels."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    cuda = device == "cuda"
    wide, heads, layers, shape = (1024, 16, 8, (16, 512)) if cuda else (32, 2, 1, (2, 8))
    layer = torch.nn.TransformerEncoderLayer(wide, heads, 4 * wide, dropout=0.0, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, layers, enable_nested_tensor=False).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    data = torch.randn(*shape, wide, device=device)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16):
            loss = (model(data) - data).square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if cuda:
            torch.cuda.synchronize()

    return step, f"torch on {device}, transformer of {layers} layers, width {wide}, {shape[0]} x {shape[1]} tokens"


def _cpu(kind: str) -> tuple[Step, str]:
    """For tests, where no GPU is."""
    import numpy as np

    one = np.random.default_rng(0).random((64, 64))
    return lambda: one @ one, f"numpy in place of {kind}"


def recorder(folder: str) -> None:
    """Record at the period that was told last."""
    from hashwarden.serve.recorder import Recording, record, run_of
    from hashwarden.serve.sources.nvml import NvmlSource
    from hashwarden.serve.sources.runner import Runner
    from hashwarden.serve.sources.source import Options

    runner = Runner({"nvml": lambda: NvmlSource(Options())})
    runs = {device.gpu: run_of(device, 1.0, str(device.index), {}) for device in runner.open()}
    recording = Recording(Path(folder) / "telemetry.parquet", runs)
    told: queue.SimpleQueue[float] = queue.SimpleQueue()
    stop, ticks = threading.Event(), 0

    def listen() -> None:
        for line in sys.stdin:
            stop.set()  # before: whoever takes the period clears it
            told.put(float(line))
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    print(json.dumps({"devices": len(runs)}), flush=True)
    while True:
        period = told.get()
        stop.clear()
        print(json.dumps({"cpu_s": time.process_time(), "ticks": ticks, "samples": recording.samples}), flush=True)
        if period:
            ticks += record(runner, recording.take, period_s=period, stop=stop, done=lambda _: False).ticks


def main() -> None:
    """Run from the command line."""
    what, *words = sys.argv[1:]
    if what == "user":
        user(int(words[0]))
    elif what == "load":
        load(*words)
    else:
        recorder(*words)


if __name__ == "__main__":
    main()
