// Reductions of bytes inside registers, sixteen to a pack, and the steps of collectives that carry them between peers.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned char u8;

#ifndef UNROLL
#define UNROLL 4
#endif
#ifndef OPERATION
#define OPERATION 0 // of the ring and tree steps: 0 sum, 1 minimum, 2 maximum, 3 rounded average
#endif

// Four byte lanes at once: the top bits are added apart, so that no carry leaves its lane.
__device__ __forceinline__ u32 add_lanes(u32 a, u32 b) { return ((a & 0x7f7f7f7fu) + (b & 0x7f7f7f7fu)) ^ ((a ^ b) & 0x80808080u); }

template <int O> __device__ __forceinline__ u32 combine(u32 a, u32 b)
{
    if (O == 0) return add_lanes(a, b);
    if (O == 1) return __vminu4(a, b);
    if (O == 2) return __vmaxu4(a, b);
    if (O == 3) return (a | b) - (((a ^ b) >> 1) & 0x7f7f7f7fu);
    if (O == 4) return __vmins4(a, b);
    if (O == 5) return __vmaxs4(a, b);
    // Products of lanes, then woven back two and two.
    u32 low = __byte_perm((a & 0xff) * (b & 0xff), (a >> 8 & 0xff) * (b >> 8 & 0xff), 0x0040);
    return __byte_perm(low, __byte_perm((a >> 16 & 0xff) * (b >> 16 & 0xff), (a >> 24) * (b >> 24), 0x0040), 0x5410);
}

template <int O> __device__ __forceinline__ uint4 combine(uint4 a, uint4 b)
{
    return make_uint4(combine<O>(a.x, b.x), combine<O>(a.y, b.y), combine<O>(a.z, b.z), combine<O>(a.w, b.w));
}

template <int O> __device__ __forceinline__ void reduce_packs(uint4 *out, const uint4 *a, const uint4 *b, u64 packs)
{
    u64 stride = (u64)gridDim.x * blockDim.x, i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    for (; i + (UNROLL - 1) * stride < packs; i += UNROLL * stride) {
        uint4 x[UNROLL], y[UNROLL];
#pragma unroll
        for (int k = 0; k < UNROLL; k++) { x[k] = a[i + k * stride]; y[k] = b[i + k * stride]; }
#pragma unroll
        for (int k = 0; k < UNROLL; k++) out[i + k * stride] = combine<O>(x[k], y[k]);
    }
    for (; i < packs; i += stride) out[i] = combine<O>(a[i], b[i]);
}

extern "C" __global__ void reduce_pair_u8(uint4 *out, const uint4 *a, const uint4 *b, u64 packs, int operation)
{
    switch (operation) {
    case 0: reduce_packs<0>(out, a, b, packs); break;
    case 1: reduce_packs<1>(out, a, b, packs); break;
    case 2: reduce_packs<2>(out, a, b, packs); break;
    case 3: reduce_packs<3>(out, a, b, packs); break;
    default: reduce_packs<6>(out, a, b, packs);
    }
}

// Signed extrema of a buffer: packs to a word by lanes, words by shuffles, then one byte.
extern "C" __global__ void extrema_s8(const uint4 *in, u64 packs, int *lowest, int *highest)
{
    u32 low = 0x7f7f7f7fu, high = 0x80808080u;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < packs; i += (u64)gridDim.x * blockDim.x) {
        uint4 p = in[i];
        low = combine<4>(combine<4>(combine<4>(low, p.x), combine<4>(p.y, p.z)), p.w);
        high = combine<5>(combine<5>(combine<5>(high, p.x), combine<5>(p.y, p.z)), p.w);
    }
    for (int d = 16; d; d >>= 1) {
        low = combine<4>(low, __shfl_xor_sync(~0u, low, d));
        high = combine<5>(high, __shfl_xor_sync(~0u, high, d));
    }
    low = combine<4>(low, __byte_perm(low, 0, 0x1032)); low = combine<4>(low, __byte_perm(low, 0, 0x2301));
    high = combine<5>(high, __byte_perm(high, 0, 0x1032)); high = combine<5>(high, __byte_perm(high, 0, 0x2301));
    if ((threadIdx.x & 31) == 0) { atomicMin(lowest, (int)(signed char)low); atomicMax(highest, (int)(signed char)high); }
}

__device__ __forceinline__ void wait_for(volatile u64 *flag, u64 value)
{
    while (*flag < value) { }
}

// One chunk a step: wait for the left neighbour's post, combine with ours, hand it to the right, post.
extern "C" __global__ void ring_step(const uint4 *mine, volatile uint4 *left_slots, uint4 *right_slots, volatile u64 *left_post, u64 *right_post, u64 first, u32 steps, u32 packs, u32 slots)
{
    for (u32 s = 0; s < steps; s++) {
        if (threadIdx.x == 0) wait_for(left_post, first + s + 1);
        __syncthreads();
        u64 slot = (u64)((first + s) % slots) * packs;
        for (u32 i = threadIdx.x; i < packs; i += blockDim.x) {
            volatile uint4 *from = left_slots + slot + i;
            uint4 theirs = make_uint4(from->x, from->y, from->z, from->w);
            right_slots[slot + i] = combine<OPERATION>(theirs, mine[(u64)s * packs + i]);
        }
        __syncthreads();
        if (threadIdx.x == 0) { __threadfence_system(); *(volatile u64 *)right_post = first + s + 1; }
    }
}

// Two children and a parent; bytes of any alignment are drawn from aligned words by funnel shifts.
extern "C" __global__ void tree_up(const u8 *child0, const u8 *child1, const u32 *mine, u32 *parent, u32 words, int children)
{
    const u32 *w0 = (const u32 *)((u64)child0 & ~3ull), *w1 = (const u32 *)((u64)child1 & ~3ull);
    u32 s0 = ((u64)child0 & 3) * 8, s1 = ((u64)child1 & 3) * 8;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < words; i += gridDim.x * blockDim.x) {
        u32 v = mine[i];
        if (children > 0) v = combine<OPERATION>(v, __funnelshift_r(w0[i], w0[i + 1], s0));
        if (children > 1) v = combine<OPERATION>(v, __funnelshift_r(w1[i], w1[i + 1], s1));
        parent[i] = v;
    }
}

// Low latency: each line of eight words carries seven of data and a flag, so that arrival needs no fence.
extern "C" __global__ void line_receive_reduce(volatile u64 *lines, const u64 *mine, u64 *out, u64 flag, u32 count)
{
    const int lane = threadIdx.x & 31, part = lane & 7;
    const u32 line = (blockIdx.x * blockDim.x + threadIdx.x) >> 3;
    u64 word;
    bool missing;
    do {
        word = line < count ? lines[(u64)line * 8 + part] : flag;
        missing = part == 7 && word != flag;
    } while (__any_sync(~0u, missing));
    if (line >= count || part == 7) return;
    u64 own = mine[(u64)line * 7 + part];
    u32 low = combine<OPERATION>((u32)word, (u32)own), high = combine<OPERATION>((u32)(word >> 32), (u32)(own >> 32));
    out[(u64)line * 7 + part] = (u64)high << 32 | low;
}

// Sending: data and flag interleaved word by word in one store of sixteen bytes.
extern "C" __global__ void line_send(const u32 *in, uint4 *fifo, u32 flag, u32 words)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (2 * i >= words) return;
    u32 a = in[2 * i], b = 2 * i + 1 < words ? in[2 * i + 1] : 0;
#ifdef __CUDA_ARCH__
    asm volatile("st.volatile.global.v4.u32 [%0], {%1,%2,%3,%4};" :: "l"(fifo + i), "r"(a), "r"(flag), "r"(b), "r"(flag) : "memory");
#else
    fifo[i] = make_uint4(a, flag, b, flag);
#endif
}
