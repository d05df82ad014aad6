// Tiled product with 4-, 2- or 3-bit weights in half2 arithmetic, the layout of batch-1-to-8 inference kernels:
// activations in shared memory, four columns a thread, magic-number conversion of integer fields to halves.
#include "half.cuh"

#ifndef WEIGHT_BITS
#define WEIGHT_BITS 4
#endif
#ifndef BATCH
#define BATCH 4
#endif
#define TILE_K 128
#define THREADS 64
#define COLUMNS 4

using u32 = unsigned int;

// 1024 + v as a half is 0x6400 | v, so that a field becomes a number by OR and one subtraction.
template <int B> struct Fields;

template <> struct Fields<4> {
    enum { PER_WORD = 8 };
    static __device__ __forceinline__ void pairs(u32 q, u32 zero, half2_bits (&out)[4])
    {
#pragma unroll
        for (int i = 0; i < 4; i++) out[i] = half2_sub(((q >> (4 * i)) & 0x000f000fu) | 0x64006400u, zero);
    }
};
template <> struct Fields<2> {
    enum { PER_WORD = 16 };
    static __device__ __forceinline__ void pairs(u32 q, u32 zero, half2_bits (&out)[8])
    {
#pragma unroll
        for (int i = 0; i < 8; i++) out[i] = half2_sub(((q >> (2 * i)) & 0x00030003u) | 0x64006400u, zero);
    }
};
template <> struct Fields<3> {
    enum { PER_WORD = 10 };
    static __device__ __forceinline__ void pairs(u32 q, u32 zero, half2_bits (&out)[5])
    {
#pragma unroll
        for (int i = 0; i < 5; i++) out[i] = half2_sub(((q >> (3 * i)) & 0x00070007u) | 0x64006400u, zero);
    }
};

extern "C" __global__ void __launch_bounds__(THREADS)
gptq_gemm_half2(const half2_bits *a, const uint4 *packed, const half_bits *scales, const half_bits *zeros, float *c,
                int m, int n, int k_words, int words_per_group)
{
    typedef Fields<WEIGHT_BITS> F;
    enum { PAIRS = F::PER_WORD / 2 };
    __shared__ half2_bits tile[BATCH][TILE_K / 2];
    int column = (blockIdx.x * THREADS + threadIdx.x) * COLUMNS, row0 = blockIdx.y * BATCH;
    const int words_per_tile = TILE_K / 2 / PAIRS;
    float acc[BATCH][COLUMNS] = {};
    for (int word0 = 0; word0 < k_words; word0 += words_per_tile) {
        for (int i = threadIdx.x; i < BATCH * TILE_K / 2; i += THREADS) {
            int r = i / (TILE_K / 2), p = i % (TILE_K / 2);
            int pair = word0 * PAIRS + p;
            bool inside = row0 + r < m && p < words_per_tile * PAIRS && pair < k_words * PAIRS;
            tile[r][p] = inside ? a[(size_t)(row0 + r) * k_words * PAIRS + pair] : 0;
        }
        __syncthreads();
        for (int word = 0; word < words_per_tile && word0 + word < k_words && column < n; word++) {
            int group = (word0 + word) / words_per_group;
            uint4 q4 = packed[((size_t)(word0 + word) * n + column) / COLUMNS];
            u32 q[COLUMNS] = {q4.x, q4.y, q4.z, q4.w};
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) {
                half2_bits w[PAIRS];
                F::pairs(q[j], half2_twice(zeros[(size_t)group * n + column + j]), w);
                half2_bits scale = half2_twice(scales[(size_t)group * n + column + j]);
#pragma unroll
                for (int r = 0; r < BATCH; r++) {
                    half2_bits sum = 0;
#pragma unroll
                    for (int p = 0; p < PAIRS; p++) sum = half2_fma(w[p], tile[r][word * PAIRS + p], sum);
                    sum = half2_mul(sum, scale);
                    acc[r][j] += half2_low(sum) + half2_high(sum);
                }
            }
        }
        __syncthreads();
    }
    for (int r = 0; r < BATCH && row0 + r < m; r++)
        for (int j = 0; j < COLUMNS && column + j < n; j++) c[(size_t)(row0 + r) * n + column + j] = acc[r][j];
}
