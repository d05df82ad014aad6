// Threefry counter-based random numbers: 2x32 with 20 rounds (keys split per call), 4x32, 4x64, Gumbel sampling.

template <typename W> struct Parity;
template <> struct Parity<unsigned> { static __device__ unsigned value() { return 0x1BD11BDAu; } };
template <> struct Parity<unsigned long long> { static __device__ unsigned long long value() { return 0x1BD11BDAA9FC1A22ull; } };

template <typename W> __device__ __forceinline__ W rotl(W x, int n) { return (x << n) | (x >> (8 * sizeof(W) - n)); }

#ifndef ROUNDS
#define ROUNDS 20
#endif

__device__ __forceinline__ uint2 threefry2x32(uint2 key, uint2 x)
{
    const int r[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    unsigned ks[3] = {key.x, key.y, key.x ^ key.y ^ Parity<unsigned>::value()};
    x.x += ks[0]; x.y += ks[1];
#pragma unroll
    for (int i = 0; i < ROUNDS; i++) {
        x.x += x.y;
        x.y = rotl(x.y, r[i % 8]) ^ x.x;
        if (i % 4 == 3) {
            int s = i / 4 + 1;
            x.x += ks[s % 3];
            x.y += ks[(s + 1) % 3] + s;
        }
    }
    return x;
}

template <typename W> __device__ __forceinline__ void threefry4(const W (&key)[4], W (&x)[4])
{
    const int r32[8][2] = {{10, 26}, {11, 21}, {13, 27}, {23, 5}, {6, 20}, {17, 11}, {25, 10}, {18, 20}};
    const int r64[8][2] = {{14, 16}, {52, 57}, {23, 40}, {5, 37}, {25, 33}, {46, 12}, {58, 22}, {32, 32}};
    W ks[5] = {key[0], key[1], key[2], key[3], key[0] ^ key[1] ^ key[2] ^ key[3] ^ Parity<W>::value()};
    for (int i = 0; i < 4; i++) x[i] += ks[i];
#pragma unroll
    for (int i = 0; i < ROUNDS; i++) {
        int a = sizeof(W) == 4 ? r32[i % 8][0] : r64[i % 8][0], b = sizeof(W) == 4 ? r32[i % 8][1] : r64[i % 8][1];
        int one = i & 1 ? 3 : 1, three = i & 1 ? 1 : 3;
        x[0] += x[one]; x[one] = rotl(x[one], a) ^ x[0];
        x[2] += x[three]; x[three] = rotl(x[three], b) ^ x[2];
        if (i % 4 == 3) {
            int s = i / 4 + 1;
#pragma unroll
            for (int j = 0; j < 4; j++) x[j] += ks[(s + j) % 5];
            x[3] += s;
        }
    }
}

extern "C" __global__ void threefry_bits(uint2 key, unsigned *out, unsigned half)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= half) return;
    uint2 r = threefry2x32(key, make_uint2(i, i + half));
    out[i] = r.x;
    out[i + half] = r.y;
}

// Bits to [1, 2) by exponent, minus one: the usual way without an integer-to-float conversion.
extern "C" __global__ void threefry_uniform(uint2 key, float *out, float lo, float hi, unsigned n)
{
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        uint2 r = threefry2x32(key, make_uint2(0, i));
        float u = __uint_as_float(((r.x ^ r.y) >> 9) | 0x3f800000u) - 1.0f;
        out[i] = fmaxf(lo, u * (hi - lo) + lo);
    }
}

extern "C" __global__ void threefry4x32_bits(uint4 key, uint4 *out, unsigned n)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned k[4] = {key.x, key.y, key.z, key.w}, x[4] = {i, 0, 0, 0};
    threefry4<unsigned>(k, x);
    out[i] = make_uint4(x[0], x[1], x[2], x[3]);
}

extern "C" __global__ void threefry4x64_bits(const unsigned long long *key, unsigned long long *out, unsigned n)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned long long k[4] = {key[0], key[1], key[2], key[3]}, x[4] = {i, 0, 0, 0};
    threefry4<unsigned long long>(k, x);
    for (int j = 0; j < 4; j++) out[4 * (size_t)i + j] = x[j];
}

// Sampling from logits by the Gumbel trick, one warp a row.
extern "C" __global__ void threefry_categorical(uint2 key, const float *logits, int *choice, int columns)
{
    int row = blockIdx.x, best = 0;
    float top = -1e30f;
    for (int c = threadIdx.x; c < columns; c += 32) {
        uint2 r = threefry2x32(key, make_uint2(row, c));
        float u = ((r.x >> 8) + 0.5f) * 5.9604645e-8f, v = logits[(size_t)row * columns + c] - logf(-logf(u));
        if (v > top) { top = v; best = c; }
    }
    for (int o = 16; o; o >>= 1) {
        float v = __shfl_down_sync(0xffffffffu, top, o);
        int c = __shfl_down_sync(0xffffffffu, best, o);
        if (v > top) { top = v; best = c; }
    }
    if (threadIdx.x == 0) choice[row] = best;
}
