"""The kernel mixes of this project's own workloads, compiled for several architectures: a labelled table.

``python -m hashwarden.training.kernel.own_table`` writes data/kernel_mix/kernel_mix_workloads.parquet again.
Nothing is run on a GPU: the table holds real machine code of NVRTC, measured.
"""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from hashwarden.errors import HashwardenError
from hashwarden.kernels.sass.cubin import read_cubin
from hashwarden.kernels.sass.mix import analyse
from hashwarden.kernels.sass.parquet import from_arrow, to_arrow
from hashwarden.kernels.sass.table import MixTable
from hashwarden.kernels.workloads.catalogue import CudaSource, Variant, cuda_sources, find
from hashwarden.kernels.workloads.compiler import compile_cubin, headers, source_text

__all__ = ["SMALL", "build", "jobs", "table_of"]

EVERY_VARIANT: Final = ("sm_80", "sm_90")
BASE_ONLY: Final = ("sm_75", "sm_100", "sm_120")
SMALL: Final = 40
"""Shorter kernels carry too little to tell."""

Job = tuple[str, Variant, str]


def jobs() -> Iterator[Job]:
    """What is compiled: every variant for Ampere and Hopper, the base variant for Turing and both Blackwells too."""
    for workload in cuda_sources():
        for number, variant in enumerate(workload.all_variants()):
            for arch in EVERY_VARIANT + (BASE_ONLY if number == 0 else ()):
                yield workload.name, variant, arch


def table_of(workload: CudaSource, variant: Variant, arch: str) -> MixTable:
    """Compile one workload one way and measure its kernels, labelled."""
    cubin = read_cubin(compile_cubin(workload, variant, arch), f"{workload.name}.{arch}.cubin")
    table = analyse([cubin])
    roles = [_role(name, workload) for name in table.text["kernel"]]
    small = table.scalars["n_instr"] < SMALL
    labels = {
        "source": f"hashwarden/{workload.lineage}",
        "version": f"{arch} {variant.name}".strip(),
        "origin": "workload",
        "family": workload.family,
    }
    table.text.update({name: np.full(len(table), value, object) for name, value in labels.items()})
    table.text["role"] = np.where(small, "small", np.array(roles, object)).astype(object)
    mining = np.full(len(table), workload.label == "mining")
    return MixTable(table.scalars, table.rotate, table.funnel, table.nested, table.text, mining)


def _role(kernel: str, workload: CudaSource) -> str:
    """The role of a compiled kernel: the entry whose name its mangled name holds, the longest one."""
    fits = [(len(name), role) for name, role in workload.entries if name in kernel]
    return max(fits)[1] if fits else "kernel"


def _cached(job: Job, folder: Path) -> tuple[str, str]:
    """The path of the measured table of one job, made if need be, and what went wrong."""
    name, variant, arch = job
    workload = find(name)
    text = (
        source_text(workload)
        + repr(sorted(headers(workload, variant).items()))
        + repr((workload.entries, workload.label, workload.family, workload.lineage, variant, arch))
    )
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.parquet"
    if path.exists():
        return str(path), ""
    try:
        table = table_of(workload, variant, arch)
    except HashwardenError as error:
        return "", f"{name} [{variant.name}] {arch}: {error}"
    part = path.with_suffix(f".{os.getpid()}")
    pq.write_table(to_arrow(table), part, compression="zstd")
    part.rename(path)
    return str(path), ""


def build(output: Path, cache: Path, processes: int = 2) -> list[str]:
    """Compile and measure all workloads, and write one table.

    Parameters
    ----------
    output : Path
        The Parquet file.
    cache : Path
        Folder of what was measured before, by content.
    processes : int
        Compilers at a time.

    Returns
    -------
    list of str
        What did not compile, one line each.
    """
    cache.mkdir(parents=True, exist_ok=True)
    every = list(jobs())
    with ProcessPoolExecutor(processes, initializer=_deep_stack) as pool:
        results = list(pool.map(_cached, every, [cache] * len(every)))
    parts = [from_arrow(pq.read_table(path), path) for path, _ in results if path]
    pq.write_table(_distinct(to_arrow(MixTable.concat(parts))), output, compression="zstd")
    return [problem for _, problem in results if problem]


def _deep_stack() -> None:
    """NVRTC recurses deeply on long unrolled hashes: 8 MiB of stack, the usual limit, end in a segmentation fault."""
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = 100 << 20
    resource.setrlimit(resource.RLIMIT_STACK, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def _distinct(table: pa.Table) -> pa.Table:
    """One row per kernel, architecture and code: variants that changed nothing add nothing."""
    keys = zip(*(table[name].to_pylist() for name in ("source", "kernel", "arch", "code_sha1")), strict=True)
    first: dict[tuple[object, ...], int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    return table.take(list(first.values()))


def main(
    output: Path = Path("data/kernel_mix/kernel_mix_workloads.parquet"),
    cache: Path = Path(".cache/workloads"),
    processes: int = 2,
) -> None:
    """Write the table of own workloads again."""
    for problem in build(output, cache, processes):
        typer.echo(problem, err=True)


if __name__ == "__main__":
    typer.run(main)
