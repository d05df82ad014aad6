// Radix sort by digits (count, scan, scatter with warp matching), a block bitonic sort and a merge path.

typedef unsigned int u32;
typedef unsigned long long u64;

#ifdef KEY64
typedef u64 Key;
#else
typedef u32 Key;
#endif
#ifndef DIGIT_BITS
#define DIGIT_BITS 4
#endif
#ifndef BITONIC
#define BITONIC 512
#endif
enum { DIGITS = 1 << DIGIT_BITS };

extern "C" __global__ void radix_count(const Key *keys, u32 *counts, u32 n, int shift)
{
    __shared__ u32 local[DIGITS];
    for (u32 d = threadIdx.x; d < DIGITS; d += blockDim.x) local[d] = 0;
    __syncthreads();
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&local[(u32)(keys[i] >> shift) & (DIGITS - 1)], 1u);
    __syncthreads();
    for (u32 d = threadIdx.x; d < DIGITS; d += blockDim.x) counts[d * gridDim.x + blockIdx.x] = local[d];
}

// Stable within the block: lanes with the same digit find each other by ballots, warps by a count per warp.
extern "C" __global__ void radix_scatter(const Key *keys, const u32 *values, const u32 *offsets, Key *out_keys, u32 *out_values, u32 n, int shift)
{
    __shared__ u32 warp_counts[32][DIGITS];
    u32 i = blockIdx.x * blockDim.x + threadIdx.x, warp = threadIdx.x >> 5, lane = threadIdx.x & 31, warps = blockDim.x >> 5;
    for (u32 t = threadIdx.x; t < warps * DIGITS; t += blockDim.x) warp_counts[t / DIGITS][t % DIGITS] = 0;
    __syncthreads();
    bool inside = i < n;
    Key key = inside ? keys[i] : 0;
    u32 digit = (u32)(key >> shift) & (DIGITS - 1), peers = __ballot_sync(0xffffffffu, inside);
#pragma unroll
    for (int b = 0; b < DIGIT_BITS; b++) {
        u32 vote = __ballot_sync(0xffffffffu, digit >> b & 1);
        peers &= digit >> b & 1 ? vote : ~vote;
    }
    u32 rank = __popc(peers & ((1u << lane) - 1));
    if (inside && rank == 0) warp_counts[warp][digit] = __popc(peers);
    __syncthreads();
    if (!inside) return;
    u32 before = offsets[digit * gridDim.x + blockIdx.x];
    for (u32 w = 0; w < warp; w++) before += warp_counts[w][digit];
    out_keys[before + rank] = key;
    out_values[before + rank] = values[i];
}

extern "C" __global__ void bitonic_block(Key *keys, u32 n)
{
    __shared__ Key s[BITONIC];
    u32 base = blockIdx.x * BITONIC;
    for (u32 i = threadIdx.x; i < BITONIC; i += blockDim.x) s[i] = base + i < n ? keys[base + i] : ~(Key)0;
    for (u32 size = 2; size <= BITONIC; size <<= 1)
        for (u32 stride = size >> 1; stride; stride >>= 1) {
            __syncthreads();
            for (u32 t = threadIdx.x; t < BITONIC / 2; t += blockDim.x) {
                u32 i = 2 * t - (t & (stride - 1)), j = i + stride;
                bool down = (i & size) != 0;
                Key a = s[i], b = s[j];
                if ((a > b) != down) { s[i] = b; s[j] = a; }
            }
        }
    __syncthreads();
    for (u32 i = threadIdx.x; i < BITONIC; i += blockDim.x)
        if (base + i < n) keys[base + i] = s[i];
}

// Each thread finds its diagonal in both runs by bisection and merges SPAN keys.
#ifndef SPAN
#define SPAN 8
#endif
extern "C" __global__ void merge_path(const Key *a, u32 n_a, const Key *b, u32 n_b, Key *out)
{
    u32 diagonal = (blockIdx.x * blockDim.x + threadIdx.x) * SPAN;
    if (diagonal >= n_a + n_b) return;
    u32 lo = diagonal > n_b ? diagonal - n_b : 0, hi = min(diagonal, n_a);
    while (lo < hi) {
        u32 mid = (lo + hi) / 2;
        if (a[mid] <= b[diagonal - 1 - mid]) lo = mid + 1; else hi = mid;
    }
    u32 i = lo, j = diagonal - lo;
    for (u32 k = diagonal; k < min(diagonal + SPAN, n_a + n_b); k++) out[k] = j >= n_b || (i < n_a && a[i] <= b[j]) ? a[i++] : b[j++];
}
