// Merkle trees of provers over byte-oriented hashes: Keccak-256 and SHA3-256, SHA-256, BLAKE2s and BLAKE2b.
#include "keccak_tables.cuh"
#include "sha2.cuh"

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef PAD_BYTE
#define PAD_BYTE 0x01 /* 0x06 for SHA3 */
#endif

__device__ __constant__ u64 keccak_rc[24] = {KECCAK_RC_LIST};

__device__ void keccak_f(u64 (&a)[25])
{
    const int rotation[24] = {1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44};
    const int lane[24] = {10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1};
#pragma unroll 1
    for (int r = 0; r < 24; r++) {
        u64 c[5], t;
#pragma unroll
        for (int x = 0; x < 5; x++) c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
#pragma unroll
        for (int x = 0; x < 5; x++) {
            t = c[(x + 4) % 5] ^ (c[(x + 1) % 5] << 1 | c[(x + 1) % 5] >> 63);
#pragma unroll
            for (int y = 0; y < 25; y += 5) a[x + y] ^= t;
        }
        t = a[1];
#pragma unroll
        for (int i = 0; i < 24; i++) {
            u64 keep = a[lane[i]];
            a[lane[i]] = t << rotation[i] | t >> (64 - rotation[i]);
            t = keep;
        }
#pragma unroll
        for (int y = 0; y < 25; y += 5) {
            u64 row[5];
            for (int x = 0; x < 5; x++) row[x] = a[y + x];
            for (int x = 0; x < 5; x++) a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
        }
        a[0] ^= keccak_rc[r];
    }
}

extern "C" __global__ void merkle_keccak_pairs(const u64 *nodes, u64 *parents, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u64 a[25] = {};
    for (int j = 0; j < 8; j++) a[j] = nodes[8 * (size_t)i + j];
    a[8] = PAD_BYTE;
    a[16] = 1ull << 63;
    keccak_f(a);
    for (int j = 0; j < 4; j++) parents[4 * (size_t)i + j] = a[j];
}

// Leaves are rows of field elements, one per column of the trace.
extern "C" __global__ void merkle_keccak_leaves(const u64 *columns, int n_columns, u64 *digests, u32 n)
{
    u32 row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= n) return;
    u64 a[25] = {};
    int at = 0;
    for (int c = 0; c < n_columns; c++) {
        u64 v = columns[(size_t)c * n + row];
#pragma unroll
        for (int k = 0; k < 17; k++) if (k == at) a[k] ^= v;
        if (++at == 17) { keccak_f(a); at = 0; }
    }
#pragma unroll
    for (int k = 0; k < 17; k++) if (k == at) a[k] ^= PAD_BYTE;
    a[16] ^= 1ull << 63;
    keccak_f(a);
    for (int j = 0; j < 4; j++) digests[4 * (size_t)row + j] = a[j];
}

extern "C" __global__ void merkle_sha256_pairs(const u32 *nodes, u32 *parents, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 h[8], w[16];
    Sha2<u32>::start(h);
    for (int j = 0; j < 16; j++) w[j] = nodes[16 * (size_t)i + j];
    sha2_compress(h, w);
    for (int j = 1; j < 15; j++) w[j] = 0;
    w[0] = 0x80000000u; w[15] = 512;
    sha2_compress(h, w);
    for (int j = 0; j < 8; j++) parents[8 * (size_t)i + j] = h[j];
}

template <typename W> struct Blake2;
template <> struct Blake2<u32> {
    enum { ROUNDS = 10, A = 16, B = 12, C = 8, D = 7 };
    static __device__ void start(u32 *h) { const u32 iv[8] = {SHA256_IV_LIST}; for (int i = 0; i < 8; i++) h[i] = iv[i]; }
};
template <> struct Blake2<u64> {
    enum { ROUNDS = 12, A = 32, B = 24, C = 16, D = 63 };
    static __device__ void start(u64 *h) { const u64 iv[8] = {SHA512_IV_LIST}; for (int i = 0; i < 8; i++) h[i] = iv[i]; }
};

template <typename W> __device__ __forceinline__ W rotr(W x, int n) { return (x >> n) | (x << (8 * sizeof(W) - n)); }

__constant__ unsigned char sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

// One final block, digest half as long as the block's 16 words: a node of two children.
template <typename W> __device__ void blake2_node(const W *m, W *out)
{
    typedef Blake2<W> P;
    W h[8], v[16], iv[8];
    P::start(iv);
    for (int i = 0; i < 8; i++) h[i] = iv[i];
    h[0] ^= (W)(0x01010000u | (8 * sizeof(W)));
    for (int i = 0; i < 8; i++) { v[i] = h[i]; v[8 + i] = iv[i]; }
    v[12] ^= 16 * sizeof(W);
    v[14] = ~v[14];
    for (int r = 0; r < P::ROUNDS; r++) {
        const unsigned char *s = sigma[r % 10];
#pragma unroll
        for (int g = 0; g < 8; g++) {
            int i = g & 3, a = i, b = 4 + (i + (g >> 2)) % 4, c = 8 + (i + 2 * (g >> 2)) % 4, d = 12 + (i + 3 * (g >> 2)) % 4;
            v[a] += v[b] + m[s[2 * g]]; v[d] = rotr<W>(v[d] ^ v[a], P::A);
            v[c] += v[d]; v[b] = rotr<W>(v[b] ^ v[c], P::B);
            v[a] += v[b] + m[s[2 * g + 1]]; v[d] = rotr<W>(v[d] ^ v[a], P::C);
            v[c] += v[d]; v[b] = rotr<W>(v[b] ^ v[c], P::D);
        }
    }
    for (int i = 0; i < 8; i++) out[i] = h[i] ^ v[i] ^ v[8 + i];
}

extern "C" __global__ void merkle_blake2s_pairs(const u32 *nodes, u32 *parents, u32 n)
{
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) blake2_node<u32>(nodes + 16 * (size_t)i, parents + 8 * (size_t)i);
}

extern "C" __global__ void merkle_blake2b_pairs(const u64 *nodes, u64 *parents, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u64 m[16], h[8];
    for (int j = 0; j < 16; j++) m[j] = nodes[16 * (size_t)i + j];
    blake2_node<u64>(m, h);
    for (int j = 0; j < 8; j++) parents[8 * (size_t)i + j] = h[j];
}
