// BeamHash-like steps on 150 bits, five rounds: a work string of 14 words by SipHash chains, mixed again before every
// collision of 24 bits, read and written as uint4, cut shorter from round to round. Inert.
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef CELLS_LOG
#define CELLS_LOG 13
#endif
#ifndef CELL_SLOTS
#define CELL_SLOTS 4672
#endif
#ifndef MATCH_BITS
#define MATCH_BITS 24
#endif
#ifndef THREADS
#define THREADS 512
#endif
#ifndef MIX_TURN
#define MIX_TURN 29
#endif
#define LISTS (1 << (MATCH_BITS - CELLS_LOG))
#define NONE 0xffffu

__constant__ u64 c_pre[4];

__device__ __forceinline__ u64 roll(u64 x, u32 n) { return n & 63u ? x << (n & 63u) | x >> (64u - (n & 63u)) : x; }

__device__ __forceinline__ u64 sip_word(u64 n) {
    u64 a = c_pre[0], b = c_pre[1], c = c_pre[2], d = c_pre[3] ^ n;
#pragma unroll
    for (int i = 0; i < 6; ++i) {
        if (i == 2) a ^= n, c ^= 0xff;
        a += b; b = roll(b, 13) ^ a; a = roll(a, 32);
        c += d; d = roll(d, 16) ^ c;
        a += d; d = roll(d, 21) ^ a;
        c += b; b = roll(b, 17) ^ c; c = roll(c, 32);
    }
    return a ^ b ^ c ^ d;
}

struct Work {
    u64 w[8];  // seven words of the string, the eighth for the references
};

// The first word takes in all words, each turned by its place.
__device__ __forceinline__ void remix(Work &x, int words) {
    u64 sum = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i)
        if (i < words) sum += roll(x.w[i], MIX_TURN * (i + 1));
    x.w[0] = roll(sum, 24);
}

__device__ __forceinline__ u32 cell_of(const Work &x) { return (u32)x.w[0] & ((1u << MATCH_BITS) - 1u); }

template <int QUADS> __device__ __forceinline__ void put_work(uint4 *to, const Work &x) {
#pragma unroll
    for (int q = 0; q < QUADS; ++q)
        to[q] = make_uint4((u32)x.w[2 * q], (u32)(x.w[2 * q] >> 32), (u32)x.w[2 * q + 1], (u32)(x.w[2 * q + 1] >> 32));
}
template <int QUADS> __device__ __forceinline__ void get_work(Work &x, const uint4 *from) {
#pragma unroll
    for (int q = 0; q < QUADS; ++q) {
        const uint4 v = __ldg(from + q);
        x.w[2 * q] = (u64)v.y << 32 | v.x;
        x.w[2 * q + 1] = (u64)v.w << 32 | v.z;
    }
}

template <int QUADS> __device__ __forceinline__ void drop(const Work &x, uint2 ref, uint4 *out, uint2 *refs, u32 *counts) {
    const u32 cell = cell_of(x) >> (MATCH_BITS - CELLS_LOG), at = atomicAdd(&counts[cell], 1u);
    if (at >= CELL_SLOTS) return;
    put_work<QUADS>(out + (u64)QUADS * (cell * CELL_SLOTS + at), x);
    refs[cell * CELL_SLOTS + at] = ref;
}

extern "C" __global__ void __launch_bounds__(THREADS) beam_seed(u32 total, uint4 *out, uint2 *refs, u32 *counts) {
    for (u32 id = blockIdx.x * THREADS + threadIdx.x; id < total; id += gridDim.x * THREADS) {
        Work x;
#pragma unroll
        for (int i = 0; i < 7; ++i) x.w[i] = sip_word((u64)id << 3 | (u64)(6 - i));
        x.w[7] = id;
        remix(x, 7);
        drop<4>(x, make_uint2(id, 0u), out, refs, counts);
    }
}

template <int QUADS_IN, int QUADS_OUT, int CUT>
__device__ __forceinline__ void beam_round(const uint4 *in, const u32 *counts, uint4 *out, uint2 *refs, u32 *out_counts) {
    __shared__ u32 head[LISTS];
    __shared__ unsigned short link[CELL_SLOTS];
    const u32 n = min(counts[blockIdx.x], (u32)CELL_SLOTS);
    const uint4 *mine = in + (u64)QUADS_IN * CELL_SLOTS * blockIdx.x;
    for (u32 i = threadIdx.x; i < LISTS; i += THREADS) head[i] = NONE;
    __syncthreads();
    for (u32 i = threadIdx.x; i < n; i += THREADS)
        link[i] = (unsigned short)atomicExch(&head[mine[QUADS_IN * i].x & (LISTS - 1)], i);
    __syncthreads();
    for (u32 list = threadIdx.x; list < LISTS; list += THREADS)
        for (u32 i = head[list]; i != NONE; i = link[i]) {
            Work a;
            get_work<QUADS_IN>(a, mine + QUADS_IN * i);
            for (u32 j = link[i]; j != NONE; j = link[j]) {
                Work b, x = {};
                get_work<QUADS_IN>(b, mine + QUADS_IN * j);
                u64 any = 0;
#pragma unroll
                for (int w = 0; w < 2 * QUADS_IN; ++w) b.w[w] ^= a.w[w], any |= b.w[w];
                if (any == 0) continue;
#pragma unroll
                for (int w = 0; w < 2 * QUADS_OUT; ++w)  // the agreed bits leave, the string moves down by CUT
                    x.w[w] = b.w[w] >> CUT | (w + 1 < 2 * QUADS_IN ? b.w[w + 1] << (64 - CUT) : 0ull);
                remix(x, 2 * QUADS_OUT);
                drop<QUADS_OUT>(x, make_uint2(blockIdx.x, i << 16 | j), out, refs, out_counts);
            }
        }
}

#define BEAM_ARGUMENTS const uint4 *in, const u32 *counts, uint4 *out, uint2 *refs, u32 *out_counts
extern "C" __global__ void __launch_bounds__(THREADS) beam_round1(BEAM_ARGUMENTS) {
    beam_round<4, 4, MATCH_BITS>(in, counts, out, refs, out_counts);
}
extern "C" __global__ void __launch_bounds__(THREADS) beam_round2(BEAM_ARGUMENTS) {
    beam_round<4, 3, MATCH_BITS>(in, counts, out, refs, out_counts);
}
extern "C" __global__ void __launch_bounds__(THREADS) beam_round3(BEAM_ARGUMENTS) {
    beam_round<3, 2, MATCH_BITS>(in, counts, out, refs, out_counts);
}
extern "C" __global__ void __launch_bounds__(THREADS) beam_round4(BEAM_ARGUMENTS) {
    beam_round<2, 1, MATCH_BITS + 8>(in, counts, out, refs, out_counts);
}

// Whole words agree: the pair may close a tree.
extern "C" __global__ void __launch_bounds__(THREADS)
beam_last(const uint4 *in, const u32 *counts, uint2 *found, u32 *found_count, u32 capacity) {
    const u32 n = min(counts[blockIdx.x], (u32)CELL_SLOTS);
    const uint4 *mine = in + (u64)CELL_SLOTS * blockIdx.x;
    for (u32 i = threadIdx.x; i < n; i += THREADS) {
        const uint4 a = __ldg(mine + i);
        for (u32 j = i + 1; j < n; ++j) {
            const uint4 b = __ldg(mine + j);
            if ((a.x ^ b.x | a.y ^ b.y | a.z ^ b.z) != 0) continue;
            const u32 at = atomicAdd(found_count, 1u);
            if (at < capacity) found[at] = make_uint2(blockIdx.x, i << 16 | j);
        }
    }
}
