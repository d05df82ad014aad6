// Password audit over raw and salted SHA-256, everything unrolled, with early rejection on one digest word.
#include "sha2_tables.cuh"

typedef unsigned int uint32;

#ifndef CANDIDATES_PER_THREAD
#define CANDIDATES_PER_THREAD 1
#endif

__constant__ char alphabet[65] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._";

static __device__ __forceinline__ uint32 right(uint32 v, int by) { return __funnelshift_r(v, v, by); }

static __device__ __forceinline__ void sha256_once(const uint32 *m, uint32 *h)
{
    const uint32 k[64] = {SHA256_K_LIST}, iv[8] = {SHA256_IV_LIST};
    uint32 s[8], w[64];
#pragma unroll
    for (int i = 0; i < 8; i++) s[i] = iv[i];
#pragma unroll
    for (int i = 0; i < 64; i++) {
        if (i < 16) w[i] = m[i];
        else w[i] = w[i - 16] + w[i - 7] + (right(w[i - 15], 7) ^ right(w[i - 15], 18) ^ (w[i - 15] >> 3))
                  + (right(w[i - 2], 17) ^ right(w[i - 2], 19) ^ (w[i - 2] >> 10));
        uint32 p = s[7] + (right(s[4], 6) ^ right(s[4], 11) ^ right(s[4], 25)) + (s[6] ^ (s[4] & (s[5] ^ s[6]))) + k[i] + w[i];
        uint32 q = (right(s[0], 2) ^ right(s[0], 13) ^ right(s[0], 22)) + ((s[0] & s[1]) | (s[2] & (s[0] | s[1])));
        s[7] = s[6]; s[6] = s[5]; s[5] = s[4]; s[4] = s[3] + p; s[3] = s[2]; s[2] = s[1]; s[1] = s[0]; s[0] = p + q;
    }
#pragma unroll
    for (int i = 0; i < 8; i++) h[i] = s[i] + iv[i];
}

// Candidate number c of six characters over 64 letters, then an 8-byte salt.
extern "C" __global__ void audit_sha256_mask(unsigned long long first, uint32 salt_hi, uint32 salt_lo, const uint32 *target,
                                             unsigned long long *hit)
{
    unsigned long long base = first + (unsigned long long)(blockIdx.x * blockDim.x + threadIdx.x) * CANDIDATES_PER_THREAD;
    for (int c = 0; c < CANDIDATES_PER_THREAD; c++) {
        unsigned long long index = base + c;
        uint32 m[16] = {0}, digest[8];
        for (int i = 0; i < 4; i++) m[0] |= (uint32)alphabet[(index >> (6 * i)) & 63] << (24 - 8 * i);
        for (int i = 4; i < 6; i++) m[1] |= (uint32)alphabet[(index >> (6 * i)) & 63] << (24 - 8 * (i - 4));
        m[1] |= salt_hi >> 16;
        m[2] = (salt_hi << 16) | (salt_lo >> 16);
        m[3] = (salt_lo << 16) | 0x8000u;
        m[15] = 14 * 8;
        sha256_once(m, digest);
        if (digest[7] != target[7]) continue;
        bool same = true;
        for (int i = 0; i < 7; i++) same &= digest[i] == target[i];
        if (same) *hit = index;
    }
}
