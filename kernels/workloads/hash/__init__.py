# ruff: noqa: E501  one line for each workload
"""Mining-like and other hash kernels, written for this project from public specifications.

They are inert: no network, no pool protocol, fixed headers, nothing is submitted anywhere.
They exist to be compiled and read by the detector, and to be compared with known answers.
"""

from __future__ import annotations

from typing import Final

from hashwarden.kernels.workloads.catalogue import CudaSource
from hashwarden.kernels.workloads.hash import progpow

__all__ = ["CUDA_SOURCES"]

# fmt: off
CUDA_SOURCES: Final[tuple[CudaSource, ...]] = (
    CudaSource("blake3_nonce", "blake3", "own-blake3-macro", "blake3_nonce_search:hash blake3_nonce_dump:hash", "integer", ("NONCES=2", "NONCES=4", "NONCES=8 -maxrregcount=64", "BLOCK_FLAGS=27 -O1")),
    CudaSource("blake3_multiblock", "blake3", "own-blake3-loop", "alph_mine:hash", "integer", ("UNROLL_ROUNDS", "HEADER_BYTES=180", "HEADER_BYTES=80 UNROLL_ROUNDS", "-maxrregcount=40", "-O1")),
    CudaSource("blake3_vector", "blake3", "own-blake3-vector", "vector_search:hash vector_digest:hash", "integer", ("PER_THREAD=1", "PER_THREAD=4", "TAIL_WORDS=4", "PER_THREAD=8 -maxrregcount=72")),
    CudaSource("blake3_quad", "blake3", "own-blake3-quad", "quad_mine:hash", "integer", ("UNROLL", "GROUPS=64", "GROUPS=16 UNROLL")),
    CudaSource("tilepow_dp4a", "pearl-matmul", "own-tilepow-dp4a", "tilepow_gemm:hash", "integer", ("KSTEP=64", "KSTEP=16", "-maxrregcount=128")),
    CudaSource("tilepow_mma", "pearl-matmul", "own-blake3-vector", "tilepow_tensor:hash", "tensor", ("RANK=64", "RANK=256 WARP_TILES=4", "WARP_TILES=1 WARPS=8", "WARP_TILES=4 WARPS=2")),
    CudaSource("tilepow_async", "pearl-matmul", "own-tilepow-async", "tilepow_pipeline:hash", "tensor", ("STAGES=3", "HASH_LANES=1", "-maxrregcount=96")),
    CudaSource("tilepow_noise", "pearl-matmul", "own-blake3-vector", "noise_fill:hash noise_add:helper noise_peel:helper", "integer", ("RANK=32", "RANK=128")),
    CudaSource("tilepow_epilogue", "pearl-matmul", "own-tilepow-epilogue", "epilogue_dot:hash epilogue_restore:helper epilogue_tensor:hash", "tensor", ("USE_SHA=1", "TARGET_WORDS=4 STEP_BYTES=64", "RANK=32 TURN_IN=13 TURN_STEP=7", "USE_SHA=1 RANK=4 STEP_BYTES=64 -maxrregcount=128")),
    CudaSource("matmul_m31", "btx-matmul", "own-matmul-m31", "field_matrix:hash low_rank_noise:helper matmul_field:hash tile_transcript:hash", "integer", ("TILE=8", "TILE=32 RANK=16", "-O1")),
    CudaSource("equihash_bucket", "equihash", "own-equihash-bucket", "equihash_seed:hash equihash_round:hash equihash_final:hash equihash_recover:helper", "memory", ("N=144 K=5 BUCKET_BITS=14 SLOTS=2800", "N=125 K=4 BUCKET_BITS=15 SLOTS=2400", "N=192 K=7 BUCKET_BITS=14 SLOTS=2700", "N=96 K=5 BUCKET_BITS=8 SLOTS=640", "N=48 K=5 BUCKET_BITS=3 SLOTS=96", "-maxrregcount=64")),
    CudaSource("equihash_sort", "equihash", "own-equihash-sort", "make_strings:hash sort_count:helper sort_scan:helper sort_scatter:helper join_neighbours:hash", "memory", ("PARAM_N=192 PARAM_K=7", "PARAM_N=96 PARAM_K=5 DIGIT=4", "THREADS=512 DIGIT=6", "PARAM_N=48 PARAM_K=5 DIGIT=4")),
    CudaSource("equihash_slots", "equihash", "own-equihash-slots", "slots_fill:hash slots_round1:hash slots_round2:hash slots_round3:hash slots_late:hash slots_final:hash slots_unfold:helper", "memory", ("WN=144 WK=5 BUCKET_LOG=14 SLOT_COUNT=2800", "WN=192 WK=7 BUCKET_LOG=13 SLOT_COUNT=4600 BLOCK=512", "WN=96 WK=5 BUCKET_LOG=8 SLOT_COUNT=640", "WN=48 WK=5 BUCKET_LOG=3 SLOT_COUNT=96 BLOCK=32", "LATE=6 BLOCK=128 -maxrregcount=64")),
    CudaSource("beam_slots", "equihash", "own-beam-slots", "beam_seed:hash beam_round1:hash beam_round2:hash beam_round3:hash beam_round4:hash beam_last:hash", "memory", ("CELLS_LOG=14 CELL_SLOTS=2400 THREADS=256", "MATCH_BITS=25 MIX_TURN=27", "THREADS=1024 -maxrregcount=64")),
    CudaSource("cuckatoo_lean", "cuckoo-cycle", "own-cuckatoo", "lean_mark:hash lean_kill:hash lean_census:helper", "memory", ("EDGE_BITS=31", "EDGE_BITS=12", "-maxrregcount=32")),
    CudaSource("cuckaroo_mean", "cuckoo-cycle", "own-siphash-macros", "mean_seed:hash mean_trim:hash mean_recover:hash", "memory", ("SIP_ROTATE=25", "XBITS=7 CAPACITY=8192", "EDGEBITS=14 XBITS=4 CAPACITY=2048")),
    CudaSource("cuckoo_tail", "cuckoo-cycle", "own-siphash-macros", "degree_count:hash compact_edges:hash follow_paths:hash", "memory", ("EDGES_LOG2=28", "EDGES_LOG2=12", "-O1")),
    CudaSource("cuckoo_mean_shared", "cuckoo-cycle", "own-cuckoo-shared", "shared_seed:hash shared_split:hash shared_trim:hash shared_trim_late:hash shared_rename:helper shared_relay:helper shared_meet:helper", "memory", ("CHAINED=1 SIP_LAST=25", "SOURCES=2 BLOCK=512", "EDGE_BITS=31 ROW_BITS=7 BLOCK=128 CELL_CAP=8192 DEPTH=6", "CHAINED=1 SOURCES=2 BLOCK=24 -maxrregcount=64", "EDGE_BITS=12 ROW_BITS=2 ROW_CAP=4096 CELL_CAP=2048 BLOCK=64")),
    CudaSource("heavyhash", "kheavyhash", "own-heavyhash", "heavy_hash:hash", "integer", ("ROLLED", "-maxrregcount=64", "ROLLED -O1")),
    CudaSource("heavyhash_blake3", "kheavyhash", "own-heavyhash-blake3", "matrix_blake3:hash", "shared", ("COMPACT", "-maxrregcount=48")),
    CudaSource("fishhash", "fishhash-karlsen", "own-fishhash", "fish_build:dag fish_search:hash", "memory", ("ACCESSES=64", "PARENTS=256 HEADER_BYTES=80", "HEADER_BYTES=128 -maxrregcount=96")),
    CudaSource("ethash", "ethash", "own-ethash", "ethash_dag:dag ethash_search:hash", "memory", ("UNROLL_PAGES=4", "PAGES=128", "UNROLL_PAGES=4 -maxrregcount=64")),
    CudaSource("ethash_simple", "ethash", "own-ethash-simple", "hashimoto:hash", "memory", ("SHA3_PAD", "ACCESSES=32", "-O1", "MIX_WORDS=16")),
    CudaSource("autolykos", "autolykos2", "own-autolykos", "autolykos_table:dag autolykos_indices:hash autolykos_mine:hash", "memory", ("UNROLL", "SPLIT=1", "CONST_WORDS=512 GATHERS=16", "-maxrregcount=64")),
    CudaSource("autolykos_stages", "autolykos2", "own-autolykos-stages", "prehash_first:dag prehash_count:helper prehash_again:dag prehash_final:dag stage_search:hash", "memory", ("SPREAD=1", "MULTIPLY=0 BLOCK=128", "SPREAD=1 TERMS=16 BLOCK=256", "TABLE_LOG=10", "-maxrregcount=96")),
    CudaSource("octopus", "octopus", "own-octopus", "octopus_warp:hash", "memory", ("TERMS=2048", "READS=64", "MODULUS=998244353u")),
    CudaSource("verthash", "verthash", "own-verthash", "verthash_prepare:hash verthash_walk:hash verthash_check:helper", "memory", ("ALONE", "ROTATIONS=16", "ALONE -maxrregcount=32")),
    CudaSource("progpow", "progpow", "own-progpow", "progpow_search:hash", "memory", ("COIN=kawpow PERIOD=600", "COIN=progpow092 PERIOD=7", "COIN=progpow092 PERIOD=1234", "COIN=tiny PERIOD=5", "COIN=wide PERIOD=17", "COIN=progpowz PERIOD=99 -maxrregcount=64"), generate=progpow.headers),
    CudaSource("sha256d_midstate", "sha256d", "own-sha256d-macro", "sha256d_scan:hash sha256d_dump:hash", "integer", ("HASHES=4", "HASHES=64 -maxrregcount=40", "-O1")),
    CudaSource("sha256d_persistent", "sha256d", "own-sha256d-class", "persistent_sha256d:hash", "integer", ("UNROLL16", "-maxrregcount=64", "UNROLL16 -O1")),
    CudaSource("sha512_256d", "sha512", "own-sha512", "sha512_256d_mine:hash", "integer", ("USE_PRMT", "-maxrregcount=64", "USE_PRMT -O1")),
    CudaSource("sha3x", "keccak", "own-sha3x", "sha3x_search:hash", "integer", ("ROLLED", "LOP3_ASM", "LOP3_ASM ROLLED", "TIMES=1", "ROLLED -maxrregcount=64")),
    CudaSource("keccak_interleaved", "keccak", "own-keccak-interleaved", "keccak_interleaved:hash", "shared", ("THREADS=128", "-maxrregcount=48")),
    CudaSource("sha256_giver", "sha256d", "own-sha256-giver", "giver_search:hash", "integer", ("ROUNDS_UNROLLED=8", "ROUNDS_UNROLLED=64", "-O1")),
    CudaSource("hash160_chain", "hash160", "own-hash160", "hash160_chain:hash", "integer", ("LINKS=2", "LINKS=1000 -maxrregcount=64", "-O1")),
    CudaSource("blake2b_pow", "blake2b", "own-blake2b", "blake2b_search:hash", "integer", ("CARRY", "NONCES=2", "NONCES=4 CARRY -maxrregcount=80")),
    CudaSource("blake2s_pow", "blake2s", "own-blake2s", "run_blake2s:hash", "integer", ("FULL_UNROLL", "HEADER_SIZE=80 FULL_UNROLL", "HEADER_SIZE=128 NONCES_PER_THREAD=1", "-O1")),
    CudaSource("blake256_pow", "blake256", "own-blake256", "blake256_search:hash", "integer", ("PRMT", "ROUNDS=8", "PRMT -maxrregcount=40")),
    CudaSource("scrypt", "scrypt", "own-scrypt", "scrypt_begin:hash scrypt_mix:hash scrypt_end:hash", "memory", ("GAP=2", "GAP=4 -maxrregcount=96", "LOG_N=11", "LOG_N=6 LOCAL_PAD")),
    CudaSource("argon2d", "argon2", "own-argon2d", "argon2d_fill:hash", "memory", ("WARPS_PER_BLOCK=4", "-maxrregcount=32", "-O1")),
    CudaSource("cryptonight", "cryptonight", "own-cryptonight", "cn_prepare:hash cn_explode:hash cn_loop:hash cn_implode:hash cn_finish:hash", "latency", ("ONE_TABLE", "SCRATCH=(1<<20) ITERATIONS=(1<<17)", "ONE_TABLE -maxrregcount=32")),
    CudaSource("chacha_pad", "xelishash", "own-blake3-vector", "pad_fill:hash pad_walk:hash pad_digest:hash", "latency", ("STREAMS=1", "PAD_WORDS=65536 TURNS=1", "-maxrregcount=64")),
    CudaSource("poseidon2_pow", "poseidon2-pow", "own-poseidon2", "poseidon_search:hash", "integer", ("SQUEEZE=1", "WIDTH=16", "INNER_ROUNDS=14", "-maxrregcount=64")),
    CudaSource("groestl512", "groestl", "own-groestl", "groestl_stage:hash", "shared", ("TABLES=1", "-maxrregcount=64", "TABLES=1 -O1")),
    CudaSource("skein512", "skein", "own-skein", "skein_stage:hash skein_header:hash", "integer", ("ROLLED", "-maxrregcount=48", "ROLLED -O1")),
    CudaSource("cubehash512", "luffa-cubehash", "own-cubehash", "cube_stage:hash", "integer", ("UNROLL_ROUNDS=1", "UNROLL_ROUNDS=16", "-maxrregcount=40")),
    CudaSource("jh512", "jh", "own-jh", "jh_stage:hash", "latency", ("UNROLL=1", "UNROLL=16", "-O1")),
    CudaSource("schnorr_pow", "nexapow", "own-schnorr", "schnorr_search:hash", "integer", ("CARRY_ASM", "INLINE_MUL", "INLINE_MUL CARRY_ASM", "SCALAR_BITS=128 -maxrregcount=96")),
    CudaSource("statevector_pow", "qhash", "own-statevector", "state_begin:helper rotate_qubit:helper controlled_flip:helper expect_z:helper state_digest:hash", "memory", ("DOUBLE_PRECISION", "QUBITS=10", "-use_fast_math")),
    CudaSource("suffix_pow", "astrobwt", "own-suffix", "suffix_sort:hash order_digest:hash", "shared", ("TEXT=256", "TEXT=512 -maxrregcount=32", "-O1")),
    CudaSource("stamp_pow", "hashcash", "own-stamp", "stamp_search:hash", "integer", ("DIGITS=20", "DIGITS=6", "-maxrregcount=32")),
    CudaSource("poseidon2_merkle", "zk", "own-poseidon2", "merkle_leaves:kernel merkle_level:kernel", "integer", ("WIDTH=16", "-maxrregcount=64"), label="hash-other"),
)
# fmt: on
