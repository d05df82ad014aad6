"""The list of hash workloads agrees with the sources, and every workload compiles for the architectures that matter."""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from importlib import resources
from multiprocessing import get_context

import pytest

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads import catalogue, compiler, hash  # noqa: A004  the package's name

ENTRY = re.compile(r'extern "C" __global__ void\s+(?:__launch_bounds__\((?:[^()]|\([^()]*\))*\)\s*)?(\w+)\s*\(')
ARCHES = ("sm_80", "sm_90", "sm_100", "sm_120")
BASE = catalogue.parse_variant("")


def sources() -> dict[str, str]:
    items = [item for item in resources.files(hash).iterdir() if item.name.endswith((".cu", ".cuh"))]
    return {item.name: item.read_text() for item in items}


def test_every_source_is_listed_once():
    listed = [workload.source for workload in hash.CUDA_SOURCES]
    assert sorted(listed) == sorted(name for name in sources() if name.endswith(".cu"))


def test_every_kernel_is_listed():
    for workload in hash.CUDA_SOURCES:
        found = set(ENTRY.findall(compiler.source_text(workload)))
        assert {kernel for kernel, _ in workload.entries} == found, workload.name


def test_names_are_unique_over_all_packages():
    names = [workload.name for workload in catalogue.cuda_sources()]
    assert len(set(names)) == len(names)
    assert catalogue.find("sha3x").family == "keccak"
    with pytest.raises(UsageError, match="no CUDA source is called"):
        catalogue.find("nothing")


def test_kin_by_included_headers_share_a_lineage():
    kin: dict[str, set[str]] = {}
    for workload in hash.CUDA_SOURCES:
        for header in re.findall(r'#include "(\w+)\.cuh"', compiler.source_text(workload)):
            if header not in ("async_copy", "mma_int8", "progpow_program"):
                kin.setdefault(header, set()).add(workload.lineage)
    assert kin
    assert all(len(lineages) == 1 for lineages in kin.values())


def test_variants_name_macros_that_their_source_reads():
    texts = sources()
    for workload in hash.CUDA_SOURCES:
        text = texts[workload.source]
        text += "".join(texts.get(name, "") for name in re.findall(r'#include "(\w+\.cuh)"', text))
        for variant in workload.all_variants():
            known = {"COIN", "PERIOD"} if workload.generate else set()
            unread = [name for name, _ in variant.defines if name not in known and not re.search(rf"\b{name}\b", text)]
            assert not unread, (workload.name, variant.name)


def test_a_variant_is_read_from_words():
    variant = catalogue.parse_variant("UNROLL  N=4 -maxrregcount=64")
    assert variant.defines == (("UNROLL", "1"), ("N", "4"))
    assert variant.flags == ("-maxrregcount=64",)
    assert variant.name == "UNROLL N=4 -maxrregcount=64"


def test_an_unknown_role_flag_or_architecture_is_refused():
    with pytest.raises(UsageError, match="role 'hasher'"):
        _ = catalogue.CudaSource("x", "f", "l", "k:hasher", "integer").entries
    workload = hash.CUDA_SOURCES[0]
    with pytest.raises(UsageError, match="sm_60"):
        compiler.compile_cubin(workload, BASE, "sm_60")
    with pytest.raises(UsageError, match="-bogus"):
        compiler.compile_cubin(workload, catalogue.parse_variant("-bogus"), "sm_90")


def test_a_source_that_does_not_compile_is_named_with_the_log():
    with pytest.raises(compiler.CompileError, match=r"blake3_nonce \[NONCES=oops\] sm_90: .*oops.* is undefined"):
        compiler.compile_cubin(hash.CUDA_SOURCES[0], catalogue.parse_variant("NONCES=oops"), "sm_90")


def missing_entries(cubin: bytes, workload: catalogue.CudaSource) -> list[str]:
    return [kernel for kernel, _ in workload.entries if f".text.{kernel}".encode() not in cubin]


def compile_all(pairs) -> list[str]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        jobs = [(w, arch, pool.submit(compiler.compile_cubin, w, BASE, arch)) for w, arch in pairs]
        cubins = [(w, arch, job.result()) for w, arch, job in jobs]
    return [f"{w.name} {arch} {kernel}" for w, arch, cubin in cubins for kernel in missing_entries(cubin, w)]


def test_every_workload_compiles_for_one_architecture():
    assert not compile_all([(w, ARCHES[i % len(ARCHES)]) for i, w in enumerate(hash.CUDA_SOURCES)])


@pytest.mark.slow
def test_every_workload_compiles_for_every_architecture():
    assert not compile_all([(w, arch) for w in hash.CUDA_SOURCES for arch in ARCHES])
