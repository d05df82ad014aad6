// Database work by hashing: group-by aggregation, join build and probe, radix partitioning, string keys.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#ifndef PARTITION_BITS
#define PARTITION_BITS 8
#endif

__device__ __forceinline__ u32 hash32(u32 k)
{
    k ^= k >> 16; k *= 0x7feb352du; k ^= k >> 15; k *= 0x846ca68bu;
    return k ^ (k >> 16);
}

struct Group { u32 key; u32 count; i64 sum; int least, most; };

// key ~0 marks a free slot; the slot of a key is claimed once, then all rows aggregate by atomics.
extern "C" __global__ void group_by_aggregate(Group *groups, u32 mask, const u32 *keys, const int *values, u32 n)
{
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        u32 key = keys[i], slot = hash32(key) & mask;
        for (;; slot = (slot + 1) & mask) {
            u32 seen = atomicCAS(&groups[slot].key, ~0u, key);
            if (seen == ~0u || seen == key) break;
        }
        Group *g = groups + slot;
        atomicAdd(&g->count, 1u);
        atomicAdd((u64 *)&g->sum, (u64)(i64)values[i]);
        atomicMin(&g->least, values[i]);
        atomicMax(&g->most, values[i]);
    }
}

// Chained build side: heads hold the last inserted row + 1, `next` the one before it.
extern "C" __global__ void join_build(u32 *heads, u32 *next, u32 mask, const u32 *keys, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    next[i] = atomicExch(&heads[hash32(keys[i]) & mask], i + 1);
}

extern "C" __global__ void join_probe(const u32 *heads, const u32 *next, u32 mask, const u32 *build, const u32 *probe, u32 n,
                                      uint2 *pairs, u32 *n_pairs, u32 capacity)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    for (u32 at = heads[hash32(probe[i]) & mask]; at; at = next[at - 1]) {
        if (build[at - 1] != probe[i]) continue;
        u32 slot = atomicAdd(n_pairs, 1u);
        if (slot < capacity) pairs[slot] = make_uint2(at - 1, i);
    }
}

extern "C" __global__ void partition_histogram(const u32 *keys, u32 n, u32 *histogram)
{
    __shared__ u32 local[1 << PARTITION_BITS];
    for (u32 b = threadIdx.x; b < 1 << PARTITION_BITS; b += blockDim.x) local[b] = 0;
    __syncthreads();
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&local[hash32(keys[i]) >> (32 - PARTITION_BITS)], 1u);
    __syncthreads();
    for (u32 b = threadIdx.x; b < 1 << PARTITION_BITS; b += blockDim.x) atomicAdd(&histogram[b], local[b]);
}

extern "C" __global__ void partition_scatter(const uint2 *rows, u32 n, u32 *cursors, uint2 *out)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    uint2 row = rows[i];
    out[atomicAdd(&cursors[hash32(row.x) >> (32 - PARTITION_BITS)], 1u)] = row;
}

// Row hashes over several columns, joined in the manner of boost's hash_combine.
extern "C" __global__ void hash_rows(const u32 *const *columns, int n_columns, const u32 *validity, u32 *hashes, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 h = 0;
    for (int c = 0; c < n_columns; c++) {
        bool valid = validity[c * ((n + 31) / 32) + i / 32] >> (i % 32) & 1;
        h ^= (valid ? hash32(columns[c][i]) : 0xffffffffu) + 0x9e3779b9u + (h << 6) + (h >> 2);
    }
    hashes[i] = h;
}
