// Sub-byte and 8-bit floats to halves by bit moves: FP8 E4M3 and E5M2, FP6 E3M2 split in 2 + 4 bits, FP6 dense.
#include "half.cuh"

typedef unsigned int u32;
typedef unsigned char u8;

#ifndef VALUES_PER_THREAD
#define VALUES_PER_THREAD 4
#endif

// E4M3 to half: exponent bias 7 to 15 is a factor 2^8 after the shift.
__device__ __forceinline__ half2_bits e4m3_pair(u32 two)
{
    u32 h = ((two & 0xff00u) << 16) | ((two & 0xffu) << 8);
    return half2_mul((h & 0x80008000u) | ((h & 0x7f007f00u) >> 1), 0x5c005c00u);
}

extern "C" __global__ void unpack_e4m3(const u32 *in, half2_bits *out, half2_bits scale, int n_words)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n_words) return;
    u32 v = in[i];
    out[2 * i] = half2_mul(e4m3_pair(v), scale);
    out[2 * i + 1] = half2_mul(e4m3_pair(v >> 16), scale);
}

extern "C" __global__ void unpack_e5m2(const uint2 *in, uint4 *out, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        uint2 v = in[i];
        out[i] = make_uint4((v.x << 8 & 0xff00u) | (v.x << 16 & 0xff000000u), (v.x >> 8 & 0xff00u) | (v.x & 0xff000000u),
                            (v.y << 8 & 0xff00u) | (v.y << 16 & 0xff000000u), (v.y >> 8 & 0xff00u) | (v.y & 0xff000000u));
    }
}

// `two` holds sign and top exponent bits of 16 values, `four` the rest, value i at bits 2i and 4i.
extern "C" __global__ void unpack_fp6_split(const u32 *two, const uint2 *four, half_bits *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 t = two[i];
    uint2 f = four[i];
#pragma unroll
    for (int j = 0; j < 16; j++) {
        u32 low = ((j < 8 ? f.x : f.y) >> (4 * (j & 7))) & 15, top = (t >> (2 * j)) & 3;
        u32 bits = (top >> 1) << 15 | (top & 1) << 12 | low << 8;
        out[16 * i + j] = (half_bits)(half2_mul(bits, 0x6c006c00u) & 0xffff);
    }
}

// Four values of 6 bits in three bytes, E2M3 or E3M2.
#ifndef FP6_MANTISSA
#define FP6_MANTISSA 2
#endif
extern "C" __global__ void unpack_fp6_dense(const u8 *in, float *out, int n_groups)
{
    int g = blockIdx.x * blockDim.x + threadIdx.x;
    if (g >= n_groups) return;
    u32 bits = in[3 * g] | in[3 * g + 1] << 8 | in[3 * g + 2] << 16;
    const int bias = (1 << (4 - FP6_MANTISSA)) - 1;
    for (int j = 0; j < 4; j++, bits >>= 6) {
        u32 v = bits & 31, raw = v << (23 - FP6_MANTISSA);
        float f = __uint_as_float(raw) * __uint_as_float((u32)(127 - bias + 127) << 23);
        out[4 * g + j] = bits & 32 ? -f : f;
    }
}

// Round to nearest even E4M3 with saturation, several values a thread packed to words.
__device__ u32 to_e4m3(float x)
{
    u32 u = __float_as_uint(x), sign = u >> 31 << 7;
    float a = fminf(fabsf(x), 448.0f);
    if (a < 0.015625f) return sign | (u32)rintf(a * 512.0f);
    u = __float_as_uint(a);
    u += 0x7ffffu + ((u >> 20) & 1);
    return sign | min((u >> 20) - (120u << 3), 126u);
}

extern "C" __global__ void pack_e4m3(const float *in, u32 *out, float scale, int n_words)
{
    int first = (blockIdx.x * blockDim.x + threadIdx.x) * (VALUES_PER_THREAD / 4);
    for (int w = first; w < min(first + VALUES_PER_THREAD / 4, n_words); w++) {
        u32 word = 0;
#pragma unroll
        for (int j = 0; j < 4; j++) word |= to_e4m3(in[4 * w + j] * scale) << (8 * j);
        out[w] = word;
    }
}
