/* BLAKE2s of a header of several blocks with the nonce in its first eight bytes; the schedule is read from constant
   memory, one block of the message at a time. Inert. */
typedef unsigned int uint32;
typedef unsigned long long uint64;

#ifndef HEADER_SIZE
#define HEADER_SIZE 286
#endif
#ifndef NONCES_PER_THREAD
#define NONCES_PER_THREAD 16
#endif

__constant__ uint32 header[80];
__constant__ uint32 BLAKE2S_IV[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
__constant__ unsigned char SIGMA[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

typedef struct {
    uint32 h[8];
    uint32 t;
} Blake2s;

__device__ __forceinline__ uint32 R(uint32 w, const unsigned c) { return (w >> c) | (w << (32 - c)); }

__device__ void blake2s_compress(Blake2s *S, const uint32 *block, uint32 size, uint32 last) {
    uint32 v[16];
    S->t += size;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        v[i] = S->h[i];
        v[i + 8] = BLAKE2S_IV[i];
    }
    v[12] ^= S->t;
    v[14] ^= last;
#ifdef FULL_UNROLL
#pragma unroll
#else
#pragma unroll 1
#endif
    for (int r = 0; r < 10; r++) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int a = i % 4, b = 4 + (i + i / 4) % 4, c = 8 + (i + 2 * (i / 4)) % 4, d = 12 + (i + 3 * (i / 4)) % 4;
            v[a] = v[a] + v[b] + block[SIGMA[r][2 * i]];
            v[d] = R(v[d] ^ v[a], 16);
            v[c] = v[c] + v[d];
            v[b] = R(v[b] ^ v[c], 12);
            v[a] = v[a] + v[b] + block[SIGMA[r][2 * i + 1]];
            v[d] = R(v[d] ^ v[a], 8);
            v[c] = v[c] + v[d];
            v[b] = R(v[b] ^ v[c], 7);
        }
    }
#pragma unroll
    for (int i = 0; i < 8; i++) S->h[i] ^= v[i] ^ v[i + 8];
}

extern "C" __global__ void run_blake2s(uint64 start_nonce, uint64 limit, uint64 *nonce_out, uint32 *hash_out) {
    uint64 nonce = start_nonce + ((uint64)blockIdx.x * blockDim.x + threadIdx.x) * NONCES_PER_THREAD;
    for (int n = 0; n < NONCES_PER_THREAD; n++, nonce++) {
        Blake2s S;
        uint32 block[16];
        for (int i = 0; i < 8; i++) S.h[i] = BLAKE2S_IV[i];
        S.h[0] ^= 0x01010020;
        S.t = 0;
        for (uint32 at = 0; at < HEADER_SIZE; at += 64) {
            const uint32 left = HEADER_SIZE - at;
            for (int i = 0; i < 16; i++) block[i] = header[at / 4 + i];
            if (at == 0) {
                block[0] = (uint32)nonce;
                block[1] = (uint32)(nonce >> 32);
            }
            blake2s_compress(&S, block, left < 64 ? left : 64, left <= 64 ? 0xFFFFFFFFu : 0);
        }
        const uint64 value = (uint64)S.h[7] << 32 | S.h[6];
        if (value <= limit && atomicCAS(nonce_out, 0ull, nonce) == 0)
            for (int i = 0; i < 8; i++) hash_out[i] = S.h[i];
    }
}
