"""Every engine counts what the reference counts: integers to the last digit, sums of logarithms to 1e-9."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from hashwarden.errors import DataError, MissingExtraError, NoDeviceError, UsageError
from hashwarden.kernels.memory import patterns_cells, patterns_cupy, patterns_reference
from hashwarden.kernels.memory.patterns import ENGINES, NAMES, patterns, warm_up
from hashwarden.kernels.memory.patterns_passes import measure
from hashwarden.kernels.workloads.engines.offline import cubin_of

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
ARCHES = ("sm_80", "sm_90", "sm_100", "sm_120")
MACHINE_CODE = {"machine code of patterns.cu": "host_machine", "machine code of numba_cuda": "numba_machine"}
CASES = [(seed, by_line, most) for seed in range(3) for by_line in (False, True) for most in (1 << 16, 150)]

# Integers wrap on a GPU; the threads of the simulator warn about it. Numba warns about small grids.
pytestmark = pytest.mark.filterwarnings("ignore:.*overflow encountered:RuntimeWarning", "ignore:(?s).*low occupancy")


def require_same(got, want):
    want = want.flat()
    for name, found in got.flat().items():
        assert found.shape == want[name].shape, name
        if found.dtype.kind == "f":
            np.testing.assert_allclose(found, want[name], rtol=1e-9, atol=0, err_msg=name)
        else:
            np.testing.assert_array_equal(found, want[name], err_msg=name)


def counting(engine, request):
    if engine in MACHINE_CODE:
        machine = request.getfixturevalue(MACHINE_CODE[engine])
        return lambda log, most: measure(log, machine, most)
    return import_module(ENGINES[engine]).count


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("numba", marks=pytest.mark.skipif(SIMULATED, reason="Numba does not compile in the simulator")),
        "machine code of patterns.cu",
        pytest.param("machine code of numba_cuda", marks=pytest.mark.skipif(SIMULATED, reason="it compiles nothing")),
        pytest.param("numba_cuda", marks=[] if SIMULATED else pytest.mark.gpu),
        pytest.param("cupy", marks=pytest.mark.gpu),
    ],
)
@pytest.mark.parametrize(("seed", "by_line", "most"), CASES)
def test_engines_equal_the_reference(engine, seed, by_line, most, request, random_log):
    log = random_log(seed, by_line=by_line)
    require_same(counting(engine, request)(log, most), patterns_reference.count(log, most))


@pytest.mark.parametrize("engine", ["machine code of patterns.cu", *([] if SIMULATED else ["numba"])])
@pytest.mark.parametrize("rows", [1, 2, 33])
def test_small_logs_are_counted_too(engine, rows, request, log_of):
    log = log_of(np.arange(rows)[None] * 4, kind=1)
    require_same(counting(engine, request)(log, 1), patterns_reference.count(log, 1))


@pytest.mark.parametrize("engine", ["machine code of patterns.cu", *([] if SIMULATED else ["numba"])])
def test_numbers_too_wide_for_one_sort_key_are_sorted_twice(engine, request, log_of, random_log):
    log = random_log(5)
    log = replace(log, thread=log.thread + (1 << 30), order=log.order + (1 << 31), launch=log.launch + (1 << 14))
    require_same(counting(engine, request)(log, 1 << 16), patterns_reference.count(log, 1 << 16))


@pytest.mark.skipif(SIMULATED, reason="this is the simulator")
def test_the_simulator_agrees():
    here = Path(__file__)
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", str(here), "-k", "numba_cuda and (0-False or 1-True)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "4 passed" in done.stdout


@pytest.mark.parametrize("arch", [pytest.param("sm_80", marks=pytest.mark.slow), "sm_100", "sm_120"])
def test_cuda_c_compiles(arch):
    """For sm_90 it is compiled and run, above."""
    core = pytest.importorskip("cuda.core")
    program = core.Program(patterns_cupy.source(), "c++", core.ProgramOptions(arch=arch))
    code = bytes(program.compile("cubin").code)
    program.close()
    assert code[:4] == b"\x7fELF"
    assert all(kernel.encode() + b"\0" in code for kernel in patterns_cupy.KERNELS)


def kinds_of_arguments(log):
    """Types of the arguments of every body, as the CPU's machine meets them."""
    from numba import types

    from hashwarden.kernels.memory.patterns_cpu import CpuMachine
    from hashwarden.kernels.memory.patterns_passes import merged_distances

    kinds, original = {}, CpuMachine.run

    def typed(argument):
        if isinstance(argument, np.ndarray):
            return types.Array(types.float64 if argument.dtype.kind == "f" else types.int64, argument.ndim, "C")
        return types.int64

    def run(self, name, threads, *arguments):
        kinds[name] = types.Tuple(tuple(typed(argument) for argument in arguments))
        original(self, name, threads, *arguments)

    with mock.patch.object(CpuMachine, "run", run):
        machine = CpuMachine()
        measure(log, machine, 150)
        merged_distances(machine, np.array([-1, 0, 1]), 3)
    column, number = types.Array(types.int64, 1, "C"), types.int64
    kinds["count_digits"] = types.Tuple((column, *(number,) * 4, column))
    kinds["sum_blocks"] = kinds["add_offsets"] = types.Tuple((column, number, number, column))
    kinds["move"] = types.Tuple((column, column, *(number,) * 4, *(column,) * 3))
    return kinds


@pytest.mark.skipif(SIMULATED, reason="the simulator compiles nothing")
def test_numba_kernels_compile_for_every_architecture(random_log):
    from numba import types
    from numba.cuda import compile_ptx

    from hashwarden.kernels.device import grid_kernels
    from hashwarden.kernels.memory import patterns_bodies
    from hashwarden.kernels.memory.recorder import begin

    kinds = kinds_of_arguments(random_log(0))
    assert sorted(kinds) == sorted(patterns_bodies.__all__)
    nobody = SimpleNamespace(compute_capability=(8, 0))
    for name, arguments in kinds.items():
        kernel = grid_kernels(getattr(patterns_bodies, name), begin).plain
        with mock.patch("numba.cuda.dispatcher.get_current_device", return_value=nobody):
            ptx, _ = compile_ptx(kernel, (types.int64, arguments), cc=(8, 0))
        for arch in ARCHES:
            assert cubin_of(str(ptx), arch)[:4] == b"\x7fELF"


def test_constants_of_the_cuda_c_are_those_of_the_engines():
    text = patterns_cupy.source()
    body = text[text.index("enum {") + 6 : text.index("};")]
    given = dict(item.split(" = ") for item in body.replace("\n", " ").split(",") for item in [item.strip()])
    assert len(given) > 20
    assert {name: getattr(patterns_cells, name) for name in given} == {name: int(n) for name, n in given.items()}


def test_an_unknown_engine_is_refused(log_of):
    with pytest.raises(UsageError, match="numba"):
        patterns(log_of([[0]]), "abacus")


@pytest.mark.skipif(SIMULATED, reason="the simulator needs no GPU")
@pytest.mark.parametrize("engine", ["numba_cuda", "cupy"])
def test_a_missing_gpu_is_named(engine, log_of):
    module = import_module(ENGINES[engine])
    with mock.patch.object(module, "_gpu_here", return_value=False), pytest.raises(NoDeviceError, match="GPU"):
        patterns(log_of([[0]]), engine)


def test_a_missing_package_names_its_extra(monkeypatch, log_of):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.delitem(sys.modules, ENGINES["cupy"])
    with pytest.raises(MissingExtraError, match="cuda13"):
        patterns(log_of([[0]]), "cupy")


@pytest.mark.parametrize("engine", ["reference", *([] if SIMULATED else ["numba"])])
def test_two_accesses_of_a_thread_at_once_are_refused(engine, log_of):
    log = log_of([[0, 4, 8]])
    with pytest.raises(DataError, match="2 accesses"):
        patterns(replace(log, thread=np.zeros(3, np.int64)), engine)


def test_impossible_values_are_refused(log_of):
    for name, value in (("width", 0), ("kind", 3), ("depth", 1 << 16), ("address", -(1 << 41))):
        with pytest.raises(DataError, match=name):
            patterns(log_of([[value if name == "address" else 0]], **({} if name == "address" else {name: value})))
    with pytest.raises(UsageError, match="most_lines"):
        patterns(log_of([[0]]), most_lines=0)


def test_warming_up_changes_nothing(log_of):
    engine = "reference" if SIMULATED else "numba"
    warm_up(engine)
    assert len(patterns(log_of([[0]]), engine).values) == len(NAMES)
