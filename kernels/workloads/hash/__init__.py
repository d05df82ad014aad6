"""Mining-like and other hash kernels, written for this project from public specifications.

They are inert: no network, no pool protocol, fixed headers, nothing is submitted anywhere.
They exist to be compiled and read by the detector, and to be compared with known answers.
"""

from __future__ import annotations

from typing import Final

from hashwarden.kernels.workloads.catalogue import Workload

__all__ = ["WORKLOADS"]

# fmt: off
WORKLOADS: Final[tuple[Workload, ...]] = (
    Workload("blake3_nonce", "blake3", "own-blake3-macro", "blake3_nonce_search:hash blake3_nonce_dump:hash", "integer", ("NONCES=2", "NONCES=4", "NONCES=8 -maxrregcount=64", "BLOCK_FLAGS=27 -O1")),
    Workload("blake3_multiblock", "blake3", "own-blake3-loop", "alph_mine:hash", "integer", ("UNROLL_ROUNDS", "HEADER_BYTES=180", "HEADER_BYTES=80 UNROLL_ROUNDS", "-maxrregcount=40", "-O1")),
    Workload("blake3_vector", "blake3", "own-blake3-vector", "vector_search:hash vector_digest:hash", "integer", ("PER_THREAD=1", "PER_THREAD=4", "TAIL_WORDS=4", "PER_THREAD=8 -maxrregcount=72")),
    Workload("blake3_quad", "blake3", "own-blake3-quad", "quad_mine:hash", "integer", ("UNROLL", "GROUPS=64", "GROUPS=16 UNROLL")),
    Workload("tilepow_dp4a", "pearl-matmul", "own-tilepow-dp4a", "tilepow_gemm:hash", "integer", ("KSTEP=64", "KSTEP=16", "-maxrregcount=128")),
    Workload("tilepow_mma", "pearl-matmul", "own-blake3-vector", "tilepow_tensor:hash", "tensor", ("RANK=64", "RANK=256 WARP_TILES=4", "WARP_TILES=1 WARPS=8", "WARP_TILES=4 WARPS=2")),
    Workload("tilepow_noise", "pearl-matmul", "own-blake3-vector", "noise_fill:hash noise_add:helper noise_peel:helper", "integer", ("RANK=32", "RANK=128")),
    Workload("matmul_m31", "btx-matmul", "own-matmul-m31", "field_matrix:hash low_rank_noise:helper matmul_field:hash tile_transcript:hash", "integer", ("TILE=8", "TILE=32 RANK=16", "-O1")),
)
# fmt: on
