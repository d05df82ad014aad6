// 4-bit floats by table: NF4 (quantiles of a normal distribution), FP4 E2M1, and MXFP4 with a shared power of two.
// Tables in shared memory, in registers through shuffles, or by a decision tree (-DDECODE=0, 1, 2).
#include "half.cuh"

#ifndef DECODE
#define DECODE 0
#endif
#ifndef BLOCK_SIZE
#define BLOCK_SIZE 64
#endif

typedef unsigned char byte;

__constant__ float nf4_levels[16] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,
    -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};

__device__ __forceinline__ float tree(byte v)
{
    if (v & 8)
        return v & 4 ? (v & 2 ? (v & 1 ? 1.0f : 0.7229568362236023f) : (v & 1 ? 0.5626170039176941f : 0.44070982933044434f))
                     : (v & 2 ? (v & 1 ? 0.33791524171829224f : 0.24611230194568634f)
                              : (v & 1 ? 0.16093020141124725f : 0.07958029955625534f));
    return v & 4 ? (v & 2 ? (v & 1 ? 0.0f : -0.09105003625154495f) : (v & 1 ? -0.18477343022823334f : -0.28444138169288635f))
                 : (v & 2 ? (v & 1 ? -0.39491748809814453f : -0.5250730514526367f) : (v & 1 ? -0.6961928009986877f : -1.0f));
}

// Block maxima are themselves 8-bit codes with a scale and an offset (double quantisation).
extern "C" __global__ void nf4_dequantise(const byte *packed, const byte *max_codes, const float *max_table, const float *max_scales,
                                          float offset, float *out, int n)
{
#if DECODE == 0
    __shared__ float table[16];
    if (threadIdx.x < 16) table[threadIdx.x] = nf4_levels[threadIdx.x];
    __syncthreads();
#define LEVEL(v) table[v]
#elif DECODE == 1
    float mine = nf4_levels[threadIdx.x & 15];
#define LEVEL(v) __shfl_sync(0xffffffffu, mine, v)
#else
#define LEVEL(v) tree(v)
#endif
    int i = 2 * (blockIdx.x * blockDim.x + threadIdx.x), at = min(i, n - 2), block = at / BLOCK_SIZE;
    float top = max_table[max_codes[block]] * max_scales[block / 256] + offset;
    byte v = packed[at / 2];
    float first = LEVEL(v >> 4) * top, second = LEVEL(v & 15) * top;
    if (i < n) { out[i] = first; out[i + 1] = second; }
}

__device__ __forceinline__ byte nearest_nf4(float x)
{
    byte code = 0;
    for (int step = 8; step; step >>= 1) {
        int middle = code + step;
        if (x > 0.5f * (nf4_levels[middle - 1] + nf4_levels[middle])) code = (byte)middle;
    }
    return code;
}

extern "C" __global__ void nf4_quantise(const float *x, byte *packed, float *maxima, int n_blocks)
{
    int b = blockIdx.x * blockDim.x + threadIdx.x;
    if (b >= n_blocks) return;
    const float *v = x + (size_t)b * BLOCK_SIZE;
    float top = 0.0f;
    for (int i = 0; i < BLOCK_SIZE; i++) top = fmaxf(top, fabsf(v[i]));
    maxima[b] = top;
    float scale = top > 0 ? 1.0f / top : 0.0f;
    for (int i = 0; i < BLOCK_SIZE; i += 2)
        packed[((size_t)b * BLOCK_SIZE + i) / 2] = (byte)(nearest_nf4(v[i] * scale) << 4 | nearest_nf4(v[i + 1] * scale));
}

// E2M1 to half without a table: move sign and exponent-mantissa into place, then scale by 2^14.
__device__ __forceinline__ half2_bits fp4_pair(unsigned q)
{
    unsigned h = ((q & 0x00080008u) << 12) | ((q & 0x00070007u) << 9);
    return half2_mul(h, 0x74007400u);
}

// MXFP4: 32 values share the exponent byte e, scale 2^(e - 127).
extern "C" __global__ void mxfp4_gemv(const uint4 *w, const byte *exponents, const half2_bits *x, float *y, int rows, int blocks)
{
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    float acc = 0;
    for (int b = threadIdx.x; b < blocks; b += 32) {
        uint4 q = w[(size_t)row * blocks + b];
        unsigned words[4] = {q.x, q.y, q.z, q.w};
        half2_bits s = 0;
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) s = half2_fma(fp4_pair(words[i] >> (4 * j)), x[16 * b + 4 * i + j], s);
        acc += (half2_low(s) + half2_high(s)) * __uint_as_float((unsigned)exponents[(size_t)row * blocks + b] << 23);
    }
    for (int o = 16; o; o >>= 1) acc += __shfl_xor_sync(0xffffffffu, acc, o);
    if (threadIdx.x == 0) y[row] = acc;
}
