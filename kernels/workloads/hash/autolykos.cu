// Autolykos2-like: a table of BLAKE2b digests over index, height and 8 KiB of constant words; the search gathers 32
// elements by a digest's sliding windows, adds them as big integers and hashes the sum. Inert, any table size.
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef CONST_WORDS
#define CONST_WORDS 1024
#endif
#ifndef GATHERS
#define GATHERS 32
#endif
#ifndef SPLIT
#define SPLIT 0 /* 1: the search takes its indices from the kernel before it */
#endif

__constant__ u64 kIv[8] = {0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
                           0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179};
__constant__ unsigned char kSigma[160] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3,
    11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4, 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8,
    9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13, 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9,
    12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11, 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10,
    6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5, 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0};

__device__ __forceinline__ u64 rotr(u64 x, u32 n) { return (x >> n) ^ (x << (64u - n)); }

struct Blake2b {
    u64 h[8], m[16], counter;

    __device__ void start() {
        for (int i = 0; i < 8; ++i) h[i] = kIv[i];
        h[0] ^= 0x01010000ull ^ 32ull;
        counter = 0;
    }

    __device__ void compress(u32 bytes, bool last) {
        u64 v[16];
        counter += bytes;
#pragma unroll
        for (int i = 0; i < 8; ++i) v[i] = h[i], v[i + 8] = kIv[i];
        v[12] ^= counter;
        if (last) v[14] = ~v[14];
#ifdef UNROLL
#pragma unroll
#else
#pragma unroll 2
#endif
        for (int r = 0; r < 12; ++r) {
            const unsigned char *s = kSigma + 16 * (r % 10);
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                const int a = i & 3, k = i >> 2;
                const int b = 4 + ((a + k) & 3), c = 8 + ((a + 2 * k) & 3), d = 12 + ((a + 3 * k) & 3);
                v[a] += v[b] + m[s[2 * i]];
                v[d] = rotr(v[d] ^ v[a], 32);
                v[c] += v[d];
                v[b] = rotr(v[b] ^ v[c], 24);
                v[a] += v[b] + m[s[2 * i + 1]];
                v[d] = rotr(v[d] ^ v[a], 16);
                v[c] += v[d];
                v[b] = rotr(v[b] ^ v[c], 63);
            }
        }
#pragma unroll
        for (int i = 0; i < 8; ++i) h[i] ^= v[i] ^ v[i + 8];
    }
};

__device__ __forceinline__ u32 swap(u32 x) { return __byte_perm(x, 0, 0x0123); }
__device__ __forceinline__ u64 swap64(u64 x) { return (u64)swap((u32)x) << 32 | swap((u32)(x >> 32)); }

// Word `i` of the stream index || height || constants, as the hash reads it (little endian).
__device__ __forceinline__ u64 stream_word(u32 i, u32 index, u32 height) {
    return i == 0 ? (u64)swap(height) << 32 | swap(index) : swap64(i - 1);
}

// 31 bytes of the digest as a little-endian number of eight words.
__device__ void element(u32 index, u32 height, u32 out[8]) {
    Blake2b b;
    b.start();
    const u32 words = 1 + CONST_WORDS, blocks = (words + 15) / 16;
#pragma unroll 1
    for (u32 k = 0; k < blocks; ++k) {
#pragma unroll
        for (u32 i = 0; i < 16; ++i) b.m[i] = 16 * k + i < words ? stream_word(16 * k + i, index, height) : 0;
        b.compress(k + 1 < blocks ? 128 : 8 * (words - 16 * k), k + 1 == blocks);
    }
    for (int i = 0; i < 4; ++i) {
        const u64 w = swap64(b.h[3 - i]);
        out[2 * i] = (u32)w;
        out[2 * i + 1] = (u32)(w >> 32);
    }
    out[7] &= 0x00ffffffu;
}

extern "C" __global__ void autolykos_table(u32 height, u32 n, uint4 *table) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= n) return;
    u32 e[8];
    element(id, height, e);
    table[2 * id] = make_uint4(e[0], e[1], e[2], e[3]);
    table[2 * id + 1] = make_uint4(e[4], e[5], e[6], e[7]);
}

__constant__ u64 c_message[4];

// BLAKE2b of message and nonce (big endian), optionally behind a 31-byte element.
__device__ void short_hash(const u32 *front, u64 nonce, u64 h[4]) {
    Blake2b b;
    b.start();
    for (int i = 0; i < 16; ++i) b.m[i] = 0;
    if (front == 0) {
        for (int i = 0; i < 4; ++i) b.m[i] = c_message[i];
        b.m[4] = swap64(nonce);
        b.compress(40, true);
    } else {
        unsigned char bytes[72];
        for (int i = 0; i < 31; ++i) bytes[i] = (unsigned char)(front[(30 - i) / 4] >> (8 * ((30 - i) % 4)));
        for (int i = 0; i < 32; ++i) bytes[31 + i] = (unsigned char)(c_message[i / 8] >> (8 * (i % 8)));
        for (int i = 0; i < 8; ++i) bytes[63 + i] = (unsigned char)(nonce >> (56 - 8 * i));
        for (int i = 0; i < 71; ++i) b.m[i / 8] |= (u64)bytes[i] << (8 * (i % 8));
        b.compress(71, true);
    }
    for (int i = 0; i < 4; ++i) h[i] = b.h[i];
}

__device__ __forceinline__ void load(const uint4 *table, u32 at, u32 e[8]) {
    const uint4 low = __ldg(&table[2 * at]), high = __ldg(&table[2 * at + 1]);
    e[0] = low.x; e[1] = low.y; e[2] = low.z; e[3] = low.w;
    e[4] = high.x; e[5] = high.y; e[6] = high.z; e[7] = high.w;
}

__device__ void indices_of(u64 nonce, u32 n, const uint4 *table, u32 index[GATHERS]) {
    u64 h[4];
    u32 e[8], w[9];
    short_hash(0, nonce, h);
    load(table, (u32)(swap64(h[3]) % n), e);
    short_hash(e, nonce, h);
    for (int i = 0; i < 4; ++i) w[2 * i] = swap((u32)h[i]), w[2 * i + 1] = swap((u32)(h[i] >> 32));
    w[8] = w[0];
#pragma unroll
    for (int i = 0; i < GATHERS; ++i) index[i] = __funnelshift_l(w[i / 4 + 1], w[i / 4], 8 * (i % 4)) % n;
}

__device__ bool finish(const u32 index[GATHERS], const uint4 *table, u64 limit, u64 h[4]) {
    u32 sum[8] = {0};
#pragma unroll 4
    for (int i = 0; i < GATHERS; ++i) {
        u32 e[8];
        u64 carry = 0;
        load(table, index[i], e);
#pragma unroll
        for (int k = 0; k < 8; ++k) {
            carry += (u64)sum[k] + e[k];
            sum[k] = (u32)carry;
            carry >>= 32;
        }
    }
    Blake2b b;
    b.start();
    for (int i = 0; i < 16; ++i) b.m[i] = 0;
    for (int i = 0; i < 4; ++i) b.m[i] = (u64)swap(sum[6 - 2 * i]) << 32 | swap(sum[7 - 2 * i]);
    b.compress(32, true);
    for (int i = 0; i < 4; ++i) h[i] = b.h[i];
    return swap64(h[0]) < limit;
}

extern "C" __global__ void autolykos_indices(u64 first, u32 n, const uint4 *table, u32 *indices) {
    u32 index[GATHERS];
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    indices_of(first + id, n, table, index);
    for (int i = 0; i < GATHERS; ++i) indices[i * gridDim.x * blockDim.x + id] = index[i];
}

extern "C" __global__ void autolykos_mine(u64 first, u32 n, const uint4 *table, const u32 *indices, u64 limit,
                                          u64 *digests, u32 *hits) {
    u32 index[GATHERS];
    u64 h[4];
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
#if SPLIT
    for (int i = 0; i < GATHERS; ++i) index[i] = indices[i * gridDim.x * blockDim.x + id];
#else
    indices_of(first + id, n, table, index);
#endif
    const bool good = finish(index, table, limit, h);
    if (digests)
        for (int i = 0; i < 4; ++i) digests[4 * id + i] = h[i];
    if (good) atomicAdd(hits, 1u);
}
