// BLAKE2b-256 of an 80-byte header (nonce in the fifth word), 64-bit words as uint2, additions by carry instructions
// with -DCARRY. Inert.
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef NONCES
#define NONCES 1
#endif

__constant__ u64 c_header[10];

union Pair {
    u64 w;
    uint2 v;
};

__device__ __forceinline__ u64 rot32(u64 x) { Pair p; p.w = x; p.v = make_uint2(p.v.y, p.v.x); return p.w; }
__device__ __forceinline__ u64 rot24(u64 x) {
    Pair p;
    p.w = x;
    p.v = make_uint2(__byte_perm(p.v.x, p.v.y, 0x6543), __byte_perm(p.v.y, p.v.x, 0x6543));
    return p.w;
}
__device__ __forceinline__ u64 rot16(u64 x) {
    Pair p;
    p.w = x;
    p.v = make_uint2(__byte_perm(p.v.x, p.v.y, 0x5432), __byte_perm(p.v.y, p.v.x, 0x5432));
    return p.w;
}
__device__ __forceinline__ u64 rot63(u64 x) { return x << 1 | x >> 63; }

__device__ __forceinline__ u64 add3(u64 a, u64 b, u64 c) {
#ifdef CARRY
    Pair x, y, z, r;
    x.w = a; y.w = b; z.w = c;
    asm("add.cc.u32 %0, %2, %4; addc.u32 %1, %3, %5;" : "=r"(r.v.x), "=r"(r.v.y) : "r"(x.v.x), "r"(x.v.y), "r"(y.v.x), "r"(y.v.y));
    x = r;
    asm("add.cc.u32 %0, %2, %4; addc.u32 %1, %3, %5;" : "=r"(r.v.x), "=r"(r.v.y) : "r"(x.v.x), "r"(x.v.y), "r"(z.v.x), "r"(z.v.y));
    return r.w;
#else
    return a + b + c;
#endif
}

#define G(a, b, c, d, x, y)       \
    v[a] = add3(v[a], v[b], x);   \
    v[d] = rot32(v[d] ^ v[a]);    \
    v[c] += v[d];                 \
    v[b] = rot24(v[b] ^ v[c]);    \
    v[a] = add3(v[a], v[b], y);   \
    v[d] = rot16(v[d] ^ v[a]);    \
    v[c] += v[d];                 \
    v[b] = rot63(v[b] ^ v[c]);

#define ROW(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, sa, sb, sc, sd, se, sf)                          \
    G(0, 4, 8, 12, m[s0], m[s1]) G(1, 5, 9, 13, m[s2], m[s3]) G(2, 6, 10, 14, m[s4], m[s5])          \
    G(3, 7, 11, 15, m[s6], m[s7]) G(0, 5, 10, 15, m[s8], m[s9]) G(1, 6, 11, 12, m[sa], m[sb])        \
    G(2, 7, 8, 13, m[sc], m[sd]) G(3, 4, 9, 14, m[se], m[sf])

extern "C" __global__ void __launch_bounds__(256) blake2b_search(u64 first, u64 limit, u64 *digests, u64 *best) {
    const u64 id = (u64)blockIdx.x * blockDim.x + threadIdx.x;
#pragma unroll
    for (int n = 0; n < NONCES; ++n) {
        const u64 nonce = first + id * NONCES + n;
        u64 m[16];
#pragma unroll
        for (int i = 0; i < 16; ++i) m[i] = i < 10 ? c_header[i] : 0;
        m[4] = nonce;
        u64 v[16] = {0x6a09e667f2bdc928, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                     0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
                     0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                     0x510e527fade68281, 0x9b05688c2b3e6c1f, 0xe07c265404be4294, 0x5be0cd19137e2179};
        ROW(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
        ROW(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
        ROW(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4)
        ROW(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8)
        ROW(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13)
        ROW(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9)
        ROW(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11)
        ROW(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10)
        ROW(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5)
        ROW(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0)
        ROW(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
        ROW(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
        const u64 h0 = 0x6a09e667f2bdc928 ^ v[0] ^ v[8];
        if (digests) {
            digests[4 * (nonce - first)] = h0;
            digests[4 * (nonce - first) + 1] = 0xbb67ae8584caa73b ^ v[1] ^ v[9];
            digests[4 * (nonce - first) + 2] = 0x3c6ef372fe94f82b ^ v[2] ^ v[10];
            digests[4 * (nonce - first) + 3] = 0xa54ff53a5f1d36f1 ^ v[3] ^ v[11];
        }
        const u64 head = (u64)__byte_perm((u32)h0, 0, 0x0123) << 32 | __byte_perm((u32)(h0 >> 32), 0, 0x0123);
        if (head <= limit) atomicMin(best, nonce);
    }
}
