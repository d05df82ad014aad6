// A scratchpad hash of the Xelis kind: ChaCha8 streams keyed by chained BLAKE3 digests fill a pad, then 64-bit words are
// read and written at places that depend on them, with products, divisions and square roots. Inert.
#include "blake3_lanes.cuh"

using u64 = unsigned long long;
using b3::word;

#ifndef PAD_WORDS
#define PAD_WORDS 8192 /* 64-bit words */
#endif
#ifndef STREAMS
#define STREAMS 4
#endif
#ifndef TURNS
#define TURNS 3
#endif

namespace {

__device__ __forceinline__ word rol(word x, int n) { return __funnelshift_l(x, x, n); }

__device__ void chacha8(const word (&key)[8], word counter, const word (&nonce)[3], word (&out)[16]) {
    const word in[16] = {0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u, key[0], key[1], key[2], key[3],
                         key[4], key[5], key[6], key[7], counter, nonce[0], nonce[1], nonce[2]};
#pragma unroll
    for (int i = 0; i < 16; ++i) out[i] = in[i];
    const auto quarter = [&](int a, int b, int c, int d) {
        out[a] += out[b]; out[d] = rol(out[d] ^ out[a], 16); out[c] += out[d]; out[b] = rol(out[b] ^ out[c], 12);
        out[a] += out[b]; out[d] = rol(out[d] ^ out[a], 8); out[c] += out[d]; out[b] = rol(out[b] ^ out[c], 7);
    };
#pragma unroll
    for (int r = 0; r < 4; ++r) {
        quarter(0, 4, 8, 12); quarter(1, 5, 9, 13); quarter(2, 6, 10, 14); quarter(3, 7, 11, 15);
        quarter(0, 5, 10, 15); quarter(1, 6, 11, 12); quarter(2, 7, 8, 13); quarter(3, 4, 9, 14);
    }
#pragma unroll
    for (int i = 0; i < 16; ++i) out[i] += in[i];
}

__device__ void digest32(word (&key)[8]) {
    word m[16] = {};
#pragma unroll
    for (int i = 0; i < 8; ++i) m[i] = key[i];
    const b3::Digest d = b3::compress(b3::start(), m, 0u, 32u, 11u);
    key[0] = d.low.x; key[1] = d.low.y; key[2] = d.low.z; key[3] = d.low.w;
    key[4] = d.high.x; key[5] = d.high.y; key[6] = d.high.z; key[7] = d.high.w;
}

// Whole square root, by the bits of the floating one and a correction.
__device__ __forceinline__ u64 isqrt(u64 x) {
    u64 r = static_cast<u64>(sqrt(static_cast<double>(x)));
    while (r > 0xffffffffull || r * r > x) --r;
    while (r < 0xffffffffull && (r + 1) * (r + 1) <= x) ++r;
    return r;
}

}  // namespace

extern "C" __global__ void pad_fill(const word *seed, word first, u64 *pads) {
    const word id = blockIdx.x * blockDim.x + threadIdx.x;
    word key[8], nonce[3] = {first + id, 0u, 0u}, out[16];
    for (int i = 0; i < 8; ++i) key[i] = seed[i];
    u64 *pad = pads + static_cast<u64>(id) * PAD_WORDS;
    for (word s = 0; s < STREAMS; ++s) {
        digest32(key);
        for (word block = 0; block < PAD_WORDS / STREAMS / 8; ++block) {
            chacha8(key, block, nonce, out);
#pragma unroll
            for (int i = 0; i < 8; ++i) *pad++ = static_cast<u64>(out[2 * i + 1]) << 32 | out[2 * i];
        }
        nonce[1] = out[0];
        nonce[2] = out[15];
    }
}

extern "C" __global__ void pad_walk(u64 *pads, u64 *results) {
    const word id = blockIdx.x * blockDim.x + threadIdx.x;
    u64 *pad = pads + static_cast<u64>(id) * PAD_WORDS;
    u64 a = pad[0], b = pad[PAD_WORDS / 2], r = 0;
#pragma unroll 1
    for (word turn = 0; turn < TURNS; ++turn)
#pragma unroll 1
        for (word i = 0; i < PAD_WORDS; ++i) {
            const u64 x = pad[a % PAD_WORDS], y = pad[b % PAD_WORDS], z = pad[i];
            switch ((x ^ y ^ r) & 7u) {
                case 0: r ^= x * y + z; break;
                case 1: r ^= __umul64hi(x, y) + z; break;
                case 2: r ^= x / (y | 1u) + z; break;
                case 3: r ^= isqrt(x) * z; break;
                case 4: r ^= (x << (y & 63u)) | (x >> ((64u - (y & 63u)) & 63u)); break;
                case 5: r ^= x % (z | 1u) + y; break;
                case 6: r += (x & ~y) ^ z; break;
                default: r -= x ^ (y | z); break;
            }
            r = r << 1 | r >> 63;
            pad[i] = z ^ r;
            a ^= r;
            b += r ^ static_cast<u64>(i);
        }
    results[id] = r;
}

extern "C" __global__ void pad_digest(const u64 *pads, u64 limit, uint4 *digests, unsigned *hits) {
    const word id = blockIdx.x * blockDim.x + threadIdx.x;
    const u64 *pad = pads + static_cast<u64>(id) * PAD_WORDS;
    b3::Digest cv = b3::start();
    for (word block = 0; block < 16; ++block) {  // one chunk: the last 1,024 bytes of the pad
        word m[16];
        for (int i = 0; i < 8; ++i) {
            const u64 v = pad[PAD_WORDS - 128 + 8 * block + i];
            m[2 * i] = static_cast<word>(v);
            m[2 * i + 1] = static_cast<word>(v >> 32);
        }
        cv = b3::compress(cv, m, 0u, 64u, (block == 0 ? 1u : 0u) | (block == 15 ? 10u : 0u));
    }
    digests[2 * id] = cv.low;
    digests[2 * id + 1] = cv.high;
    if ((static_cast<u64>(cv.high.w) << 32 | cv.high.z) <= limit) atomicAdd(hits, 1u);
}
