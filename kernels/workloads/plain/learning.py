"""Machine learning without hash work, first of all products with low-bit weights: the detector's worst false alarms."""

from __future__ import annotations

from typing import Final

from hashwarden.kernels.workloads.catalogue import CudaSource
from hashwarden.kernels.workloads.plain.describe import workload

__all__ = ["CUDA_SOURCES"]

CUDA_SOURCES: Final[tuple[CudaSource, ...]] = (
    workload(
        "plain",
        "gemv_gptq",
        "ml",
        "own-gptq",
        "memory",
        "gptq_gemv gptq_dequantise",
        (
            "BITS=2",
            "BITS=3",
            "BITS=8 ROWS_PER_BLOCK=256",
            "BITS=3 -use_fast_math",
            "BITS=2 ROWS_PER_BLOCK=512 -maxrregcount=40",
        ),
    ),
    workload(
        "plain",
        "gemm_gptq_tiled",
        "ml",
        "own-gptq",
        "integer",
        "gptq_gemm_half2",
        (
            "WEIGHT_BITS=2",
            "WEIGHT_BITS=3",
            "WEIGHT_BITS=2 BATCH=8",
            "BATCH=1",
            "WEIGHT_BITS=3 BATCH=1 -maxrregcount=64",
        ),
    ),
    workload(
        "plain",
        "gemm_awq_mma",
        "ml",
        "own-awq",
        "tensor",
        "awq_gemm_mma",
        (
            "TILE_M=32",
            "TILE_M=64 TILE_N=128 GROUP=64",
            "GROUP=32 -O1",
        ),
    ),
    workload(
        "plain",
        "gemm_marlin_like",
        "ml",
        "own-marlin-like",
        "tensor",
        "int4_gemm_pipelined",
        (
            "STAGES=2",
            "TILES_M=4",
            "TILES_M=2 STAGES=3",
        ),
    ),
    workload(
        "plain",
        "dequantise_blocks",
        "ml",
        "own-quant-blocks",
        "memory",
        "dequantise_q4_0 dequantise_q4_1 dequantise_q5_0 dequantise_q5_1 dequantise_q2_k "
        "dequantise_q3_k dequantise_q4_k dequantise_q6_k",
        (
            "OUT_HALF",
            "-use_fast_math",
            "OUT_HALF -O1",
        ),
    ),
    workload(
        "plain",
        "gemv_blocks",
        "ml",
        "own-quant-blocks",
        "memory",
        "gemv_q4_0 gemv_q5_0 gemv_q6_k gemv_q3_k quantise_q8",
        (
            "ROWS_PER_WARP=2",
            "ROWS_PER_WARP=4 -use_fast_math",
            "-O1",
        ),
    ),
    workload(
        "plain",
        "gemv_codebook",
        "ml",
        "own-codebook",
        "memory",
        "gemv_iq2 gemv_additive decode_lattice",
        (
            "GRID_SIZE=512",
            "CODE_TYPE=uchar",
            "-use_fast_math",
        ),
    ),
    workload(
        "plain",
        "nf4_fp4",
        "ml",
        "own-nf4",
        "memory",
        "nf4_dequantise nf4_quantise mxfp4_gemv",
        (
            "DECODE=1",
            "DECODE=2 BLOCK_SIZE=128",
            "BLOCK_SIZE=4096 -O1",
        ),
    ),
    workload(
        "plain",
        "ternary_gemv",
        "ml",
        "own-ternary",
        "integer",
        "ternary_gemv ternary_pack",
        (
            "PACKING=3",
            "PACKING=1",
            "PACKING=3 -maxrregcount=32",
        ),
    ),
    workload(
        "plain",
        "binary_gemm",
        "ml",
        "own-binary-net",
        "integer",
        "xnor_gemm bit_serial_gemv binarise bit_transpose binary_mma",
        (
            "A_BITS=4 W_BITS=2",
            "A_BITS=8 W_BITS=3",
            "A_BITS=1 -O1",
        ),
    ),
    workload(
        "plain",
        "fp8_fp6_unpack",
        "ml",
        "own-small-floats",
        "memory",
        "unpack_e4m3 unpack_e5m2 unpack_fp6_split unpack_fp6_dense pack_e4m3",
        (
            "FP6_MANTISSA=3",
            "VALUES_PER_THREAD=16",
            "-use_fast_math",
        ),
    ),
    workload(
        "plain",
        "bitplane_gemv",
        "ml",
        "own-bitplane",
        "memory",
        "any_precision_gemv table_gemv",
        (
            "PLANES=2",
            "PLANES=4",
            "PLANES=6 -maxrregcount=64",
        ),
    ),
    workload(
        "plain",
        "gemm_int8",
        "ml",
        "own-int8",
        "integer",
        "gemm_dp4a gemm_imma gemv_w8a8",
        (
            "TM=32 TN=32",
            "TM=128",
            "-O1",
        ),
    ),
    workload(
        "plain",
        "quantise",
        "ml",
        "own-quantise",
        "memory",
        "quantise_per_token quantise_int4_groups repack_fragments attention_int4_cache",
        (
            "GROUP=32",
            "GROUP=64 -use_fast_math",
        ),
    ),
    workload(
        "plain",
        "ml_gemm",
        "ml",
        "own-gemm",
        "float",
        "sgemm_naive sgemm_tiled_gelu hgemm_tensor gemv_bf16",
        (
            "BM=128 BN=128",
            "BM=32 BN=32",
            "-use_fast_math",
        ),
    ),
    workload(
        "plain",
        "ml_attention",
        "ml",
        "own-attention",
        "float",
        "attention_naive attention_online attention_paged rotary",
        (
            "HEAD=128 KEYS=16",
            "HEAD=32 KEYS=64",
            "-use_fast_math",
        ),
    ),
    workload(
        "plain",
        "ml_layers",
        "ml",
        "own-layers",
        "memory",
        "softmax_rows layer_norm rms_norm_residual adam_step embedding_lookup "
        "embedding_backward sample_top_p route_experts max_pool",
        (
            "EXPERTS=64",
            "EXPERTS=4 -use_fast_math",
        ),
    ),
    workload(
        "plain",
        "ml_conv",
        "ml",
        "own-conv",
        "float",
        "conv_direct conv_depthwise winograd_input winograd_output graph_scatter graph_gather_mean",
        (
            "KERNEL=5",
            "TILE=8 KERNEL=7",
            "-use_fast_math",
        ),
    ),
)
