"""Cubins compiled without a GPU, and those of public packages."""

import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from hashwarden.kernels.sass.cubin import Cubin, read_cubin
from hashwarden.kernels.sass.elf import read_elf
from hashwarden.kernels.sass.fatbin import FATBIN_SECTIONS, FatbinEntry, iter_fatbin
from hashwarden.kernels.sass.limits import Limits
from hashwarden.kernels.sass.source import MemorySource

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


def cubins_of(path: Path, names: tuple[str, ...]) -> list[Cubin]:
    """The cubins of the named members of a wheel, in file order."""
    found = []
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if Path(member).name in names:
                source = MemorySource(archive.read(member), Path(member).name)
                elf = read_elf(source)
                for section in elf.named(*FATBIN_SECTIONS):
                    for entry in iter_fatbin(elf.window(section), Limits()):
                        assert isinstance(entry, FatbinEntry)
                        if entry.kind == "elf":
                            found.append(read_cubin(entry.data(), source.where))
    return found


PACKAGES = {
    "xformers": ("xformers==0.0.35", ("_C.so",)),
    "cukks_cu128": ("cukks-cu128==0.2.2", ("libDeviceFunctions.so",)),
    "jax_cuda13_plugin": ("jax-cuda13-plugin==0.10.2", ("_linalg.so", "_prng.so", "_solver.so")),
    "torchvision": ("torchvision==0.29.2", ("_C_stable.so",)),
    "ctranslate2": ("ctranslate2==4.8.5", ("libctranslate2-a7a60d30.so.4.8.5",)),
}
"""Permissively licensed packages whose kernels are published, and their files of their own code.

torchvision also carries NVIDIA's libnvjpeg, whose licence forbids what this decoder does.
"""


@pytest.fixture(scope="session")
def package_cubins(wheel: Callable[[str], Path]) -> Callable[[str], list[Cubin]]:
    """The cubins of a package of `PACKAGES`, by name."""

    @cache
    def read(name: str) -> list[Cubin]:
        requirement, files = PACKAGES[name]
        return cubins_of(wheel(requirement), files)

    return read
