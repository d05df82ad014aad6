"""Device functions mean the same on the CPU and in CUDA's simulator, and compile for CUDA."""

import os
import subprocess
import sys

import numpy as np
import pytest

from hashwarden.errors import MissingExtraError
from hashwarden.kernels.device import (
    SIMULATED,
    atomic_add,
    atomic_exchange,
    atomic_max,
    atomic_min,
    atomic_or,
    compare_and_swap,
    device,
    local_array,
    rotate_left_32,
    rotate_left_64,
)
from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.engines.numba_cuda import NumbaEngine
from hashwarden.kernels.workloads.engines.offline import ptx_of
from hashwarden.kernels.workloads.plan import Empty, Launch, Plan, Work

THREADS = 70


@device
def fill(private, value):
    for i in range(len(private)):
        private[i] = np.uint32(value * np.uint32(2654435761) + np.uint32(i))


@device
def everything(thread, log, cells, words, doubles):
    atomic_add(cells, 0, np.int64(thread))
    atomic_max(cells, 1, np.int64(thread))
    atomic_min(cells, 2, np.int64(-thread))
    atomic_or(cells, 3, np.int64(1) << np.int64(thread % 40))
    if thread == 7:
        cells[5] = atomic_exchange(cells, 4, np.int64(99))
    if compare_and_swap(cells, 6, np.int64(0), np.int64(thread + 1)) == 0:
        atomic_add(cells, 7, np.int64(1))
    private = local_array(5, np.uint32)
    fill(private, np.uint32(thread))
    mixed = np.uint32(0)
    for i in range(5):
        mixed = np.uint32(mixed ^ rotate_left_32(private[i], i + 1))
    words[thread] = mixed
    doubles[thread] = rotate_left_64(np.uint64(mixed) * np.uint64(0x9E3779B97F4A7C15), thread % 63 + 1)


def plan():
    kinds = {"cells": ((8,), np.int64), "words": ((THREADS,), np.uint32), "doubles": ((THREADS,), np.uint64)}
    arrays = {name: Empty(*kind) for name, kind in kinds.items()}
    launch = Launch(everything, THREADS, tuple(arrays), block=32)
    return Plan(arrays, step=lambda _: (launch,), work=Work(1), check=lambda results: None)


def results(engine):
    engine.step()
    return {name: engine.read(name).tolist() for name in engine.plan.arrays}


def expected():
    threads = range(THREADS)
    words, doubles = [], []
    for thread in threads:
        private = [(thread * 2654435761 + i) % 2**32 for i in range(5)]
        mixed = 0
        for i, value in enumerate(private):
            mixed ^= (value << (i + 1) | value >> (31 - i)) % 2**32
        words.append(mixed)
        value, turn = mixed * 0x9E3779B97F4A7C15 % 2**64, thread % 63 + 1
        doubles.append((value << turn | value >> (64 - turn)) % 2**64)
    return {"sum": sum(threads), "most": THREADS - 1, "least": 1 - THREADS, "words": words, "doubles": doubles}


def check(got):
    want = expected()
    assert got["cells"][:3] == [want["sum"], want["most"], want["least"]]
    assert got["cells"][3] == 2**40 - 1
    assert got["cells"][4:6] == [99, 0]
    assert 1 <= got["cells"][6] <= THREADS
    assert got["cells"][7] == 1
    assert (got["words"], got["doubles"]) == (want["words"], want["doubles"])


@pytest.mark.skipif(SIMULATED, reason="compiled for the CPU")
def test_on_the_cpu():
    check(results(CpuEngine(plan())))


@pytest.mark.skipif(not SIMULATED, reason="runs in the simulator, in a process of its own")
def test_simulated():
    check(results(NumbaEngine(plan())))


@pytest.mark.gpu
def test_on_a_gpu():
    check(results(NumbaEngine(plan())))


@pytest.mark.skipif(SIMULATED, reason="this is what starts the simulator")
def test_in_the_simulator():
    wrap = "ignore:overflow encountered:RuntimeWarning"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", wrap, __file__]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 passed" in done.stdout


@pytest.mark.skipif(SIMULATED, reason="the simulator needs no package")
def test_without_numba_cuda_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("hashwarden.kernels.device.find_spec", lambda name: None)
    for use in (lambda: NumbaEngine(plan()), lambda: ptx_of(plan().step(0)[0], plan())):
        with pytest.raises(MissingExtraError, match=r"'numba-cuda'.*hashwarden\[cuda13\]"):
            use()


@pytest.mark.skipif(SIMULATED, reason="the simulator compiles nothing")
def test_it_becomes_cuda_code_with_atomics_and_rotations():
    launch = plan().step(0)[0]
    text = ptx_of(launch, plan())
    for instruction in ("max", "min", "or", "exch", "cas"):
        assert f"atom.global.{instruction}" in text or f"red.global.{instruction}" in text, instruction
    assert "shf.l.wrap" in text
