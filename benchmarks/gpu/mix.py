"""The kernel mix on a GPU: bytes of machine code a second, against a copy from device to device in the same run.

    python benchmarks/gpu/mix.py --out results [--megabytes 48]

The code is that of this project's own kernels, compiled here and repeated. The engines are told apart: `numba` on the
CPU, `numba_cuda` and `cupy` on the GPU, transfers and tabulation included. Writes mix.json. Without a GPU it measures
the CPU alone and says so.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from hashwarden.kernels.sass.batch import Batch, batch_of
from hashwarden.kernels.sass.cubin import read_cubin
from hashwarden.kernels.sass.mix import ENGINES
from hashwarden.kernels.workloads.catalogue import find, parse_variant
from hashwarden.kernels.workloads.compiler import compile_cubin
from hashwarden.kernels.workloads.prepare import gpu_name

sys.path.insert(0, str(Path(__file__).parent))
from ceilings import ceilings

SOURCES = ("sha256d_midstate", "ethash", "ml_gemm", "ml_attention", "sort_radix", "hpc_fft", "checksum_crc")
REPEATS = 5


def batch(megabytes: float) -> Batch:
    """Machine code of a few own kernels for sm_90, repeated until it is as large."""
    cubins = [read_cubin(compile_cubin(find(name), parse_variant(""), "sm_90"), name) for name in SOURCES]
    codes = [cubin.code(number) for cubin in cubins for number in range(len(cubin.names))]
    copies = max(1, round(megabytes * 1e6 / sum(len(code) for code in codes)))
    return batch_of(codes * copies, [90] * len(codes) * copies)


def measure(name: str, work: Batch) -> dict[str, Any]:
    """Best rate of one engine."""
    run = import_module(ENGINES[name]).run
    run(work)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run(work)
        times.append(time.perf_counter() - start)
    return {"megabytes_per_s": work.words.nbytes / 1e6 / min(times), "seconds": times}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=48)
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    options = parser.parse_args()
    gpu, work = gpu_name(), batch(options.megabytes)
    names = ["numba", *(["numba_cuda", "cupy"] if gpu else [])]
    found: dict[str, Any] = {"gpu": gpu or "no GPU", "megabytes": work.words.nbytes / 1e6, "kernels": len(work)}
    found["engines"] = {name: measure(name, work) for name in names}
    if gpu:
        copy = ceilings()["dram_bytes"] / 2 / 1e6
        found["copy_megabytes_per_s"] = copy
        for engine in found["engines"].values():
            engine["share_of_copy"] = engine["megabytes_per_s"] / copy
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "mix.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({name: round(row["megabytes_per_s"]) for name, row in found["engines"].items()}))


if __name__ == "__main__":
    main()
