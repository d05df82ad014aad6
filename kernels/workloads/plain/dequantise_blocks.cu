// Expands block-quantised weights to floats, one thread per weight pair or per group, for nine formats.
#include "quant_blocks.cuh"

#ifdef OUT_HALF
typedef half_bits Out;
__device__ __forceinline__ void put(Out *p, float v) { *p = float_to_half(v); }
#else
typedef float Out;
__device__ __forceinline__ void put(Out *p, float v) { *p = v; }
#endif

extern "C" __global__ void dequantise_q4_0(const BlockQ4_0 *x, Out *y, int n_blocks)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x, b = t / 16, i = t % 16;
    if (b >= n_blocks) return;
    float d = half_to_float(x[b].d);
    put(y + 32 * b + i, d * ((x[b].q[i] & 15) - 8));
    put(y + 32 * b + i + 16, d * ((x[b].q[i] >> 4) - 8));
}

extern "C" __global__ void dequantise_q4_1(const BlockQ4_1 *x, Out *y, int n_blocks)
{
    for (int t = blockIdx.x * blockDim.x + threadIdx.x; t < 16 * n_blocks; t += gridDim.x * blockDim.x) {
        const BlockQ4_1 &b = x[t >> 4];
        float d = half_to_float(b.d), m = half_to_float(b.m);
        int i = t & 15;
        put(y + 32 * (t >> 4) + i, d * (b.q[i] & 15) + m);
        put(y + 32 * (t >> 4) + i + 16, d * (b.q[i] >> 4) + m);
    }
}

template <typename Block, bool WITH_MIN> __device__ void expand_q5(const Block *x, Out *y, int n_blocks)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x, b = t / 16, i = t % 16;
    if (b >= n_blocks) return;
    unsigned high = (unsigned)load_u16x2(x[b].high, 0);
    int lo = (x[b].q[i] & 15) | (((high >> i) & 1) << 4), hi = (x[b].q[i] >> 4) | (((high >> (i + 16)) & 1) << 4);
    float d = half_to_float(x[b].d), m = -16.0f * d;
    if constexpr (WITH_MIN) m = half_to_float(x[b].m);
    put(y + 32 * b + i, d * lo + m);
    put(y + 32 * b + i + 16, d * hi + m);
}

extern "C" __global__ void dequantise_q5_0(const BlockQ5_0 *x, Out *y, int n) { expand_q5<BlockQ5_0, false>(x, y, n); }
extern "C" __global__ void dequantise_q5_1(const BlockQ5_1 *x, Out *y, int n) { expand_q5<BlockQ5_1, true>(x, y, n); }

extern "C" __global__ void dequantise_q2_k(const BlockQ2K *x, Out *y)
{
    const BlockQ2K &b = x[blockIdx.x];
    int t = threadIdx.x, half = t / 32, l = t % 32;  // 64 threads
    float d = half_to_float(b.d), dmin = half_to_float(b.dmin);
    for (int j = 0; j < 4; j++) {
        int scale = b.scales[8 * half + 2 * j + l / 16];
        float v = d * (scale & 15) * ((b.q[32 * half + l] >> (2 * j)) & 3) - dmin * (scale >> 4);
        put(y + 256 * blockIdx.x + 128 * half + 32 * j + l, v);
    }
}

// Scales of the third format: 16 values of 6 bits in 12 bytes, low nibbles first, then pairs of high bits.
__device__ __forceinline__ int q3_scale(const u8 *s, int i)
{
    int low = i < 8 ? s[i] & 15 : s[i - 8] >> 4;
    return (low | (((s[8 + (i & 3)] >> (2 * (i >> 2))) & 3) << 4)) - 32;
}

extern "C" __global__ void dequantise_q3_k(const BlockQ3K *x, Out *y)
{
    const BlockQ3K &b = x[blockIdx.x];
    float d = half_to_float(b.d);
    for (int t = threadIdx.x; t < 256; t += blockDim.x) {
        int half = t >> 7, j = (t >> 5) & 3, l = t & 31;
        int q = ((b.q[32 * half + l] >> (2 * j)) & 3) - (((b.high[l] >> (4 * half + j)) & 1) ? 0 : 4);
        put(y + 256 * blockIdx.x + t, d * q3_scale(b.scales, t >> 4) * q);
    }
}

__device__ __forceinline__ void q4k_scale_min(const u8 *s, int j, int &scale, int &minimum)
{
    if (j < 4) { scale = s[j] & 63; minimum = s[j + 4] & 63; return; }
    scale = (s[j + 4] & 15) | ((s[j - 4] >> 6) << 4);
    minimum = (s[j + 4] >> 4) | ((s[j] >> 6) << 4);
}

extern "C" __global__ void dequantise_q4_k(const BlockQ4K *x, Out *y)
{
    const BlockQ4K &b = x[blockIdx.x];
    int group = threadIdx.x / 8, scale, minimum;  // 64 threads, four weights each, 8 groups of 32
    q4k_scale_min(b.scales, group, scale, minimum);
    float d = half_to_float(b.d) * scale, m = half_to_float(b.dmin) * minimum;
    for (int i = 0; i < 4; i++) {
        int at = threadIdx.x % 8 * 4 + i, q = b.q[32 * (group / 2) + at];
        put(y + 256 * blockIdx.x + 32 * group + at, d * (group & 1 ? q >> 4 : q & 15) - m);
    }
}

extern "C" __global__ void dequantise_q6_k(const BlockQ6K *x, Out *y)
{
    const BlockQ6K &b = x[blockIdx.x];
    int half = threadIdx.x / 32, l = threadIdx.x % 32;  // 64 threads
    float d = half_to_float(b.d);
    int high = b.high[32 * half + l];
#pragma unroll
    for (int j = 0; j < 4; j++) {
        int low = b.low[64 * half + 32 * (j & 1) + l];
        int q = ((j < 2 ? low & 15 : low >> 4) | (((high >> (2 * j)) & 3) << 4)) - 32;
        put(y + 256 * blockIdx.x + 128 * half + 32 * j + l, d * b.scales[8 * half + 2 * j + l / 16] * q);
    }
}
