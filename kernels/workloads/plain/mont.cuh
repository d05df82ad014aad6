// Montgomery arithmetic on LIMBS 32-bit words, modulus in constant memory. Values are below the modulus.
#pragma once

#ifndef LIMBS
#define LIMBS 8 /* 8: 256-bit scalar fields, 12: 384-bit base fields */
#endif

__constant__ unsigned modulus[LIMBS] = {
#if LIMBS == 8  /* scalar field of BLS12-381 */
    0x00000001u, 0xffffffffu, 0xfffe5bfeu, 0x53bda402u, 0x09a1d805u, 0x3339d808u, 0x299d7d48u, 0x73eda753u
#else  /* base field of BLS12-381 */
    0xffffaaabu, 0xb9feffffu, 0xb153ffffu, 0x1eabfffeu, 0xf6b0f624u, 0x6730d2a0u, 0xf38512bfu, 0x64774b84u, 0x434bacd7u,
    0x4b1ba7b6u, 0x397fe69au, 0x1a0111eau
#endif
};
#if LIMBS == 8
#define MINUS_INVERSE 0xffffffffu /* -1 / modulus mod 2^32 */
#else
#define MINUS_INVERSE 0xfffcfffdu
#endif

// As calls by default: inlined, a curve formula takes the compiler half a minute.
#ifdef FE_INLINE
#define FE_CALL __forceinline__
#else
#define FE_CALL __noinline__
#endif

struct Fe {
    unsigned v[LIMBS];

    __device__ __forceinline__ bool reduce_once()
    {
        unsigned t[LIMBS];
        long long borrow = 0;
#pragma unroll
        for (int i = 0; i < LIMBS; i++) { borrow += (long long)v[i] - modulus[i]; t[i] = (unsigned)borrow; borrow >>= 32; }
        if (borrow < 0) return false;
#pragma unroll
        for (int i = 0; i < LIMBS; i++) v[i] = t[i];
        return true;
    }
};

__device__ FE_CALL Fe operator+(const Fe &a, const Fe &b)
{
    Fe r;
    unsigned long long carry = 0;
#pragma unroll
    for (int i = 0; i < LIMBS; i++) { carry += (unsigned long long)a.v[i] + b.v[i]; r.v[i] = (unsigned)carry; carry >>= 32; }
    r.reduce_once();  // both moduli leave the top bit free, so the sum fits
    return r;
}

__device__ FE_CALL Fe operator-(const Fe &a, const Fe &b)
{
    Fe r;
    long long borrow = 0;
#pragma unroll
    for (int i = 0; i < LIMBS; i++) { borrow += (long long)a.v[i] - b.v[i]; r.v[i] = (unsigned)borrow; borrow >>= 32; }
    unsigned mask = (unsigned)borrow;
    unsigned long long carry = 0;
#pragma unroll
    for (int i = 0; i < LIMBS; i++) { carry += (unsigned long long)r.v[i] + (modulus[i] & mask); r.v[i] = (unsigned)carry; carry >>= 32; }
    return r;
}

// Product and reduction word by word (CIOS).
__device__ FE_CALL Fe operator*(const Fe &a, const Fe &b)
{
    unsigned t[LIMBS + 2] = {};
#pragma unroll
    for (int i = 0; i < LIMBS; i++) {
        unsigned long long c = 0;
#pragma unroll
        for (int j = 0; j < LIMBS; j++) { c += (unsigned long long)a.v[j] * b.v[i] + t[j]; t[j] = (unsigned)c; c >>= 32; }
        c += t[LIMBS];
        t[LIMBS] = (unsigned)c;
        t[LIMBS + 1] = (unsigned)(c >> 32);
        unsigned m = t[0] * MINUS_INVERSE;
        c = ((unsigned long long)m * modulus[0] + t[0]) >> 32;
#pragma unroll
        for (int j = 1; j < LIMBS; j++) { c += (unsigned long long)m * modulus[j] + t[j]; t[j - 1] = (unsigned)c; c >>= 32; }
        c += t[LIMBS];
        t[LIMBS - 1] = (unsigned)c;
        t[LIMBS] = t[LIMBS + 1] + (unsigned)(c >> 32);
    }
    Fe r;
#pragma unroll
    for (int i = 0; i < LIMBS; i++) r.v[i] = t[i];
    r.reduce_once();
    return r;
}
