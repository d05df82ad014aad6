// The field of 2^64 - 2^32 + 1 elements and a Poseidon2-like permutation of twelve of them; constants are the caller's.
#pragma once

namespace gold {

using u64 = unsigned long long;
using u32 = unsigned int;

constexpr u64 kPrime = 0xffffffff00000001ull;
constexpr u64 kEpsilon = 0xffffffffull;

__device__ __forceinline__ u64 add(u64 a, u64 b) {
    u64 s = a + b;
    if (s < a) s += kEpsilon;
    return s >= kPrime ? s - kPrime : s;
}

__device__ __forceinline__ u64 reduce(u64 high, u64 low) {
    const u64 top = high >> 32, middle = high & kEpsilon;
    u64 t = low - top;
    if (low < top) t -= kEpsilon;
    const u64 product = middle * kEpsilon;
    u64 r = t + product;
    if (r < product) r += kEpsilon;
    return r >= kPrime ? r - kPrime : r;
}

__device__ __forceinline__ u64 mul(u64 a, u64 b) { return reduce(__umul64hi(a, b), a * b); }

__device__ __forceinline__ u64 seventh(u64 x) {
    const u64 x2 = mul(x, x), x3 = mul(x2, x), x4 = mul(x2, x2);
    return mul(x3, x4);
}

#ifndef WIDTH
#define WIDTH 12
#endif
#ifndef INNER_ROUNDS
#define INNER_ROUNDS 22
#endif

__constant__ u64 c_outer[8][WIDTH];
__constant__ u64 c_inner[INNER_ROUNDS];
__constant__ u64 c_diagonal[WIDTH];

// Groups of four by the matrix ((5,7,1,3),(4,6,1,1),(1,3,5,7),(1,1,4,6)), then the sum over the groups added to each.
__device__ __forceinline__ void outer_matrix(u64 (&s)[WIDTH]) {
    u64 sum[4] = {0, 0, 0, 0};
#pragma unroll
    for (int g = 0; g < WIDTH; g += 4) {
        const u64 a = s[g], b = s[g + 1], c = s[g + 2], d = s[g + 3];
        const u64 t0 = add(a, b), t1 = add(c, d), t2 = add(add(b, b), t1), t3 = add(add(d, d), t0);
        const u64 d1 = add(t1, t1), d0 = add(t0, t0);
        const u64 t4 = add(add(d1, d1), t3), t5 = add(add(d0, d0), t2);
        s[g] = add(t3, t5);
        s[g + 1] = t5;
        s[g + 2] = add(t2, t4);
        s[g + 3] = t4;
#pragma unroll
        for (int i = 0; i < 4; ++i) sum[i] = add(sum[i], s[g + i]);
    }
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) s[i] = add(s[i], sum[i & 3]);
}

__device__ __forceinline__ void outer_round(u64 (&s)[WIDTH], int r) {
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) s[i] = seventh(add(s[i], c_outer[r][i]));
    outer_matrix(s);
}

__device__ void permute(u64 (&s)[WIDTH]) {
    outer_matrix(s);
#pragma unroll 1
    for (int r = 0; r < 4; ++r) outer_round(s, r);
#pragma unroll 1
    for (int r = 0; r < INNER_ROUNDS; ++r) {
        s[0] = seventh(add(s[0], c_inner[r]));
        u64 sum = 0;
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) sum = add(sum, s[i]);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) s[i] = add(mul(s[i], c_diagonal[i]), sum);
    }
#pragma unroll 1
    for (int r = 4; r < 8; ++r) outer_round(s, r);
}

}  // namespace gold
