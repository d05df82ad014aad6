// ProgPoW-family search: 16 lanes a hash, 32 registers a lane, a random program of this period (progpow.py writes it),
// loads from a small cache in shared memory and from the big table. Inert, any table size.
#include "progpow_program.cuh"

typedef unsigned int u32;
typedef unsigned long long u64;

#define FNV_PRIME 0x01000193u
#define FNV_OFFSET 0x811c9dc5u

__device__ __forceinline__ u32 fnv1a(u32 &h, u32 d) { return h = (h ^ d) * FNV_PRIME; }

struct Kiss99 {
    u32 z, w, jsr, jcong;
    __device__ u32 next() {
        z = 36969u * (z & 65535u) + (z >> 16);
        w = 18000u * (w & 65535u) + (w >> 16);
        jcong = 69069u * jcong + 1234567u;
        jsr ^= jsr << 17;
        jsr ^= jsr >> 13;
        jsr ^= jsr << 5;
        return (((z << 16) + w) ^ jcong) + jsr;
    }
};

__device__ __forceinline__ u32 rol32(u32 x, u32 n) { return __funnelshift_l(x, x, n); }

__device__ void keccak_f800(u32 st[25]) {
    const u32 rounds[22] = {0x00000001, 0x00008082, 0x0000808a, 0x80008000, 0x0000808b, 0x80000001, 0x80008081, 0x00008009,
                            0x0000008a, 0x00000088, 0x80008009, 0x8000000a, 0x8000808b, 0x0000008b, 0x00008089, 0x00008003,
                            0x00008002, 0x00000080, 0x0000800a, 0x8000000a, 0x80008081, 0x00008080};
    const int rotation[24] = {1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44};
    const int lane[24] = {10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1};
#pragma unroll 1
    for (int r = 0; r < 22; ++r) {
        u32 c[5];
#pragma unroll
        for (int i = 0; i < 5; ++i) c[i] = st[i] ^ st[i + 5] ^ st[i + 10] ^ st[i + 15] ^ st[i + 20];
#pragma unroll
        for (int i = 0; i < 5; ++i) {
            const u32 t = c[(i + 4) % 5] ^ rol32(c[(i + 1) % 5], 1);
#pragma unroll
            for (int j = 0; j < 25; j += 5) st[j + i] ^= t;
        }
        u32 t = st[1];
#pragma unroll
        for (int i = 0; i < 24; ++i) {
            const u32 keep = st[lane[i]];
            st[lane[i]] = rol32(t, rotation[i] & 31);
            t = keep;
        }
#pragma unroll
        for (int j = 0; j < 25; j += 5) {
            const u32 row[5] = {st[j], st[j + 1], st[j + 2], st[j + 3], st[j + 4]};
#pragma unroll
            for (int i = 0; i < 5; ++i) st[j + i] = row[i] ^ (~row[(i + 1) % 5] & row[(i + 2) % 5]);
        }
        st[0] ^= rounds[r];
    }
}

__constant__ u32 c_header[8];
__constant__ u32 c_pad[15];  // coin's letters, or zeros

__device__ void fill_mix(u64 seed, u32 lane_id, u32 mix[PROGPOW_REGS]) {
    u32 h = FNV_OFFSET;
    Kiss99 k;
    k.z = fnv1a(h, (u32)seed);
    k.w = fnv1a(h, (u32)(seed >> 32));
    k.jsr = fnv1a(h, lane_id);
    k.jcong = fnv1a(h, lane_id);
#pragma unroll
    for (int i = 0; i < PROGPOW_REGS; ++i) mix[i] = k.next();
}

extern "C" __global__ void progpow_search(u64 first, u64 target, const ProgpowPage *dag, u32 pages, u32 *digests,
                                          u32 *hits) {
    __shared__ u32 cache[PROGPOW_CACHE_WORDS];
    const u32 lane = threadIdx.x & (PROGPOW_LANES - 1);
    const u64 nonce = first + blockIdx.x * blockDim.x + threadIdx.x;
    for (u32 i = threadIdx.x; i < PROGPOW_CACHE_WORDS; i += blockDim.x) cache[i] = ((const u32 *)dag)[i];
    __syncthreads();

    u32 st[25], seed_state[8], digest[8];
    for (int i = 0; i < 25; ++i) st[i] = i < 8 ? c_header[i] : i < 10 ? 0u : c_pad[i - 10];
    st[8] = (u32)nonce;
    st[9] = (u32)(nonce >> 32);
    keccak_f800(st);
    for (int i = 0; i < 8; ++i) seed_state[i] = st[i];

#pragma unroll 1
    for (u32 h = 0; h < PROGPOW_LANES; ++h) {
        u32 mix[PROGPOW_REGS];
        const u32 low = __shfl_sync(0xffffffffu, st[0], h, PROGPOW_LANES);
        const u32 high = __shfl_sync(0xffffffffu, st[1], h, PROGPOW_LANES);
        fill_mix((u64)high << 32 | low, lane, mix);
#pragma unroll 1
        for (u32 loop = 0; loop < PROGPOW_CNT_DAG; ++loop) {
            const u32 page = __shfl_sync(0xffffffffu, mix[0], loop % PROGPOW_LANES, PROGPOW_LANES) % pages;
            const ProgpowPage data = dag[page * PROGPOW_LANES + ((lane ^ loop) % PROGPOW_LANES)];
            progpow_program(mix, cache, data.word);
        }
        u32 lane_hash = FNV_OFFSET;
#pragma unroll
        for (int i = 0; i < PROGPOW_REGS; ++i) fnv1a(lane_hash, mix[i]);
        u32 part[8];
        for (int i = 0; i < 8; ++i) part[i] = FNV_OFFSET;
        for (int i = 0; i < PROGPOW_LANES; i += 8)
            for (int j = 0; j < 8; ++j) fnv1a(part[j], __shfl_sync(0xffffffffu, lane_hash, i + j, PROGPOW_LANES));
        if (lane == h)
            for (int i = 0; i < 8; ++i) digest[i] = part[i];
    }
    for (int i = 0; i < 25; ++i) st[i] = i < 8 ? seed_state[i] : i < 16 ? digest[i - 8] : i < 25 ? c_pad[i - 16] : 0u;
    keccak_f800(st);
    if (digests)
        for (int i = 0; i < 8; ++i) digests[8 * (nonce - first) + i] = st[i];
    const u64 head = (u64)__byte_perm(st[0], 0, 0x0123) << 32 | __byte_perm(st[1], 0, 0x0123);
    if (head <= target) atomicAdd(hits, 1u);
}
