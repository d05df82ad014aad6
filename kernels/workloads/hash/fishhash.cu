// FishHash-like proof of work: BLAKE3 around 32 steps of three 128-byte reads from a large table, and the kernel that
// makes the table from a light cache. Inert: any table and cache size may be given.
using u32 = unsigned int;
using u64 = unsigned long long;

constexpr u32 kPrime = 0x01000193u;
#ifndef ACCESSES
#define ACCESSES 32
#endif
#ifndef PARENTS
#define PARENTS 512
#endif

struct __align__(16) Hash512 {
    u32 word[16];
};
union __align__(16) Hash1024 {
    u32 word[32];
    u64 wide[16];
    uint4 quad[8];
};

__device__ __forceinline__ u32 fnv1(u32 u, u32 v) { return (u * kPrime) ^ v; }

// ---- Keccak-512 of exactly 64 bytes
__device__ const u64 kKeccakRound[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};
__device__ const int kShift[24] = {1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44};
__device__ const int kLane[24] = {10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1};

__device__ __noinline__ void keccak512_64(u32 *data) {
    u64 st[25] = {};
    for (int i = 0; i < 8; ++i) st[i] = (u64)data[2 * i + 1] << 32 | data[2 * i];
    st[8] = 0x8000000000000001ull;
    for (int r = 0; r < 24; ++r) {
        u64 c[5];
#pragma unroll
        for (int i = 0; i < 5; ++i) c[i] = st[i] ^ st[i + 5] ^ st[i + 10] ^ st[i + 15] ^ st[i + 20];
#pragma unroll
        for (int i = 0; i < 5; ++i) {
            const u64 next = c[(i + 1) % 5], t = c[(i + 4) % 5] ^ (next << 1 | next >> 63);
#pragma unroll
            for (int j = 0; j < 25; j += 5) st[j + i] ^= t;
        }
        u64 t = st[1];
#pragma unroll
        for (int i = 0; i < 24; ++i) {
            const u64 keep = st[kLane[i]];
            st[kLane[i]] = t << kShift[i] | t >> (64 - kShift[i]);
            t = keep;
        }
#pragma unroll
        for (int j = 0; j < 25; j += 5) {
            u64 row[5];
#pragma unroll
            for (int i = 0; i < 5; ++i) row[i] = st[j + i];
#pragma unroll
            for (int i = 0; i < 5; ++i) st[j + i] = row[i] ^ (~row[(i + 1) % 5] & row[(i + 2) % 5]);
        }
        st[0] ^= kKeccakRound[r];
    }
    for (int i = 0; i < 8; ++i) data[2 * i] = (u32)st[i], data[2 * i + 1] = (u32)(st[i] >> 32);
}

__device__ Hash512 half_item(const Hash512 *cache, u32 cache_items, u32 index) {
    Hash512 mix = cache[index % cache_items];
    mix.word[0] ^= index;
    keccak512_64(mix.word);
    for (u32 j = 0; j < PARENTS; ++j) {
        const u32 parent = fnv1(index ^ j, mix.word[j % 16]) % cache_items;
#pragma unroll
        for (int i = 0; i < 16; ++i) mix.word[i] = fnv1(mix.word[i], cache[parent].word[i]);
    }
    keccak512_64(mix.word);
    return mix;
}

extern "C" __global__ void fish_build(const Hash512 *cache, u32 cache_items, u32 first, u32 count, Hash1024 *table) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= 2 * count) return;
    const Hash512 half = half_item(cache, cache_items, 2 * first + id);
    for (int i = 0; i < 16; ++i) table[first + id / 2].word[16 * (id & 1) + i] = half.word[i];
}

// ---- BLAKE3, up to three blocks, extended output of 64 bytes
__device__ __forceinline__ u32 ror(u32 x, int n) { return __funnelshift_r(x, x, n); }
__device__ __forceinline__ void g(u32 &a, u32 &b, u32 &c, u32 &d, u32 x, u32 y) {
    a += b + x; d = ror(d ^ a, 16); c += d; b = ror(b ^ c, 12);
    a += b + y; d = ror(d ^ a, 8); c += d; b = ror(b ^ c, 7);
}

__device__ void blake3_block(const u32 cv[8], const u32 *block, u32 length, u32 flags, u32 out[16]) {
    u32 m[16], v[16] = {cv[0], cv[1], cv[2], cv[3], cv[4], cv[5], cv[6], cv[7],
                        0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au, 0u, 0u, length, flags};
#pragma unroll
    for (int i = 0; i < 16; ++i) m[i] = block[i];
#pragma unroll
    for (int round = 0; round < 7; ++round) {
        g(v[0], v[4], v[8], v[12], m[0], m[1]);
        g(v[1], v[5], v[9], v[13], m[2], m[3]);
        g(v[2], v[6], v[10], v[14], m[4], m[5]);
        g(v[3], v[7], v[11], v[15], m[6], m[7]);
        g(v[0], v[5], v[10], v[15], m[8], m[9]);
        g(v[1], v[6], v[11], v[12], m[10], m[11]);
        g(v[2], v[7], v[8], v[13], m[12], m[13]);
        g(v[3], v[4], v[9], v[14], m[14], m[15]);
        const u32 old[16] = {m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7],
                             m[8], m[9], m[10], m[11], m[12], m[13], m[14], m[15]};
        m[0] = old[2]; m[1] = old[6]; m[2] = old[3]; m[3] = old[10]; m[4] = old[7]; m[5] = old[0]; m[6] = old[4];
        m[7] = old[13]; m[8] = old[1]; m[9] = old[11]; m[10] = old[12]; m[11] = old[5]; m[12] = old[9];
        m[13] = old[14]; m[14] = old[15]; m[15] = old[8];
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) out[i] = v[i] ^ v[i + 8], out[i + 8] = v[i + 8] ^ cv[i];
}

__device__ void blake3_start(u32 cv[8]) {
    const u32 iv[8] = {0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au,
                       0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u};
    for (int i = 0; i < 8; ++i) cv[i] = iv[i];
}

__constant__ u32 c_header[48];  // up to 192 bytes; the nonce goes into the last eight
#ifndef HEADER_BYTES
#define HEADER_BYTES 180
#endif

__device__ void seed_of(u64 nonce, u32 seed[16]) {
    u32 cv[8], block[16];
    blake3_start(cv);
    for (int at = 0; at < HEADER_BYTES; at += 64) {
        const bool last = at + 64 >= HEADER_BYTES;
        for (int i = 0; i < 16; ++i) {
            const int word = at / 4 + i;
            block[i] = word < HEADER_BYTES / 4 ? c_header[word] : 0u;
            if (word == HEADER_BYTES / 4 - 2) block[i] = (u32)nonce;
            if (word == HEADER_BYTES / 4 - 1) block[i] = (u32)(nonce >> 32);
        }
        blake3_block(cv, block, last ? HEADER_BYTES - at : 64u, (at == 0 ? 1u : 0u) | (last ? 10u : 0u), seed);
        for (int i = 0; i < 8; ++i) cv[i] = seed[i];
    }
}

extern "C" __global__ void fish_search(const Hash1024 *table, u32 items, u64 first, u64 limit, u32 *digests, u64 *best) {
    const u64 nonce = first + (u64)blockIdx.x * blockDim.x + threadIdx.x;
    u32 seed[16], block[16], cv[8];
    seed_of(nonce, seed);
    Hash1024 mix;
#pragma unroll
    for (int i = 0; i < 32; ++i) mix.word[i] = seed[i % 16];
#pragma unroll 1
    for (int step = 0; step < ACCESSES; ++step) {
        const u32 p0 = mix.word[0] % items, p1 = mix.word[4] % items, p2 = mix.word[8] % items;
        const uint4 *f0 = table[p0].quad, *f1 = table[p1].quad, *f2 = table[p2].quad;
#pragma unroll
        for (int q = 0; q < 8; ++q) {
            const uint4 a = f0[q];
            uint4 b = f1[q], c = f2[q];
            b.x = fnv1(mix.word[4 * q], b.x);     b.y = fnv1(mix.word[4 * q + 1], b.y);
            b.z = fnv1(mix.word[4 * q + 2], b.z); b.w = fnv1(mix.word[4 * q + 3], b.w);
            c.x ^= mix.word[4 * q];     c.y ^= mix.word[4 * q + 1];
            c.z ^= mix.word[4 * q + 2]; c.w ^= mix.word[4 * q + 3];
            mix.wide[2 * q] = ((u64)a.y << 32 | a.x) * ((u64)b.y << 32 | b.x) + ((u64)c.y << 32 | c.x);
            mix.wide[2 * q + 1] = ((u64)a.w << 32 | a.z) * ((u64)b.w << 32 | b.z) + ((u64)c.w << 32 | c.z);
        }
    }
    blake3_start(cv);
    u32 out[16];
    blake3_block(cv, seed, 64u, 1u, out);
    for (int i = 0; i < 8; ++i) cv[i] = out[i];
    for (int i = 0; i < 16; ++i) block[i] = 0;
    for (int i = 0; i < 8; ++i)
        block[i] = fnv1(fnv1(fnv1(mix.word[4 * i], mix.word[4 * i + 1]), mix.word[4 * i + 2]), mix.word[4 * i + 3]);
    blake3_block(cv, block, 32u, 10u, out);
    if (digests)
        for (int i = 0; i < 8; ++i) digests[(nonce - first) * 8 + i] = out[i];
    const u64 head = (u64)__byte_perm(out[0], 0, 0x0123) << 32 | __byte_perm(out[1], 0, 0x0123);
    if (head <= limit) atomicMin(best, nonce);
}
