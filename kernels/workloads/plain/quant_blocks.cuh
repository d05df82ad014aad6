// Block formats of low-bit weights: a scale (and a minimum) for 32 or 256 weights beside the packed bits.
#pragma once
#include "half.cuh"

typedef unsigned char u8;
typedef signed char s8;

struct BlockQ4_0 { half_bits d; u8 q[16]; };                                // 32 weights, v - 8
struct BlockQ4_1 { half_bits d, m; u8 q[16]; };                             // 32 weights, v * d + m
struct BlockQ5_0 { half_bits d; u8 high[4]; u8 q[16]; };                    // fifth bits apart
struct BlockQ5_1 { half_bits d, m; u8 high[4]; u8 q[16]; };
struct BlockQ8 { half_bits d, sum; s8 q[32]; };                             // activations, with d * sum(q)
struct BlockQ2K { u8 scales[16]; u8 q[64]; half_bits d, dmin; };            // 256 weights, 16 groups
struct BlockQ3K { u8 high[32]; u8 q[64]; u8 scales[12]; half_bits d; };     // 6-bit scales
struct BlockQ4K { half_bits d, dmin; u8 scales[12]; u8 q[128]; };           // 8 groups, 6-bit scales and minima
struct BlockQ6K { u8 low[128]; u8 high[64]; s8 scales[16]; half_bits d; };  // 16 groups

// Four bytes from an address that is only 2-byte aligned.
__device__ __forceinline__ int load_u16x2(const u8 *p, int word)
{
    const unsigned short *h = (const unsigned short *)(p + 4 * word);
    return (int)(h[0] | ((unsigned)h[1] << 16));
}

__device__ __forceinline__ int dot4(int a, int b, int c)
{
#ifdef __CUDA_ARCH__
    return __dp4a(a, b, c);
#else
    for (int i = 0; i < 4; i++) c += (int)(s8)(a >> (8 * i)) * (int)(s8)(b >> (8 * i));
    return c;
#endif
}
