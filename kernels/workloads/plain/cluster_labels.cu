// Labels and orders packed into integers: union-find clusters, adjacency bits, space-filling curves, top-k keys, expert routing.

#include "half.cuh"

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef DIMENSIONS
#define DIMENSIONS 3
#endif
#ifndef TOP
#define TOP 8
#endif
#ifndef CURVE_BITS
#define CURVE_BITS 21
#endif

__device__ __forceinline__ u32 find_root(u32 *parent, u32 v)
{
    u32 up = parent[v];
    while (up != v) {
        u32 next = parent[up];
        if (next != up) parent[v] = next; // halves the path for whoever comes after
        v = up;
        up = next;
    }
    return v;
}

__device__ void unite(u32 *parent, u32 a, u32 b)
{
    for (;;) {
        a = find_root(parent, a);
        b = find_root(parent, b);
        if (a == b) return;
        if (a < b) { u32 t = a; a = b; b = t; }
        u32 seen = atomicCAS(parent + a, a, b);
        if (seen == a) return;
        a = seen;
    }
}

// Adjacency as one bit a pair, 64 to a word, from distances of points; the degree tells the cores.
extern "C" __global__ void dbscan_adjacency(const float *points, int n, float radius2, u64 *adjacency, u32 *degree)
{
    const int i = blockIdx.y, words = (n + 63) / 64;
    u32 found = 0;
    for (int w = blockIdx.x * blockDim.x + threadIdx.x; w < words; w += gridDim.x * blockDim.x) {
        u64 bits = 0;
        for (int j = w * 64; j < min(w * 64 + 64, n); j++) {
            float d2 = 0;
#pragma unroll
            for (int k = 0; k < DIMENSIONS; k++) {
                float d = points[i * DIMENSIONS + k] - points[j * DIMENSIONS + k];
                d2 += d * d;
            }
            bits |= (u64)(d2 <= radius2) << (j & 63);
        }
        adjacency[(u64)i * words + w] = bits;
        found += __popcll(bits);
    }
    if (found) atomicAdd(degree + i, found);
}

// Cores that touch are one cluster; the bits are visited lowest first.
extern "C" __global__ void dbscan_union(const u64 *adjacency, const u32 *degree, u32 core, int n, u32 *parent)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x, words = (n + 63) / 64;
    if (i >= n || degree[i] < core) return;
    for (int w = 0; w <= i / 64; w++) {
        u64 bits = adjacency[(u64)i * words + w];
        if (w == i / 64) bits &= (1ull << (i & 63)) - 1;
        for (; bits; bits &= bits - 1) {
            u32 j = w * 64 + __ffsll(bits) - 1;
            if (degree[j] >= core) unite(parent, i, j);
        }
    }
}

// A core takes its root, a border point the smallest root of the cores it touches, noise gets -1.
extern "C" __global__ void dbscan_labels(const u64 *adjacency, const u32 *degree, u32 core, int n, u32 *parent, int *label)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x, words = (n + 63) / 64;
    if (i >= n) return;
    u32 best = ~0u;
    if (degree[i] >= core) best = find_root(parent, i);
    else
        for (int w = 0; w < words; w++)
            for (u64 left = __brevll(adjacency[(u64)i * words + w]); left;) {
                int place = __clzll(left);
                left &= ~(0x8000000000000000ull >> place);
                u32 j = w * 64 + place;
                if (degree[j] >= core) best = min(best, find_root(parent, j));
            }
    label[i] = (int)best;
}

// Skilling's transform: axes to the Hilbert index, which is the transposed words interleaved as a Morton code.
extern "C" __global__ void hilbert_encode(const float *points, const float *origin, float scale, u64 *codes, u32 *order, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float cells = (float)((1u << CURVE_BITS) - 1);
    u32 x[3];
    x[0] = (u32)fminf(fmaxf((points[3 * i] - origin[0]) * scale, 0.0f), cells);
    x[1] = (u32)fminf(fmaxf((points[3 * i + 1] - origin[1]) * scale, 0.0f), cells);
    x[2] = (u32)fminf(fmaxf((points[3 * i + 2] - origin[2]) * scale, 0.0f), cells);
    for (u32 q = 1u << (CURVE_BITS - 1); q > 1; q >>= 1) {
        u32 p = q - 1;
#pragma unroll
        for (int k = 0; k < 3; k++)
            if (x[k] & q) x[0] ^= p;
            else { u32 t = (x[0] ^ x[k]) & p; x[0] ^= t; x[k] ^= t; }
    }
    x[1] ^= x[0];
    x[2] ^= x[1];
    u32 t = 0;
    for (u32 q = 1u << (CURVE_BITS - 1); q > 1; q >>= 1) if (x[2] & q) t ^= q - 1;
    u64 code = 0;
#pragma unroll
    for (int k = 0; k < 3; k++) {
        u64 v = (x[k] ^ t) & 0x1fffff;
        v = (v | v << 32) & 0x1f00000000ffffull;
        v = (v | v << 16) & 0x1f0000ff0000ffull;
        v = (v | v << 8) & 0x100f00f00f00f00full;
        v = (v | v << 4) & 0x10c30c30c30c30c3ull;
        v = (v | v << 2) & 0x1249249249249249ull;
        code |= v << (2 - k);
    }
    codes[i] = code;
    order[i] = i;
}

// Order of floats as order of unsigned words; the index below, inverted, so that ties go to the first.
__device__ __forceinline__ u64 ranked(float score, u32 place)
{
    u32 u = __float_as_uint(score);
    u ^= (u >> 31 ? 0xffffffffu : 0x80000000u);
    return (u64)u << 32 | (0xffffffffu - place);
}

// A block of one warp a row: a sorted queue in registers of each lane, then TOP rounds of a warp's maximum.
extern "C" __global__ void topk_packed(const float *scores, int columns, float *values, u32 *places)
{
    const float *row = scores + (u64)blockIdx.x * columns;
    u64 queue[TOP];
#pragma unroll
    for (int k = 0; k < TOP; k++) queue[k] = 0;
    for (int c = threadIdx.x; c < columns; c += 32) {
        u64 key = ranked(row[c], c);
#pragma unroll
        for (int k = 0; k < TOP; k++) {
            u64 high = max(queue[k], key);
            key = min(queue[k], key);
            queue[k] = high;
        }
    }
    for (int k = 0; k < TOP; k++) {
        u64 best = queue[0];
        for (int d = 16; d; d >>= 1) best = max(best, __shfl_xor_sync(0xffffffffu, best, d));
        if (best == queue[0]) {
#pragma unroll
            for (int j = 0; j + 1 < TOP; j++) queue[j] = queue[j + 1];
            queue[TOP - 1] = 0;
        }
        if (threadIdx.x == 0 && best) {
            u32 u = (u32)(best >> 32);
            values[blockIdx.x * TOP + k] = __uint_as_float(u ^ (u >> 31 ? 0x80000000u : 0xffffffffu));
            places[blockIdx.x * TOP + k] = 0xffffffffu - (u32)best;
        }
    }
}

// Where an expert's tokens go: token, choice and row packed in a word, counted with one atomic a group of equal lanes.
extern "C" __global__ void expert_pack(const int *chosen, const u32 *offsets, u32 *cursor, u32 *packed, int tokens, int choices)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31, expert = i < tokens * choices ? chosen[i] : -1;
    u32 same = 0;
    for (int k = 0; k < 32; k++)
        if (__shfl_sync(0xffffffffu, expert, k) == expert) same |= 1u << k;
    int leader = __ffs(same) - 1;
    u32 at = 0;
    if (lane == leader && expert >= 0) at = atomicAdd(cursor + expert, __popc(same));
    at = __shfl_sync(0xffffffffu, at, leader) + __popc(same & ((1u << lane) - 1));
    if (expert >= 0) packed[offsets[expert] + at] = (u32)(i % choices) << 28 | (u32)(i / choices);
}

// The epilogue of the experts' product: rows unpacked, scaled by the router and written to their token's slot in halves.
extern "C" __global__ void expert_scatter(const float *product, const u32 *packed, const float *router, u32 *out, int rows, int columns, int choices)
{
    int row = blockIdx.y, pairs = columns / 2;
    u32 word = packed[row], token = word & 0xfffffff, choice = word >> 28, slot = token * choices + choice;
    float w = router[slot];
    for (int c = blockIdx.x * blockDim.x + threadIdx.x; c < pairs; c += gridDim.x * blockDim.x) {
        float a = product[(u64)row * columns + 2 * c] * w, b = product[(u64)row * columns + 2 * c + 1] * w;
        out[(u64)slot * pairs + c] = float_to_half(a) | (u32)float_to_half(b) << 16;
    }
}
