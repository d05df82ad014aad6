"""All workloads: one line for each file of a family.

Nothing registers itself: what is not named here does not exist. Each named module exposes a tuple
``WORKLOADS``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.workload import Workload

__all__ = ["FAMILIES", "find", "workloads"]

FAMILIES: Final = (
    "mining.autolykos",
    "mining.blake_pow",
    "mining.chachapad",
    "mining.cuckatoo",
    "mining.equihash",
    "mining.ethash",
    "mining.fishhash",
    "mining.heavyhash",
    "mining.poseidon",
    "mining.progpow",
    "mining.scratchpad",
    "mining.sha256d",
    "mining.sha3",
    "mining.tilepow",
    "native.aes_ctr",
    "native.autolykos",
    "native.blake2b",
    "native.blake3",
    "native.burner",
    "native.chacha_pad",
    "native.cryptonight",
    "native.cuckoo",
    "native.equihash",
    "native.ethash",
    "native.fishhash",
    "native.fourier",
    "native.gemm_int8",
    "native.heavyhash",
    "native.matmul_m31",
    "native.merkle",
    "native.octopus",
    "native.pages",
    "native.password",
    "native.poseidon2",
    "native.progpow",
    "native.scrypt",
    "native.sha256d",
    "native.sha3x",
    "native.stencil",
    "native.tilepow",
    "native.verthash",
    "learning.convnet",
    "learning.diffusion",
    "learning.graph_network",
    "learning.llm",
    "learning.mlp",
    "learning.recommender",
    "learning.transformer",
    "learning.w8a8",
    "others.aes",
    "others.burner",
    "others.compression",
    "others.dedup",
    "others.fft",
    "others.fhe",
    "others.graph",
    "others.hash_join",
    "others.hash_table",
    "others.monte_carlo",
    "others.nbody",
    "others.password",
    "others.radix_sort",
    "others.smith_waterman",
    "others.stencil",
    "others.zk_msm",
    "others.zk_ntt",
)
"""Modules below this package."""


def workloads() -> tuple[Workload, ...]:
    """All workloads, in a fixed order."""
    modules = (import_module(f"hashwarden.kernels.workloads.{name}") for name in FAMILIES)
    return tuple(workload for module in modules for workload in module.WORKLOADS)


def find(name: str) -> Workload:
    """Find the workload of this name.

    Raises
    ------
    UsageError
        If there is none; the message names those that are spelled alike.
    """
    from difflib import get_close_matches

    known = {workload.name: workload for workload in workloads()}
    if name in known:
        return known[name]
    alike = get_close_matches(name, known, n=3, cutoff=0.5)
    expected = "one of " + ", ".join(alike) if alike else "a known name"
    raise UsageError(f"no workload is called {name!r}", expected, "List them: hashwarden workloads list.")
