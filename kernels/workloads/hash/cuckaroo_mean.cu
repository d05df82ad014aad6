/* Cuckaroo by mean trimming: SipHash in blocks of 64 chained edges, edges sorted into X by Y buckets, degrees counted
   in shared memory, and the edges of a found cycle recovered at the end. Inert. */
#include "siphash_macros.cuh"

#ifndef EDGEBITS
#define EDGEBITS 29
#endif
#ifndef XBITS
#define XBITS 6
#endif
#ifndef SIP_ROTATE
#define SIP_ROTATE 21 /* 25 in cuckarooz and its kin */
#endif
#ifndef CAPACITY
#define CAPACITY (1 << 12)
#endif
#define NX (1 << XBITS)
#define BLOCKBITS 6
#define BLOCKSIZE (1 << BLOCKBITS)
#define EDGEMASK ((1ULL << EDGEBITS) - 1)
#define ZBITS (EDGEBITS - 2 * XBITS)
#define FLUSH 8

typedef unsigned long long u64;
typedef unsigned int u32;

__constant__ u64 sip_key[4];

/* The 64 edges of one block: a running state, every edge also takes in the block's last value. */
__device__ void sip_block(u64 edge0, u64 *buf) {
    u64 v0 = sip_key[0], v1 = sip_key[1], v2 = sip_key[2], v3 = sip_key[3];
#pragma unroll 1
    for (int e = 0; e < BLOCKSIZE; e++) {
        SIP_HASH24(v0, v1, v2, v3, edge0 + e, SIP_ROTATE);
        buf[e] = v0 ^ v1 ^ v2 ^ v3;
    }
    u64 last = buf[BLOCKSIZE - 1];
    for (int e = 0; e < BLOCKSIZE - 1; e++) buf[e] ^= last;
}

/* First sort: by the top bits of u, through a small cache of edges per bucket that is written out in pieces. */
extern "C" __global__ void mean_seed(u64 edges, uint2 *buckets, u32 *fill) {
    __shared__ uint2 cache[NX][FLUSH];
    __shared__ u32 level[NX];
    u64 buf[BLOCKSIZE];
    for (int i = threadIdx.x; i < NX; i += blockDim.x) level[i] = 0;
    __syncthreads();
    const u64 step = (u64)gridDim.x * blockDim.x * BLOCKSIZE;
    for (u64 base = (u64)blockIdx.x * blockDim.x * BLOCKSIZE; base < edges; base += step) {
        const u64 edge0 = base + (u64)threadIdx.x * BLOCKSIZE;
        if (edge0 < edges) sip_block(edge0, buf);
        for (int e = 0; e < BLOCKSIZE; e++) {
            bool waiting = edge0 < edges;
            u32 u = (u32)(buf[e] & EDGEMASK), v = (u32)((buf[e] >> 32) & EDGEMASK), b = u >> (EDGEBITS - XBITS);
            while (__syncthreads_or(waiting)) {
                if (waiting) {
                    u32 at = atomicAdd(&level[b], 1u);
                    if (at < FLUSH) {
                        cache[b][at] = make_uint2(u, v);
                        waiting = false;
                    }
                }
                __syncthreads();
                for (int i = threadIdx.x; i < NX; i += blockDim.x)
                    if (level[i] >= FLUSH) {
                        u32 out = atomicAdd(&fill[i], (u32)FLUSH);
                        for (int k = 0; k < FLUSH; k++)
                            if (out + k < CAPACITY) buckets[i * CAPACITY + out + k] = cache[i][k];
                        level[i] = 0;
                    }
                __syncthreads();
            }
        }
    }
    for (int i = threadIdx.x; i < NX; i += blockDim.x) {
        u32 n = min(level[i], (u32)FLUSH), out = atomicAdd(&fill[i], n);
        for (u32 k = 0; k < n; k++)
            if (out + k < CAPACITY) buckets[i * CAPACITY + out + k] = cache[i][k];
    }
}

__device__ __forceinline__ void count_node(u32 *ones, u32 *twos, u32 node) {
    u32 word = node >> 5, bit = 1u << (node & 31);
    u32 old = atomicOr(&ones[word], bit) & bit;
    if (old) atomicOr(&twos[word], bit);
}

#ifndef TRIM_NODES
#define TRIM_NODES (1 << 16)
#endif

/* One block a bucket: nodes met twice or more keep their edges; ends swap places for the next round. */
extern "C" __global__ void mean_trim(const uint2 *source, const u32 *source_fill, uint2 *target, u32 *target_fill) {
    __shared__ u32 ones[TRIM_NODES / 32], twos[TRIM_NODES / 32];
    const int bucket = blockIdx.x;
    const u32 n = min(source_fill[bucket], (u32)CAPACITY);
    for (int i = threadIdx.x; i < TRIM_NODES / 32; i += blockDim.x) ones[i] = twos[i] = 0;
    __syncthreads();
    for (u32 i = threadIdx.x; i < n; i += blockDim.x)
        count_node(ones, twos, source[bucket * CAPACITY + i].x & (TRIM_NODES - 1));
    __syncthreads();
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
        uint2 e = __ldg(&source[bucket * CAPACITY + i]);
        u32 node = e.x & (TRIM_NODES - 1);
        if ((twos[node >> 5] >> (node & 31)) & 1) {
            u32 to = e.y >> (EDGEBITS - XBITS), at = atomicAdd(&target_fill[to], 1u);
            if (at < CAPACITY) target[to * CAPACITY + at] = make_uint2(e.y, e.x);
        }
    }
}

/* Finds which edge numbers made the 42 (or fewer) end pairs of a cycle. */
extern "C" __global__ void mean_recover(const uint2 *cycle, int length, u64 edges, u32 *numbers) {
    __shared__ uint2 wanted[64];
    u64 buf[BLOCKSIZE];
    for (int i = threadIdx.x; i < length; i += blockDim.x) wanted[i] = cycle[i];
    __syncthreads();
    for (u64 edge0 = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * BLOCKSIZE; edge0 < edges;
         edge0 += (u64)gridDim.x * blockDim.x * BLOCKSIZE) {
        sip_block(edge0, buf);
        for (int e = 0; e < BLOCKSIZE; e++) {
            u32 u = (u32)(buf[e] & EDGEMASK), v = (u32)((buf[e] >> 32) & EDGEMASK);
            for (int i = 0; i < length; i++)
                if (wanted[i].x == u && wanted[i].y == v) numbers[i] = (u32)(edge0 + e);
        }
    }
}
