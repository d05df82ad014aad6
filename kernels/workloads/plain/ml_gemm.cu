// Dense products in floats and halves: naive, tiled with register blocking, tensor cores, batched, and split-k.
#include "half.cuh"
#include "mma.cuh"

#ifndef BM
#define BM 64
#endif
#ifndef BN
#define BN 64
#endif
#define BK 8

extern "C" __global__ void sgemm_naive(const float *a, const float *b, float *c, int m, int n, int k)
{
    int col = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= m || col >= n) return;
    float sum = 0;
    for (int i = 0; i < k; i++) sum += a[(size_t)row * k + i] * b[(size_t)i * n + col];
    c[(size_t)row * n + col] = sum;
}

// 256 threads, BM / 16 x BN / 16 results each, epilogue with bias and a tanh-approximated GELU.
extern "C" __global__ void __launch_bounds__(256)
sgemm_tiled_gelu(const float *a, const float *b, const float *bias, float *c, int m, int n, int k)
{
    __shared__ float sa[BK][BM + 4], sb[BK][BN];
    int tx = threadIdx.x % 16, ty = threadIdx.x / 16, row0 = blockIdx.y * BM, col0 = blockIdx.x * BN;
    float acc[BM / 16][BN / 16] = {};
    for (int k0 = 0; k0 < k; k0 += BK) {
        for (int i = threadIdx.x; i < BM * BK; i += 256) sa[i % BK][i / BK] = row0 + i / BK < m && k0 + i % BK < k ? a[(size_t)(row0 + i / BK) * k + k0 + i % BK] : 0;
        for (int i = threadIdx.x; i < BK * BN; i += 256) sb[i / BN][i % BN] = k0 + i / BN < k && col0 + i % BN < n ? b[(size_t)(k0 + i / BN) * n + col0 + i % BN] : 0;
        __syncthreads();
#pragma unroll
        for (int kk = 0; kk < BK; kk++)
#pragma unroll
            for (int i = 0; i < BM / 16; i++)
#pragma unroll
                for (int j = 0; j < BN / 16; j++) acc[i][j] += sa[kk][ty * (BM / 16) + i] * sb[kk][tx + 16 * j];
        __syncthreads();
    }
    for (int i = 0; i < BM / 16; i++)
        for (int j = 0; j < BN / 16; j++) {
            int row = row0 + ty * (BM / 16) + i, col = col0 + tx + 16 * j;
            if (row >= m || col >= n) continue;
            float v = acc[i][j] + bias[col];
            c[(size_t)row * n + col] = 0.5f * v * (1 + tanhf(0.79788456f * (v + 0.044715f * v * v * v)));
        }
}

extern "C" __global__ void __launch_bounds__(128)
hgemm_tensor(const half_bits *a, const half_bits *b, half_bits *c, int n, int k)
{
    __shared__ alignas(16) half_bits sa[2][64][40], sb[2][32][72];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row0 = blockIdx.y * 64, col0 = blockIdx.x * 64;
    float acc[8][4] = {};
    auto fetch = [&](int stage, int k0) {
        for (int i = threadIdx.x; i < 256; i += 128) copy_async_16(&sa[stage][i / 4][i % 4 * 8], a + (size_t)(row0 + i / 4) * k + k0 + i % 4 * 8);
        for (int i = threadIdx.x; i < 256; i += 128) copy_async_16(&sb[stage][i / 8][i % 8 * 8], b + (size_t)(k0 + i / 8) * n + col0 + i % 8 * 8);
        copy_commit();
    };
    fetch(0, 0);
    for (int k0 = 0, stage = 0; k0 < k; k0 += 32, stage ^= 1) {
        if (k0 + 32 < k) { fetch(stage ^ 1, k0 + 32); copy_wait<1>(); } else copy_wait<0>();
        __syncthreads();
#pragma unroll
        for (int kk = 0; kk < 32; kk += 16) {
            unsigned fa[4];
            load_matrix_x4(fa, &sa[stage][warp * 16 + lane % 16][kk + lane / 16 * 8]);
#pragma unroll
            for (int j = 0; j < 8; j++) {
                int col = j * 8 + lane / 4, r = kk + lane % 4 * 2;
                unsigned fb[2] = {sb[stage][r][col] | (unsigned)sb[stage][r + 1][col] << 16, sb[stage][r + 8][col] | (unsigned)sb[stage][r + 9][col] << 16};
                mma_f16_16x8x16(acc[j], fa, fb);
            }
        }
        __syncthreads();
    }
    for (int j = 0; j < 8; j++)
        for (int e = 0; e < 4; e++)
            c[(size_t)(row0 + warp * 16 + lane / 4 + e / 2 * 8) * n + col0 + j * 8 + lane % 4 * 2 + e % 2] = float_to_half(acc[j][e]);
}

extern "C" __global__ void gemv_bf16(const half_bits *w, const float *x, float *y, int rows, int columns)
{
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    float sum = 0;
    for (int c = threadIdx.x; c < columns; c += 32) sum += bf16_to_float(w[(size_t)row * columns + c]) * x[c];
    for (int o = 16; o; o >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, o);
    if (threadIdx.x == 0) y[row] = sum;
}
