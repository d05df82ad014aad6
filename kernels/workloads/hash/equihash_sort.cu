/* Wagner's algorithm by sorting: BLAKE2b strings as arrays of words, radix sort with warp ranks, then neighbours with
   equal leading bits are combined. Struct of arrays, 64-bit arithmetic as pairs of 32-bit words. Inert. */

#ifndef PARAM_N
#define PARAM_N 144
#endif
#ifndef PARAM_K
#define PARAM_K 5
#endif
#ifndef DIGIT
#define DIGIT 8
#endif
#ifndef THREADS
#define THREADS 256
#endif
#define COLLISION (PARAM_N / (PARAM_K + 1))
#define LANES (PARAM_N / 8 / 2) /* 16-bit pieces of a string */
#define ROWS ((PARAM_N + 31) / 32)
#define RADIX (1 << DIGIT)

__constant__ unsigned char sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

__constant__ uint2 blake_iv[8] = {{0xf3bcc908u, 0x6a09e667u}, {0x84caa73bu, 0xbb67ae85u}, {0xfe94f82bu, 0x3c6ef372u},
                                  {0x5f1d36f1u, 0xa54ff53au}, {0xade682d1u, 0x510e527fu}, {0x2b3e6c1fu, 0x9b05688cu},
                                  {0xfb41bd6bu, 0x1f83d9abu}, {0x137e2179u, 0x5be0cd19u}};

__device__ __forceinline__ uint2 add64(uint2 a, uint2 b) {
    uint2 r;
    r.x = a.x + b.x;
    r.y = a.y + b.y + (r.x < a.x ? 1u : 0u);
    return r;
}
__device__ __forceinline__ uint2 xor64(uint2 a, uint2 b) { return make_uint2(a.x ^ b.x, a.y ^ b.y); }
__device__ __forceinline__ uint2 swap32(uint2 a) { return make_uint2(a.y, a.x); }
__device__ __forceinline__ uint2 ror24(uint2 a) {
    return make_uint2(__byte_perm(a.x, a.y, 0x6543), __byte_perm(a.y, a.x, 0x6543));
}
__device__ __forceinline__ uint2 ror16(uint2 a) {
    return make_uint2(__byte_perm(a.x, a.y, 0x5432), __byte_perm(a.y, a.x, 0x5432));
}
__device__ __forceinline__ uint2 rol1(uint2 a) {
    return make_uint2(__funnelshift_l(a.y, a.x, 1), __funnelshift_l(a.x, a.y, 1));
}

__device__ __forceinline__ void half_g(uint2 &a, uint2 &b, uint2 &c, uint2 &d, uint2 x, uint2 y) {
    a = add64(add64(a, b), x);
    d = swap32(xor64(d, a));
    c = add64(c, d);
    b = ror24(xor64(b, c));
    a = add64(add64(a, b), y);
    d = ror16(xor64(d, a));
    c = add64(c, d);
    b = rol1(xor64(b, c));
}

/* One whole BLAKE2b-(PARAM_N/8 * parts) over header (at most 124 bytes) and index, with a personal string. */
__device__ void blake2b_strings(const uint2 *start, const uint2 *message, unsigned bytes, uint2 *out) {
    uint2 v[16];
    for (int i = 0; i < 8; i++) v[i] = start[i], v[8 + i] = blake_iv[i];
    v[12].x ^= bytes;
    v[14].x = ~v[14].x;
    v[14].y = ~v[14].y;
#pragma unroll 1
    for (int r = 0; r < 12; r++) {
        const unsigned char *s = sigma[r % 10];
#pragma unroll
        for (int i = 0; i < 4; i++)
            half_g(v[i], v[4 + i], v[8 + i], v[12 + i], message[s[2 * i]], message[s[2 * i + 1]]);
#pragma unroll
        for (int i = 0; i < 4; i++)
            half_g(v[i], v[4 + (i + 1) % 4], v[8 + (i + 2) % 4], v[12 + (i + 3) % 4], message[s[8 + 2 * i]],
                   message[s[9 + 2 * i]]);
    }
    for (int i = 0; i < 8; i++) out[i] = xor64(start[i], xor64(v[i], v[8 + i]));
}

extern "C" __global__ void make_strings(const uint2 *start, const unsigned int *header, unsigned header_words,
                                        unsigned total, unsigned int *rows, unsigned int *indices) {
    const unsigned parts = 512 / PARAM_N, id = blockIdx.x * blockDim.x + threadIdx.x;
    uint2 m[16], h[8];
    if (id * parts >= total) return;
    for (unsigned i = 0; i < 16; i++) {
        const unsigned low = 2 * i, high = 2 * i + 1;
        m[i].x = low < header_words ? header[low] : low == header_words ? id : 0;
        m[i].y = high < header_words ? header[high] : high == header_words ? id : 0;
    }
    blake2b_strings(start, m, 4 * header_words + 4, h);
    const unsigned short *pieces = (const unsigned short *)h;
    for (unsigned p = 0; p < parts && id * parts + p < total; p++) {
        const unsigned at = id * parts + p;
        for (int r = 0; r < ROWS; r++) {
            const unsigned first = pieces[p * LANES + 2 * r];
            const unsigned second = 2 * r + 1 < LANES ? pieces[p * LANES + 2 * r + 1] : 0;
            rows[r * total + at] = __byte_perm(first, second, 0x0145);
        }
        indices[at] = at;
    }
}

__device__ __forceinline__ unsigned digit_of(const unsigned int *rows, unsigned total, unsigned at, int shift) {
    (void)total;
    return (rows[at] >> shift) & (RADIX - 1);
}

/* Counts per block, laid out digit by digit, so that one scan gives every block its place. */
extern "C" __global__ void sort_count(const unsigned int *rows, unsigned total, int shift, unsigned int *counts) {
    __shared__ unsigned int local[RADIX];
    for (int d = threadIdx.x; d < RADIX; d += blockDim.x) local[d] = 0;
    __syncthreads();
    const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < total) atomicAdd(&local[digit_of(rows, total, at, shift)], 1u);
    __syncthreads();
    for (int d = threadIdx.x; d < RADIX; d += blockDim.x) counts[d * gridDim.x + blockIdx.x] = local[d];
}

extern "C" __global__ void sort_scan(unsigned int *counts, unsigned length) {
    __shared__ unsigned int sums[THREADS];
    const unsigned chunk = (length + THREADS - 1) / THREADS, first = threadIdx.x * chunk;
    unsigned sum = 0;
    for (unsigned i = first; i < first + chunk && i < length; i++) sum += counts[i];
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (unsigned d = 1; d < THREADS; d <<= 1) {
        unsigned other = threadIdx.x >= d ? sums[threadIdx.x - d] : 0;
        __syncthreads();
        sums[threadIdx.x] += other;
        __syncthreads();
    }
    unsigned running = sums[threadIdx.x] - sum;
    for (unsigned i = first; i < first + chunk && i < length; i++) {
        unsigned value = counts[i];
        counts[i] = running;
        running += value;
    }
}

/* Stable: lanes with the same digit find each other by DIGIT ballots, warps take turns. */
extern "C" __global__ void sort_scatter(const unsigned int *rows, const unsigned int *order, unsigned total, int shift,
                                        const unsigned int *places, unsigned int *new_rows, unsigned int *new_order) {
    __shared__ unsigned int next[RADIX];
    for (int d = threadIdx.x; d < RADIX; d += blockDim.x) next[d] = places[d * gridDim.x + blockIdx.x];
    __syncthreads();
    const unsigned at = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const unsigned digit = at < total ? digit_of(rows, total, at, shift) : RADIX;
    unsigned peers = __ballot_sync(0xffffffffu, at < total);
#pragma unroll
    for (int b = 0; b < DIGIT; b++) {
        const unsigned set = __ballot_sync(0xffffffffu, (digit >> b) & 1);
        peers &= (digit >> b) & 1 ? set : ~set;
    }
    const unsigned rank = __popc(peers & ((1u << lane) - 1));
    for (unsigned turn = 0; turn < blockDim.x / 32; turn++) {
        unsigned base = 0;
        if (turn == warp && at < total) base = next[digit];
        __syncwarp();
        if (turn == warp && at < total) {
            if (rank == 0) next[digit] = base + __popc(peers);
            for (int r = 0; r < ROWS; r++) new_rows[r * total + base + rank] = rows[r * total + at];
            new_order[base + rank] = order[at];
        }
        __syncthreads();
    }
}

/* Combines every pair in a run of equal leading bits, one thread for the run's every member. */
extern "C" __global__ void join_neighbours(const unsigned int *rows, unsigned total, unsigned capacity,
                                           unsigned int *new_rows, uint2 *pairs, unsigned int *made) {
    const unsigned at = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31;
    const unsigned key = at < total ? rows[at] >> (32 - COLLISION) : 0;
    for (unsigned step = 1;; step++) {
        const bool match = at + step < total && (rows[at + step] >> (32 - COLLISION)) == key;
        const unsigned voters = __ballot_sync(0xffffffffu, match);
        if (voters == 0) break;
        unsigned base = 0;
        if (lane == 0) base = atomicAdd(made, (unsigned)__popc(voters));
        base = __shfl_sync(0xffffffffu, base, 0);
        const unsigned slot = base + __popc(voters & ((1u << lane) - 1));
        if (match && slot < capacity) {
            unsigned x[ROWS + 1] = {0};
#pragma unroll
            for (int r = 0; r < ROWS; r++) x[r] = rows[r * total + at] ^ rows[r * total + at + step];
#pragma unroll
            for (int r = 0; r < ROWS; r++)
                new_rows[r * capacity + slot] = (x[r] << COLLISION) | (x[r + 1] >> (32 - COLLISION));
            pairs[slot] = make_uint2(at, at + step);
        }
    }
}
