// Mean trimming of cuckoo-cycle graphs, all sorting staged in shared memory: bins of edges are written out two to a
// uint4, nodes are judged by a two-bit degree map, survivors are renamed, tagged, relayed and joined. Inert.
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef EDGE_BITS
#define EDGE_BITS 29
#endif
#ifndef ROW_BITS
#define ROW_BITS 6
#endif
#ifndef ROW_CAP
#define ROW_CAP (1 << 20)
#endif
#ifndef CELL_CAP
#define CELL_CAP (1 << 14)
#endif
#ifndef BLOCK
#define BLOCK 256 /* 24 to 512 threads */
#endif
#ifndef SOURCES
#define SOURCES 1 /* buffers that the rows are spread over */
#endif
#ifndef CHAINED
#define CHAINED 0 /* 1: blocks of 64 chained edges, 0: two hashes an edge */
#endif
#ifndef SIP_LAST
#define SIP_LAST 21
#endif
#ifndef DEPTH
#define DEPTH 12
#endif
#define ROWS (1 << ROW_BITS)
#define NODE_BITS (EDGE_BITS - 2 * ROW_BITS)
#define NODES (1 << NODE_BITS)
#define EDGE_MASK ((1u << EDGE_BITS) - 1u)
#define NOTHING 0xffffffffu

__constant__ u64 c_keys[4];

template <int R> __device__ __forceinline__ u64 turn(u64 x) { return x << R | x >> (64 - R); }

struct Sip {
    u64 a, b, c, d;
    __device__ __forceinline__ void load() { a = c_keys[0], b = c_keys[1], c = c_keys[2], d = c_keys[3]; }
    template <int TIMES> __device__ __forceinline__ void mix() {
#pragma unroll
        for (int i = 0; i < TIMES; ++i) {
            a += b; c += d;
            b = turn<13>(b) ^ a; d = turn<16>(d) ^ c;
            a = turn<32>(a); c += b; a += d;
            b = turn<17>(b) ^ c; d = turn<SIP_LAST>(d) ^ a;
            c = turn<32>(c);
        }
    }
    __device__ __forceinline__ u64 feed(u64 n) {
        d ^= n;
        mix<2>();
        a ^= n;
        c ^= 0xff;
        mix<4>();
        return a ^ b ^ c ^ d;
    }
};

__device__ __forceinline__ uint2 edge_of(u64 h) { return make_uint2((u32)h & EDGE_MASK, (u32)(h >> 32) & EDGE_MASK); }

// Sixty-four edges from `first`; the visitor is called once for each by every thread that comes here.
template <bool CHAIN, class Visit> __device__ void sixty_four(u64 first, Visit visit) {
    Sip s;
    if (CHAIN) {
        u64 kept[64];
        s.load();
#pragma unroll 1
        for (int i = 0; i < 64; ++i) kept[i] = s.feed(first + i);
        const u64 closing = kept[63];
#pragma unroll 1
        for (int i = 0; i < 64; ++i) visit(edge_of(i < 63 ? kept[i] ^ closing : closing));
    } else {
#pragma unroll 1
        for (int i = 0; i < 64; ++i) {
            s.load();
            const u32 u = (u32)s.feed(2 * (first + i)) & EDGE_MASK;
            s.load();
            visit(make_uint2(u, (u32)s.feed(2 * (first + i) + 1) & EDGE_MASK));
        }
    }
}

// Bins in shared memory in front of rows in global memory; holes are filled with edges of NOTHING.
template <int BINS, int CAP> struct Stage {
    uint2 (*slot)[DEPTH];
    u32 *level;
    uint2 *out;
    u32 *fill;

    __device__ void clear() {
        for (int i = threadIdx.x; i < BINS; i += blockDim.x) level[i] = 0;
        __syncthreads();
    }
    __device__ __forceinline__ void pair(u32 bin, uint2 a, uint2 b) {
        const u32 at = atomicAdd(&fill[bin], 2u);
        if (at + 2 <= CAP) *(uint4 *)(out + (u64)bin * CAP + at) = make_uint4(a.x, a.y, b.x, b.y);
    }
    __device__ __forceinline__ void put(u32 bin, uint2 e) {
        const u32 at = atomicAdd(&level[bin], 1u);
        if (at < DEPTH) slot[bin][at] = e;
        else pair(bin, e, make_uint2(NOTHING, NOTHING));
    }
    // To be called by the whole block; with `all` nothing stays behind.
    __device__ void flush(bool all) {
        __syncthreads();
        for (int bin = threadIdx.x; bin < BINS; bin += blockDim.x) {
            u32 n = min(level[bin], (u32)DEPTH);
            if (n >= DEPTH / 2) {
                const u32 take = n & ~3u, at = atomicAdd(&fill[bin], take);
                uint4 *to = (uint4 *)(out + (u64)bin * CAP + at);
                if (at + take <= CAP)
                    for (u32 k = 0; k < take; k += 2)
                        to[k / 2] = make_uint4(slot[bin][k].x, slot[bin][k].y, slot[bin][k + 1].x, slot[bin][k + 1].y);
                for (u32 k = take; k < n; ++k) slot[bin][k - take] = slot[bin][k];
                n -= take;
            }
            if (all)
                for (u32 k = 0; k < n; k += 2)
                    pair(bin, slot[bin][k], k + 1 < n ? slot[bin][k + 1] : make_uint2(NOTHING, NOTHING));
            level[bin] = all ? 0 : n;
        }
        __syncthreads();
    }
};

#define STAGE(NAME, CAP, OUT, FILL)                     \
    __shared__ uint2 NAME##_slot[ROWS][DEPTH];          \
    __shared__ u32 NAME##_level[ROWS];                  \
    Stage<ROWS, CAP> NAME = {NAME##_slot, NAME##_level, OUT, FILL}; \
    NAME.clear()

// All edges into rows by the top bits of their first node.
extern "C" __global__ void __launch_bounds__(BLOCK) shared_seed(u64 edges, uint2 *rows, u32 *fill) {
    STAGE(stage, ROW_CAP, rows, fill);
    const u64 step = 64ull * BLOCK * gridDim.x;
    for (u64 base = 64ull * BLOCK * blockIdx.x; base < edges; base += step) {
        const u64 first = base + 64ull * threadIdx.x;
        sixty_four<CHAINED != 0>(first, [&](uint2 e) {
            if (first < edges) stage.put(e.x >> (EDGE_BITS - ROW_BITS), e);
            stage.flush(false);
        });
    }
    stage.flush(true);
}

template <int FROM, int CAP, class Visit>
__device__ __forceinline__ void read_edges(const uint2 *const (&part)[FROM], const u32 (&size)[FROM], Visit visit) {
#pragma unroll
    for (int s = 0; s < FROM; ++s) {
        const uint4 *pairs = (const uint4 *)part[s];
        const u32 n = min(size[s], (u32)CAP) / 2;
        for (u32 base = 0; base < n; base += BLOCK) {
            const u32 i = base + threadIdx.x;
            const uint4 p = i < n ? __ldg(pairs + i) : make_uint4(NOTHING, NOTHING, NOTHING, NOTHING);
            visit(make_uint2(p.x, p.y), make_uint2(p.z, p.w));
        }
    }
}

// A row (of one or two buffers) into cells by the next bits of the first node.
extern "C" __global__ void __launch_bounds__(BLOCK)
shared_split(const uint2 *left, const uint2 *right, const u32 *left_fill, const u32 *right_fill, uint2 *cells, u32 *fill) {
    const u32 row = blockIdx.x;
    STAGE(stage, CELL_CAP, cells + (u64)row * ROWS * CELL_CAP, fill + row * ROWS);
#if SOURCES == 2
    const uint2 *const part[2] = {left + (u64)row * ROW_CAP, right + (u64)row * ROW_CAP};
    const u32 size[2] = {left_fill[row], right_fill[row]};
#else
    const uint2 *const part[1] = {left + (u64)row * ROW_CAP};
    const u32 size[1] = {left_fill[row]};
#endif
    read_edges<SOURCES, ROW_CAP>(part, size, [&](uint2 a, uint2 b) {
        if (a.x != NOTHING) stage.put(a.x >> NODE_BITS & (ROWS - 1), a);
        if (b.x != NOTHING) stage.put(b.x >> NODE_BITS & (ROWS - 1), b);
        stage.flush(false);
    });
    stage.flush(true);
}

// Two bits a node, sixteen nodes a word: 0, 1 or more edges.
__device__ __forceinline__ void met(u32 *degrees, u32 node) {
    const u32 bit = 1u << 2 * (node & 15u);
    if (atomicOr(&degrees[node >> 4], bit) & bit) atomicOr(&degrees[node >> 4], bit << 1);
}
__device__ __forceinline__ bool shared_node(const u32 *degrees, u32 node) {
    return degrees[node >> 4] >> (2 * (node & 15u) + 1) & 1u;
}

// One block a cell: edges whose first node has company go on, turned round, to the rows of their other node.
template <int CAP_IN, int CAP_OUT>
__device__ __forceinline__ void trim_cell(const uint2 *cells, const u32 *cell_fill, uint2 *rows, u32 *row_fill) {
    __shared__ u32 degrees[NODES / 16 + 1];
    STAGE(stage, CAP_OUT, rows, row_fill);
    for (int i = threadIdx.x; i < NODES / 16 + 1; i += blockDim.x) degrees[i] = 0;
    __syncthreads();
    const uint2 *const part[1] = {cells + (u64)blockIdx.x * CAP_IN};
    const u32 size[1] = {cell_fill[blockIdx.x]};
    read_edges<1, CAP_IN>(part, size, [&](uint2 a, uint2 b) {
        if (a.x != NOTHING) met(degrees, a.x & (NODES - 1));
        if (b.x != NOTHING) met(degrees, b.x & (NODES - 1));
    });
    __syncthreads();
    read_edges<1, CAP_IN>(part, size, [&](uint2 a, uint2 b) {
        if (a.x != NOTHING && shared_node(degrees, a.x & (NODES - 1)))
            stage.put(a.y >> (EDGE_BITS - ROW_BITS), make_uint2(a.y, a.x));
        if (b.x != NOTHING && shared_node(degrees, b.x & (NODES - 1)))
            stage.put(b.y >> (EDGE_BITS - ROW_BITS), make_uint2(b.y, b.x));
        stage.flush(false);
    });
    stage.flush(true);
}

extern "C" __global__ void __launch_bounds__(BLOCK)
shared_trim(const uint2 *cells, const u32 *cell_fill, uint2 *rows, u32 *row_fill) {
    trim_cell<CELL_CAP, ROW_CAP>(cells, cell_fill, rows, row_fill);
}

extern "C" __global__ void __launch_bounds__(BLOCK)
shared_trim_late(const uint2 *cells, const u32 *cell_fill, uint2 *rows, u32 *row_fill) {
    trim_cell<CELL_CAP / 4, ROW_CAP / 4>(cells, cell_fill, rows, row_fill);
}

// The nodes that are left in a cell get small numbers in place of their low bits: a bit map and its running counts.
extern "C" __global__ void __launch_bounds__(BLOCK) shared_rename(uint2 *cells, const u32 *cell_fill, u32 *names) {
    __shared__ u32 present[NODES / 32 + 1];
    __shared__ u32 before[NODES / 32 + 1];
    __shared__ u32 total;
    uint2 *mine = cells + (u64)blockIdx.x * CELL_CAP;
    const u32 n = min(cell_fill[blockIdx.x], (u32)CELL_CAP);
    for (int i = threadIdx.x; i < NODES / 32 + 1; i += blockDim.x) present[i] = 0;
    if (threadIdx.x == 0) total = 0;
    __syncthreads();
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
        const u32 node = mine[i].x & (NODES - 1);
        if (mine[i].x != NOTHING) atomicOr(&present[node >> 5], 1u << (node & 31u));
    }
    __syncthreads();
    for (int i = threadIdx.x; i < NODES / 32 + 1; i += blockDim.x)
        before[i] = atomicAdd(&total, (u32)__popc(present[i]));
    __syncthreads();
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
        if (mine[i].x == NOTHING) continue;
        const u32 node = mine[i].x & (NODES - 1), word = node >> 5;
        mine[i].x = before[word] + __popc(present[word] & ((1u << (node & 31u)) - 1u));
    }
    if (threadIdx.x == 0) names[blockIdx.x] = total;
}

// Tags travel: every node keeps the smallest tag that reached it, every edge hands it to its other end.
extern "C" __global__ void __launch_bounds__(BLOCK)
shared_relay(const uint2 *edges, const u32 *tags, u32 n, const u32 *node_tag, u32 *next_tag, u32 *closed) {
    for (u32 i = blockIdx.x * BLOCK + threadIdx.x; i < n; i += gridDim.x * BLOCK) {
        const uint2 e = edges[i];
        if (e.x == NOTHING) continue;
        const u32 tag = __ldg(node_tag + e.x);
        if (tag == tags[i]) atomicAdd(closed, 1u);
        else atomicMin(&next_tag[e.y], tag);
    }
}

#define HEADS 1024

// Edges of a cell that meet in a node are joined to paths of twice the length, through chains in shared memory.
extern "C" __global__ void __launch_bounds__(BLOCK)
shared_meet(const uint4 *paths, const u32 *fill, u32 cap, uint4 *joined, u32 *joined_count, u32 joined_cap) {
    __shared__ u32 head[HEADS];
    __shared__ unsigned short link[2048];
    const u32 n = min(min(fill[blockIdx.x], cap), 2048u);
    const uint4 *mine = paths + (u64)blockIdx.x * cap;
    for (int i = threadIdx.x; i < HEADS; i += blockDim.x) head[i] = 0xffffu;
    __syncthreads();
    for (u32 i = threadIdx.x; i < n; i += blockDim.x)
        link[i] = (unsigned short)atomicExch(&head[mine[i].x & (HEADS - 1)], i);
    __syncthreads();
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
        const uint4 a = mine[i];
        for (u32 j = link[i]; j != 0xffffu; j = link[j]) {
            const uint4 b = mine[j];
            if (a.x != b.x || a.z == b.z) continue;
            const u32 at = atomicAdd(joined_count, 1u);
            if (at < joined_cap) joined[at] = make_uint4(a.y, b.y, min(a.z, b.z), a.w + b.w);
        }
    }
}
