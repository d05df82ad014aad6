"""Other work without hashing: random numbers, bits and bytes, graphs, physics, pictures, load generators."""

from __future__ import annotations

from typing import Final

from hashwarden.kernels.workloads.catalogue import CudaSource
from hashwarden.kernels.workloads.plain.describe import workload

__all__ = ["CUDA_SOURCES"]

CUDA_SOURCES: Final[tuple[CudaSource, ...]] = (
    workload(
        "plain",
        "rng_philox",
        "rng",
        "own-philox",
        "integer",
        "philox_bits philox_normal philox_dropout philox_bounded",
        (
            "ROUNDS=7",
            "PER_THREAD=4 -use_fast_math",
            "PER_THREAD=8",
        ),
    ),
    workload(
        "plain",
        "rng_threefry",
        "rng",
        "own-threefry",
        "integer",
        "threefry_bits threefry_uniform threefry4x32_bits threefry4x64_bits threefry_categorical",
        (
            "ROUNDS=12",
            "ROUNDS=72",
            "-use_fast_math",
        ),
    ),
    workload(
        "plain",
        "rng_small_state",
        "rng",
        "own-small-rng",
        "integer",
        "xorwow_generate xorwow_pi xorwow_skip pcg32_generate xoshiro128_generate "
        "splitmix_shuffle_keys squares_generate hybrid_taus_paths",
        (
            "DRAWS=4",
            "DRAWS=64 -use_fast_math",
            "-maxrregcount=32",
        ),
    ),
    workload(
        "plain",
        "rng_mrg_mt",
        "rng",
        "own-mrg-mt",
        "integer",
        "mrg32k3a_uniform mrg_asian_option mt19937_generate mt19937_seed",
        (
            "USE_DOUBLE=1",
            "-maxrregcount=40",
            "-O1",
        ),
    ),
    workload(
        "plain",
        "rng_sobol",
        "rng",
        "own-sobol",
        "integer",
        "sobol_points sobol_basket",
        (
            "SCRAMBLE=1",
            "SCRAMBLE=2",
            "SCRAMBLE=2 -use_fast_math",
        ),
    ),
    workload(
        "plain",
        "sort_radix",
        "sort",
        "own-radix-sort",
        "memory",
        "radix_count radix_scatter bitonic_block merge_path",
        (
            "KEY64",
            "DIGIT_BITS=8 KEY64",
            "DIGIT_BITS=5 BITONIC=1024 SPAN=16",
            "DIGIT_BITS=6 -O1",
        ),
    ),
    workload(
        "plain",
        "scan_select",
        "sort",
        "own-scan",
        "memory",
        "scan_chained select_flagged histogram_bytes run_heads run_emit segmented_sum radix_select",
        (
            "ITEMS=8 BINS=64",
            "ITEMS=1 BINS=128",
            "-O1",
        ),
    ),
    workload(
        "plain",
        "text_parse",
        "text",
        "own-text",
        "integer",
        "utf8_validate json_masks json_string_mask csv_fields parse_integers parse_digits8 "
        "base64_encode base64_decode dfa_match",
        (
            "STATES=16",
            "STATES=128 -maxrregcount=32",
        ),
    ),
    workload(
        "plain",
        "codec_decode",
        "compression",
        "own-codecs",
        "latency",
        "lz4_decode snappy_decode huffman_decode rans_decode run_length_decode",
        (
            "TABLE_BITS=9",
            "TABLE_BITS=12",
            "-O1",
        ),
    ),
    workload(
        "plain",
        "codec_deflate",
        "compression",
        "own-inflate",
        "latency",
        "inflate",
        (
            "WARPS=4",
            "WARPS=1 -O1",
        ),
    ),
    workload(
        "plain",
        "bits_columns",
        "dataframe",
        "own-columns",
        "memory",
        "unpack_fixed pack_fixed delta_decode varint_decode dictionary_page bitmap_expression "
        "bitmap_select xor_float_decode",
        (
            "WIDTH=3",
            "WIDTH=13",
            "WIDTH=20 -O1",
        ),
    ),
    workload(
        "plain",
        "bits_search",
        "search",
        "own-bit-search",
        "integer",
        "queens_count sat_check sat_walk life_step sliding_attacks sudoku_singles",
        (
            "BOARD=8",
            "BOARD=16",
            "BOARD=18 -maxrregcount=40",
        ),
    ),
    workload(
        "plain",
        "bits_genome",
        "genomics",
        "own-genome",
        "integer",
        "kmer_count minimisers edit_distance smith_waterman smith_waterman_warp fm_search",
        (
            "K=31 MINIMISER_WINDOW=19",
            "K=15 MINIMISER_WINDOW=5 ROWS=128",
            "-O1",
        ),
    ),
    workload(
        "plain",
        "big_integer",
        "big-integer",
        "own-big-integer",
        "integer",
        "big_multiply rsa_power mersenne_factors sieve_block binary_gcd",
        (
            "WORDS=8",
            "WORDS=32",
            "WORDS=64 -maxrregcount=255",
            "-O1",
        ),
    ),
    workload(
        "plain",
        "physics_bits",
        "hpc",
        "own-bit-physics",
        "integer",
        "ising_multispin lattice_gas potts_heat_bath",
        (
            "THRESHOLD_BITS=8",
            "THRESHOLD_BITS=24",
        ),
    ),
    workload(
        "plain",
        "graph_analytics",
        "graph",
        "own-graph",
        "memory",
        "bfs_step bfs_bottom_up sssp_relax pagerank_pull components_hook triangle_count colour_round",
        (
            "WARP_PER_NODE=1",
            "-O1",
        ),
    ),
    workload(
        "plain",
        "hpc_fft",
        "hpc",
        "own-fft",
        "float",
        "fft_radix2_shared fft_radix4_pass fft_radix8_pass fft_real_split",
        (
            "POINTS=1024 DOUBLE",
            "POINTS=64",
            "-use_fast_math",
        ),
    ),
    workload(
        "plain",
        "hpc_grid",
        "hpc",
        "own-grid",
        "memory",
        "stencil7 wave_step red_black jacobi_residual lattice_boltzmann restrict_full",
        (
            "DOUBLE RADIUS=2",
            "RADIUS=8",
            "-use_fast_math",
        ),
    ),
    workload(
        "plain",
        "hpc_particles",
        "hpc",
        "own-particles",
        "float",
        "nbody_forces lennard_jones ewald_real spread_charges verlet angle_forces",
        (
            "TILE=256",
            "-use_fast_math",
            "TILE=64 -O1",
        ),
    ),
    workload(
        "plain",
        "hpc_linear",
        "hpc",
        "own-linear",
        "memory",
        "spmv_csr_vector spmv_ell cg_update cholesky_batched lu_warp qr_panel tridiagonal",
        (
            "SINGLE",
            "SIZE=32",
            "SINGLE SIZE=8 -use_fast_math",
        ),
    ),
    workload(
        "plain",
        "render",
        "geometry",
        "own-render",
        "float",
        "morton_codes radix_tree trace_rays mandelbrot march_distance kmeans_assign",
        (
            "STACK=64",
            "-use_fast_math",
            "-fmad=false",
        ),
    ),
    workload(
        "plain",
        "imaging",
        "image",
        "own-imaging",
        "memory",
        "blur_rows bilateral median9_packed rgb_to_yuv420 jpeg_dct jpeg_entropy resize_bicubic "
        "brief_describe hamming_match",
        (
            "RADIUS=1",
            "RADIUS=8 -use_fast_math",
        ),
    ),
    workload(
        "plain",
        "finance",
        "hpc",
        "own-finance",
        "float",
        "black_scholes binomial_american explicit_difference spline_evaluate",
        (
            "DOUBLE",
            "STEPS=64 -use_fast_math",
        ),
    ),
    workload(
        "plain",
        "burner",
        "hpc",
        "own-burner",
        "integer",
        "burn_fma burn_integer burn_tensor copy_words memory_pattern triad pointer_chase transpose_tile",
        (
            "CHAINS=2 ROUNDS=4096",
            "CHAINS=16",
            "CHAINS=4 ROUNDS=256 -O1",
        ),
    ),
)
