// Equihash by buckets: BLAKE2b makes the strings, each round pairs equal leading bits inside a bucket.
// Inert: header fixed by the caller, solutions go to a buffer that nobody sends anywhere.
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef N
#define N 200
#endif
#ifndef K
#define K 9
#endif
#ifndef BUCKET_BITS
#define BUCKET_BITS 12
#endif
#ifndef SLOTS
#define SLOTS 704
#endif
#define CB (N / (K + 1))
#define REST_BITS (CB - BUCKET_BITS)
#define HEADS (1 << REST_BITS)
#define BUCKETS (1 << BUCKET_BITS)
#define WORDS ((N + 31) / 32)
#define PER_HASH (512 / N)
#define STRING_BYTES ((N + 7) / 8) // a length that is no whole number of bytes is cut from whole ones

struct Entry {
    u32 word[WORDS];
};

__constant__ u64 c_state[8];  // BLAKE2b after the first 128 bytes of the header
__constant__ u64 c_tail[2];   // what is left of the header, at most 12 bytes, zero padded
__constant__ u32 c_tail_bytes;

#define ROTR64(x, n) (((x) >> (n)) | ((x) << (64 - (n))))
#define B2B_G(a, b, c, d, x, y)  \
    a = a + b + x;               \
    d = ROTR64(d ^ a, 32);       \
    c = c + d;                   \
    b = ROTR64(b ^ c, 24);       \
    a = a + b + y;               \
    d = ROTR64(d ^ a, 16);       \
    c = c + d;                   \
    b = ROTR64(b ^ c, 63);

#define B2B_ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, sa, sb, sc, sd, se, sf) \
    B2B_G(v0, v4, v8, v12, m[s0], m[s1])                                          \
    B2B_G(v1, v5, v9, v13, m[s2], m[s3])                                          \
    B2B_G(v2, v6, v10, v14, m[s4], m[s5])                                         \
    B2B_G(v3, v7, v11, v15, m[s6], m[s7])                                         \
    B2B_G(v0, v5, v10, v15, m[s8], m[s9])                                         \
    B2B_G(v1, v6, v11, v12, m[sa], m[sb])                                         \
    B2B_G(v2, v7, v8, v13, m[sc], m[sd])                                          \
    B2B_G(v3, v4, v9, v14, m[se], m[sf])

__device__ void last_block(u64 out[8], const u64 m[16], u64 total) {
    u64 v0 = c_state[0], v1 = c_state[1], v2 = c_state[2], v3 = c_state[3];
    u64 v4 = c_state[4], v5 = c_state[5], v6 = c_state[6], v7 = c_state[7];
    u64 v8 = 0x6a09e667f3bcc908ull, v9 = 0xbb67ae8584caa73bull, v10 = 0x3c6ef372fe94f82bull;
    u64 v11 = 0xa54ff53a5f1d36f1ull, v12 = 0x510e527fade682d1ull ^ total, v13 = 0x9b05688c2b3e6c1full;
    u64 v14 = ~0x1f83d9abfb41bd6bull, v15 = 0x5be0cd19137e2179ull;
    B2B_ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    B2B_ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
    B2B_ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4)
    B2B_ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8)
    B2B_ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13)
    B2B_ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9)
    B2B_ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11)
    B2B_ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10)
    B2B_ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5)
    B2B_ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0)
    B2B_ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    B2B_ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
    out[0] = c_state[0] ^ v0 ^ v8;
    out[1] = c_state[1] ^ v1 ^ v9;
    out[2] = c_state[2] ^ v2 ^ v10;
    out[3] = c_state[3] ^ v3 ^ v11;
    out[4] = c_state[4] ^ v4 ^ v12;
    out[5] = c_state[5] ^ v5 ^ v13;
    out[6] = c_state[6] ^ v6 ^ v14;
    out[7] = c_state[7] ^ v7 ^ v15;
}

__device__ __forceinline__ u32 byte_of(const u64 *h, int i) { return (u32)(h[i >> 3] >> (8 * (i & 7))) & 255u; }

__device__ __forceinline__ u32 top_bits(const Entry &e, int n) { return e.word[0] >> (32 - n); }

__device__ void insert(Entry *table, uint2 *refs, u32 *counts, const Entry &e, uint2 ref) {
    const u32 bucket = top_bits(e, BUCKET_BITS);
    const u32 slot = atomicAdd(&counts[bucket], 1u);
    if (slot >= SLOTS) return;
    table[bucket * SLOTS + slot] = e;
    refs[bucket * SLOTS + slot] = ref;
}

extern "C" __global__ void equihash_seed(u32 hashes, Entry *table, uint2 *refs, u32 *counts) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= hashes) return;
    u64 m[16] = {}, h[8];
    m[0] = c_tail[0];
    m[1] = c_tail[1];
    const u32 bit = 8 * (c_tail_bytes & 7u);
    m[c_tail_bytes >> 3] |= (u64)id << bit;
    if (bit > 32) m[(c_tail_bytes >> 3) + 1] |= (u64)id >> (64 - bit);
    last_block(h, m, 128 + c_tail_bytes + 4);
#pragma unroll
    for (int part = 0; part < PER_HASH; ++part) {
        Entry e = {};
#pragma unroll
        for (int i = 0; i < STRING_BYTES; ++i)
            e.word[i / 4] |= byte_of(h, part * STRING_BYTES + i) << (24 - 8 * (i % 4));
        if (N % 32) e.word[WORDS - 1] &= ~0u << (32 - N % 32 & 31);
        insert(table, refs, counts, e, make_uint2(id * PER_HASH + part, 0u));
    }
}

__device__ __forceinline__ bool combine(Entry &out, const Entry &a, const Entry &b) {
    u32 any = 0;
    Entry x;
#pragma unroll
    for (int i = 0; i < WORDS; ++i) x.word[i] = a.word[i] ^ b.word[i], any |= x.word[i];
#pragma unroll
    for (int i = 0; i < WORDS; ++i)
        out.word[i] = __funnelshift_l(i + 1 < WORDS ? x.word[i + 1] : 0u, x.word[i], CB);
    return any != 0;
}

// One block for one bucket: chains in shared memory by the remaining collision bits.
extern "C" __global__ void equihash_round(const Entry *table, const u32 *counts, Entry *next_table, uint2 *next_refs,
                                          u32 *next_counts) {
    __shared__ u32 head[HEADS], link[SLOTS];
    const u32 bucket = blockIdx.x, n = min(counts[bucket], (u32)SLOTS);
    const Entry *mine = table + bucket * SLOTS;
    for (u32 i = threadIdx.x; i < HEADS; i += blockDim.x) head[i] = 0xffffffffu;
    __syncthreads();
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
        const u32 rest = top_bits(mine[i], CB) & (HEADS - 1);
        link[i] = atomicExch(&head[rest], i);
    }
    __syncthreads();
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
        const Entry a = mine[i];
        for (u32 j = link[i]; j != 0xffffffffu; j = link[j]) {
            Entry x;
            if (combine(x, a, mine[j])) insert(next_table, next_refs, next_counts, x, make_uint2(bucket, i << 16 | j));
        }
    }
}

extern "C" __global__ void equihash_final(const Entry *table, const u32 *counts, u32 capacity, uint2 *solutions,
                                          u32 *solution_count) {
    __shared__ u32 head[HEADS], link[SLOTS];
    const u32 bucket = blockIdx.x, n = min(counts[bucket], (u32)SLOTS);
    const Entry *mine = table + bucket * SLOTS;
    for (u32 i = threadIdx.x; i < HEADS; i += blockDim.x) head[i] = 0xffffffffu;
    __syncthreads();
    for (u32 i = threadIdx.x; i < n; i += blockDim.x)
        link[i] = atomicExch(&head[top_bits(mine[i], CB) & (HEADS - 1)], i);
    __syncthreads();
    for (u32 i = threadIdx.x; i < n; i += blockDim.x)
        for (u32 j = link[i]; j != 0xffffffffu; j = link[j]) {
            u32 any = 0;
            for (int w = 0; w < WORDS; ++w) any |= mine[i].word[w] ^ mine[j].word[w];
            if (any) continue;
            const u32 at = atomicAdd(solution_count, 1u);
            if (at < capacity) solutions[at] = make_uint2(bucket, i << 16 | j);
        }
}

// Walks the tree of pairs back to the 2^K indices of a solution; refs holds K tables one after the other.
extern "C" __global__ void equihash_recover(const uint2 *refs, const uint2 *solutions, u32 *indices) {
    const u32 leaf = threadIdx.x;
    if (leaf >= (1u << K)) return;
    uint2 pair = solutions[blockIdx.x];
    for (int level = K - 1; level >= 0; --level) {
        const u32 slot = (leaf >> level) & 1u ? pair.y & 0xffffu : pair.y >> 16;
        pair = refs[(u64)level * BUCKETS * SLOTS + pair.x * SLOTS + slot];
    }
    indices[(blockIdx.x << K) + leaf] = pair.x;
}
