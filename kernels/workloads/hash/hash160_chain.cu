// SHA-256 then RIPEMD-160, again and again on its own output: a chain that a "hash cash" of pay-to-address kind uses.
// Style: small device lambdas, RIPEMD's steps from packed tables, one chain a thread. Inert.
using u32 = unsigned;

#ifndef LINKS
#define LINKS 8
#endif

__constant__ u32 K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// RIPEMD-160: message word (low nibble) and rotation (high nibble) of each of the 80 steps, left and right line.
__device__ const unsigned char kLeft[80] = {
    0xb0, 0xe1, 0xf2, 0xc3, 0x54, 0x85, 0x76, 0x97, 0xb8, 0xd9, 0xea, 0xfb, 0x6c, 0x7d, 0x9e, 0x8f,
    0x77, 0x64, 0x8d, 0xd1, 0xba, 0x96, 0x7f, 0xf3, 0x7c, 0xc0, 0xf9, 0x95, 0xb2, 0x7e, 0xdb, 0xc8,
    0xb3, 0xda, 0x6e, 0x74, 0xe9, 0x9f, 0xd8, 0xf1, 0xe2, 0x87, 0xd0, 0x66, 0x5d, 0xcb, 0x75, 0x5c,
    0xb1, 0xc9, 0xeb, 0xfa, 0xe0, 0xf8, 0x9c, 0x84, 0x9d, 0xe3, 0x57, 0x6f, 0x8e, 0x65, 0x56, 0xc2,
    0x94, 0xf0, 0x55, 0xb9, 0x67, 0x8c, 0xd2, 0xca, 0x5e, 0xc1, 0xd3, 0xe8, 0xbb, 0x86, 0x5f, 0x6d};
__device__ const unsigned char kRight[80] = {
    0x85, 0x9e, 0x97, 0xb0, 0xd9, 0xf2, 0xfb, 0x54, 0x7d, 0x76, 0x8f, 0xb8, 0xe1, 0xea, 0xc3, 0x6c,
    0x96, 0xdb, 0xf3, 0x77, 0xc0, 0x8d, 0x95, 0xba, 0x7e, 0x7f, 0xc8, 0x7c, 0x64, 0xf9, 0xd1, 0xb2,
    0x9f, 0x75, 0xf1, 0xb3, 0x87, 0x6e, 0x66, 0xe9, 0xcb, 0xd8, 0x5c, 0xe2, 0xda, 0xd0, 0x74, 0x5d,
    0xf8, 0x56, 0x84, 0xb1, 0xe3, 0xeb, 0x6f, 0xe0, 0x65, 0x9c, 0xc2, 0x9d, 0xc9, 0x57, 0xfa, 0x8e,
    0x8c, 0x5f, 0xca, 0x94, 0xc1, 0x55, 0xe8, 0x67, 0x86, 0xd2, 0x6d, 0x5e, 0xf0, 0xd3, 0xb9, 0xbb};
__device__ const u32 kAddLeft[5] = {0, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E};
__device__ const u32 kAddRight[5] = {0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0};

__device__ __forceinline__ u32 rol(u32 x, u32 n) { return __funnelshift_l(x, x, n); }
__device__ __forceinline__ u32 ror(u32 x, u32 n) { return __funnelshift_r(x, x, n); }
__device__ __forceinline__ u32 swap(u32 x) { return __byte_perm(x, 0, 0x0123); }

template <int F>
__device__ __forceinline__ u32 mixer(u32 x, u32 y, u32 z) {
    switch (F) {
        case 0: return x ^ y ^ z;
        case 1: return (x & y) | (~x & z);
        case 2: return (x | ~y) ^ z;
        case 3: return (x & z) | (y & ~z);
        default: return x ^ (y | ~z);
    }
}

template <int F>
__device__ __forceinline__ void line(u32 (&v)[5], const u32 (&m)[16], const unsigned char *steps, u32 constant) {
#pragma unroll
    for (int i = 0; i < 16; ++i) {
        const u32 code = steps[i];
        const u32 t = rol(v[0] + mixer<F>(v[1], v[2], v[3]) + m[code & 15] + constant, code >> 4) + v[4];
        v[0] = v[4]; v[4] = v[3]; v[3] = rol(v[2], 10); v[2] = v[1]; v[1] = t;
    }
}

template <int R>
__device__ __forceinline__ void lines(u32 (&a)[5], u32 (&b)[5], const u32 (&m)[16]) {
    if constexpr (R < 5) {
        line<R>(a, m, kLeft + 16 * R, kAddLeft[R]);
        line<4 - R>(b, m, kRight + 16 * R, kAddRight[R]);
        lines<R + 1>(a, b, m);
    }
}

// 32 bytes, given as big-endian words of SHA-256.
__device__ void ripemd160(const u32 (&sha)[8], u32 (&out)[5]) {
    const u32 start[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    u32 m[16] = {}, a[5], b[5];
    for (int i = 0; i < 8; ++i) m[i] = swap(sha[i]);
    m[8] = 0x80;
    m[14] = 256;
    for (int i = 0; i < 5; ++i) a[i] = b[i] = start[i];
    lines<0>(a, b, m);
    for (int i = 0; i < 5; ++i) out[i] = start[(i + 1) % 5] + a[(i + 2) % 5] + b[(i + 3) % 5];
}

// One block: at most 55 bytes, here always `words` whole little-endian words.
__device__ void sha256_short(const u32 *text, int words, u32 (&out)[8]) {
    const u32 start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    u32 w[16] = {}, v[8];
    for (int i = 0; i < words; ++i) w[i] = swap(text[i]);
    w[words] = 0x80000000u;
    w[15] = 32 * words;
    for (int i = 0; i < 8; ++i) v[i] = start[i];
    const auto big0 = [](u32 x) { return ror(x, 2) ^ ror(x, 13) ^ ror(x, 22); };
    const auto big1 = [](u32 x) { return ror(x, 6) ^ ror(x, 11) ^ ror(x, 25); };
    const auto small0 = [](u32 x) { return ror(x, 7) ^ ror(x, 18) ^ x >> 3; };
    const auto small1 = [](u32 x) { return ror(x, 17) ^ ror(x, 19) ^ x >> 10; };
#pragma unroll 8
    for (int i = 0; i < 64; ++i) {
        if (i >= 16) w[i & 15] += small1(w[(i + 14) & 15]) + w[(i + 9) & 15] + small0(w[(i + 1) & 15]);
        const u32 t = v[7] + big1(v[4]) + (v[6] ^ (v[4] & (v[5] ^ v[6]))) + K[i] + w[i & 15];
        const u32 s = big0(v[0]) + ((v[0] & (v[1] | v[2])) | (v[1] & v[2]));
        for (int j = 7; j > 0; --j) v[j] = v[j - 1];
        v[4] += t;
        v[0] = t + s;
    }
    for (int i = 0; i < 8; ++i) out[i] = v[i] + start[i];
}

extern "C" __global__ void hash160_chain(const u32 *seed, u32 first, u32 limit, u32 *ends, u32 *hits) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    u32 text[6] = {seed[0], seed[1], seed[2], seed[3], seed[4], first + id}, digest[8], short_digest[5];
#pragma unroll 1
    for (int link = 0; link < LINKS; ++link) {
        sha256_short(text, 6, digest);
        ripemd160(digest, short_digest);
        for (int i = 0; i < 5; ++i) text[i] = short_digest[i];
    }
    if (ends)
        for (int i = 0; i < 5; ++i) ends[5 * id + i] = text[i];
    if (swap(text[0]) <= limit) atomicAdd(hits, 1u);
}
