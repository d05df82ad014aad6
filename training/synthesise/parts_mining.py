"""Kernels of proof of work. What a hash reads is its definition; the ranges are what differs between miners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from hashwarden.training.synthesise.codes import Pick
from hashwarden.training.synthesise.part import Part

__all__ = ["MINING_PARTS"]

_MANY: Final = (5e5, 3e8)

_PURE: Final = Part((), (0.01, 0.6), _MANY, (0.3, 0.95), miss=(0.0, 0.01), scatter=(0.0, 0.0), reach=(0.88, 0.985))
"""Hashes that read nothing but a header."""
_DAG: Final = Part((), (0.02, 0.6), _MANY, (0.4, 0.95), miss=(0.96, 1.0), reach=(0.93, 0.99))
"""Hashes whose pace the reads of a table of gigabytes set."""


def _of(family: str, role: str = "hash") -> tuple[Pick, ...]:
    """The repositories, own workloads and Numba programs of a family, each author a source of its own."""
    return (Pick("/own-", "", family, role), Pick("numba", "", family, role), Pick("^[^h]", "", family, role))


MINING_PARTS: Final[Mapping[str, Part]] = MappingProxyType(
    {
        "sha256d": replace(_PURE, picks=_of("^sha256d$|^sha512$")),
        "keccak": replace(_PURE, picks=_of("^keccak$")),
        "blake3": replace(_PURE, picks=_of("^blake3$|^blake2|^blake256$")),
        "heavyhash": replace(_PURE, picks=_of("^kheavyhash$")),
        "ethash": replace(
            _DAG, picks=_of("^ethash$"), per_instruction=(0.35, 0.7), flight=(4, 10), dram=(0.86, 0.95),
            source="64 reads of 128 bytes a hash (Ethash specification); ratio of hash rate to bandwidth: see anchors",
        ),
        "progpow": replace(
            _DAG, picks=_of("^progpow$"), per_instruction=(0.1, 0.25), flight=(3, 8), dram=(0.75, 0.92),
            rebuilt=True, source="64 reads of 256 bytes a hash beside random integer work (EIP-1057)",
        ),
        "autolykos2": replace(
            _DAG, picks=_of("^autolykos2$"), per_instruction=(0.15, 0.45), scatter=(0.0, 0.3), flight=(3, 8),
            dram=(0.65, 0.88), source="32 reads of 32 bytes a hash (Autolykos 2 description)",
        ),
        "autolykos2-table": Part(
            _of("^autolykos2$", "dag"), (0.02, 0.6), _MANY, (0.3, 0.8), miss=(0.9, 1.0), reach=(0.8, 0.97),
        ),
        "octopus": replace(
            _DAG, picks=_of("^octopus$"), per_instruction=(0.2, 0.5), flight=(3, 8), dram=(0.75, 0.92),
            source="32 reads of 256 bytes a hash beside polynomials (Conflux protocol)",
        ),
        "fishhash": replace(
            _DAG, picks=_of("^fishhash-karlsen$"), per_instruction=(0.5, 1.1), flight=(3, 8), dram=(0.75, 0.92),
            source="32 rounds of three reads of 128 bytes a hash (FishHash specification)",
        ),
        "dag-build": Part(
            (*_of("^ethash$|^fishhash-karlsen$", "dag"), Pick("own-verthash", "", "", "hash")),
            (0.02, 1.0), _MANY, (0.3, 0.9), miss=(0.35, 0.9), flight=(2, 6), reach=(0.7, 0.95), dram=(0.6, 0.9),
        ),
        "equihash": Part(
            _of("^equihash$"), (1e-3, 3e-2), (1e5, 2e7), (0.3, 0.9), miss=(0.6, 0.95), scatter=(0.1, 0.5),
            flight=(2, 6), reach=(0.7, 0.93), dram=(0.6, 0.88), per_instruction=(0.12, 0.6), variants=(6, 16),
        ),
        "cuckoo": Part(
            _of("^cuckoo-cycle$"), (5e-3, 0.1), (1e5, 5e7), (0.3, 0.9), miss=(0.6, 0.95), scatter=(0.1, 0.5),
            flight=(2, 6), reach=(0.7, 0.95), dram=(0.55, 0.88), per_instruction=(0.12, 0.6), variants=(4, 10),
        ),
        "scratchpad": Part(
            _of("^xelishash$"), (0.05, 2.0), (5e3, 5e5), (0.06, 0.4), miss=(0.4, 0.95), scatter=(0.2, 1.0),
            flight=(1, 2.5), reach=(0.7, 0.95), dram=(0.5, 0.85), variants=(1, 4),
            source="about 0.5 MB a hash: threads are limited by memory, chains of dependent reads",
        ),
        "cryptonight": Part(
            (*_of("^cryptonight$"), Pick("own-scrypt|own-argon2d")), (0.05, 2.0), (5e3, 3e5), (0.06, 0.4),
            miss=(0.4, 0.95), scatter=(0.2, 0.8), flight=(1, 2.5), reach=(0.7, 0.95), dram=(0.5, 0.85), variants=(2, 4),
        ),
        "matmul-pow": Part(
            (
                Pick("Pearl", "", "pearl-matmul", "hash"), Pick("/own-", "", "pearl-matmul", "hash"),
                Pick("sgl_kernel", "(?i)gemm"),  # a miner may as well call a product that inference ships
            ),
            (1e-3, 0.3), (1e5, 5e6), (0.12, 0.4), reach=(0.5, 0.9), core="int8", kind="int8", intensity=(800, 8000),
            variants=(1, 2), source="products of 131,072 x 131,072 x 4,096 (public miner): like other large products",
        ),
        "matmul-pow-hash": Part(
            (Pick("/own-blake3-vector", "", "pearl-matmul"), Pick("Pearl", "(?i)blake|hash|pow|seed", "pearl-matmul"),
             *_of("^blake3$")),
            (1e-3, 0.05), _MANY, (0.3, 0.9), miss=(0.1, 0.6), reach=(0.7, 0.95), variants=(1, 3),
        ),
        "matmul-pow-noise": Part(
            (Pick("Pearl", "noise", "pearl-matmul"), Pick("/own-|numba", "noise|epilogue_restore", "pearl-matmul")),
            (1e-4, 5e-3), (1e6, 5e8), (0.4, 0.9), miss=(0.4, 1.0), reach=(0.7, 0.95), variants=(1, 3),
        ),
        "poseidon2": replace(_PURE, picks=_of("^poseidon2-pow$|^nexapow$|^btx-matmul$")),
        "proof-ntt": Part(
            (Pick("sppark", "(?i)ntt|NTT"), Pick("own-zk-small-field|own-zk-montgomery"), Pick("numba/others.zk_ntt")),
            (5e-4, 2e-2), (1e5, 5e7), (0.3, 0.8), miss=(0.3, 0.9), reach=(0.7, 0.95), variants=(2, 8),
        ),
    }
)  # fmt: skip
"""By the name that schedules use."""
