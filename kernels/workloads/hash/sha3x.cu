// SHA3-256 three times over nonce and header hash: 25 lanes as named variables, one macro a round. Inert.
// With -DLOP3_ASM the two three-input functions are written as machine instructions instead.
typedef unsigned long long u64;

#ifdef LOP3_ASM
__device__ __forceinline__ u64 lop3_64_d2(u64 a, u64 b, u64 c) {
    unsigned al, ah, bl, bh, cl, ch, rl, rh;
    al = (unsigned)a; ah = (unsigned)(a >> 32); bl = (unsigned)b; bh = (unsigned)(b >> 32);
    cl = (unsigned)c; ch = (unsigned)(c >> 32);
    asm("lop3.b32 %0, %1, %2, %3, 0xD2;" : "=r"(rl) : "r"(al), "r"(bl), "r"(cl));
    asm("lop3.b32 %0, %1, %2, %3, 0xD2;" : "=r"(rh) : "r"(ah), "r"(bh), "r"(ch));
    return (u64)rh << 32 | rl;
}
#define CHI(a, b, c) lop3_64_d2(a, b, c)
#else
#define CHI(a, b, c) ((a) ^ (~(b) & (c)))
#endif

__device__ __forceinline__ u64 rol(u64 x, const int n) {
    const unsigned lo = (unsigned)x, hi = (unsigned)(x >> 32);
    const unsigned a = n < 32 ? hi : lo, b = n < 32 ? lo : hi;
    return (u64)__funnelshift_l(b, a, n & 31) << 32 | __funnelshift_l(a, b, n & 31);
}

#define KROUND(rcon)                                                                                     \
    {                                                                                                    \
        const u64 p0 = a00 ^ a05 ^ a10 ^ a15 ^ a20, p1 = a01 ^ a06 ^ a11 ^ a16 ^ a21;                    \
        const u64 p2 = a02 ^ a07 ^ a12 ^ a17 ^ a22, p3 = a03 ^ a08 ^ a13 ^ a18 ^ a23;                    \
        const u64 p4 = a04 ^ a09 ^ a14 ^ a19 ^ a24;                                                      \
        const u64 d0 = p4 ^ rol(p1, 1), d1 = p0 ^ rol(p2, 1), d2 = p1 ^ rol(p3, 1);                      \
        const u64 d3 = p2 ^ rol(p4, 1), d4 = p3 ^ rol(p0, 1);                                            \
        const u64 b00 = a00 ^ d0, b01 = rol(a06 ^ d1, 44), b02 = rol(a12 ^ d2, 43);                      \
        const u64 b03 = rol(a18 ^ d3, 21), b04 = rol(a24 ^ d4, 14), b05 = rol(a03 ^ d3, 28);             \
        const u64 b06 = rol(a09 ^ d4, 20), b07 = rol(a10 ^ d0, 3), b08 = rol(a16 ^ d1, 45);              \
        const u64 b09 = rol(a22 ^ d2, 61), b10 = rol(a01 ^ d1, 1), b11 = rol(a07 ^ d2, 6);               \
        const u64 b12 = rol(a13 ^ d3, 25), b13 = rol(a19 ^ d4, 8), b14 = rol(a20 ^ d0, 18);              \
        const u64 b15 = rol(a04 ^ d4, 27), b16 = rol(a05 ^ d0, 36), b17 = rol(a11 ^ d1, 10);             \
        const u64 b18 = rol(a17 ^ d2, 15), b19 = rol(a23 ^ d3, 56), b20 = rol(a02 ^ d2, 62);             \
        const u64 b21 = rol(a08 ^ d3, 55), b22 = rol(a14 ^ d4, 39), b23 = rol(a15 ^ d0, 41);             \
        const u64 b24 = rol(a21 ^ d1, 2);                                                                \
        a00 = CHI(b00, b01, b02) ^ rcon; a01 = CHI(b01, b02, b03); a02 = CHI(b02, b03, b04);             \
        a03 = CHI(b03, b04, b00); a04 = CHI(b04, b00, b01); a05 = CHI(b05, b06, b07);                    \
        a06 = CHI(b06, b07, b08); a07 = CHI(b07, b08, b09); a08 = CHI(b08, b09, b05);                    \
        a09 = CHI(b09, b05, b06); a10 = CHI(b10, b11, b12); a11 = CHI(b11, b12, b13);                    \
        a12 = CHI(b12, b13, b14); a13 = CHI(b13, b14, b10); a14 = CHI(b14, b10, b11);                    \
        a15 = CHI(b15, b16, b17); a16 = CHI(b16, b17, b18); a17 = CHI(b17, b18, b19);                    \
        a18 = CHI(b18, b19, b15); a19 = CHI(b19, b15, b16); a20 = CHI(b20, b21, b22);                    \
        a21 = CHI(b21, b22, b23); a22 = CHI(b22, b23, b24); a23 = CHI(b23, b24, b20);                    \
        a24 = CHI(b24, b20, b21);                                                                        \
    }

#ifdef ROLLED
__constant__ u64 c_rounds[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};
#define KECCAK _Pragma("unroll 1") for (int r = 0; r < 24; ++r) KROUND(c_rounds[r])
#else
#define KECCAK                                                                                            \
    KROUND(0x0000000000000001ull) KROUND(0x0000000000008082ull) KROUND(0x800000000000808aull)             \
    KROUND(0x8000000080008000ull) KROUND(0x000000000000808bull) KROUND(0x0000000080000001ull)             \
    KROUND(0x8000000080008081ull) KROUND(0x8000000000008009ull) KROUND(0x000000000000008aull)             \
    KROUND(0x0000000000000088ull) KROUND(0x0000000080008009ull) KROUND(0x000000008000000aull)             \
    KROUND(0x000000008000808bull) KROUND(0x800000000000008bull) KROUND(0x8000000000008089ull)             \
    KROUND(0x8000000000008003ull) KROUND(0x8000000000008002ull) KROUND(0x8000000000000080ull)             \
    KROUND(0x000000000000800aull) KROUND(0x800000008000000aull) KROUND(0x8000000080008081ull)             \
    KROUND(0x8000000000008080ull) KROUND(0x0000000080000001ull) KROUND(0x8000000080008008ull)
#endif

#ifndef TIMES
#define TIMES 3
#endif

struct Header {
    u64 word[5];  // 32 bytes of mining hash and one more byte
};

extern "C" __global__ void sha3x_search(Header header, u64 first, u64 difficulty_limit, u64 *digests, u64 *best) {
    const u64 nonce = first + (u64)blockIdx.x * blockDim.x + threadIdx.x;
    u64 m0 = nonce, m1 = header.word[0], m2 = header.word[1], m3 = header.word[2], m4 = header.word[3];
    u64 m5 = (header.word[4] & 0xffull) | 0x0600ull;
#pragma unroll 1
    for (int t = 0; t < TIMES; ++t) {
        u64 a00 = m0, a01 = m1, a02 = m2, a03 = m3, a04 = m4, a05 = m5, a06 = 0, a07 = 0, a08 = 0, a09 = 0, a10 = 0;
        u64 a11 = 0, a12 = 0, a13 = 0, a14 = 0, a15 = 0, a16 = 0x8000000000000000ull, a17 = 0, a18 = 0, a19 = 0;
        u64 a20 = 0, a21 = 0, a22 = 0, a23 = 0, a24 = 0;
        KECCAK
        m0 = a00; m1 = a01; m2 = a02; m3 = a03; m4 = 0x06; m5 = 0;
    }
    if (digests) {
        u64 *out = digests + 4 * (nonce - first);
        out[0] = m0; out[1] = m1; out[2] = m2; out[3] = m3;
    }
    const u64 head = (u64)__byte_perm((unsigned)m0, 0, 0x0123) << 32 | __byte_perm((unsigned)(m0 >> 32), 0, 0x0123);
    if (head <= difficulty_limit) atomicMin(best, nonce);
}
