// 4-bit weights to tensor cores through a multi-stage asynchronous pipeline, weights pre-shuffled so that one
// 16-byte load gives a thread its fragments of four n-tiles. Split along k, partial sums added by atomics.
#include "half.cuh"
#include "mma.cuh"

#ifndef STAGES
#define STAGES 4
#endif
#ifndef TILES_M
#define TILES_M 1
#endif

enum { KTILE = 64, NTILE = 128, THREADS = 128 };

struct Stage {
    half_bits a[16 * TILES_M][KTILE + 8];
    uint4 b[KTILE / 16][THREADS];
};

template <int LUT> __device__ __forceinline__ unsigned lop3(unsigned a, unsigned b, unsigned c)
{
    unsigned d;
    asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(d) : "r"(a), "r"(b), "r"(c), "n"(LUT));
    return d;
}

// Signed nibble v - 8, eight of them from one word in two steps.
__device__ __forceinline__ void dequantise_pair(unsigned q, unsigned (&frag)[2])
{
    unsigned lo = lop3<0xea>(q, 0x000f000fu, 0x64006400u);
    unsigned hi = lop3<0xea>(q, 0x00f000f0u, 0x64006400u);
    frag[0] = half2_sub(lo, 0x64086408u);
    frag[1] = half2_fma(hi, 0x2c002c00u, 0xd480d480u);
}

__device__ void fetch(Stage &s, const half_bits *a, const uint4 *b, int k0, int k, int col_block, int n_blocks, int row0, int m)
{
    for (int i = threadIdx.x; i < 16 * TILES_M * KTILE / 8; i += THREADS) {
        int r = i / (KTILE / 8), c = i % (KTILE / 8) * 8;
        copy_async_16(&s.a[r][c], a + (size_t)min(row0 + r, m - 1) * k + k0 + c);
    }
#pragma unroll
    for (int t = 0; t < KTILE / 16; t++)
        copy_async_16(&s.b[t][threadIdx.x], b + ((size_t)(k0 / 16 + t) * n_blocks + col_block) * THREADS + threadIdx.x);
    copy_commit();
}

extern "C" __global__ void __launch_bounds__(THREADS)
int4_gemm_pipelined(const half_bits *a, const uint4 *b, const half_bits *scales, float *c, int m, int n, int k, int k_per_split)
{
    extern __shared__ uint4 raw[];
    Stage *stages = (Stage *)raw;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row0 = blockIdx.y * 16 * TILES_M;
    int begin = blockIdx.z * k_per_split, steps = k_per_split / KTILE;
    float acc[TILES_M][4][4] = {};
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < steps) fetch(stages[s], a, b, begin + s * KTILE, k, blockIdx.x, gridDim.x, row0, m);
        else copy_commit();
    }
    for (int step = 0; step < steps; step++) {
        copy_wait<STAGES - 2>();
        __syncthreads();
        int ahead = step + STAGES - 1;
        if (ahead < steps) fetch(stages[ahead % STAGES], a, b, begin + ahead * KTILE, k, blockIdx.x, gridDim.x, row0, m);
        else copy_commit();
        Stage &s = stages[step % STAGES];
#pragma unroll
        for (int t = 0; t < KTILE / 16; t++) {
            uint4 q = s.b[t][threadIdx.x];
            unsigned words[4] = {q.x, q.y, q.z, q.w}, fa[TILES_M][4], fb[2];
#pragma unroll
            for (int i = 0; i < TILES_M; i++) load_matrix_x4(fa[i], &s.a[i * 16 + lane % 16][t * 16 + lane / 16 * 8]);
#pragma unroll
            for (int j = 0; j < 4; j++) {
                dequantise_pair(words[j], fb);
#pragma unroll
                for (int i = 0; i < TILES_M; i++) mma_f16_16x8x16(acc[i][j], fa[i], fb);
            }
        }
    }
    for (int i = 0; i < TILES_M; i++)
        for (int j = 0; j < 4; j++)
            for (int e = 0; e < 4; e++) {
                int r = row0 + i * 16 + lane / 4 + e / 2 * 8, col = blockIdx.x * NTILE + warp * 32 + j * 8 + lane % 4 * 2 + e % 2;
                if (r < m && col < n) atomicAdd(&c[(size_t)r * n + col], acc[i][j][e] * half_to_float(scales[col]));
            }
}
