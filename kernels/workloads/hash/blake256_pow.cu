// BLAKE-256 with 14 rounds over a 180-byte header from its midstate: digits of pi as immediates, vector of rows. Inert.
#define PI0 0x243F6A88u
#define PI1 0x85A308D3u
#define PI2 0x13198A2Eu
#define PI3 0x03707344u
#define PI4 0xA4093822u
#define PI5 0x299F31D0u
#define PI6 0x082EFA98u
#define PI7 0xEC4E6C89u
#define PI8 0x452821E6u
#define PI9 0x38D01377u
#define PIa 0xBE5466CFu
#define PIb 0x34E90C6Cu
#define PIc 0xC0AC29B7u
#define PId 0xC97C50DDu
#define PIe 0x3F84D5B5u
#define PIf 0xB5470917u

#ifndef ROUNDS
#define ROUNDS 14
#endif

typedef unsigned int u32;

__constant__ u32 c_mid[8];
__constant__ u32 c_block[16];  // last block, the nonce is its fourth word

__device__ __forceinline__ u32 ror(u32 x, int n) {
#ifdef PRMT
    if (n == 16) return __byte_perm(x, 0, 0x1032);
    if (n == 8) return __byte_perm(x, 0, 0x0321);
#endif
    return __funnelshift_r(x, x, n);
}

#define HALF(a, b, c, d, x, y)                        \
    a += b + (m##x ^ PI##y); d = ror(d ^ a, 16);      \
    c += d; b = ror(b ^ c, 12);                       \
    a += b + (m##y ^ PI##x); d = ror(d ^ a, 8);       \
    c += d; b = ror(b ^ c, 7);

#define ROUND(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p) \
    HALF(v0, v4, v8, v12, a, b)                               \
    HALF(v1, v5, v9, v13, c, d)                               \
    HALF(v2, v6, v10, v14, e, f)                              \
    HALF(v3, v7, v11, v15, g, h)                              \
    HALF(v0, v5, v10, v15, i, j)                              \
    HALF(v1, v6, v11, v12, k, l)                              \
    HALF(v2, v7, v8, v13, m, n)                               \
    HALF(v3, v4, v9, v14, o, p)

#define R0 ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, a, b, c, d, e, f)
#define R1 ROUND(e, a, 4, 8, 9, f, d, 6, 1, c, 0, 2, b, 7, 5, 3)
#define R2 ROUND(b, 8, c, 0, 5, 2, f, d, a, e, 3, 6, 7, 1, 9, 4)
#define R3 ROUND(7, 9, 3, 1, d, c, b, e, 2, 6, 5, a, 4, 0, f, 8)
#define R4 ROUND(9, 0, 5, 7, 2, 4, a, f, e, 1, b, c, 6, 8, 3, d)
#define R5 ROUND(2, c, 6, a, 0, b, 8, 3, 4, d, 7, 5, f, e, 1, 9)
#define R6 ROUND(c, 5, 1, f, e, d, 4, a, 0, 7, 6, 3, 9, 2, 8, b)
#define R7 ROUND(d, b, 7, e, c, 1, 3, 9, 5, 0, f, 4, 8, 6, 2, a)
#define R8 ROUND(6, f, e, 9, b, 3, 0, 8, c, 2, d, 7, 1, 4, a, 5)
#define R9 ROUND(a, 2, 8, 4, 7, 6, 1, 5, f, b, 9, e, 3, c, d, 0)

extern "C" __global__ void blake256_search(u32 first, u32 bits, u32 limit, u32 *digests, u32 *hits) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 m0 = c_block[0], m1 = c_block[1], m2 = c_block[2], m3 = first + id, m4 = c_block[4], m5 = c_block[5];
    const u32 m6 = c_block[6], m7 = c_block[7], m8 = c_block[8], m9 = c_block[9], ma = c_block[10], mb = c_block[11];
    const u32 mc = c_block[12], md = c_block[13], me = c_block[14], mf = c_block[15];
    u32 v0 = c_mid[0], v1 = c_mid[1], v2 = c_mid[2], v3 = c_mid[3], v4 = c_mid[4], v5 = c_mid[5], v6 = c_mid[6];
    u32 v7 = c_mid[7], v8 = PI0, v9 = PI1, v10 = PI2, v11 = PI3, v12 = PI4 ^ bits, v13 = PI5 ^ bits, v14 = PI6, v15 = PI7;
    R0 R1 R2 R3 R4 R5 R6 R7
#if ROUNDS == 14
    R8 R9 R0 R1 R2 R3
#endif
    const u32 last = c_mid[7] ^ v7 ^ v15;
    if (digests) {
        u32 *out = digests + 8 * id;
        out[0] = c_mid[0] ^ v0 ^ v8; out[1] = c_mid[1] ^ v1 ^ v9; out[2] = c_mid[2] ^ v2 ^ v10;
        out[3] = c_mid[3] ^ v3 ^ v11; out[4] = c_mid[4] ^ v4 ^ v12; out[5] = c_mid[5] ^ v5 ^ v13;
        out[6] = c_mid[6] ^ v6 ^ v14; out[7] = last;
    }
    if (last <= limit) atomicAdd(hits, 1u);
}
