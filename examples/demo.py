"""What `make demo` runs: scan real packages and kernels, watch six jobs, let the agent do so, guard a real process.

Needs no GPU; the jobs are synthesised traces (data/job/README.md). Takes the packages from PyPI (60 MB, permissive
licences, never installed or run) and keeps them in .cache/demo, where all else that it makes goes too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from hashwarden.errors import HashwardenError
from hashwarden.kernels.workloads.catalogue import find, parse_variant
from hashwarden.kernels.workloads.compiler import compile_cubin

FOLDER = Path(__file__).parents[1] / ".cache" / "demo"
JOBS = Path(__file__).parents[1] / "data" / "job" / "demo.parquet"
PROGRAM = Path(sys.executable).with_name("hashwarden")
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


def scan() -> int:
    """Fetch, compile, scan."""
    print(f"fetching {len(PACKAGES)} packages ...", flush=True)
    wheels = fetch()
    print(f"compiling {len(CUDA_SOURCES)} of the project's own kernels for {ARCH} ...", flush=True)
    with ProcessPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        cubins = list(pool.map(compile_one, CUDA_SOURCES))
    targets = [os.path.relpath(path) for path in [*cubins, *wheels]]
    print(f"$ hashwarden scan {os.path.relpath(FOLDER)}/{{kernels/*,wheels}}/*\n", flush=True)
    done = subprocess.run([str(PROGRAM), "scan", "--no-cache", "--fail-on", "never", *targets], check=False)
    print("\nThe kernels' folders say what they are.\n")
    return done.returncode


def show(*words: str | Path, hidden: tuple[str, ...] = ()) -> int:
    """Print a command as somebody would type it, run it with the hidden flags too, and give its exit code."""
    typed = [os.path.relpath(word) if isinstance(word, Path) else word for word in words]
    print(f"$ hashwarden {' '.join(typed)}\n", flush=True)
    code = subprocess.run([str(PROGRAM), *typed, *hidden], check=False).returncode
    print(flush=True)
    return code


POLICY = """mode = "dry-run"
[[rules]]
name = "miners"
first_warning_minutes = 1
cancel_minutes = 2
action = "cancel"
require_approval = []
act_if_warning_refused = true
"""
"""Minutes, so that a demo is over soon; examples/policy.toml has a ladder for people."""
SPEED = "60"
MINERS = 3
PATIENCE_S = 60.0
ENDED = 90
"""Exit code of a guard that ended its command after a verdict."""


@contextmanager
def agent(state: Path, run: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A node agent that watches the six jobs as if each were on a GPU of this machine, in quick motion."""
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True, mode=0o700)
    (state / "policy.toml").write_text(POLICY)
    flags = ["--replay", os.path.relpath(JOBS), "--speed", SPEED, "--policy", os.path.relpath(state / "policy.toml")]
    print(f"$ hashwarden agent {' '.join(flags)} &\n", flush=True)
    more = ["--state-dir", str(state), "--run-dir", str(run), "--listen", "", "--log-format", "text"]
    with (state / "agent.log").open("wb") as log:
        running = subprocess.Popen([str(PROGRAM), "agent", *flags, *more], stderr=log)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def ended_cases(socket: Path) -> int:
    """How many cases have come to the end of their ladder."""
    command = [str(PROGRAM), "cases", "--json", "--socket", str(socket)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    cases = json.loads(done.stdout)["cases"] if done.returncode == 0 else []
    return sum("act" in case["steps"] for case in cases)


def watch() -> int:
    """Let the agent come to its cases, and look at them and at its audit log; 0 if all is as it should be."""
    state = FOLDER / "agent"
    with tempfile.TemporaryDirectory() as run:  # short, as the path of a socket has to be
        socket, deadline = Path(run) / "agent.sock", time.monotonic() + PATIENCE_S
        with agent(state, Path(run)) as running:
            while ended_cases(socket) < MINERS and running.poll() is None and time.monotonic() < deadline:
                time.sleep(1.0)
            complete = ended_cases(socket) == MINERS
            code = show("cases", hidden=("--socket", str(socket)))
    if running.returncode or not complete:
        print((state / "agent.log").read_text(), file=sys.stderr)
        return running.returncode or 1
    print("Its policy is a dry run: what it would have asked for is told, and nothing is asked for.\n")
    return code or show("audit", "verify", state / "audit", "--public-key", state / "audit.pub")


def guard() -> int:
    """End a real process on the counters of a synthesised miner, and check the evidence; 0 if it was ended."""
    evidence = FOLDER / "evidence"
    shutil.rmtree(evidence, ignore_errors=True)
    drill = ("--replay", JOBS, "--gpu", "mining-progpow-plain-90000002", "--speed", SPEED, "--evidence", evidence)
    code = show("guard", *drill, "--", "sleep", "1000")
    print(f"Exit code {code}. The process was real; the counters were those of one of the six jobs.\n")
    bundles = sorted(evidence.glob("*.tar"))
    if code != ENDED or not bundles:
        return code or 1
    return show("audit", "bundle", "verify", bundles[0])


def main() -> int:
    """Scan, replay, watch, guard; gives the first exit code that is not 0."""
    start = time.perf_counter()
    codes = [scan(), show("replay", JOBS, hidden=("--fail-on", "never"))]
    print("The jobs' names say what they do; nothing of them was recorded on a GPU.\n")
    codes += [watch(), guard()]
    print(f"All of it took {time.perf_counter() - start:.0f} s.")
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except HashwardenError as error:
        print(f"demo: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
