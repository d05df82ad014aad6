"""Kernels of training and inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from hashwarden.training.synthesise.codes import Pick
from hashwarden.training.synthesise.part import Part

__all__ = ["LEARNING"]

_CUTLASS: Final = Pick("sgl_kernel", "(?i)gemm", "ml")
_DENSE: Final = (
    _CUTLASS,
    Pick("^torch$", "(?i)gemm|mma|fmha"),
    Pick("onnxruntime", "(?i)gemm|fmha|attention"),
    Pick("ctranslate2", "(?i)gemm|mma|awq"),
)
_FLASH: Final = (
    Pick("^torch$", "(?i)flash_fwd|flash_bwd|fmha"),
    Pick("sgl_kernel", "(?i)flash"),
    Pick("onnxruntime", "(?i)flash|fmha"),
    Pick("xformers"),
)
_ROWS: Final = (
    Pick("^torch$|onnxruntime", "(?i)softmax|layer_?norm|rms"),
    Pick("llm.c", "(?i)softmax|layernorm"),
    Pick("sgl_kernel", "(?i)norm|softmax"),
    Pick("own-layers", "norm|softmax"),
    Pick("numba/learning.rows"),
)
_STREAM: Final = Part((), occupancy=(0.5, 0.95), miss=(0.9, 1.0), flight=(4.0, 12.0), reach=(0.75, 0.95))
"""Arrays read and written once."""
_GEMV_BYTES: Final = (0.9, 2.2)

LEARNING: Final[Mapping[str, Part]] = MappingProxyType(
    {
        "gemm-bf16": Part(
            _DENSE, (4e-5, 4e-3), (2e4, 4e5), (0.12, 0.35), reach=(0.55, 0.9), core="tensor", kind="half",
            intensity=(350, 3500), variants=(3, 24), source="intensity of square products of 1,024 to 8,192 and up",
        ),
        "gemm-tf32": Part(
            (*_DENSE, Pick("spconv", "(?i)f32|tf32|Ampere")), (4e-5, 4e-3), (2e4, 4e5), (0.12, 0.35),
            reach=(0.5, 0.88), core="tensor", kind="tf32", intensity=(180, 1800), variants=(3, 16),
        ),
        "gemm-fp8": Part(
            (Pick("sgl_kernel", "(?i)e4m3|fp8"), _CUTLASS), (3e-5, 3e-3), (2e4, 4e5), (0.12, 0.3),
            reach=(0.45, 0.85), core="tensor", kind="fp8", intensity=(500, 5000), variants=(3, 16),
        ),
        "gemm-int8": Part(
            (Pick("sgl_kernel"), Pick("own-int8", "gemm_imma"), Pick("cuda-samples", "(?i)imma")),
            (3e-5, 3e-3), (2e4, 4e5), (0.12, 0.35), reach=(0.45, 0.85), core="int8", kind="int8",
            intensity=(500, 5000), variants=(2, 12),
        ),
        "gemm-fp32": Part(
            (Pick("^torch$", "(?i)sgemm|simt"), Pick("own-gemm", "sgemm_tiled"), Pick("spconv", "Simt_f32"),
             Pick("llm.c", "(?i)matmul")),
            (1e-4, 1e-2), (2e4, 1e6), (0.25, 0.6), miss=(0.03, 0.12), reach=(0.6, 0.92), core="fma", kind="fp32",
            intensity=(60, 600), variants=(2, 12),
        ),
        "gemm-fp64": Part(
            (Pick("^torch$", "(?i)dgemm|zgemm|gemm_template.*double"), Pick("gpu4pyscf", "(?i)gemm|dot")),
            (2e-4, 2e-2), (2e4, 1e6), (0.2, 0.5), miss=(0.03, 0.15), reach=(0.6, 0.92), core="double", kind="fp64",
            intensity=(20, 200), variants=(2, 10),
        ),
        "convolution": Part(
            (Pick("spconv", "(?i)conv"), *_DENSE[:2]), (5e-5, 3e-3), (2e4, 6e5), (0.15, 0.45),
            reach=(0.4, 0.75), core="tensor", kind="half", intensity=(150, 900), variants=(8, 40),
        ),
        "attention-prefill": Part(
            _FLASH, (5e-5, 5e-3), (2e4, 5e5), (0.12, 0.3), reach=(0.35, 0.75), core="tensor", kind="half",
            intensity=(300, 4000), variants=(1, 6), source="share of peak: FlashAttention-2 and -3 papers",
        ),
        "attention-decode": Part(
            (Pick("own-attention", "paged|online"), Pick("numba/learning.paged"), Pick("^torch$", "(?i)splitkv"),
             Pick("xformers")),
            (1e-5, 3e-4), (1e4, 3e5), (0.15, 0.5), per_instruction=(0.7, 2.0), reach=(0.6, 0.9), variants=(1, 4),
            source="a byte of cache is read once a token: bound by memory",
        ),
        "gemv-bf16": Part(
            (Pick("own-gemm", "gemv_bf16"), Pick("ggml", "(?i)mul_mat_vec"), Pick("ctranslate2", "(?i)gemv"),
             Pick("^torch$", "(?i)gemv")),
            (5e-6, 3e-4), (2e4, 5e5), (0.4, 0.9), per_instruction=_GEMV_BYTES, reach=(0.75, 0.95), variants=(3, 12),
            source="weights are read once a token: bound by memory",
        ),
        "gemv-int8": Part(
            (Pick("own-int8", "gemv"), Pick("bitsandbytes", "gemv|gemm_4bit|kgemm"), Pick("ggml", "(?i)mul_mat_vec"),
             Pick("own-gptq|own-bitplane|own-codebook|own-ternary", "gemv|dot")),
            (5e-6, 2e-4), (2e4, 5e5), (0.4, 0.9), per_instruction=(0.5, 1.4), reach=(0.7, 0.93), variants=(3, 12),
        ),
        "elementwise": replace(
            _STREAM,
            picks=(Pick("^torch$", "(?i)elementwise"), Pick("own-quantise|own-small-floats"),
             Pick("numba/learning.elementwise"), Pick("cupy_cuda13x", "(?i)ufunc|elementwise|cupy")),
            launch_s=(4e-6, 4e-4), threads=(1e5, 2e7), per_instruction=(0.35, 1.2), variants=(4, 40),
        ),
        "norm-softmax": replace(
            _STREAM, picks=_ROWS, launch_s=(4e-6, 3e-4), threads=(1e5, 5e6), per_instruction=(0.25, 0.9),
            variants=(2, 12),
        ),
        "optimizer": replace(
            _STREAM,
            picks=(Pick("bitsandbytes", "(?i)optimizer"), Pick("llm.c", "adamw"), Pick("own-layers", "adam"),
             Pick("numba/learning.optimiser")),
            launch_s=(5e-5, 5e-3), threads=(1e6, 1e8), per_instruction=(0.6, 1.6), variants=(1, 4),
        ),
        "embedding": Part(
            (Pick("own-layers", "embedding"), Pick("numba/learning.embedding"), Pick("ggml", "get_rows")),
            (1e-5, 2e-3), (1e5, 1e7), (0.5, 0.95), miss=(0.5, 0.95), scatter=(0.0, 0.5), flight=(2, 8),
            reach=(0.6, 0.9), dram=(0.5, 0.85), variants=(1, 4),
        ),
        "top-k": Part(
            (Pick("^torch$|cupy", "(?i)radix_?sort|sort|topk|kthvalue"), Pick("own-layers", "sample|route")),
            (1e-5, 3e-4), (1e4, 1e6), (0.3, 0.7), miss=(0.2, 0.6), reach=(0.3, 0.7), variants=(2, 8),
        ),
        "all-reduce": Part(
            (Pick("nccl", "AllReduce|ReduceScatter|AllGather"), Pick("own-byte-reduce")),
            (5e-5, 2e-2), (5e3, 2e4), (0.03, 0.12), per_instruction=(0.5, 1.5), reach=(0.15, 0.5), dram=(0.1, 0.4),
            variants=(1, 4), source="a few blocks of NCCL fill the links, not the SMs",
        ),
        "image-decode": Part(
            (Pick("own-imaging", "jpeg|resize|yuv|blur"), Pick("hashwarden/own-inflate"), Pick("own-codecs")),
            (2e-5, 2e-3), (1e4, 1e6), (0.2, 0.7), miss=(0.3, 0.8), reach=(0.3, 0.7), variants=(3, 12),
        ),
    }
)  # fmt: skip
"""By the name that schedules use."""
