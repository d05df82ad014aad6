"""More work without hashing whose machine code mixes, permutes and counts bits as hashing does."""

from __future__ import annotations

from typing import Final

from hashwarden.kernels.workloads.catalogue import CudaSource
from hashwarden.kernels.workloads.plain.describe import workload

__all__ = ["CUDA_SOURCES"]

CUDA_SOURCES: Final[tuple[CudaSource, ...]] = (
    workload(
        "plain",
        "random_shuffle",
        "rng",
        "own-shuffle",
        "integer",
        "shuffle_rows_float shuffle_rows_double shuffle_indices subsample_rows perturb_codes reservoir_sample",
        (
            "ROUNDS=24 PER_THREAD=1",
            "ROUNDS=7 PER_THREAD=8 -use_fast_math",
            "ROUNDS=4 -maxrregcount=32",
        ),
    ),
    workload(
        "plain",
        "descriptor_match",
        "image",
        "own-descriptors",
        "integer",
        "sift_match_tiled sift_match_guided orb_match_ratio orb_match_atomic cross_check",
        (
            "TILE=64 WORDS=64",
            "WORDS=16 -use_fast_math",
            "TILE=16 -O1",
        ),
    ),
    workload(
        "plain",
        "byte_reduce",
        "collective",
        "own-byte-reduce",
        "memory",
        "reduce_pair_u8 extrema_s8 ring_step tree_up line_receive_reduce line_send",
        (
            "UNROLL=1 OPERATION=1",
            "UNROLL=8 OPERATION=3",
            "UNROLL=2 OPERATION=2 -O1",
        ),
    ),
    workload(
        "plain",
        "bitmask_columns",
        "dataframe",
        "own-bitmasks",
        "memory",
        "bitmask_gather valid_if_in_range bitmask_shift_copy segmented_null_count decimal_multiply_add "
        "civil_dates substring_compare",
        (
            "ZONES=1 CHUNK=4",
            "CHUNK=8 -maxrregcount=32",
            "-O1",
        ),
    ),
    workload(
        "plain",
        "cluster_labels",
        "graph",
        "own-clusters",
        "integer",
        "dbscan_adjacency dbscan_union dbscan_labels hilbert_encode topk_packed expert_pack expert_scatter",
        (
            "DIMENSIONS=8 TOP=4",
            "DIMENSIONS=16 TOP=32 CURVE_BITS=16",
            "TOP=2 CURVE_BITS=10 -use_fast_math",
        ),
    ),
)
