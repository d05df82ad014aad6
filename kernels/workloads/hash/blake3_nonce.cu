// BLAKE3 over one 64-byte block, nonce in the last two words: an inert search over a fixed header.
// Style: everything unrolled by macros, the message schedule written as immediate indices.
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef NONCES
#define NONCES 1
#endif
#ifndef BLOCK_FLAGS
#define BLOCK_FLAGS 11u /* CHUNK_START | CHUNK_END | ROOT */
#endif

#define R(x, n) __funnelshift_r(x, x, n)
#define G(a, b, c, d, x, y)         \
    a += b + (x); d = R(d ^ a, 16); \
    c += d;       b = R(b ^ c, 12); \
    a += b + (y); d = R(d ^ a, 8);  \
    c += d;       b = R(b ^ c, 7);

#define ROUND(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p) \
    G(v0, v4, v8, vc, w##a, w##b)                             \
    G(v1, v5, v9, vd, w##c, w##d)                             \
    G(v2, v6, va, ve, w##e, w##f)                             \
    G(v3, v7, vb, vf, w##g, w##h)                             \
    G(v0, v5, va, vf, w##i, w##j)                             \
    G(v1, v6, vb, vc, w##k, w##l)                             \
    G(v2, v7, v8, vd, w##m, w##n)                             \
    G(v3, v4, v9, ve, w##o, w##p)

#define IV0 0x6A09E667u
#define IV1 0xBB67AE85u
#define IV2 0x3C6EF372u
#define IV3 0xA54FF53Au
#define IV4 0x510E527Fu
#define IV5 0x9B05688Cu
#define IV6 0x1F83D9ABu
#define IV7 0x5BE0CD19u

__constant__ u32 header[16];

__device__ __forceinline__ void blake3_64(u32 *out, u32 we, u32 wf) {
    u32 w0 = header[0], w1 = header[1], w2 = header[2], w3 = header[3];
    u32 w4 = header[4], w5 = header[5], w6 = header[6], w7 = header[7];
    u32 w8 = header[8], w9 = header[9], wa = header[10], wb = header[11];
    u32 wc = header[12], wd = header[13];
    u32 v0 = IV0, v1 = IV1, v2 = IV2, v3 = IV3, v4 = IV4, v5 = IV5, v6 = IV6, v7 = IV7;
    u32 v8 = IV0, v9 = IV1, va = IV2, vb = IV3, vc = 0, vd = 0, ve = 64, vf = BLOCK_FLAGS;

    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, a, b, c, d, e, f)
    ROUND(2, 6, 3, a, 7, 0, 4, d, 1, b, c, 5, 9, e, f, 8)
    ROUND(3, 4, a, c, d, 2, 7, e, 6, 5, 9, 0, b, f, 8, 1)
    ROUND(a, 7, c, 9, e, 3, d, f, 4, 0, b, 2, 5, 8, 1, 6)
    ROUND(c, d, 9, b, f, a, e, 8, 7, 2, 5, 3, 0, 1, 6, 4)
    ROUND(9, e, b, 5, 8, c, f, 1, d, 3, 0, a, 2, 6, 4, 7)
    ROUND(b, f, 5, 0, 1, 9, 8, 6, e, a, 2, c, 3, 4, 7, d)

    out[0] = v0 ^ v8; out[1] = v1 ^ v9; out[2] = v2 ^ va; out[3] = v3 ^ vb;
    out[4] = v4 ^ vc; out[5] = v5 ^ vd; out[6] = v6 ^ ve; out[7] = v7 ^ vf;
}

// Every thread tries NONCES neighbouring nonces; `best` keeps one that falls below the target.
extern "C" __global__ void __launch_bounds__(256) blake3_nonce_search(u64 first, u64 target, u64 *best) {
    u64 nonce = first + (u64)(blockIdx.x * blockDim.x + threadIdx.x) * NONCES;
#pragma unroll
    for (int i = 0; i < NONCES; ++i, ++nonce) {
        u32 h[8];
        blake3_64(h, (u32)nonce, (u32)(nonce >> 32));
        u64 top = ((u64)__byte_perm(h[0], 0, 0x0123) << 32) | __byte_perm(h[1], 0, 0x0123);
        if (top <= target) atomicMin(best, nonce);
    }
}

// The same hash written out in full, to be compared with known answers.
extern "C" __global__ void blake3_nonce_dump(u64 first, u32 *digests) {
    u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    u64 nonce = first + id;
    blake3_64(digests + 8 * id, (u32)nonce, (u32)(nonce >> 32));
}
