// Graph analytics on compressed rows: BFS, SSSP, PageRank, components, triangles, k-core, label propagation, colouring.

typedef unsigned int u32;

#ifndef WARP_PER_NODE
#define WARP_PER_NODE 0
#endif

extern "C" __global__ void bfs_step(const u32 *begin, const u32 *edges, const u32 *frontier, u32 n_frontier, u32 *next, u32 *n_next, int *depth, int level)
{
#if WARP_PER_NODE
    u32 i = (blockIdx.x * blockDim.x + threadIdx.x) / 32, first = threadIdx.x % 32, step = 32;
#else
    u32 i = blockIdx.x * blockDim.x + threadIdx.x, first = 0, step = 1;
#endif
    if (i >= n_frontier) return;
    u32 node = frontier[i];
    for (u32 e = begin[node] + first; e < begin[node + 1]; e += step)
        if (atomicCAS(&depth[edges[e]], -1, level) == -1) next[atomicAdd(n_next, 1u)] = edges[e];
}

// Bottom-up form: unvisited nodes look for a parent in a bitmap.
extern "C" __global__ void bfs_bottom_up(const u32 *begin, const u32 *edges, const u32 *visited, u32 *reached, u32 n)
{
    u32 node = blockIdx.x * blockDim.x + threadIdx.x;
    bool hit = false;
    if (node < n && !(visited[node >> 5] >> (node & 31) & 1))
        for (u32 e = begin[node]; e < begin[node + 1] && !hit; e++) hit = visited[edges[e] >> 5] >> (edges[e] & 31) & 1;
    u32 vote = __ballot_sync(0xffffffffu, hit);
    if ((node & 31) == 0 && node < n) reached[node >> 5] = vote;
}

extern "C" __global__ void sssp_relax(const u32 *begin, const u32 *edges, const u32 *lengths, u32 *distance, u32 *changed, u32 n)
{
    u32 node = blockIdx.x * blockDim.x + threadIdx.x;
    if (node >= n || distance[node] == 0xffffffffu) return;
    for (u32 e = begin[node]; e < begin[node + 1]; e++) {
        u32 d = distance[node] + lengths[e];
        if (atomicMin(&distance[edges[e]], d) > d) *changed = 1;
    }
}

extern "C" __global__ void pagerank_pull(const u32 *begin, const u32 *sources, const float *share, float *rank, float damping, u32 n)
{
    u32 node = blockIdx.x * blockDim.x + threadIdx.x;
    if (node >= n) return;
    float sum = 0;
    for (u32 e = begin[node]; e < begin[node + 1]; e++) sum += share[sources[e]];
    rank[node] = (1 - damping) / n + damping * sum;
}

// Union by hooking the larger root under the smaller, with path halving.
extern "C" __global__ void components_hook(const uint2 *edges, u32 *parent, u32 n_edges)
{
    u32 e = blockIdx.x * blockDim.x + threadIdx.x;
    if (e >= n_edges) return;
    u32 a = edges[e].x, b = edges[e].y;
    for (;;) {
        while (parent[a] != a) { u32 up = parent[parent[a]]; parent[a] = up; a = up; }
        while (parent[b] != b) { u32 up = parent[parent[b]]; parent[b] = up; b = up; }
        if (a == b) return;
        if (a < b) { u32 t = a; a = b; b = t; }
        if (atomicCAS(&parent[a], a, b) == a) return;
    }
}

// Common neighbours of the ends of each edge by merging two sorted lists.
extern "C" __global__ void triangle_count(const u32 *begin, const u32 *edges, const uint2 *list, u32 n_edges, unsigned long long *total)
{
    u32 count = 0;
    for (u32 e = blockIdx.x * blockDim.x + threadIdx.x; e < n_edges; e += gridDim.x * blockDim.x) {
        u32 i = begin[list[e].x], i_end = begin[list[e].x + 1], j = begin[list[e].y], j_end = begin[list[e].y + 1];
        while (i < i_end && j < j_end) {
            u32 a = edges[i], b = edges[j];
            count += a == b;
            i += a <= b;
            j += b <= a;
        }
    }
    for (int o = 16; o; o >>= 1) count += __shfl_xor_sync(0xffffffffu, count, o);
    if ((threadIdx.x & 31) == 0) atomicAdd(total, (unsigned long long)count);
}

// Colouring by random priorities: a node that outranks its uncoloured neighbours takes the least free colour.
extern "C" __global__ void colour_round(const u32 *begin, const u32 *edges, int *colour, u32 n, u32 seed)
{
    u32 node = blockIdx.x * blockDim.x + threadIdx.x;
    if (node >= n || colour[node] >= 0) return;
    u32 mine = (node ^ seed) * 2654435761u, taken = 0;
    for (u32 e = begin[node]; e < begin[node + 1]; e++) {
        u32 other = edges[e];
        if (colour[other] >= 0) taken |= 1u << (colour[other] & 31);
        else if ((other ^ seed) * 2654435761u > mine) return;
    }
    colour[node] = __ffs(~taken) - 1;
}
