// A made-up stamp: xxHash64 of header and nonce seeds SHA-1 over a text with a counter in decimal digits, and leading
// zero bits count, in the way of e-mail stamps. Inert.
using u32 = unsigned int;
using u64 = unsigned long long;

namespace xx {
constexpr u64 p1 = 0x9E3779B185EBCA87ull, p2 = 0xC2B2AE3D27D4EB4Full, p3 = 0x165667B19E3779F9ull;
constexpr u64 p4 = 0x85EBCA77C2B2AE63ull, p5 = 0x27D4EB2F165667C5ull;

__device__ __forceinline__ u64 rol(u64 x, int n) { return x << n | x >> (64 - n); }
__device__ __forceinline__ u64 lane(u64 acc, u64 input) { return rol(acc + input * p2, 31) * p1; }

// Whole 64-bit words only.
__device__ u64 hash(const u64 *words, u32 count, u64 seed) {
    u64 h, a = seed + p1 + p2, b = seed + p2, c = seed, d = seed - p1;
    u32 i = 0;
    if (count >= 4) {
        for (; i + 4 <= count; i += 4) {
            a = lane(a, words[i]);
            b = lane(b, words[i + 1]);
            c = lane(c, words[i + 2]);
            d = lane(d, words[i + 3]);
        }
        h = rol(a, 1) + rol(b, 7) + rol(c, 12) + rol(d, 18);
        const u64 lanes[4] = {a, b, c, d};
        for (int k = 0; k < 4; ++k) h = (h ^ lane(0, lanes[k])) * p1 + p4;
    } else {
        h = seed + p5;
    }
    h += 8ull * count;
    for (; i < count; ++i) h = rol(h ^ lane(0, words[i]), 27) * p1 + p4;
    h = (h ^ h >> 33) * p2;
    h = (h ^ h >> 29) * p3;
    return h ^ h >> 32;
}
}  // namespace xx

__device__ __forceinline__ u32 rol32(u32 x, int n) { return __funnelshift_l(x, x, n); }

__device__ void sha1_block(const u32 *text, u32 *h) {
    u32 w[16], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
#pragma unroll
    for (int i = 0; i < 16; ++i) w[i] = text[i];
#pragma unroll
    for (int t = 0; t < 80; ++t) {
        if (t >= 16) w[t & 15] = rol32(w[(t + 13) & 15] ^ w[(t + 8) & 15] ^ w[(t + 2) & 15] ^ w[t & 15], 1);
        const u32 f = t < 20 ? (d ^ (b & (c ^ d))) : t < 40 ? (b ^ c ^ d) : t < 60 ? ((b & c) | (d & (b | c))) : (b ^ c ^ d);
        const u32 k = t < 20 ? 0x5A827999u : t < 40 ? 0x6ED9EBA1u : t < 60 ? 0x8F1BBCDCu : 0xCA62C1D6u;
        const u32 next = rol32(a, 5) + f + e + k + w[t & 15];
        e = d; d = c; c = rol32(b, 30); b = a; a = next;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e;
}

#ifndef DIGITS
#define DIGITS 12
#endif

// Text: 16 bytes of the seed in hexadecimal, a colon, DIGITS decimal digits; one block.
__device__ void stamp(u64 seed, u64 counter, u32 *h) {
    unsigned char text[64] = {};
    for (int i = 0; i < 16; ++i) {
        const u32 nibble = (u32)(seed >> (60 - 4 * i)) & 15u;
        text[i] = (unsigned char)(nibble < 10 ? '0' + nibble : 'a' + nibble - 10);
    }
    text[16] = ':';
    for (int i = DIGITS - 1; i >= 0; --i, counter /= 10) text[17 + i] = (unsigned char)('0' + counter % 10);
    text[17 + DIGITS] = 0x80;
    u32 words[16];
    for (int i = 0; i < 16; ++i)
        words[i] = (u32)text[4 * i] << 24 | (u32)text[4 * i + 1] << 16 | (u32)text[4 * i + 2] << 8 | text[4 * i + 3];
    words[15] = 8 * (17 + DIGITS);
    h[0] = 0x67452301; h[1] = 0xEFCDAB89; h[2] = 0x98BADCFE; h[3] = 0x10325476; h[4] = 0xC3D2E1F0;
    sha1_block(words, h);
}

extern "C" __global__ void stamp_search(const u64 *header, u32 header_words, u64 header_seed, u64 first, int zeros,
                                        u32 *digests, u32 *hits) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    u32 h[5];
    stamp(xx::hash(header, header_words, header_seed), first + id, h);
    if (digests)
        for (int i = 0; i < 5; ++i) digests[5 * id + i] = h[i];
    if (__clz((int)h[0]) >= zeros) atomicAdd(hits, 1u);
}
