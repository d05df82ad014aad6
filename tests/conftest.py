"""Real input for the tests: public packages, fetched once, and cubins compiled without a GPU."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "wheels"

SOURCE = r"""
extern "C" __global__ void k(const unsigned *in, unsigned *out, int n) {
    __shared__ unsigned tile[32];
    unsigned a = in[threadIdx.x];
    for (int i = 0; i < n; ++i) {
        a = __funnelshift_l(a, a, 7) ^ in[a & 1023];
        tile[threadIdx.x & 31] = a;
        __syncthreads();
        a += tile[(threadIdx.x + i) & 31] + 0x6a09e667u;
    }
    out[threadIdx.x] = a;
}
"""


def fetch_wheel(requirement: str, folder: Path = CACHE, platform: str = "manylinux_2_28_x86_64") -> Path:
    """The wheel of ``NAME==VERSION`` for CPython 3.11 on Linux x86-64, from the cache or from PyPI."""
    name, version = requirement.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not any(folder.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--implementation", "cp", "--python-version", "3.11", "--platform", platform]
        command += ["--platform", "manylinux2014_x86_64", "--dest", str(folder), requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, f"cannot fetch {requirement}: {done.stderr[-2000:]}"
    return next(folder.glob(pattern))


@pytest.fixture(scope="session")
def wheel() -> Callable[[str], Path]:
    """Fetch a wheel: ``wheel("xformers==0.0.35")`` is its path. A failed download fails the test."""
    return fetch_wheel


@cache
def compile_cubin(source: str, arch: str, options: tuple[str, ...] = ()) -> bytes:
    """CUDA C++ to a cubin with NVRTC, which needs no GPU."""
    from cuda.core import Program, ProgramOptions

    settings = ProgramOptions(arch=arch, define_macro=list(options) or None)
    return bytes(Program(source, "c++", settings).compile("cubin").code)


@pytest.fixture(scope="session")
def cubin_sm90() -> bytes:
    """A cubin of the older ELF version with one kernel, ``k``: a loop of rotates and table reads."""
    return compile_cubin(SOURCE, "sm_90")


@pytest.fixture(scope="session")
def cubin_sm120() -> bytes:
    """The same kernel for sm_120."""
    return compile_cubin(SOURCE, "sm_120")
