"""Cubins compiled without a GPU."""

from functools import cache

import pytest

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
