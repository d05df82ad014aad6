// Sequence analysis on packed bases: k-mer counting with canonical forms, minimisers, bit-parallel edit distance,
// Smith-Waterman (plain, affine, and two scores a word), FM-index search.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned char u8;

#ifndef K
#define K 21
#endif
#ifndef MINIMISER_WINDOW
#define MINIMISER_WINDOW 11
#endif

__device__ __forceinline__ u64 invertible_mix(u64 x)
{
    const u64 mask = (1ull << (2 * K)) - 1;
    x = (~x + (x << 21)) & mask; x ^= x >> 24;
    x = (x + (x << 3) + (x << 8)) & mask; x ^= x >> 14;
    x = (x + (x << 2) + (x << 4)) & mask; x ^= x >> 28;
    return (x + (x << 31)) & mask;
}

// Both strands roll along; the smaller of the two is counted in an open table.
extern "C" __global__ void kmer_count(const u8 *bases, const u32 *begin, int reads, u64 *keys, u32 *counts, u32 slots)
{
    int r = blockIdx.x * blockDim.x + threadIdx.x;
    if (r >= reads) return;
    const u64 mask = (1ull << (2 * K)) - 1;
    u64 forward = 0, reverse = 0;
    u32 have = 0;
    for (u32 p = begin[r]; p < begin[r + 1]; p++) {
        u32 c = bases[p] >> 1 & 3;  // A C T G of ASCII to 0 1 2 3; the complement is c ^ 2
        have = bases[p] == 'N' ? 0 : have + 1;
        forward = (forward << 2 | c) & mask;
        reverse = reverse >> 2 | (u64)(c ^ 2) << (2 * K - 2);
        if (have < K) continue;
        u64 key = forward < reverse ? forward : reverse;
        for (u32 slot = (u32)(invertible_mix(key) % slots); ; slot = slot + 1 == slots ? 0 : slot + 1) {
            u64 seen = atomicCAS(&keys[slot], ~0ull, key);
            if (seen == ~0ull || seen == key) { atomicAdd(&counts[slot], 1u); break; }
        }
    }
}

extern "C" __global__ void minimisers(const u64 *kmers, u32 n, u64 *least, u32 *places)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i + MINIMISER_WINDOW > n) return;
    u64 best = ~0ull;
    u32 where = i;
#pragma unroll
    for (u32 w = 0; w < MINIMISER_WINDOW; w++) {
        u64 h = invertible_mix(kmers[i + w]);
        if (h < best) { best = h; where = i + w; }
    }
    least[i] = best;
    places[i] = where;
}

// Myers: 64 pattern characters in one word, one text a thread.
extern "C" __global__ void edit_distance(const u64 *pattern_masks, int pattern_length, const u8 *texts, const u32 *begin, int *distance, int n)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n) return;
    u64 plus = ~0ull, minus = 0, last = 1ull << (pattern_length - 1);
    int score = pattern_length;
    for (u32 p = begin[t]; p < begin[t + 1]; p++) {
        u64 eq = pattern_masks[texts[p]], x = eq | minus, d = (((eq & plus) + plus) ^ plus) | eq, up = minus | ~(d | plus), down = plus & d;
        score += (up & last) != 0;
        score -= (down & last) != 0;
        up = up << 1 | 1;
        plus = (down << 1) | ~(x | up);
        minus = up & x;
    }
    distance[t] = score;
}

#ifndef ROWS
#define ROWS 64
#endif
// Affine gaps, one pair of sequences a thread, one column of scores in local memory.
extern "C" __global__ void smith_waterman(const u8 *queries, const u8 *targets, int target_length, int match, int mismatch, int open, int extend, int *best, int n)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n) return;
    short h[ROWS + 1], e[ROWS + 1];
    for (int i = 0; i <= ROWS; i++) { h[i] = 0; e[i] = -30000; }
    int top = 0;
    for (int j = 0; j < target_length; j++) {
        u8 c = targets[(size_t)j * n + t];
        int diagonal = 0, f = -30000;
        for (int i = 1; i <= ROWS; i++) {
            int score = diagonal + (queries[(size_t)(i - 1) * n + t] == c ? match : mismatch);
            diagonal = h[i];
            e[i] = (short)max(e[i] - extend, h[i] - open);
            f = max(f - extend, h[i - 1] - open);
            int v = max(max(score, 0), max((int)e[i], f));
            h[i] = (short)v;
            top = max(top, v);
        }
    }
    best[t] = top;
}

// Two 16-bit scores a word, maxima of three with one instruction where there is one; a warp walks anti-diagonals.
extern "C" __global__ void smith_waterman_warp(const u32 *queries, const u32 *targets, int target_length, u32 match2, u32 mismatch2, u32 gap2, u32 *best)
{
    int lane = threadIdx.x & 31, pair = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    u32 q = queries[pair * 32 + lane], h = 0, left = 0, diagonal = 0, top = 0, c = 0;
    for (int step = 0; step < target_length + 31; step++) {
        u32 up = __shfl_up_sync(0xffffffffu, h, 1), corner = __shfl_up_sync(0xffffffffu, left, 1);
        c = __shfl_up_sync(0xffffffffu, c, 1);
        if (lane == 0) { c = step < target_length ? targets[(size_t)pair * target_length + step] : 0xffffffffu; up = corner = 0; }
        u32 same = __vcmpeq2(q, c), score = __vadd2(corner, (match2 & same) | (mismatch2 & ~same));
        left = h;
        h = __vmaxs2(__vmaxs2(score, 0), __vmaxs2(__vsub2(up, gap2), __vsub2(h, gap2)));
        top = __vmaxs2(top, h);
        diagonal = corner;
    }
    for (int o = 16; o; o >>= 1) top = __vmaxs2(top, __shfl_xor_sync(0xffffffffu, top, o));
    if (lane == 0) best[pair] = top + (diagonal & 0);
}

// Backward search: occurrences from checkpoints of 64 bases, two bit planes a checkpoint.
struct Checkpoint { u32 counts[4]; u64 low, high; };
__device__ u32 occurrences(const Checkpoint *index, u32 base, u32 at)
{
    const Checkpoint &c = index[at >> 6];
    u64 low = base & 1 ? c.low : ~c.low, high = base & 2 ? c.high : ~c.high;
    return c.counts[base] + __popcll(low & high & ((1ull << (at & 63)) - 1));
}

extern "C" __global__ void fm_search(const Checkpoint *index, const u32 *totals, const u32 *patterns, int length, u32 size, uint2 *ranges, int n)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n) return;
    u32 lo = 0, hi = size;
    for (int i = length - 1; i >= 0 && lo < hi; i--) {
        u32 base = patterns[(size_t)(i >> 4) * n + t] >> (2 * (i & 15)) & 3;
        lo = totals[base] + occurrences(index, base, lo);
        hi = totals[base] + occurrences(index, base, hi);
    }
    ranges[t] = make_uint2(lo, hi);
}
