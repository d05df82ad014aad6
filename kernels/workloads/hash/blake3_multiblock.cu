// BLAKE3 over a header of several 64-byte blocks with a 24-byte nonce in front, hashed twice; inert.
// Style: plain C structs and loops, message words permuted in place, header in constant memory.
typedef unsigned char uint8;
typedef unsigned int uint32;

#ifndef HEADER_BYTES
#define HEADER_BYTES 326
#endif
#ifndef STEPS
#define STEPS 64
#endif
#define HEADER_BLOCKS ((HEADER_BYTES + 63) / 64)

enum { CHUNK_START = 1, CHUNK_END = 2, ROOT = 8 };

struct Hasher {
    uint32 cv[8];
    uint32 m[16];
};

__constant__ uint32 kIV[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                              0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
__constant__ uint8 kPermutation[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
__constant__ uint32 kHeader[HEADER_BLOCKS * 16];

__device__ __forceinline__ uint32 rotr(uint32 x, int n) { return (x >> n) | (x << (32 - n)); }

__device__ __forceinline__ void quarter(uint32 *v, int a, int b, int c, int d, uint32 x, uint32 y) {
    v[a] = v[a] + v[b] + x;
    v[d] = rotr(v[d] ^ v[a], 16);
    v[c] = v[c] + v[d];
    v[b] = rotr(v[b] ^ v[c], 12);
    v[a] = v[a] + v[b] + y;
    v[d] = rotr(v[d] ^ v[a], 8);
    v[c] = v[c] + v[d];
    v[b] = rotr(v[b] ^ v[c], 7);
}

__device__ void compress(Hasher *h, uint32 length, uint32 flags) {
    uint32 v[16];
    for (int i = 0; i < 8; ++i) v[i] = h->cv[i];
    for (int i = 0; i < 4; ++i) v[8 + i] = kIV[i];
    v[12] = v[13] = 0;
    v[14] = length;
    v[15] = flags;
#ifdef UNROLL_ROUNDS
#pragma unroll
#else
#pragma unroll 1
#endif
    for (int round = 0; round < 7; ++round) {
#pragma unroll
        for (int i = 0; i < 4; ++i)
            quarter(v, i, 4 + i, 8 + i, 12 + i, h->m[2 * i], h->m[2 * i + 1]);
#pragma unroll
        for (int i = 0; i < 4; ++i)
            quarter(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, h->m[8 + 2 * i], h->m[9 + 2 * i]);
        uint32 t[16];
#pragma unroll
        for (int i = 0; i < 16; ++i) t[i] = h->m[kPermutation[i]];
#pragma unroll
        for (int i = 0; i < 16; ++i) h->m[i] = t[i];
    }
    for (int i = 0; i < 8; ++i) h->cv[i] = v[i] ^ v[i + 8];
}

__device__ void start(Hasher *h) {
    for (int i = 0; i < 8; ++i) h->cv[i] = kIV[i];
}

// The header with the nonce in its first 24 bytes.
__device__ void hash_header(Hasher *h, const uint32 nonce[6]) {
    start(h);
    for (int block = 0; block < HEADER_BLOCKS; ++block) {
        for (int i = 0; i < 16; ++i) h->m[i] = kHeader[block * 16 + i];
        if (block == 0)
            for (int i = 0; i < 6; ++i) h->m[i] = nonce[i];
        bool last = block == HEADER_BLOCKS - 1;
        uint32 flags = (block == 0 ? CHUNK_START : 0) | (last ? CHUNK_END | ROOT : 0);
        compress(h, last ? HEADER_BYTES - 64 * block : 64, flags);
    }
}

__device__ void hash_digest(Hasher *h) {
    for (int i = 0; i < 8; ++i) h->m[i] = h->cv[i];
    for (int i = 8; i < 16; ++i) h->m[i] = 0;
    start(h);
    compress(h, 32, CHUNK_START | CHUNK_END | ROOT);
}

__device__ bool below(const uint32 *digest, const uint32 *target) {
    const uint8 *a = (const uint8 *)digest, *b = (const uint8 *)target;
    for (int i = 0; i < 32; ++i) {
        if (a[i] < b[i]) return true;
        if (a[i] > b[i]) return false;
    }
    return true;
}

// Works until somebody found a digest below the target on the wanted chain or STEPS are used up.
extern "C" __global__ void alph_mine(const uint32 *target, uint32 chain, uint32 *found, uint32 *nonce_out,
                                     uint32 *digest_out, uint32 *hash_count) {
    uint32 id = blockIdx.x * blockDim.x + threadIdx.x;
    uint32 nonce[6] = {0, id, 0x9e3779b9u * id, 0, 0, 0};
    Hasher h;
    for (int step = 0; step < STEPS; ++step) {
        if (*(volatile uint32 *)found) break;
        nonce[0] += 1;
        hash_header(&h, nonce);
        hash_digest(&h);
        atomicAdd(hash_count, 1u);
        uint32 index = (h.cv[7] >> 24) & 15u;
        if (index == chain && below(h.cv, target) && atomicCAS(found, 0u, 1u) == 0u) {
            for (int i = 0; i < 6; ++i) nonce_out[i] = nonce[i];
            for (int i = 0; i < 8; ++i) digest_out[i] = h.cv[i];
        }
    }
}
