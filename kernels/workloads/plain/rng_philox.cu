// Philox 4x32 counter-based random numbers: uniform, normal, dropout masks, bounded integers.

#ifndef ROUNDS
#define ROUNDS 10
#endif
#ifndef PER_THREAD
#define PER_THREAD 1
#endif

typedef unsigned int u32;
typedef unsigned long long u64;

struct Philox {
    u32 c[4], k[2];

    __device__ __forceinline__ Philox(u64 seed, u64 sequence, u64 offset)
    {
        k[0] = (u32)seed; k[1] = (u32)(seed >> 32);
        c[0] = (u32)offset; c[1] = (u32)(offset >> 32); c[2] = (u32)sequence; c[3] = (u32)(sequence >> 32);
    }

    __device__ __forceinline__ uint4 next()
    {
        u32 x0 = c[0], x1 = c[1], x2 = c[2], x3 = c[3], k0 = k[0], k1 = k[1];
#pragma unroll
        for (int r = 0; r < ROUNDS; r++) {
            u64 p = (u64)x0 * 0xD2511F53u, q = (u64)x2 * 0xCD9E8D57u;
            u32 y0 = (u32)(q >> 32) ^ x1 ^ k0, y2 = (u32)(p >> 32) ^ x3 ^ k1;
            x0 = y0; x1 = (u32)q; x2 = y2; x3 = (u32)p;
            k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
        }
        if (++c[0] == 0 && ++c[1] == 0 && ++c[2] == 0) ++c[3];
        return make_uint4(x0, x1, x2, x3);
    }
};

__device__ __forceinline__ float to_unit(u32 x) { return (x >> 8) * 5.9604645e-8f; }

extern "C" __global__ void philox_bits(uint4 *out, u64 seed, u64 offset, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Philox rng(seed, i, offset);
    for (int j = 0; j < PER_THREAD; j++) out[(size_t)j * n + i] = rng.next();
}

extern "C" __global__ void philox_normal(float4 *out, u64 seed, float mean, float deviation, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        Philox rng(seed, i, 0);
        uint4 r = rng.next();
        float a = sqrtf(-2.0f * logf(1.0f - to_unit(r.x))), b = sqrtf(-2.0f * logf(1.0f - to_unit(r.z))), s, c, s2, c2;
        sincosf(6.2831853f * to_unit(r.y), &s, &c);
        sincosf(6.2831853f * to_unit(r.w), &s2, &c2);
        out[i] = make_float4(mean + deviation * a * s, mean + deviation * a * c, mean + deviation * b * s2, mean + deviation * b * c2);
    }
}

extern "C" __global__ void philox_dropout(const float4 *x, float4 *y, unsigned char *mask, u64 seed, u64 offset, float keep, int n4)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n4) return;
    Philox rng(seed, i, offset);
    uint4 r = rng.next();
    float4 v = x[i];
    float scale = 1.0f / keep;
    bool a = to_unit(r.x) < keep, b = to_unit(r.y) < keep, c = to_unit(r.z) < keep, d = to_unit(r.w) < keep;
    y[i] = make_float4(a ? v.x * scale : 0, b ? v.y * scale : 0, c ? v.z * scale : 0, d ? v.w * scale : 0);
    mask[i] = (unsigned char)(a | b << 1 | c << 2 | d << 3);
}

// Integers below a bound by multiply-shift with rejection of the biased low part.
extern "C" __global__ void philox_bounded(u32 *out, u64 seed, u32 bound, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Philox rng(seed, i, 0);
    u32 threshold = (0u - bound) % bound;
    for (;;) {
        uint4 r = rng.next();
        u32 words[4] = {r.x, r.y, r.z, r.w};
        for (int j = 0; j < 4; j++) {
            u64 m = (u64)words[j] * bound;
            if ((u32)m >= threshold) { out[i] = (u32)(m >> 32); return; }
        }
    }
}
