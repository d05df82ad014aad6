// Equihash with the tree of indices in slot arrays: bucket bits are dropped when a string is filed, the rest bits of a
// digit are hashed to linked chains in shared memory, every round is its own instance of a template. Inert.
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef WN
#define WN 200
#endif
#ifndef WK
#define WK 9
#endif
#ifndef BUCKET_LOG
#define BUCKET_LOG 12
#endif
#ifndef SLOT_COUNT
#define SLOT_COUNT 680
#endif
#ifndef BLOCK
#define BLOCK 256
#endif
#ifndef LATE
#define LATE (WK - 1)
#endif
#define DIGIT (WN / (WK + 1))
#define REST (DIGIT - BUCKET_LOG)
#define CHAINS (1 << (REST < 11 ? REST : 11))
#define BUCKETS (1 << BUCKET_LOG)
#define STRIDE (BUCKETS * SLOT_COUNT)
#define OUT_BYTES (512 / WN * WN / 8)
#define EMPTY 0xffffu

// A string before round r: what is left of it behind the bucket's bits, at the top of its words.
__device__ constexpr int left_bits(int r) { return WN - (r - 1) * DIGIT - BUCKET_LOG; }
__device__ constexpr int left_words(int r) { return (left_bits(r) + 31) / 32; }

__constant__ u64 c_mid[8];
__constant__ u64 c_rest[16];
__constant__ u32 c_place;  // the word of 4 bytes in the last block that takes the counter
__constant__ u32 c_total;

__constant__ u32 c_order[24] = {0x76543210, 0xfedcba98, 0x6df984ae, 0x357b20c1, 0xdf250c8b, 0x491763ea,
                                0xebcd1397, 0x8f04a562, 0xfa427509, 0xd386cb1e, 0x38b0a6c2, 0x91ef57d4,
                                0xa4def15c, 0xb8293670, 0x931ce7bd, 0xa2684f05, 0x803b9ef6, 0x5a417d2c,
                                0x5167482a, 0x0dc3e9bf, 0x76543210, 0xfedcba98, 0x6df984ae, 0x357b20c1};

__device__ __forceinline__ u64 half_turn(u64 x) { return x << 32 | x >> 32; }
__device__ __forceinline__ u64 bytes_turn(u64 x, u32 low, u32 high) {
    const u32 a = (u32)x, b = (u32)(x >> 32);
    return (u64)__byte_perm(a, b, high) << 32 | __byte_perm(a, b, low);
}

__device__ __forceinline__ void quarter(u64 &a, u64 &b, u64 &c, u64 &d, u64 x, u64 y) {
    a += b + x;
    d = half_turn(d ^ a);
    c += d;
    b = bytes_turn(b ^ c, 0x6543, 0x2107);
    a += b + y;
    d = bytes_turn(d ^ a, 0x5432, 0x1076);
    c += d;
    b ^= c;
    b = b << 1 | b >> 63;
}

__device__ void blake_last(u64 (&out)[8], const u64 (&m)[16]) {
    u64 v[16] = {c_mid[0], c_mid[1], c_mid[2], c_mid[3], c_mid[4], c_mid[5], c_mid[6], c_mid[7],
                 0x6a09e667f3bcc908ull, 0xbb67ae8584caa73bull, 0x3c6ef372fe94f82bull, 0xa54ff53a5f1d36f1ull,
                 0x510e527fade682d1ull ^ c_total, 0x9b05688c2b3e6c1full, ~0x1f83d9abfb41bd6bull, 0x5be0cd19137e2179ull};
#pragma unroll 1
    for (int r = 0; r < 12; ++r) {
        const u32 p = c_order[2 * r], q = c_order[2 * r + 1];
#pragma unroll
        for (int i = 0; i < 4; ++i)
            quarter(v[i], v[4 + i], v[8 + i], v[12 + i], m[p >> 8 * i & 15], m[p >> (8 * i + 4) & 15]);
#pragma unroll
        for (int i = 0; i < 4; ++i)
            quarter(v[i], v[4 + (i + 1) % 4], v[8 + (i + 2) % 4], v[12 + (i + 3) % 4], m[q >> 8 * i & 15],
                    m[q >> (8 * i + 4) & 15]);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) out[i] = c_mid[i] ^ v[i] ^ v[i + 8];
}

// Files the string x (its bucket bits at the top) of `WORDS` words for round R.
template <int R, int WORDS>
__device__ __forceinline__ void file_string(const u32 (&x)[WORDS], u32 ref_low, u32 ref_high, u32 *slots, uint2 *tree,
                                            u32 *counts) {
    const u32 bucket = x[0] >> (32 - BUCKET_LOG), slot = atomicAdd(&counts[bucket], 1u);
    if (slot >= SLOT_COUNT) return;
    const u32 at = bucket * SLOT_COUNT + slot;
#pragma unroll
    for (int w = 0; w < left_words(R); ++w)
        slots[w * STRIDE + at] = __funnelshift_l(w + 1 < WORDS ? x[w + 1] : 0u, x[w], BUCKET_LOG);
    tree[at] = make_uint2(ref_low, ref_high);
}

extern "C" __global__ void __launch_bounds__(BLOCK) slots_fill(u32 hashes, u32 *slots, uint2 *tree, u32 *counts) {
    const u32 id = blockIdx.x * BLOCK + threadIdx.x;
    if (id >= hashes) return;
    u64 m[16], h[8];
#pragma unroll
    for (int i = 0; i < 16; ++i) m[i] = c_rest[i] | (i == (int)(c_place >> 1) ? (u64)id << 32 * (c_place & 1u) : 0ull);
    blake_last(h, m);
#pragma unroll
    for (int part = 0; part < 512 / WN; ++part) {
        u32 x[(WN + 31) / 32];
#pragma unroll
        for (int w = 0; w < (WN + 31) / 32; ++w) {
            x[w] = 0;
#pragma unroll
            for (int b = 0; b < 4; ++b) {
                const int from = part * (WN / 8) + 4 * w + b;
                if (4 * w + b < WN / 8) x[w] |= ((u32)(h[from / 8] >> 8 * (from % 8)) & 255u) << (24 - 8 * b);
            }
        }
        file_string<1>(x, id * (512 / WN) + part, 0u, slots, tree, counts);
    }
}

struct Chains {
    u32 head[CHAINS];
    unsigned short link[SLOT_COUNT];
    u32 first[SLOT_COUNT];
};

__device__ __forceinline__ u32 rest_of(u32 word) { return REST > 0 ? word >> (32 - REST) : 0u; }

__device__ __forceinline__ u32 chain_bucket(Chains &chains, const u32 *slots, const u32 *counts) {
    const u32 base = blockIdx.x * SLOT_COUNT, n = min(counts[blockIdx.x], (u32)SLOT_COUNT);
    for (u32 i = threadIdx.x; i < CHAINS; i += BLOCK) chains.head[i] = EMPTY;
    __syncthreads();
    for (u32 i = threadIdx.x; i < n; i += BLOCK) {
        const u32 word = chains.first[i] = slots[base + i];
        chains.link[i] = (unsigned short)atomicExch(&chains.head[rest_of(word) & (CHAINS - 1)], i);
    }
    __syncthreads();
    return n;
}

// Round R: pairs of one bucket that agree in the rest of the digit, their difference filed for round R + 1.
template <int R>
__device__ __forceinline__ void pair_round(const u32 *slots, const u32 *counts, u32 *next, uint2 *tree, u32 *next_counts) {
    __shared__ Chains chains;
    const u32 base = blockIdx.x * SLOT_COUNT, n = chain_bucket(chains, slots, counts);
    for (u32 i = threadIdx.x; i < n; i += BLOCK) {
        u32 own[left_words(R)];
#pragma unroll
        for (int w = 0; w < left_words(R); ++w) own[w] = __ldg(slots + w * STRIDE + base + i);
        for (u32 j = chains.link[i]; j != EMPTY; j = chains.link[j]) {
            if (rest_of(chains.first[j] ^ own[0])) continue;
            u32 x[left_words(R)], y[left_words(R)], any = 0;
            x[0] = own[0] ^ chains.first[j];
#pragma unroll
            for (int w = 1; w < left_words(R); ++w) x[w] = own[w] ^ __ldg(slots + w * STRIDE + base + j);
#pragma unroll
            for (int w = 0; w < left_words(R); ++w) {
                y[w] = __funnelshift_l(w + 1 < left_words(R) ? x[w + 1] : 0u, x[w], REST);
                any |= x[w];
            }
            if (any) file_string<R + 1>(y, blockIdx.x, i << 16 | j, next, tree, next_counts);
        }
    }
}

#define ROUND_ARGUMENTS const u32 *slots, const u32 *counts, u32 *next, uint2 *tree, u32 *next_counts
extern "C" __global__ void __launch_bounds__(BLOCK) slots_round1(ROUND_ARGUMENTS) {
    pair_round<1>(slots, counts, next, tree, next_counts);
}
extern "C" __global__ void __launch_bounds__(BLOCK) slots_round2(ROUND_ARGUMENTS) {
    pair_round<2>(slots, counts, next, tree, next_counts);
}
extern "C" __global__ void __launch_bounds__(BLOCK) slots_round3(ROUND_ARGUMENTS) {
    pair_round<3>(slots, counts, next, tree, next_counts);
}
extern "C" __global__ void __launch_bounds__(BLOCK) slots_late(ROUND_ARGUMENTS) {
    pair_round<LATE>(slots, counts, next, tree, next_counts);
}

// Last round: everything that is left must agree, and the two must not come from a common parent.
extern "C" __global__ void __launch_bounds__(BLOCK)
slots_final(const u32 *slots, const u32 *counts, const uint2 *tree, uint2 *found, u32 *found_count, u32 capacity) {
    __shared__ Chains chains;
    const u32 base = blockIdx.x * SLOT_COUNT, n = chain_bucket(chains, slots, counts);
    for (u32 i = threadIdx.x; i < n; i += BLOCK)
        for (u32 j = chains.link[i]; j != EMPTY; j = chains.link[j]) {
            u32 differ = chains.first[i] ^ chains.first[j];
#pragma unroll
            for (int w = 1; w < left_words(WK); ++w) differ |= slots[w * STRIDE + base + i] ^ slots[w * STRIDE + base + j];
            if (differ) continue;
            const uint2 a = tree[base + i], b = tree[base + j];
            const bool kin = a.x == b.x && (a.y >> 16 == b.y >> 16 || (a.y & EMPTY) == (b.y & EMPTY));
            if (kin) continue;
            const u32 at = atomicAdd(found_count, 1u);
            if (at < capacity) found[at] = make_uint2(blockIdx.x, i << 16 | j);
        }
}

// One block a candidate: its leaves from the trees (one a round, one behind the other), and whether two are the same.
extern "C" __global__ void slots_unfold(const uint2 *trees, const uint2 *found, u32 *leaves, u32 *repeats) {
    __shared__ u32 seen[1 << WK];
    const u32 leaf = threadIdx.x;
    uint2 at = found[blockIdx.x];
    for (int level = WK - 1; level >= 0; --level) {
        const u32 slot = leaf >> level & 1u ? at.y & EMPTY : at.y >> 16;
        at = trees[(u64)level * STRIDE + at.x * SLOT_COUNT + slot];
    }
    seen[leaf] = at.x;
    leaves[(blockIdx.x << WK) + leaf] = at.x;
    __syncthreads();
    u32 same = 0;
    for (u32 k = 0; k < leaf; ++k) same |= seen[k] == at.x;
    if (same) atomicOr(&repeats[blockIdx.x], 1u);
}
