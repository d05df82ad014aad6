// Half-precision arithmetic on raw bits, without the toolkit's headers: PTX on the GPU, _Float16 on a host.
#pragma once

typedef unsigned short half_bits;
typedef unsigned int half2_bits;

#ifdef __CUDA_ARCH__
__device__ __forceinline__ float half_to_float(half_bits h)
{
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
    return f;
}
__device__ __forceinline__ half_bits float_to_half(float f)
{
    half_bits h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
    return h;
}
__device__ __forceinline__ half2_bits half2_fma(half2_bits a, half2_bits b, half2_bits c)
{
    half2_bits d;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}
__device__ __forceinline__ half2_bits half2_sub(half2_bits a, half2_bits b)
{
    half2_bits d;
    asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}
__device__ __forceinline__ half2_bits half2_mul(half2_bits a, half2_bits b)
{
    half2_bits d;
    asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}
#else
static inline float half_to_float(half_bits h) { _Float16 f; __builtin_memcpy(&f, &h, 2); return (float)f; }
static inline half_bits float_to_half(float x) { _Float16 f = (_Float16)x; half_bits h; __builtin_memcpy(&h, &f, 2); return h; }
template <typename Op> static inline half2_bits half2_map(half2_bits a, half2_bits b, half2_bits c, Op op)
{
    half2_bits lo = float_to_half(op(half_to_float(a & 0xffff), half_to_float(b & 0xffff), half_to_float(c & 0xffff)));
    half2_bits hi = float_to_half(op(half_to_float(a >> 16), half_to_float(b >> 16), half_to_float(c >> 16)));
    return lo | (hi << 16);
}
static inline half2_bits half2_fma(half2_bits a, half2_bits b, half2_bits c)
{
    return half2_map(a, b, c, [](float x, float y, float z) { return x * y + z; });
}
static inline half2_bits half2_sub(half2_bits a, half2_bits b)
{
    return half2_map(a, b, 0, [](float x, float y, float) { return x - y; });
}
static inline half2_bits half2_mul(half2_bits a, half2_bits b)
{
    return half2_map(a, b, 0, [](float x, float y, float) { return x * y; });
}
#endif

__device__ __forceinline__ half2_bits half2_twice(half_bits h) { return h | ((half2_bits)h << 16); }
__device__ __forceinline__ half2_bits half2_pack(float lo, float hi)
{
    return float_to_half(lo) | ((half2_bits)float_to_half(hi) << 16);
}
__device__ __forceinline__ float half2_low(half2_bits h) { return half_to_float((half_bits)(h & 0xffff)); }
__device__ __forceinline__ float half2_high(half2_bits h) { return half_to_float((half_bits)(h >> 16)); }

// bfloat16 is the upper half of a float.
__device__ __forceinline__ float bf16_to_float(half_bits b)
{
    unsigned int u = (unsigned int)b << 16;
#ifdef __CUDA_ARCH__
    return __uint_as_float(u);
#else
    float f; __builtin_memcpy(&f, &u, 4); return f;
#endif
}
