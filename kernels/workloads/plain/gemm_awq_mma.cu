// Weight-only 4-bit GEMM in the AWQ manner: lop3 conversion of interleaved nibbles to halves, then tensor cores.
// A is [m, k] halves, B is [k, n / 8] words with nibble order 0 2 4 6 1 3 5 7, scales and zeros per group of rows.
#include "half.cuh"
#include "mma.cuh"

#ifndef TILE_M
#define TILE_M 16
#endif
#ifndef TILE_N
#define TILE_N 64
#endif
#ifndef GROUP
#define GROUP 128
#endif
#define TILE_K 32

// (a & b) | c in one instruction.
__device__ __forceinline__ unsigned and_or(unsigned a, unsigned b, unsigned c)
{
    unsigned d;
    asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

__device__ __forceinline__ uint4 nibbles_to_halves(unsigned q)
{
    const unsigned low = 0x000f000fu, high = 0x00f000f0u, magic = 0x64006400u;
    uint4 h;
    unsigned top = q >> 8;
    h.x = half2_sub(and_or(q, low, magic), magic);
    // The upper nibble arrives times 16: one fma with 1/16 and -64 undoes it.
    h.y = half2_fma(and_or(q, high, magic), 0x2c002c00u, 0xd400d400u);
    h.z = half2_sub(and_or(top, low, magic), magic);
    h.w = half2_fma(and_or(top, high, magic), 0x2c002c00u, 0xd400d400u);
    return h;
}

extern "C" __global__ void __launch_bounds__(64)
awq_gemm_mma(const half_bits *a, const unsigned *b, const half_bits *scales, const unsigned *zeros, float *c, int m, int n, int k)
{
    __shared__ alignas(16) half_bits sa[TILE_M][TILE_K + 8];
    __shared__ alignas(16) half_bits sb[TILE_K][TILE_N + 8];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, row0 = blockIdx.y * TILE_M, col0 = blockIdx.x * TILE_N;
    float acc[TILE_M / 16][TILE_N / 16][4] = {};
    for (int k0 = 0; k0 < k; k0 += TILE_K) {
        for (int i = threadIdx.x; i < TILE_M * TILE_K / 8; i += 64) {
            int r = i / (TILE_K / 8), q = i % (TILE_K / 8) * 8;
            if (row0 + r < m) *(uint4 *)&sa[r][q] = *(const uint4 *)&a[(size_t)(row0 + r) * k + k0 + q];
        }
        for (int i = threadIdx.x; i < TILE_K * TILE_N / 8; i += 64) {
            int r = i / (TILE_N / 8), word = i % (TILE_N / 8), group = (k0 + r) / GROUP;
            uint4 w = nibbles_to_halves(b[(size_t)(k0 + r) * (n / 8) + col0 / 8 + word]);
            uint4 z = nibbles_to_halves(zeros[(size_t)group * (n / 8) + col0 / 8 + word]);
            uint4 s = *(const uint4 *)&scales[(size_t)group * n + col0 + word * 8];
            w.x = half2_mul(half2_sub(w.x, z.x), s.x); w.y = half2_mul(half2_sub(w.y, z.y), s.y);
            w.z = half2_mul(half2_sub(w.z, z.z), s.z); w.w = half2_mul(half2_sub(w.w, z.w), s.w);
            *(uint4 *)&sb[r][word * 8] = w;
        }
        __syncthreads();
#pragma unroll
        for (int kk = 0; kk < TILE_K; kk += 16)
#pragma unroll
            for (int i = 0; i < TILE_M / 16; i++) {
                unsigned fa[4];
                load_matrix_x4(fa, &sa[i * 16 + lane % 16][kk + lane / 16 * 8]);
#pragma unroll
                for (int j = 0; j < TILE_N / 16; j++) {
                    int col = warp * (TILE_N / 2) + j * 8 + lane / 4, r = kk + lane % 4 * 2;
                    unsigned fb[2] = {sb[r][col] | (unsigned)sb[r + 1][col] << 16, sb[r + 8][col] | (unsigned)sb[r + 9][col] << 16};
                    mma_f16_16x8x16(acc[i][j], fa, fb);
                }
            }
        __syncthreads();
    }
    for (int i = 0; i < TILE_M / 16; i++)
        for (int j = 0; j < TILE_N / 16; j++)
            for (int e = 0; e < 4; e++) {
                int r = row0 + i * 16 + lane / 4 + e / 2 * 8, col = col0 + warp * (TILE_N / 2) + j * 8 + lane % 4 * 2 + e % 2;
                if (r < m) c[(size_t)r * n + col] = acc[i][j][e];
            }
}
