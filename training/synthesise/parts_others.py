"""Kernels of hash work that does not mine, and of everything else."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hashwarden.training.synthesise.codes import Pick
from hashwarden.training.synthesise.part import Part

__all__ = ["OTHERS"]

OTHERS: Final[Mapping[str, Part]] = MappingProxyType(
    {
        "password-md5": Part(
            (Pick("hashcat", "(?i)m00000|m01000|m00900|md5|ntlm"), Pick("own-password-md5|own-password-ntlm"),
             Pick("numba/others.password")),
            (5e-3, 0.4), (1e6, 3e8), (0.3, 0.95), (0.0, 0.03), (0.0, 0.0), reach=(0.85, 0.985), variants=(1, 4),
        ),
        "password-sha": Part(
            (Pick("hashcat"), Pick("own-password-sha1|own-sha256-unrolled|own-password-bcrypt"),
             Pick("own-sha2-template", "", "password-cracking")),
            (5e-3, 0.6), (1e6, 3e8), (0.3, 0.95), (0.0, 0.03), (0.0, 0.0), reach=(0.85, 0.985), variants=(1, 4),
        ),
        "zk-ntt": Part(
            (Pick("sppark|boojum", "(?i)ntt|fft"), Pick("own-zk-small-field|own-zk-montgomery", "ntt|butterfl"),
             Pick("numba/others.zk_ntt")),
            (2e-4, 2e-2), (1e5, 5e7), (0.3, 0.8), miss=(0.3, 0.9), reach=(0.65, 0.93), variants=(2, 8),
        ),
        "zk-msm": Part(
            (Pick("sppark", "(?i)msm|pippenger|breakdown|integrate|accumulate|bucket"),
             Pick("own-zk-montgomery|own-big-integer"), Pick("numba/others.zk_msm")),
            (1e-3, 0.2), (1e4, 5e6), (0.1, 0.5), miss=(0.1, 0.5), reach=(0.6, 0.92), variants=(3, 8),
        ),
        "zk-poseidon": Part(
            (Pick("own-poseidon2", "", "zk"), Pick("boojum", "(?i)poseidon|tree|leaf|hash"),
             Pick("own-sha2-template", "", "zk")),
            (5e-4, 5e-2), (1e5, 5e7), (0.2, 0.8), miss=(0.05, 0.4), reach=(0.75, 0.96), variants=(2, 6),
        ),
        "aes": Part(
            (Pick("own-aes-tables|own-bitsliced"), Pick("numba/others.aes")), (1e-3, 5e-2), (1e5, 1e8), (0.4, 0.95),
            miss=(0.4, 1.0), reach=(0.7, 0.95), variants=(1, 3),
        ),
        "checksum": Part(
            (Pick("own-crc|own-fast-checksums|own-chunking|own-blake3-tree"),
             Pick("own-sha2-template", "", "checksum-hash"), Pick("mochimodev")),
            (5e-4, 5e-2), (1e5, 5e7), (0.3, 0.9), miss=(0.6, 1.0), reach=(0.6, 0.95), variants=(1, 4),
        ),
        "hash-table": Part(
            (Pick("own-table-cuckoo|own-table-linear|own-table-spatial"), Pick("numba/others.hash_table"),
             Pick("libcudf", "(?i)cuco|hash"), Pick("spconv", "", "hash-table")),
            (1e-4, 2e-2), (1e5, 1e8), (0.5, 0.95), miss=(0.5, 0.98), scatter=(0.6, 1.0), flight=(1, 4),
            reach=(0.6, 0.93), dram=(0.45, 0.8), variants=(2, 8),
        ),
        "hash-join": Part(
            (Pick("own-table-relational"), Pick("numba/others.hash_join"), Pick("libcudf", "(?i)join|partition|group")),
            (1e-4, 2e-2), (1e5, 1e8), (0.4, 0.9), miss=(0.4, 0.95), scatter=(0.3, 1.0), flight=(1, 5),
            reach=(0.5, 0.9), dram=(0.45, 0.85), variants=(4, 16),
        ),
        "dedup": Part(
            (Pick("numba/others.dedup"), Pick("own-chunking|own-fast-checksums|own-table-sketches")),
            (3e-4, 3e-2), (1e5, 5e7), (0.3, 0.9), miss=(0.5, 0.95), scatter=(0.1, 0.6), reach=(0.5, 0.9),
            variants=(2, 6),
        ),
        "fhe-ntt": Part(
            (Pick("own-fhe-rns|own-fhe-torus"), Pick("numba/others.fhe"), Pick("cukks", "(?i)ntt|inwt|fnwt|mult")),
            (3e-5, 3e-3), (1e5, 1e7), (0.3, 0.8), miss=(0.3, 0.8), reach=(0.6, 0.92), variants=(6, 24),
        ),
        "stencil": Part(
            (Pick("own-grid"), Pick("numba/others.stencil"), Pick("rodinia", "(?i)hotspot|srad|calculate")),
            (1e-4, 1e-2), (1e5, 1e8), (0.4, 0.9), per_instruction=(0.15, 0.7), reach=(0.7, 0.95), variants=(2, 10),
        ),
        "fft": Part(
            (Pick("own-fft"), Pick("numba/others.fft")), (5e-5, 5e-3), (1e5, 5e7), (0.3, 0.8),
            per_instruction=(0.2, 0.8), reach=(0.7, 0.95), variants=(2, 8),
        ),
        "nbody": Part(
            (Pick("own-particles"), Pick("numba/others.nbody"), Pick("cuda-samples", "(?i)bodies")),
            (5e-4, 5e-2), (1e4, 1e7), (0.2, 0.6), miss=(0.01, 0.1), reach=(0.7, 0.95), variants=(2, 8),
        ),
        "monte-carlo": Part(
            (Pick("own-philox|own-mrg-mt|own-sobol|own-threefry|own-finance"), Pick("numba/others.monte_carlo"),
             Pick("cupy|libcuml", "", "rng"), Pick("cuda-samples", "(?i)monte")),
            (1e-3, 0.1), (1e5, 5e7), (0.3, 0.9), miss=(0.05, 0.5), reach=(0.75, 0.97), variants=(1, 5),
        ),
        "graph": Part(
            (Pick("own-graph|own-clusters"), Pick("numba/others.graph")), (5e-5, 1e-2), (1e4, 5e7), (0.3, 0.8),
            miss=(0.3, 0.9), scatter=(0.3, 1.0), flight=(1, 3), reach=(0.4, 0.85), dram=(0.4, 0.8), variants=(3, 10),
        ),
        "sort": Part(
            (Pick("own-radix-sort|own-scan"), Pick("numba/others.radix_sort|numba/others.scan"),
             Pick("cupy|torch|libcudf", "(?i)radixsort|radix_sort", "sort")),
            (5e-5, 5e-3), (1e5, 1e8), (0.3, 0.7), per_instruction=(0.1, 0.5), reach=(0.65, 0.93), variants=(3, 8),
        ),
        "smith-waterman": Part(
            (Pick("own-genome"), Pick("numba/others.smith_waterman"), Pick("rodinia", "(?i)needle")),
            (1e-4, 5e-2), (1e4, 1e7), (0.2, 0.7), miss=(0.02, 0.2), reach=(0.6, 0.93), variants=(1, 4),
        ),
        "spmv": Part(
            (Pick("own-linear"), Pick("cupy|libcuml", "(?i)csr|spmv|coo")), (3e-5, 3e-3), (1e5, 5e7), (0.4, 0.9),
            per_instruction=(0.25, 0.9), scatter=(0.1, 0.5), reach=(0.6, 0.92), dram=(0.6, 0.88), variants=(3, 12),
        ),
        "quantum": Part(
            (Pick("own-statevector"), Pick("own-fft")), (3e-6, 2e-3), (3e4, 1e8), (0.4, 0.9), miss=(0.2, 1.0),
            reach=(0.6, 0.92), variants=(4, 16),
        ),
        "burn-fp32": Part(
            (Pick("own-burner", "burn_fma"), Pick("numba/others.burner"), Pick("own-gemm", "sgemm_tiled"),
             Pick("spconv", "Simt_f32")),
            (0.01, 1.0), (1e5, 1e7), (0.4, 0.95), reach=(0.85, 0.99), core="fma", kind="fp32", intensity=(60, 1000),
            variants=(1, 3),
        ),
        "burn-tensor": Part(
            (Pick("own-burner", "burn_tensor"), Pick("sgl_kernel", "(?i)gemm", "ml"), Pick("^torch$", "(?i)gemm|fmha")),
            (1e-3, 0.3), (5e4, 1e6), (0.15, 0.5), reach=(0.8, 0.97), core="tensor", kind="half",
            intensity=(800, 4000), variants=(1, 2),
        ),
        "ode": Part(
            (Pick("own-particles|own-bit-physics|own-grid"), Pick("rodinia", "(?i)solver|kernel|cfd")),
            (1e-4, 2e-2), (1e4, 1e7), (0.2, 0.7), miss=(0.02, 0.25), reach=(0.6, 0.95), variants=(2, 6),
        ),
    }
)  # fmt: skip
"""By the name that schedules use."""
