// Any-precision weights kept as bit planes: planes are merged by masks and a byte permute, then looked up in a
// per-row codebook; and a product by tables of partial sums (one table per four activations).
#include "half.cuh"

#ifndef PLANES
#define PLANES 3
#endif

typedef unsigned int u32;

extern "C" __global__ void any_precision_gemv(const u32 *planes, const half_bits *codebook, const half_bits *x, float *y, int rows, int words)
{
    __shared__ half_bits book[8 << PLANES];  // up to 8 rows of 2^PLANES values
    int row = blockIdx.x * blockDim.y + threadIdx.y, lane = threadIdx.x;
    half_bits *mine = book + (threadIdx.y << PLANES);
    for (int i = lane; i < 1 << PLANES; i += 32) mine[i] = row < rows ? codebook[((size_t)row << PLANES) + i] : 0;
    __syncthreads();
    if (row >= rows) return;
    float acc = 0;
    for (int w = lane; w < words; w += 32) {
        u32 p[PLANES];
#pragma unroll
        for (int b = 0; b < PLANES; b++) p[b] = planes[((size_t)b * rows + row) * words + w];
#pragma unroll
        for (int s = 0; s < 8; s++) {
            u32 index = 0;  // four indices, one a byte
#pragma unroll
            for (int b = 0; b < PLANES; b++) index |= ((p[b] >> s) & 0x01010101u) << b;
#pragma unroll
            for (int j = 0; j < 4; j++)
                acc += half_to_float(mine[__byte_perm(index, 0, 0x4440 + j) & 0xff]) * half_to_float(x[32 * w + 8 * j + s]);
        }
    }
    for (int o = 16; o; o >>= 1) acc += __shfl_xor_sync(0xffffffffu, acc, o);
    if (lane == 0) y[row] = acc;
}

// Table of the 16 signed sums of four activations, built once per block in Gray-code order.
#define GROUPS 64
extern "C" __global__ void table_gemv(const u32 *planes, const float *x, float *y, int rows, int groups)
{
    __shared__ float table[GROUPS][17];
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    float acc = 0;
    for (int g0 = 0; g0 < groups; g0 += GROUPS) {
        for (int g = threadIdx.x; g < GROUPS && g0 + g < groups; g += blockDim.x) {
            const float *v = x + 4 * (g0 + g);
            float sum = -(v[0] + v[1] + v[2] + v[3]);
            table[g][0] = sum;
            for (int i = 1, gray = 0; i < 16; i++) {
                int bit = __ffs(i) - 1;
                gray ^= 1 << bit;
                sum += gray >> bit & 1 ? 2 * v[bit] : -2 * v[bit];
                table[g][gray] = sum;
            }
        }
        __syncthreads();
        for (int g = 0; row < rows && g < GROUPS && g0 + g < groups; g += 8) {
            int word = (g0 + g) / 8;
#pragma unroll
            for (int b = 0; b < PLANES; b++) {
                u32 bits = planes[((size_t)b * (groups / 8) + word) * rows + row];
                float part = 0;
#pragma unroll
                for (int j = 0; j < 8; j++) part += table[g + j][(bits >> (4 * j)) & 15];
                acc += part * (float)(1 << b);
            }
        }
        __syncthreads();
    }
    if (row < rows) y[row] = acc;
}
