"""One test body for every engine at hand: equal to the reference in every array, dtype included."""

import ctypes
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
from functools import cache, partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from sm_driver import module_of

from hashwarden.kernels.sass import isa, mix
from hashwarden.kernels.sass.batch import COUNTED, batch_of
from hashwarden.kernels.sass.constants import constant_table
from hashwarden.kernels.sass.cubin import read_cubin
from hashwarden.kernels.sass.engines import core, cpu, reference
from hashwarden.kernels.sass.engines.core import KEY_COLUMNS, NOBODY
from hashwarden.kernels.sass.engines.tabulate import tabulate
from hashwarden.kernels.sass.primitives_scan import constant_filter

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
ARCHITECTURES = (80, 90, 100, 120)

HOST_SHIM = """
#define __device__
#define __global__
struct Index { unsigned x; };
static thread_local Index blockIdx, threadIdx, blockDim;
static inline int max(int a, int b) { return a > b ? a : b; }
static inline int min(int a, int b) { return a < b ? a : b; }
"""
HOST_LAUNCH = """
extern "C" void launch(const u32 *words, const i64 *starts, const u8 *newer, const int *properties, const u8 *maybe,
                       const u32 *values, int n_values, int *ends, int *steps, u8 *depth, int *keys, i64 stride,
                       i64 *scalars, i64 kernels) {
    blockDim.x = 1; threadIdx.x = 0;
    for (i64 k = 0; k < kernels; ++k) {
        blockIdx.x = (unsigned)k;
        decode(words, starts, newer, properties, maybe, values, n_values, ends, steps, depth, keys, stride, scalars,
               kernels);
    }
}
"""


def engines_here():
    if SIMULATED:
        return ["numba_cuda"]
    on_gpu = [pytest.param(name, marks=pytest.mark.gpu) for name in ("numba_cuda", "cupy")]
    return ["numba", "mix.cu on the host", "machine code of mix.cu", "machine code of numba_cuda", *on_gpu]


def cuda_text():
    return Path(reference.__file__).with_name("mix.cu").read_text()


@pytest.fixture(scope="session")
def host_library(tmp_path_factory):
    """mix.cu as C++ for the CPU: its arithmetic, without a GPU."""
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    assert compiler, "this test needs a C++ compiler"
    folder = tmp_path_factory.mktemp("host")
    (folder / "mix.cpp").write_text(HOST_SHIM + cuda_text() + HOST_LAUNCH)
    library = folder / "mix.so"
    command = [compiler, "-std=c++17", "-O1", "-shared", "-fPIC", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
    command += [f"-DNOBODY={NOBODY}", str(folder / "mix.cpp"), "-o", str(library)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def run_on_host(library, batch):
    kernels, total = len(batch), len(batch.words) // 4
    keys = np.full((KEY_COLUMNS, total), -1, np.int32)
    scalars = np.zeros((kernels, 6), np.int64)
    values = constant_table()[0]
    arrays = [batch.words, batch.starts, (batch.arch >= 90).astype(np.uint8), isa.opcode_properties()]
    arrays += [constant_filter(), values, np.zeros(total, np.int32), np.zeros(total, np.int32)]
    arrays += [np.zeros(total, np.uint8), keys, scalars]
    at = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    size = ctypes.c_longlong
    library.launch(*at[:6], ctypes.c_int(len(values)), *at[6:10], size(total), at[10], size(kernels))
    return tabulate(np, keys, batch.starts, scalars)


@cache
def machine_code(engine):
    """The module that a GPU would be given, in the interpreter."""
    if engine == "mix.cu":
        return module_of(cuda_text(), [("NOBODY", str(NOBODY))])
    from sm_numba import numba_module

    from hashwarden.kernels.sass.engines import numba_cuda

    return numba_module(numba_cuda.decode, numba_cuda.SIGNATURE)


def run_machine_code(engine, batch):
    """As `raw.run` and `numba_cuda.run`, with NumPy's arrays in place of a GPU's."""
    kernels, total = len(batch), len(batch.words) // 4
    keys, scalars = np.full((KEY_COLUMNS, total), -1, np.int32), np.zeros((kernels, 6), np.int64)
    if total:
        values, module = constant_table()[0], machine_code(engine)
        inputs = [batch.words, batch.starts, (batch.arch >= 90).astype(np.uint8), isa.opcode_properties()]
        inputs += [constant_filter(), values]
        marks = [np.zeros(total + 1, np.int32), np.zeros(total + 1, np.int32), np.zeros(total, np.uint8)]
        if engine == "mix.cu":
            arguments = [*inputs, np.int32(len(values)), *marks, keys, np.int64(total), scalars, np.int64(kernels)]
        else:
            from sm_numba import flattened

            arguments = [part for array in (*inputs, *marks, keys, scalars) for part in flattened(array)]
        module.launch(module.cubin.names[0], -(-kernels // 32), 32, *arguments)
    return tabulate(np, keys, batch.starts, scalars)


@pytest.fixture(params=engines_here())
def run(request):
    """The function that computes the counts of a batch, per engine."""
    if request.param.startswith("machine code of "):
        return partial(run_machine_code, request.param.removeprefix("machine code of "))
    if request.param == "mix.cu on the host":
        library = request.getfixturevalue("host_library")
        return lambda batch: run_on_host(library, batch)
    return import_module(mix.ENGINES[request.param]).run


def random_code(seed, n, ops=None):
    """Instructions of random fields; every second opcode is one that means something to the decoder."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << 32, (n, 4), np.uint32)
    special = [0x947, 0x547, 0x918, 0x212, 0x819, 0x225, 0x381, 0x984, 0x983, 0x986, 0x98E, 0x424, 0x182, 0x967, 0x20C]
    pick = rng.random(n) < 0.5
    words[pick, 0] = words[pick, 0] & ~np.uint32(0xFFF) | rng.choice(special if ops is None else ops, pick.sum())
    near = pick & (rng.random(n) < 0.5)
    # Branches back, by little: the two ways to keep an offset take different bits.
    words[near, 2] |= np.uint32(0x3FFFF)
    words[near, 1] |= rng.choice(np.array([0xFFFFFC00, 0xFFFFFFF0], np.uint32), near.sum())
    words[rng.random(n) < 0.2, 1] = 0x428A2F98
    return words.tobytes()


def same(got, want):
    for name in ("scalars", "rotate", "funnel"):
        mine, theirs = getattr(got, name), getattr(want, name)
        assert mine.dtype == theirs.dtype == np.int64
        assert mine.shape == theirs.shape
        assert np.array_equal(mine, theirs), name
    assert set(got.nested) == set(want.nested) == set(COUNTED)
    for name, parts in want.nested.items():
        for mine, theirs in zip(got.nested[name], parts, strict=True):
            assert mine.dtype == theirs.dtype == np.int64, name
            assert mine.shape == theirs.shape, name
            assert np.array_equal(mine, theirs), name


def check(run, codes, arch):
    batch = batch_of(codes, arch)
    same(run(batch), reference.run(batch))


def test_a_changed_core_is_compiled_anew():
    """Else whoever updates a checkout goes on with the machine code of the old one."""
    assert hashlib.sha256(Path(core.__file__).read_bytes()).hexdigest()[:16] == cpu.CORE_SHA256


def test_no_kernels(run):
    check(run, [], [])


@pytest.mark.parametrize(
    "code", [b"", bytes(16), bytes(15), *(op + bytes(14) for op in (b"\x18\x09", b"\x47\x09", b"\x47\x05"))]
)
def test_none_or_one_instruction(run, code):
    check(run, [code], [90])


@pytest.mark.parametrize("length", [17, 100, 16 * 40 + 7])
def test_odd_sizes(run, length):
    check(run, [random_code(1, 50)[:length], random_code(2, 3)], [80, 100])


@pytest.mark.parametrize("seed", range(4))
def test_random_code(run, seed):
    lengths = [1, 2, 7, 8, 33, 150, 400]
    codes = [random_code(100 * seed + n, n) for n in lengths]
    check(run, codes, [70, 80, 89, 90, 100, 120, 121])


def test_more_distinct_keys_than_are_sorted(run):
    batch = batch_of([random_code(9, 9000, ops=[0x212]), random_code(10, 100)], [90, 90])
    want = reference.run(batch)
    assert np.diff(want.nested["flow"][0])[0] > 1 << 12
    same(run(batch), want)


def nest(levels, arch, op12=0x947):
    """Instructions followed by branches back, the first to the nearest: as many loops inside each other."""
    words = [[0x212, 0, 0, 0]] * levels
    for level in range(levels):
        offset = -16 * (2 * level + 2)
        bits = (offset & ((1 << 50) - 1)) << 32
        if arch >= 90:
            bits = (offset // 4 & 255) << 16 | (offset // 1024 & ((1 << 48) - 1)) << 34
        words.append([(bits | op12) >> shift & 0xFFFFFFFF for shift in (0, 32, 64, 96)])
    return np.array(words, np.uint32).tobytes()


def test_loops_in_loops(run):
    """The depth is capped, the nesting is not; and loops that cross each other."""
    for arch, op12 in itertools.product((80, 90, 100), (0x947, 0x547)):
        crossing = [random_code(seed, 600, ops=[op12, 0x212, 0x381]) for seed in range(2)]
        batch = batch_of([nest(9, arch, op12), *crossing], [arch] * 3)
        want = reference.run(batch)
        assert want.scalars[0].tolist()[:4] == [18, 9, 9, 18]
        assert (want.scalars[1:, 1] > 0).all()
        same(run(batch), want)


def test_unaligned_and_strided_input(run):
    code = random_code(5, 64)
    shifted = memoryview(b"xyz" + code)[3:]
    doubled = bytearray(2 * len(code))
    doubled[::2] = code
    batch = batch_of([code, shifted, memoryview(doubled)[::2]], [90, 90, 90])
    got = run(batch)
    same(got, reference.run(batch))
    assert (got.scalars == got.scalars[0]).all()


def test_real_kernels(run, cubin_sm90, cubin_sm120):
    cubins = [read_cubin(cubin_sm90, "a"), read_cubin(cubin_sm120, "b")]
    check(run, [c.code(0) for c in cubins], [c.arch for c in cubins])


@pytest.mark.skipif(SIMULATED, reason="this is what starts the simulator")
def test_numba_cuda_in_the_simulator():
    """Numba must not be imported before the simulator is chosen, hence a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= 14


def sass_of(ptx_or_source, language, arch):
    from cuda.core import Program, ProgramOptions

    macros = [f"NOBODY={NOBODY}"] if language == "c++" else None
    options = ProgramOptions(arch=f"sm_{arch}", define_macro=macros)
    return read_cubin(bytes(Program(ptx_or_source, language, options).compile("cubin").code), "x")


def check_sass(cubin, arch):
    """Our own decoder reads what our own kernels became: integer work in loops, every opcode known."""
    table = mix.analyse([cubin])
    assert table.scalars["arch"].tolist() == [arch]
    assert table.scalars["n_instr"][0] > 300
    assert table.scalars["n_loops"][0] >= 4
    assert mix.unknown_opcodes(table) == {}


@pytest.mark.skipif(SIMULATED, reason="the simulator compiles nothing")
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_mix_cu_compiles_and_is_read(arch):
    cubin = sass_of(cuda_text(), "c++", arch)
    assert cubin.names == ["decode"]
    check_sass(cubin, arch)


@pytest.mark.skipif(SIMULATED, reason="the simulator compiles nothing")
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_numba_cuda_compiles_and_is_read(arch):
    from numba import cuda

    from hashwarden.kernels.sass.engines import numba_cuda

    ptx, _ = cuda.compile_ptx(numba_cuda.decode, numba_cuda.SIGNATURE, cc=divmod(arch, 10))
    cubin = sass_of(ptx, "ptx", arch)
    assert len(cubin.names) == 1
    assert "decode" in cubin.names[0]
    check_sass(cubin, arch)
