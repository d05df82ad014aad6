// Stream ciphers and authentication: ChaCha20, Salsa20, Poly1305, HMAC-SHA-256 of records.
#include "sha2.cuh"

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef DOUBLE_ROUNDS
#define DOUBLE_ROUNDS 10
#endif

#define ROTATE(v, n) (((v) << (n)) | ((v) >> (32 - (n))))
#define CHACHA(a, b, c, d)                                                                                            \
    x[a] += x[b]; x[d] = ROTATE(x[d] ^ x[a], 16); x[c] += x[d]; x[b] = ROTATE(x[b] ^ x[c], 12);                       \
    x[a] += x[b]; x[d] = ROTATE(x[d] ^ x[a], 8); x[c] += x[d]; x[b] = ROTATE(x[b] ^ x[c], 7)
#define SALSA(a, b, c, d)                                                                                             \
    x[b] ^= ROTATE(x[a] + x[d], 7); x[c] ^= ROTATE(x[b] + x[a], 9);                                                   \
    x[d] ^= ROTATE(x[c] + x[b], 13); x[a] ^= ROTATE(x[d] + x[c], 18)

extern "C" __global__ void chacha20_xor(const u32 *key, const u32 *nonce, u32 counter, const u32 *in, u32 *out, u32 n_blocks)
{
    u32 b = blockIdx.x * blockDim.x + threadIdx.x;
    if (b >= n_blocks) return;
    u32 s[16] = {0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u, key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7],
                 counter + b, nonce[0], nonce[1], nonce[2]}, x[16];
#pragma unroll
    for (int i = 0; i < 16; i++) x[i] = s[i];
    for (int r = 0; r < DOUBLE_ROUNDS; r++) {
        CHACHA(0, 4, 8, 12); CHACHA(1, 5, 9, 13); CHACHA(2, 6, 10, 14); CHACHA(3, 7, 11, 15);
        CHACHA(0, 5, 10, 15); CHACHA(1, 6, 11, 12); CHACHA(2, 7, 8, 13); CHACHA(3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++) out[16 * b + i] = in[16 * b + i] ^ (x[i] + s[i]);
}

extern "C" __global__ void salsa20_stream(const u32 *key, u64 nonce, uint4 *out, u32 n_blocks)
{
    for (u32 b = blockIdx.x * blockDim.x + threadIdx.x; b < n_blocks; b += gridDim.x * blockDim.x) {
        u32 s[16] = {0x61707865u, key[0], key[1], key[2], key[3], 0x3320646eu, (u32)nonce, (u32)(nonce >> 32), b, 0, 0x79622d32u,
                     key[4], key[5], key[6], key[7], 0x6b206574u}, x[16];
        for (int i = 0; i < 16; i++) x[i] = s[i];
#pragma unroll 2
        for (int r = 0; r < DOUBLE_ROUNDS; r++) {
            SALSA(0, 4, 8, 12); SALSA(5, 9, 13, 1); SALSA(10, 14, 2, 6); SALSA(15, 3, 7, 11);
            SALSA(0, 1, 2, 3); SALSA(5, 6, 7, 4); SALSA(10, 11, 8, 9); SALSA(15, 12, 13, 14);
        }
        for (int i = 0; i < 4; i++)
            out[4 * b + i] = make_uint4(x[4 * i] + s[4 * i], x[4 * i + 1] + s[4 * i + 1], x[4 * i + 2] + s[4 * i + 2], x[4 * i + 3] + s[4 * i + 3]);
    }
}

// Poly1305 with five limbs of 26 bits; messages of whole 16-byte blocks.
extern "C" __global__ void poly1305(const u32 *key, const u32 *messages, int blocks, u32 *tags, int n)
{
    int m = blockIdx.x * blockDim.x + threadIdx.x;
    if (m >= n) return;
    const u32 low = 0x3ffffff;
    u32 r[5] = {key[0] & 0x3ffffff, (key[0] >> 26 | key[1] << 6) & 0x3ffff03, (key[1] >> 20 | key[2] << 12) & 0x3ffc0ff,
                (key[2] >> 14 | key[3] << 18) & 0x3f03fff, (key[3] >> 8) & 0x00fffff}, h[5] = {};
    for (int b = 0; b < blocks; b++) {
        const u32 *w = messages + ((size_t)m * blocks + b) * 4;
        h[0] += w[0] & low; h[1] += (w[0] >> 26 | w[1] << 6) & low; h[2] += (w[1] >> 20 | w[2] << 12) & low;
        h[3] += (w[2] >> 14 | w[3] << 18) & low; h[4] += w[3] >> 8 | 1 << 24;
        u64 d[5], carry = 0;
#pragma unroll
        for (int i = 0; i < 5; i++) {
            d[i] = 0;
#pragma unroll
            for (int j = 0; j < 5; j++) d[i] += (u64)h[j] * (j <= i ? r[i - j] : 5 * r[5 + i - j]);
        }
        for (int i = 0; i < 5; i++) { d[i] += carry; h[i] = (u32)d[i] & low; carry = d[i] >> 26; }
        h[0] += (u32)carry * 5; h[1] += h[0] >> 26; h[0] &= low;
    }
    u32 c = 0;
    for (int k = 0; k < 2; k++) { for (int i = 0; i < 5; i++) { h[i] += c; c = h[i] >> 26; h[i] &= low; } h[0] += 5 * c; c = 0; }
    u32 g[5], over = 5;
    for (int i = 0; i < 5; i++) { g[i] = h[i] + over; over = g[i] >> 26; g[i] &= low; }
    for (int i = 0; i < 5; i++) if (over) h[i] = g[i];
    u32 t[4] = {h[0] | h[1] << 26, h[1] >> 6 | h[2] << 20, h[2] >> 12 | h[3] << 14, h[3] >> 18 | h[4] << 8};
    u64 sum = 0;
    for (int i = 0; i < 4; i++) { sum += (u64)t[i] + key[4 + i]; tags[4 * m + i] = (u32)sum; sum >>= 32; }
}

// Inner and outer states of the key are prepared by the host; records are whole, padded blocks.
extern "C" __global__ void hmac_sha256_records(const u32 *inner, const u32 *outer, const u32 *records, int blocks, u32 *macs, int n)
{
    int m = blockIdx.x * blockDim.x + threadIdx.x;
    if (m >= n) return;
    u32 h[8], w[16];
    for (int i = 0; i < 8; i++) h[i] = inner[i];
    for (int b = 0; b < blocks; b++) {
        for (int i = 0; i < 16; i++) w[i] = records[((size_t)m * blocks + b) * 16 + i];
        sha2_compress(h, w);
    }
    for (int i = 0; i < 16; i++) w[i] = i < 8 ? h[i] : 0;
    w[8] = 0x80000000u; w[15] = 96 * 8;
    for (int i = 0; i < 8; i++) h[i] = outer[i];
    sha2_compress(h, w);
    for (int i = 0; i < 8; i++) macs[8 * m + i] = h[i];
}
