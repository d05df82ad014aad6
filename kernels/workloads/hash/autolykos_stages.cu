// Autolykos in stages, as its first version asks: hashes of all indices, the ones above the group's multiple counted
// and hashed again, then each multiplied by one secret and taken from another modulo q; a block searches nonces over
// the finished table. Numbers are eight words with carries in PTX. Inert.
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef BLOCK
#define BLOCK 64
#endif
#ifndef TERMS
#define TERMS 32
#endif
#ifndef SPREAD
#define SPREAD 0 /* 1: eight lanes read one element, a word each */
#endif
#ifndef MULTIPLY
#define MULTIPLY 1 /* 0: the secret is only subtracted from */
#endif
#ifndef TABLE_LOG
#define TABLE_LOG 26
#endif

struct Number {
    u32 w[8];
};

__constant__ Number c_secret, c_minuend, c_bound;
__constant__ u64 c_front[8];
__constant__ u32 c_group[8] = {0xD0364141u, 0xBFD25E8Cu, 0xAF48A03Bu, 0xBAAEDCE6u, ~1u, ~0u, ~0u, ~0u};
__constant__ u32 c_short[5] = {0x2FC9BEBFu, 0x402DA173u, 0x50B75FC4u, 0x45512319u, 1u};  // 2^256 - q
__constant__ u64 c_iv[8] = {0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
                            0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179};

#ifdef __CUDA_ARCH__
#define CHAIN8(FIRST, NEXT, LAST)                                                                                  \
    asm(FIRST " %0, %0, %9;\n\t" NEXT " %1, %1, %10;\n\t" NEXT " %2, %2, %11;\n\t" NEXT " %3, %3, %12;\n\t" NEXT     \
        " %4, %4, %13;\n\t" NEXT " %5, %5, %14;\n\t" NEXT " %6, %6, %15;\n\t" NEXT " %7, %7, %16;\n\t" LAST          \
        " %8, 0, 0;"                                                                                               \
        : "+&r"(a[0]), "+&r"(a[1]), "+&r"(a[2]), "+&r"(a[3]), "+&r"(a[4]), "+&r"(a[5]), "+&r"(a[6]), "+&r"(a[7]), "=r"(over) \
        : "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(b[4]), "r"(b[5]), "r"(b[6]), "r"(b[7]))
__device__ __forceinline__ u32 add_to(u32 *a, const u32 *b) {
    u32 over;
    CHAIN8("add.cc.u32", "addc.cc.u32", "addc.u32");
    return over;
}
__device__ __forceinline__ u32 take_from(u32 *a, const u32 *b) {
    u32 over;
    CHAIN8("sub.cc.u32", "subc.cc.u32", "subc.u32");
    return over;
}
__device__ __forceinline__ void multiply_in(u32 &low, u32 &high, u32 x, u32 y) {  // high:low = x * y + low + high
    const u32 more = high;
    asm("{\n\tmad.lo.cc.u32 %0, %2, %3, %0;\n\tmadc.hi.u32 %1, %2, %3, 0;\n\t"
        "add.cc.u32 %0, %0, %4;\n\taddc.u32 %1, %1, 0;\n\t}"
        : "+&r"(low), "=&r"(high)
        : "r"(x), "r"(y), "r"(more));
}
#else
static u32 add_to(u32 *a, const u32 *b) {
    u64 carry = 0;
    for (int i = 0; i < 8; ++i) carry += (u64)a[i] + b[i], a[i] = (u32)carry, carry >>= 32;
    return (u32)carry;
}
static u32 take_from(u32 *a, const u32 *b) {
    u64 borrow = 0;
    for (int i = 0; i < 8; ++i) borrow = (u64)a[i] - b[i] - borrow, a[i] = (u32)borrow, borrow = borrow >> 63;
    return 0u - (u32)borrow;
}
static void multiply_in(u32 &low, u32 &high, u32 x, u32 y) {
    const u64 all = (u64)x * y + low + high;
    low = (u32)all;
    high = (u32)(all >> 32);
}
#endif

__device__ __forceinline__ bool below(const Number &a, const u32 *b) {
    Number t = a;
    return take_from(t.w, b) != 0;
}

__device__ __forceinline__ void reduce_once(Number &a) {
    Number t = a;
    if (take_from(t.w, c_group) == 0) a = t;
}

// a * b modulo q: the upper half is folded in by 2^256 = c_short (mod q) until nothing is left above.
__device__ Number times(const Number &a, const Number &b) {
    u32 wide[16] = {};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        u32 carry = 0;
#pragma unroll
        for (int j = 0; j < 8; ++j) multiply_in(wide[i + j], carry, a.w[i], b.w[j]);
        wide[i + 8] = carry;
    }
#pragma unroll 1
    for (int turn = 0; turn < 3; ++turn) {
        u32 next[16] = {};
#pragma unroll
        for (int i = 0; i < 8; ++i) next[i] = wide[i];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            u32 carry = 0;
#pragma unroll
            for (int j = 0; j < 5; ++j) multiply_in(next[i + j], carry, wide[8 + i], c_short[j]);
#pragma unroll
            for (int k = i + 5; k < 16; ++k) {
                const u64 sum = (u64)next[k] + carry;
                next[k] = (u32)sum;
                carry = (u32)(sum >> 32);
            }
        }
#pragma unroll
        for (int i = 0; i < 16; ++i) wide[i] = next[i];
    }
    Number r;
#pragma unroll
    for (int i = 0; i < 8; ++i) r.w[i] = wide[i];
    reduce_once(r);
    return r;
}

template <int N> __device__ __forceinline__ u64 right(u64 x) { return x >> N | x << (64 - N); }

#define STEP(a, b, c, d, p, q)           \
    a += b + m[p]; d = right<32>(d ^ a); \
    c += d; b = right<24>(b ^ c);        \
    a += b + m[q]; d = right<16>(d ^ a); \
    c += d; b = right<63>(b ^ c);
#define TURN(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, sa, sb, sc, sd, se, sf)                        \
    STEP(v[0], v[4], v[8], v[12], s0, s1) STEP(v[1], v[5], v[9], v[13], s2, s3)                     \
    STEP(v[2], v[6], v[10], v[14], s4, s5) STEP(v[3], v[7], v[11], v[15], s6, s7)                   \
    STEP(v[0], v[5], v[10], v[15], s8, s9) STEP(v[1], v[6], v[11], v[12], sa, sb)                   \
    STEP(v[2], v[7], v[8], v[13], sc, sd) STEP(v[3], v[4], v[9], v[14], se, sf)

__device__ void fold_block(u64 (&h)[8], const u64 (&m)[16], u64 total, bool last) {
    u64 v[16];
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = h[i], v[8 + i] = c_iv[i];
    v[12] ^= total;
    v[14] ^= last ? ~0ull : 0ull;
#pragma unroll 1
    for (int lap = 0; lap < 2; ++lap) {
        TURN(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
        TURN(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
        if (lap == 1) break;
        TURN(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4)
        TURN(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8)
        TURN(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13)
        TURN(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9)
        TURN(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11)
        TURN(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10)
        TURN(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5)
        TURN(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0)
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) h[i] ^= v[i] ^ v[8 + i];
}

__device__ __forceinline__ u32 flip(u32 x) { return __byte_perm(x, x, 0x0123); }

__device__ Number digest_number(const u64 (&h)[8]) {
    Number r;
#pragma unroll
    for (int i = 0; i < 4; ++i) r.w[7 - 2 * i] = flip((u32)h[i]), r.w[6 - 2 * i] = flip((u32)(h[i] >> 32));
    return r;
}

// BLAKE2b-256 of at most one block.
__device__ __forceinline__ Number one_block(const u64 (&m)[16], u32 bytes) {
    u64 h[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) h[i] = c_iv[i];
    h[0] ^= 0x01010020ull;
    fold_block(h, m, bytes, true);
    return digest_number(h);
}

__device__ __forceinline__ Number hash_number(const Number &x) {
    u64 m[16] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) m[i] = (u64)flip(x.w[6 - 2 * i]) << 32 | flip(x.w[7 - 2 * i]);
    return one_block(m, 32);
}

// index (four bytes, big endian) behind 1024 bytes of running words, in front of the caller's 64 bytes.
extern "C" __global__ void __launch_bounds__(BLOCK) prehash_first(u32 n, Number *table, unsigned char *pending) {
    const u32 id = blockIdx.x * BLOCK + threadIdx.x;
    if (id >= n) return;
    u64 h[8], m[16], total = 0;
    for (int i = 0; i < 8; ++i) h[i] = c_iv[i];
    h[0] ^= 0x01010020ull;
#pragma unroll 1
    for (u32 block = 0; block < 8; ++block) {
#pragma unroll
        for (u32 i = 0; i < 16; ++i) m[i] = (u64)flip(16 * block + i) << 32;
        fold_block(h, m, total += 128, false);
    }
#pragma unroll
    for (int i = 0; i < 16; ++i) m[i] = i < 8 ? c_front[i] : 0ull;
    m[8] = flip(id);
    fold_block(h, m, total + 68, true);
    const Number x = digest_number(h);
    table[id] = x;
    pending[id] = !below(x, c_bound.w);
}

// How many hashes are too large, and which.
extern "C" __global__ void __launch_bounds__(BLOCK)
prehash_count(u32 n, const unsigned char *pending, u32 *list, u32 *count) {
    __shared__ u32 here, base;
    if (threadIdx.x == 0) here = 0;
    __syncthreads();
    const u32 id = blockIdx.x * BLOCK + threadIdx.x;
    const bool open = id < n && pending[id];
    const u32 own = open ? atomicAdd(&here, 1u) : 0u;
    __syncthreads();
    if (threadIdx.x == 0) base = atomicAdd(count, here);
    __syncthreads();
    if (open) list[base + own] = id;
}

extern "C" __global__ void __launch_bounds__(BLOCK)
prehash_again(const u32 *list, const u32 *count, Number *table, unsigned char *pending) {
    const u32 i = blockIdx.x * BLOCK + threadIdx.x;
    if (i >= *count) return;
    const Number x = hash_number(table[list[i]]);
    table[list[i]] = x;
    pending[list[i]] = !below(x, c_bound.w);
}

// minuend - secret * hash (mod q).
extern "C" __global__ void __launch_bounds__(BLOCK) prehash_final(u32 n, Number *table) {
    const u32 id = blockIdx.x * BLOCK + threadIdx.x;
    if (id >= n) return;
    Number x = table[id];
#pragma unroll 1
    for (int i = 0; i < 2; ++i) reduce_once(x);
#if MULTIPLY
    x = times(x, c_secret);
#endif
    Number r = c_minuend;
    if (take_from(r.w, x.w)) add_to(r.w, c_group);
    table[id] = r;
}

// Sum of the table's elements modulo q.
__device__ __forceinline__ void add_modulo(Number &sum, const Number &x) {
    if (add_to(sum.w, x.w)) {
        take_from(sum.w, c_group);
        return;
    }
    reduce_once(sum);
}

__device__ __forceinline__ u32 term_index(const Number &h, int i) {
    const u32 high = h.w[7 - i / 4], low = h.w[7 - (i / 4 + 1) % 8];
    return __funnelshift_l(low, high, 8 * (i % 4)) & ((1u << TABLE_LOG) - 1u);
}

extern "C" __global__ void __launch_bounds__(BLOCK)
stage_search(u64 first, const Number *table, Number *sums, u32 *best) {
    const u64 nonce = first + blockIdx.x * BLOCK + threadIdx.x;
    u64 m[16] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) m[i] = c_front[i];
    m[4] = (u64)flip((u32)nonce) << 32 | flip((u32)(nonce >> 32));
    const Number h = one_block(m, 40);
    Number sum = {};
#if SPREAD
    __shared__ u32 ask[BLOCK], part[BLOCK / 8][8][8];
    const int group = threadIdx.x >> 3, lane = threadIdx.x & 7;
#pragma unroll 1
    for (int t = 0; t < TERMS; ++t) {
        ask[threadIdx.x] = term_index(h, t);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 8; ++k) part[group][k][lane] = __ldg(&table[ask[8 * group + k]].w[lane]);
        __syncthreads();
        Number x;
#pragma unroll
        for (int k = 0; k < 8; ++k) x.w[k] = part[group][lane][k];
        add_modulo(sum, x);
    }
#else
#pragma unroll 4
    for (int t = 0; t < TERMS; ++t) {
        const uint4 *at = (const uint4 *)(table + term_index(h, t));
        const uint4 a = __ldg(at), b = __ldg(at + 1);
        const Number x = {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
        add_modulo(sum, x);
    }
#endif
    if (sums) sums[blockIdx.x * BLOCK + threadIdx.x] = sum;
    if (below(hash_number(sum), c_bound.w)) atomicMin(best, blockIdx.x * BLOCK + threadIdx.x);
}
