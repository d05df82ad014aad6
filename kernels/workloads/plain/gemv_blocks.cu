// Matrix-vector products straight on block-quantised weights: integer dot products of four bytes against
// activations quantised to 8 bits, one warp a row, sums joined by shuffles.
#include "quant_blocks.cuh"

#ifndef ROWS_PER_WARP
#define ROWS_PER_WARP 1
#endif

__device__ __forceinline__ float warp_sum(float v)
{
    for (int offset = 16; offset; offset >>= 1) v += __shfl_xor_sync(0xffffffffu, v, offset);
    return v;
}

struct DotQ4_0 {
    typedef BlockQ4_0 Block;
    static __device__ __forceinline__ float dot(const Block &w, const BlockQ8 &x)
    {
        int sum = 0;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int v = load_u16x2(w.q, i);
            sum = dot4(v & 0x0f0f0f0f, ((const int *)x.q)[i], sum);
            sum = dot4((v >> 4) & 0x0f0f0f0f, ((const int *)x.q)[i + 4], sum);
        }
        return half_to_float(w.d) * (half_to_float(x.d) * sum - 8.0f * half_to_float(x.sum));
    }
};

struct DotQ5_0 {
    typedef BlockQ5_0 Block;
    static __device__ __forceinline__ float dot(const Block &w, const BlockQ8 &x)
    {
        int sum = 0, high = load_u16x2(w.high, 0);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int v = load_u16x2(w.q, i), bits = high >> (4 * i), low = v & 0x0f0f0f0f, top = (v >> 4) & 0x0f0f0f0f;
            low |= ((bits << 4) & 0x10) | ((bits << 11) & 0x1000) | ((bits << 18) & 0x100000) | ((bits << 25) & 0x10000000);
            bits = (int)((unsigned)high >> (16 + 4 * i));
            top |= ((bits << 4) & 0x10) | ((bits << 11) & 0x1000) | ((bits << 18) & 0x100000) | ((bits << 25) & 0x10000000);
            sum = dot4(low, ((const int *)x.q)[i], sum);
            sum = dot4(top, ((const int *)x.q)[i + 4], sum);
        }
        return half_to_float(w.d) * (half_to_float(x.d) * sum - 16.0f * half_to_float(x.sum));
    }
};

template <class Format> __device__ void product(const typename Format::Block *w, const BlockQ8 *x, float *y, int rows, int blocks)
{
    int warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    for (int r = warp * ROWS_PER_WARP; r < min((warp + 1) * ROWS_PER_WARP, rows); r++) {
        float sum = 0;
        for (int b = lane; b < blocks; b += 32) sum += Format::dot(w[(size_t)r * blocks + b], x[b]);
        sum = warp_sum(sum);
        if (lane == 0) y[r] = sum;
    }
}

extern "C" __global__ void gemv_q4_0(const BlockQ4_0 *w, const BlockQ8 *x, float *y, int rows, int blocks)
{
    product<DotQ4_0>(w, x, y, rows, blocks);
}
extern "C" __global__ void gemv_q5_0(const BlockQ5_0 *w, const BlockQ8 *x, float *y, int rows, int blocks)
{
    product<DotQ5_0>(w, x, y, rows, blocks);
}

// 256 weights against 8 activation blocks; a lane takes one 16-weight group, two lanes share an activation block.
extern "C" __global__ void gemv_q6_k(const BlockQ6K *w, const BlockQ8 *x, float *y, int rows, int blocks)
{
    int r = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32, group = lane % 16;
    if (r >= rows) return;
    int half = group / 8, j = group / 2 % 4, part = group % 2 * 16;
    float acc = 0;
    for (int b = lane / 16; b < blocks; b += 2) {
        const BlockQ6K &q = w[(size_t)r * blocks + b];
        const BlockQ8 &a = x[8 * b + group / 2];
        int sum = 0;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int low = load_u16x2(q.low + 64 * half + 32 * (j & 1) + part, i) >> (j < 2 ? 0 : 4);
            int high = load_u16x2(q.high + 32 * half + part, i) >> (2 * j);
            int v = (low & 0x0f0f0f0f) | ((high & 0x03030303) << 4);
            // v - 32 in each byte: bytes stay below 64, so no borrow crosses a byte once bit 7 guards it.
            v = ((v | (int)0x80808080) - 0x20202020) ^ (int)0x80808080;
            sum = dot4(v, ((const int *)(a.q + part))[i], sum);
        }
        acc += half_to_float(q.d) * q.scales[group] * sum * half_to_float(a.d);
    }
    acc = warp_sum(acc);
    if (lane == 0) y[r] = acc;
}

extern "C" __global__ void gemv_q3_k(const BlockQ3K *w, const BlockQ8 *x, float *y, int rows, int blocks)
{
    int r = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32, group = lane % 16;
    if (r >= rows) return;
    int half = group / 8, j = group / 2 % 4, part = group % 2 * 16;
    float acc = 0;
    for (int b = lane / 16; b < blocks; b += 2) {
        const BlockQ3K &q = w[(size_t)r * blocks + b];
        const BlockQ8 &a = x[8 * b + group / 2];
        int low4 = group < 8 ? q.scales[group] & 15 : q.scales[group - 8] >> 4;
        int scale = (low4 | (((q.scales[8 + (group & 3)] >> (2 * (group >> 2))) & 3) << 4)) - 32;
        int sum = 0;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int v = (load_u16x2(q.q + 32 * half + part, i) >> (2 * j)) & 0x03030303;
            int h = (~load_u16x2(q.high + part, i) >> (4 * half + j)) & 0x01010101;
            v = ((v | (int)0x80808080) - (h << 2)) ^ (int)0x80808080;
            sum = dot4(v, ((const int *)(a.q + part))[i], sum);
        }
        acc += half_to_float(q.d) * scale * sum * half_to_float(a.d);
    }
    acc = warp_sum(acc);
    if (lane == 0) y[r] = acc;
}

extern "C" __global__ void quantise_q8(const float *x, BlockQ8 *q)
{
    int lane = threadIdx.x % 32, block = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    float v = x[block * 32 + lane], top = fabsf(v), sum = v;
    for (int o = 16; o; o >>= 1) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, o));
    sum = warp_sum(sum);
    float d = top / 127.0f;
    q[block].q[lane] = (s8)(d == 0 ? 0 : roundf(v / d));
    if (lane == 0) { q[block].d = float_to_half(d); q[block].sum = float_to_half(sum); }
}
