"""The lists agree with the sources, and every workload compiles for the architectures that matter."""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from importlib import resources
from multiprocessing import get_context

import pytest

from hashwarden.kernels.workloads import plain
from hashwarden.kernels.workloads.catalogue import CudaSource
from hashwarden.kernels.workloads.compiler import compile_cubin, source_text

ENTRY = re.compile(r'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(')
ARCHES = ("sm_80", "sm_90", "sm_100", "sm_120")


def test_every_source_is_listed_once():
    sources = {item.name for item in resources.files(plain).iterdir() if item.name.endswith(".cu")}
    listed = [workload.source for workload in plain.CUDA_SOURCES]
    assert sorted(listed) == sorted(sources)


def test_every_kernel_is_listed_and_no_name_is_used_twice():
    listed = [(w.name, kernel) for w in plain.CUDA_SOURCES for kernel, _ in w.entries]
    found = [(w.name, kernel) for w in plain.CUDA_SOURCES for kernel in ENTRY.findall(source_text(w))]
    assert listed == found
    assert len({kernel for _, kernel in listed}) == len(listed)


def test_nothing_here_is_labelled_mining():
    assert {workload.label for workload in plain.CUDA_SOURCES} == {"hash-other", "plain"}


def test_variants_name_macros_that_their_source_reads():
    texts = {item.name: item.read_text() for item in resources.files(plain).iterdir() if item.name.endswith(".cuh")}
    for workload in plain.CUDA_SOURCES:
        text = source_text(workload)
        text += "".join(texts[name] for name in re.findall(r'#include "(\w+\.cuh)"', text))
        for variant in workload.all_variants():
            assert all(re.search(rf"\b{macro}\b", text) for macro, _ in variant.defines), (workload.name, variant.name)


def missing_entries(cubin: bytes, workload: CudaSource) -> list[str]:
    return [kernel for kernel, _ in workload.entries if f".text.{kernel}".encode() not in cubin]


def compile_all(pairs) -> list[str]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        jobs = [(w, arch, pool.submit(compile_cubin, w, w.all_variants()[0], arch)) for w, arch in pairs]
        cubins = [(w, arch, job.result()) for w, arch, job in jobs]
    return [f"{w.name} {arch} {kernel}" for w, arch, cubin in cubins for kernel in missing_entries(cubin, w)]


def test_every_workload_compiles_for_one_architecture():
    assert not compile_all([(w, ARCHES[i % len(ARCHES)]) for i, w in enumerate(plain.CUDA_SOURCES)])


@pytest.mark.slow
def test_every_workload_compiles_for_every_architecture():
    assert not compile_all([(w, arch) for w in plain.CUDA_SOURCES for arch in ARCHES])
