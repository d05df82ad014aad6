// Cuckoo Cycle with two-bit counters in global memory and a union of paths at the end, one warp an edge block.
// Style: SipHash as PTX-like 32-bit pairs in uint2, vote-based compaction of survivors. Inert.
#include "siphash_macros.cuh"

#ifndef EDGES_LOG2
#define EDGES_LOG2 24
#endif

using uint = unsigned int;
using ull = unsigned long long;

__constant__ ull k[4];

__device__ uint node_of(uint edge, uint side) {
    ull a = k[0], b = k[1], c = k[2], d = k[3];
    SIP_HASH24(a, b, c, d, 2ull * edge + side, 21);
    return (uint)((a ^ b ^ c ^ d) & ((1u << (EDGES_LOG2 - 1)) - 1u));
}

// counters: 2 bits a node, 0, 1, 2 or more
extern "C" __global__ void degree_count(const uint *edges, uint n, uint side, uint *counters) {
    for (uint i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        const uint node = node_of(edges[i], side), shift = 2 * (node & 15u);
        const uint old = atomicOr(&counters[node >> 4], 1u << shift);
        if ((old >> shift) & 1u) atomicOr(&counters[node >> 4], 2u << shift);
    }
}

extern "C" __global__ void compact_edges(const uint *edges, uint n, uint side, const uint *counters, uint *out,
                                         uint *out_count) {
    const uint lane = threadIdx.x & 31u;
    const uint rounds = (n + gridDim.x * blockDim.x - 1) / (gridDim.x * blockDim.x);
    uint i = blockIdx.x * blockDim.x + threadIdx.x;
    for (uint r = 0; r < rounds; ++r, i += gridDim.x * blockDim.x) {
        bool keep = false;
        uint edge = 0;
        if (i < n) {
            edge = edges[i];
            const uint node = node_of(edge, side);
            keep = (counters[node >> 4] >> (2 * (node & 15u))) & 2u;
        }
        const uint votes = __ballot_sync(0xffffffffu, keep);
        uint base = 0;
        if (lane == 0 && votes) base = atomicAdd(out_count, __popc(votes));
        base = __shfl_sync(0xffffffffu, base, 0);
        if (keep) out[base + __popc(votes & ((1u << lane) - 1u))] = edge;
    }
}

// Follows parent pointers from both ends of each surviving edge to the roots, and counts edges that close a cycle.
extern "C" __global__ void follow_paths(const uint *edges, uint n, uint *parent, uint *closing) {
    const uint i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const uint u0 = 2u * node_of(edges[i], 0), v0 = 2u * node_of(edges[i], 1) + 1u;
    uint u = u0, v = v0;
    for (;;) {
        while (parent[u] != u) u = parent[u];
        while (parent[v] != v) v = parent[v];
        if (u == v) {
            atomicAdd(closing, 1u);
            return;
        }
        const uint high = max(u, v), low = min(u, v);
        if (atomicCAS(&parent[high], high, low) == high) return;
    }
}
