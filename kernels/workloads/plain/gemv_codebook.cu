// Vector-quantised weights: an index picks 8 signs-less values from a grid, signs come packed in 7 bits with
// parity (2-bit "iq" style); an additive two-codebook form; and an E8-like lattice form with sign repair.
#include "half.cuh"

typedef unsigned char u8;
typedef unsigned char uchar;
typedef signed char s8;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef GRID_SIZE
#define GRID_SIZE 256
#endif

struct BlockIq2 { half_bits d; unsigned short codes[32]; };  // 256 weights: per 32, four index bytes and 4x7 signs + scale

__device__ __forceinline__ u8 with_parity(u32 seven) { return (u8)(seven | ((__popc(seven) & 1) << 7)); }

// Negate the bytes of `v` whose bit in `signs` is set.
__device__ __forceinline__ int signed_bytes(u32 v, u32 signs)
{
    u32 spread = ((signs * 0x00204081u) & 0x01010101u) * 0xffu;
    return (int)((v ^ spread) + (spread & 0x01010101u));
}

extern "C" __global__ void gemv_iq2(const BlockIq2 *w, const int *x8, const half_bits *x_scales, const u64 *grid, float *y,
                                    int rows, int blocks)
{
    __shared__ u64 table[GRID_SIZE];
    for (int i = threadIdx.x; i < GRID_SIZE; i += blockDim.x) table[i] = grid[i];
    __syncthreads();
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x & 31;
    if (row >= rows) return;
    float acc = 0.0f;
    for (int t = lane; t < blocks * 8; t += 32) {
        const BlockIq2 &b = w[(size_t)row * blocks + t / 8];
        const unsigned short *c = b.codes + 4 * (t % 8);
        u32 index = c[0] | (u32)c[1] << 16, tail = c[2] | (u32)c[3] << 16;
        int sum = 0;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            u64 values = table[(index >> (8 * j)) & 255];
            u32 signs = with_parity((tail >> (7 * j)) & 127);
            sum = __dp4a(signed_bytes((u32)values, signs & 15), x8[8 * t + 2 * j], sum);
            sum = __dp4a(signed_bytes((u32)(values >> 32), signs >> 4), x8[8 * t + 2 * j + 1], sum);
        }
        acc += half_to_float(b.d) * (0.5f + (tail >> 28)) * 0.25f * sum * half_to_float(x_scales[t]);
    }
    for (int o = 16; o; o >>= 1) acc += __shfl_down_sync(~0u, acc, o);
    if (!lane) y[row] = acc;
}

// Additive quantisation: 8 weights = codebook0[i] + codebook1[j], codes are bytes or 16 bits.
#ifndef CODE_TYPE
#define CODE_TYPE unsigned short
#endif

extern "C" __global__ void gemv_additive(const CODE_TYPE *codes, const uint4 *books, const half_bits *x, const half_bits *scales,
                                         float *y, int rows, int groups, int book_size)
{
    int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    float acc = 0;
    for (int g = lane; g < groups; g += 32) {
        const CODE_TYPE *code = codes + 2 * ((size_t)row * groups + g);
        uint4 a = books[code[0]], b = books[book_size + code[1]], v = ((const uint4 *)x)[g];
        half2_bits one = 0x3c003c00u, s = half2_mul(half2_fma(a.x, one, b.x), v.x);
        s = half2_fma(half2_fma(a.y, one, b.y), v.y, s);
        s = half2_fma(half2_fma(a.z, one, b.z), v.z, s);
        s = half2_fma(half2_fma(a.w, one, b.w), v.w, s);
        acc += half2_low(s) + half2_high(s);
    }
    for (int o = 16; o; o /= 2) acc += __shfl_xor_sync(0xffffffff, acc, o);
    if (lane == 0) y[row] = acc * half_to_float(scales[row]);
}

// 16 bits: 8 choose an absolute pattern, 7 give signs, the eighth sign makes the parity even, the last shifts by 1/4.
extern "C" __global__ void decode_lattice(const unsigned short *codes, const u32 *patterns, s8 *out, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        u32 code = codes[i], p = patterns[code >> 8], sign = code & 255;
        u32 parity = (__popc(p & 0x11111111u) ^ __popc(sign & 0xfe)) & 1;
        sign = (sign & 0xfe) | parity;
        s8 shift = code & 1 ? 1 : -1;
        for (int j = 0; j < 8; j++) {
            int v = (int)((p >> (4 * j)) & 15) * 4 + 2;
            out[8 * i + j] = (s8)((sign >> j & 1 ? -v : v) + shift);
        }
    }
}
