"""What `make demo` runs: scan real packages and the project's own kernels, then watch six jobs to their verdicts.

Needs no GPU; the jobs are synthesised traces (data/job/README.md). Takes the packages from PyPI (60 MB, permissive
licences, never installed or run) and keeps them in .cache/demo, where the compiled kernels go too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from hashwarden.errors import HashwardenError
from hashwarden.kernels.workloads.catalogue import find, parse_variant
from hashwarden.kernels.workloads.compiler import compile_cubin

FOLDER = Path(__file__).parents[1] / ".cache" / "demo"
JOBS = Path(__file__).parents[1] / "data" / "job" / "demo.parquet"
PACKAGES = ("cukks_cu128==0.2.2", "jax_cuda13_plugin==0.10.2", "ctranslate2==4.8.5", "xformers==0.0.35")
"""Homomorphic encryption and three ML libraries: Apache-2.0, Apache-2.0, MIT, BSD; no closed GPU code in them."""
ARCH = "sm_90"
CUDA_SOURCES = (
    *("sha256d_midstate", "ethash", "progpow", "autolykos", "heavyhash", "blake3_nonce", "sha3x"),  # mining
    *("password_md5", "zk_poseidon", "checksum_blake3_file", "table_cuckoo", "crypto_aes"),  # other hash work
    *("gemm_gptq_tiled", "ml_attention", "ml_layers", "rng_philox", "sort_radix", "bits_genome"),  # neither
)
"""What the demo compiles, of the catalogue in kernels/workloads."""


def fetch() -> list[Path]:
    """Download the wheels that are not there yet, for one platform, so that every machine scans the same bytes."""
    folder = FOLDER / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp"]
    command += [f"--platform=manylinux_2_{glibc}_x86_64" for glibc in (28, 27, 17)]
    missing = [package for package in PACKAGES if not _wheels(folder, package)]
    if missing and subprocess.run([*command, f"--dest={folder}", *missing], check=False).returncode:
        print("The packages could not be fetched from PyPI; the demo goes on without them.", file=sys.stderr)
    return [wheel for package in PACKAGES for wheel in _wheels(folder, package)]


def _wheels(folder: Path, package: str) -> list[Path]:
    return sorted(folder.glob(f"{package.replace('==', '-')}-*.whl"))


def compile_one(name: str) -> Path:
    """Compile a workload with NVRTC, which needs no GPU, into a folder of its label."""
    workload = find(name)
    path = FOLDER / "kernels" / workload.label / f"{workload.name}.cubin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(compile_cubin(workload, parse_variant(""), ARCH))
    return path


def main() -> int:
    """Fetch, compile, scan, replay; gives the first exit code that is not 0."""
    start = time.perf_counter()
    print(f"fetching {len(PACKAGES)} packages ...", flush=True)
    wheels = fetch()
    print(f"compiling {len(CUDA_SOURCES)} of the project's own kernels for {ARCH} ...", flush=True)
    with ProcessPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        cubins = list(pool.map(compile_one, CUDA_SOURCES))
    program = Path(sys.executable).with_name("hashwarden")
    targets = [os.path.relpath(path) for path in [*cubins, *wheels]]
    print(f"$ hashwarden scan {os.path.relpath(FOLDER)}/{{kernels/*,wheels}}/*\n", flush=True)
    done = subprocess.run([str(program), "scan", "--no-cache", "--fail-on", "never", *targets], check=False)
    print("\nThe kernels' folders say what they are.\n")
    print(f"$ hashwarden replay {os.path.relpath(JOBS)}\n", flush=True)
    watched = subprocess.run([str(program), "replay", "--fail-on", "never", str(JOBS)], check=False)
    print(f"\nThe jobs' names say what they do; nothing of them was recorded on a GPU. "
          f"All of it took {time.perf_counter() - start:.0f} s.")  # fmt: skip
    return done.returncode or watched.returncode


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except HashwardenError as error:
        print(f"demo: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
