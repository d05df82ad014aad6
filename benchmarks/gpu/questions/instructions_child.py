"""One kernel of instructions.py, launched back to back until it is told to stop: a process of its own, for CuPy.

    python instructions_child.py KIND CUBIN

Prints ``{"begun": ...}`` when the kernel is in full run, and runs on until its standard input ends (a minute at most);
then prints what it has done, as JSON. Writes no file.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from instructions_kinds import KINDS, Kind

LAUNCH_S = 0.01
LONGEST_S = 60.0
AHEAD = 4
TRIAL_ROUNDS = 64
BLOCK = 1 << 24


def filled(cupy: Any, size: int) -> Any:
    """So many bytes there, random: sixteen MiB of them, over and over, copied there without a kernel."""
    ring = cupy.empty(size, np.uint8)
    done = min(size, BLOCK)
    ring[:done].set(np.random.default_rng(0).integers(0, 256, done, np.uint8))
    while done < size:
        (ring.data + done).copy_from_device(ring.data, min(done, size - done))
        done *= 2
    return ring


def attribute(cupy: Any, name: str) -> int:
    """A number that CUDA has of GPU 0."""
    runtime = cupy.cuda.runtime
    return int(runtime.deviceGetAttribute(getattr(runtime, f"cudaDevAttr{name}"), 0))


class Launcher:
    """The kernel with its arguments."""

    def __init__(self, cupy: Any, kind: Kind, cubin: str) -> None:
        self._cupy, self._kernel = cupy, cupy.RawModule(path=cubin).get_function(kind.kernel)
        self.sms = attribute(cupy, "MultiProcessorCount")
        blocks, threads = kind.shape
        self._grid, self._block = (self.sms * blocks,), (threads,)
        self.warps = self.sms * blocks * threads // 32
        self._ring = filled(cupy, kind.ring or 4096)
        self._out = cupy.empty(self.sms * blocks * threads, np.uint32)
        self._mask = np.uint64((kind.ring or 4096) - 1)
        self.rounds = TRIAL_ROUNDS

    def launch(self) -> Any:
        """Start it; the event of its end."""
        numbers = self._mask, np.uint32(0x9E3779B1), np.int32(self.rounds), np.int32(0)
        self._kernel(self._grid, self._block, (self._out, self._ring, *numbers))
        return self.event()

    def event(self) -> Any:
        """An event, recorded."""
        event = self._cupy.cuda.Event()
        event.record()
        return event

    def seconds(self, start: Any, stop: Any) -> float:
        """Between two events, by the GPU's clock; waits for the second."""
        stop.synchronize()
        return self._cupy.cuda.get_elapsed_time(start, stop) / 1e3

    def fit(self) -> None:
        """Choose the rounds so that a launch takes about as long as it should."""
        self.launch().synchronize()
        start = self.event()
        took = self.seconds(start, self.launch())
        self.rounds = max(1, min(int(TRIAL_ROUNDS * LAUNCH_S / max(took, 1e-6)), 10_000_000))


def run(launcher: Launcher) -> dict[str, float]:
    """Launch until standard input ends."""
    told = threading.Thread(target=os.read, args=(0, 1), daemon=True)
    told.start()
    pending: deque[Any] = deque()
    launches, until = 0, time.monotonic() + LONGEST_S
    start = stop = launcher.event()
    while not launches or (told.is_alive() and time.monotonic() < until):
        stop = launcher.launch()
        pending.append(stop)
        launches += 1
        if len(pending) > AHEAD:
            pending.popleft().synchronize()
    return {"launches": launches, "seconds": launcher.seconds(start, stop)}


def main() -> int:
    """Run from the command line."""
    import cupy

    launcher = Launcher(cupy, KINDS[sys.argv[1]], sys.argv[2])
    launcher.fit()
    launcher.launch().synchronize()
    print(json.dumps({"begun": True}), flush=True)
    found = run(launcher) | {"rounds": launcher.rounds, "warps": launcher.warps, "sms": launcher.sms}
    print(json.dumps(found | {"bus_bits": attribute(cupy, "GlobalMemoryBusWidth")}), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
