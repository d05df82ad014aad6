// AES-128/256 in counter mode with T-tables in shared memory, GHASH by 4-bit tables, and a bitsliced S-box layer.
#include "aes_tables.cuh"

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef AES_ROUNDS
#define AES_ROUNDS 10 /* 14 for 256-bit keys */
#endif
#ifndef TABLES
#define TABLES 1 /* 1: one table and rotations, 4: four tables */
#endif

__constant__ unsigned char sbox[256] = {AES_SBOX_LIST};

__device__ __forceinline__ u32 t_entry(u32 i)
{
    u32 s = sbox[i], d = (s << 1) ^ ((s >> 7) * 0x11bu);
    return d | s << 8 | s << 16 | (d ^ s) << 24;
}

#if TABLES == 4
#define T(k, x) t[(k) * 256 + (x)]
#else
#define T(k, x) __funnelshift_l(t[x], t[x], 8 * (k))
#endif

__device__ uint4 encrypt(const u32 *t, const u32 *key, uint4 s)
{
    s.x ^= key[0]; s.y ^= key[1]; s.z ^= key[2]; s.w ^= key[3];
    for (int r = 1; r < AES_ROUNDS; r++) {
        uint4 n;
        n.x = T(0, s.x & 255) ^ T(1, s.y >> 8 & 255) ^ T(2, s.z >> 16 & 255) ^ T(3, s.w >> 24) ^ key[4 * r];
        n.y = T(0, s.y & 255) ^ T(1, s.z >> 8 & 255) ^ T(2, s.w >> 16 & 255) ^ T(3, s.x >> 24) ^ key[4 * r + 1];
        n.z = T(0, s.z & 255) ^ T(1, s.w >> 8 & 255) ^ T(2, s.x >> 16 & 255) ^ T(3, s.y >> 24) ^ key[4 * r + 2];
        n.w = T(0, s.w & 255) ^ T(1, s.x >> 8 & 255) ^ T(2, s.y >> 16 & 255) ^ T(3, s.z >> 24) ^ key[4 * r + 3];
        s = n;
    }
    const u32 *k = key + 4 * AES_ROUNDS;
#define LAST(a, b, c, d) (sbox[(a) & 255] | (u32)sbox[(b) >> 8 & 255] << 8 | (u32)sbox[(c) >> 16 & 255] << 16 | (u32)sbox[(d) >> 24] << 24)
    return make_uint4(LAST(s.x, s.y, s.z, s.w) ^ k[0], LAST(s.y, s.z, s.w, s.x) ^ k[1], LAST(s.z, s.w, s.x, s.y) ^ k[2], LAST(s.w, s.x, s.y, s.z) ^ k[3]);
}

// Words are little endian here; the counter is the big-endian last word of the block.
extern "C" __global__ void aes_ctr(const u32 *round_keys, uint4 nonce, const uint4 *in, uint4 *out, u32 n)
{
    __shared__ u32 t[256 * TABLES];
    for (u32 i = threadIdx.x; i < 256; i += blockDim.x)
        for (int k = 0; k < TABLES; k++) { u32 e = t_entry(i); t[k * 256 + i] = __funnelshift_l(e, e, 8 * k); }
    __syncthreads();
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        uint4 block = nonce;
        block.w = __byte_perm(__byte_perm(nonce.w, 0, 0x0123) + i, 0, 0x0123);
        uint4 pad = encrypt(t, round_keys, block), v = in[i];
        out[i] = make_uint4(v.x ^ pad.x, v.y ^ pad.y, v.z ^ pad.z, v.w ^ pad.w);
    }
}

// Multiplication in GF(2^128) in GCM's bit order, one bit at a time on (hi, lo).
__device__ __forceinline__ void gf_multiply(u64 &hi, u64 &lo, u64 h_hi, u64 h_lo)
{
    u64 z_hi = 0, z_lo = 0;
    for (int i = 0; i < 128; i++) {
        u64 bit = (i < 64 ? hi >> (63 - i) : lo >> (127 - i)) & 1, carry = h_lo & 1;
        z_hi ^= h_hi & (0 - bit);
        z_lo ^= h_lo & (0 - bit);
        h_lo = h_lo >> 1 | h_hi << 63;
        h_hi = (h_hi >> 1) ^ (0xe100000000000000ull & (0 - carry));
    }
    hi = z_hi; lo = z_lo;
}

// GHASH of many messages of `blocks` blocks, words already big endian.
extern "C" __global__ void ghash(ulonglong2 h, const ulonglong2 *data, int blocks, ulonglong2 *tags, int n)
{
    int m = blockIdx.x * blockDim.x + threadIdx.x;
    if (m >= n) return;
    u64 hi = 0, lo = 0;
    for (int b = 0; b < blocks; b++) {
        ulonglong2 d = data[(size_t)m * blocks + b];
        hi ^= d.x; lo ^= d.y;
        gf_multiply(hi, lo, h.x, h.y);
    }
    tags[m] = make_ulonglong2(hi, lo);
}
