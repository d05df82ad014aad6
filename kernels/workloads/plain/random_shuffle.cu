// Shuffling without a sort: keyed bijections of [0, n) move rows, draw subsamples and perturb codes; reservoir sampling.

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef ROUNDS
#define ROUNDS 12
#endif
#ifndef PER_THREAD
#define PER_THREAD 4
#endif

// A balanced Feistel network of 2 * half bits; values past n are walked along their cycle until they fall inside.
struct Feistel {
    u64 n, seed;
    u32 half;

    __device__ __forceinline__ u32 mix(u32 x, u32 round) const
    {
        u32 k = (u32)seed * 0x9E3779B9u + round * 0x85EBCA6Bu + (u32)(seed >> 32);
        x = (x ^ k) * 0xC2B2AE35u;
        return x ^ (x >> 15);
    }
    __device__ __forceinline__ u64 once(u64 v) const
    {
        const u32 mask = (u32)((1ull << half) - 1);
        u32 left = (u32)(v >> half), right = (u32)v & mask;
#pragma unroll
        for (u32 r = 0; r < ROUNDS; r++) {
            u32 next = left ^ (mix(right, r) & mask);
            left = right;
            right = next;
        }
        return (u64)left << half | right;
    }
    __device__ __forceinline__ u64 operator()(u64 v) const
    {
        do v = once(v); while (v >= n);
        return v;
    }
};

// Philox on two halves that may differ by one bit: the product's high word crosses over, its low word stays.
// Eight bits are the least that mix: of fewer, the high word is nothing.
struct UnevenPhilox {
    u64 n;
    u32 left_bits, right_bits, key[2];

    __device__ __forceinline__ u64 once(u64 v) const
    {
        u32 lm = (u32)((1ull << left_bits) - 1), rm = (u32)((1ull << right_bits) - 1), carry = right_bits - left_bits;
        u32 a = (u32)(v >> right_bits), b = (u32)v & rm, k = key[0];
#pragma unroll
        for (int r = 0; r < ROUNDS; r++) {
            u64 product = (u64)a * 0xD2B74407u;
            u32 high = (u32)(product >> 32), low = (u32)product << carry | b >> left_bits;
            a = (high ^ k ^ b) & lm;
            b = low & rm;
            k += 0x9E3779B9u ^ key[1];
        }
        return (u64)a << right_bits | b;
    }
    __device__ __forceinline__ u64 operator()(u64 v) const
    {
        do v = once(v); while (v >= n);
        return v;
    }
};

template <class T, class Bijection>
__device__ __forceinline__ void move_rows(const T *__restrict__ in, T *__restrict__ out, int columns, const Bijection &order)
{
    const u64 total = order.n * columns, stride = (u64)gridDim.x * blockDim.x;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += stride) {
        u64 row = i / columns;
        out[i] = in[order(row) * columns + (i - row * columns)];
    }
}

extern "C" __global__ void shuffle_rows_float(const float *in, float *out, int columns, Feistel order) { move_rows(in, out, columns, order); }

extern "C" __global__ void shuffle_rows_double(const double *in, double *out, int columns, UnevenPhilox order) { move_rows(in, out, columns, order); }

extern "C" __global__ void shuffle_indices(u64 *out, UnevenPhilox order)
{
    u64 base = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * PER_THREAD;
#pragma unroll
    for (int k = 0; k < PER_THREAD; k++)
        if (base + k < order.n) out[base + k] = order(base + k);
}

// The first `kept` images of the bijection are a sample without replacement; each row is drawn with its weight.
extern "C" __global__ void subsample_rows(const float *in, const float *weights, float *out, u32 *chosen, int kept, int columns, Feistel order)
{
    int lane = threadIdx.x & 31, row = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    if (row >= kept) return;
    u64 from = order(row);
    if (lane == 0) chosen[row] = (u32)from;
    float w = weights ? weights[from] : 1.0f;
    for (int c = lane; c < columns; c += 32) out[(u64)row * columns + c] = w * in[from * columns + c];
}

// Noise for product-quantiser codes: each byte is replaced, with probability rate / 2^16, by a draw of its own generator.
extern "C" __global__ void perturb_codes(unsigned char *codes, u64 n, u32 seed, u32 rate, u32 centres)
{
    u64 base = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * PER_THREAD;
    u32 s = seed + (u32)base * 1664525u + 1013904223u;
    s |= s == 0;
    for (int k = 0; k < PER_THREAD && base + k < n; k++) {
        s ^= s << 13; s ^= s >> 17; s ^= s << 5;
        u32 lcg = s * 1103515245u + 12345u;
        if ((lcg >> 16) < rate) codes[base + k] = (unsigned char)__umulhi(s, centres);
    }
}

// One reservoir a thread over its own stream; the geometric skips of algorithm L spare most draws.
extern "C" __global__ void reservoir_sample(const u32 *streams, int length, u32 *reservoirs, int kept, u64 seed)
{
    int stream = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 *in = streams + (u64)stream * length;
    u32 *out = reservoirs + (u64)stream * kept;
    for (int k = 0; k < kept; k++) out[k] = in[k];
    u64 s = seed ^ ((u64)stream + 1) * 0x9E3779B97F4A7C15ull;
    auto uniform = [&s] {
        s = s * 6364136223846793005ull + 1442695040888963407ull;
        return ((u32)(s >> 40) + 0.5f) * 5.9604645e-8f;
    };
    float w = expf(logf(uniform()) / kept);
    float at = kept - 1;
    for (;;) {
        at += floorf(logf(uniform()) / logf(1.0f - w)) + 1.0f;
        if (!(at < length)) break;
        u32 slot = (u32)(uniform() * kept);
        out[slot < kept ? slot : kept - 1] = in[(int)at];
        w *= expf(logf(uniform()) / kept);
    }
}
