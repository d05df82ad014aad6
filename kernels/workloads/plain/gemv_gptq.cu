// Matrix-vector product with GPTQ-packed weights of 2, 3, 4 or 8 bits: y = W^T x.
// Words run down the rows: packed[k * BITS / 32][n]; zero points are packed along n, scales are halves, per group.
#include "half.cuh"

#ifndef BITS
#define BITS 4
#endif
#ifndef ROWS_PER_BLOCK
#define ROWS_PER_BLOCK 128
#endif

typedef unsigned int u32;

__device__ __forceinline__ u32 zero_point(const u32 *zeros, int group, int column, int n)
{
    int bit = column * BITS, word = bit >> 5, shift = bit & 31;
    const u32 *row = zeros + (size_t)group * (n * BITS / 32);
    u32 value = row[word] >> shift;
    if (shift + BITS > 32) value |= row[word + 1] << (32 - shift);
    return (value & ((1u << BITS) - 1)) + 1;
}

// 32 weights take BITS words; with 3 bits two of them straddle a word.
__device__ __forceinline__ void unpack32(const u32 *words, int (&w)[32])
{
#if BITS == 3
    u32 a = words[0], b = words[1], c = words[2];
#pragma unroll
    for (int i = 0; i < 10; i++) w[i] = (a >> (3 * i)) & 7;
    w[10] = (a >> 30) | ((b << 2) & 4);
#pragma unroll
    for (int i = 0; i < 10; i++) w[11 + i] = (b >> (3 * i + 1)) & 7;
    w[21] = (b >> 31) | ((c << 1) & 6);
#pragma unroll
    for (int i = 0; i < 10; i++) w[22 + i] = (c >> (3 * i + 2)) & 7;
#else
#pragma unroll
    for (int i = 0; i < 32; i++) w[i] = (words[i * BITS / 32] >> (i * BITS % 32)) & ((1 << BITS) - 1);
#endif
}

extern "C" __global__ void gptq_gemv(const half_bits *x, const u32 *packed, const u32 *zeros, const half_bits *scales,
                                     float *y, int k, int n, int group_size)
{
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= n) return;
    int first = blockIdx.y * ROWS_PER_BLOCK, last = min(first + ROWS_PER_BLOCK, k);
    float sum = 0.0f;
    for (int row = first; row < last; row += 32) {
        u32 words[BITS];
        int w[32];
#pragma unroll
        for (int i = 0; i < BITS; i++) words[i] = packed[(size_t)(row * BITS / 32 + i) * n + column];
        unpack32(words, w);
        int group = row / group_size;
        int zero = (int)zero_point(zeros, group, column, n);
        float part = 0.0f;
#pragma unroll
        for (int i = 0; i < 32; i++) part += half_to_float(x[row + i]) * (float)(w[i] - zero);
        sum += part * half_to_float(scales[(size_t)group * n + column]);
    }
    atomicAdd(y + column, sum);
}

// With activation order, every row names its own group.
extern "C" __global__ void gptq_dequantise(const u32 *packed, const u32 *zeros, const half_bits *scales, const int *group_of,
                                           half_bits *out, int k, int n)
{
    int column = blockIdx.x * blockDim.x + threadIdx.x, block = blockIdx.y;
    if (column >= n || block * 32 >= k) return;
    u32 words[BITS];
    int w[32];
    for (int i = 0; i < BITS; i++) words[i] = packed[(size_t)(block * BITS + i) * n + column];
    unpack32(words, w);
    for (int i = 0; i < 32; i++) {
        int row = block * 32 + i, group = group_of[row];
        float scale = half_to_float(scales[(size_t)group * n + column]);
        out[(size_t)row * n + column] = float_to_half(scale * (float)(w[i] - (int)zero_point(zeros, group, column, n)));
    }
}
