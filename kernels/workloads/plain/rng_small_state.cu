// Generators with a small state in registers: XORWOW, PCG, xoshiro, SplitMix, Squares, combined Tausworthe, middle-square Weyl.

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef DRAWS
#define DRAWS 16
#endif

struct Xorwow { u32 d, v[5]; };

__device__ __forceinline__ u32 draw(Xorwow &s)
{
    u32 t = s.v[0] ^ (s.v[0] >> 2);
    s.v[0] = s.v[1]; s.v[1] = s.v[2]; s.v[2] = s.v[3]; s.v[3] = s.v[4];
    s.v[4] = (s.v[4] ^ (s.v[4] << 4)) ^ (t ^ (t << 1));
    s.d += 362437;
    return s.v[4] + s.d;
}

extern "C" __global__ void xorwow_generate(Xorwow *states, u32 *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Xorwow s = states[i];
    for (int j = 0; j < DRAWS; j++) out[(size_t)j * n + i] = draw(s);
    states[i] = s;
}

extern "C" __global__ void xorwow_pi(Xorwow *states, u32 *inside, int steps)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    Xorwow s = states[i];
    u32 hits = 0;
    for (int j = 0; j < steps; j++) {
        float x = draw(s) * 2.3283064e-10f, y = draw(s) * 2.3283064e-10f;
        hits += x * x + y * y < 1.0f;
    }
    states[i] = s;
    atomicAdd(inside, hits);
}

// Skipping ahead: apply a 160 x 160 bit matrix to the state, one column at a time.
extern "C" __global__ void xorwow_skip(Xorwow *states, const u32 *matrix, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 r[5] = {0, 0, 0, 0, 0};
    for (int w = 0; w < 5; w++)
        for (int b = 0; b < 32; b++)
            if (states[i].v[w] >> b & 1)
                for (int k = 0; k < 5; k++) r[k] ^= matrix[(w * 32 + b) * 5 + k];
    for (int k = 0; k < 5; k++) states[i].v[k] = r[k];
}

__device__ __forceinline__ u32 pcg32(u64 &state, u64 increment)
{
    u64 old = state;
    state = old * 6364136223846793005ull + increment;
    u32 x = (u32)(((old >> 18) ^ old) >> 27), r = (u32)(old >> 59);
    return (x >> r) | (x << ((0 - r) & 31));
}

extern "C" __global__ void pcg32_generate(u64 seed, u32 *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u64 increment = 2 * ((u64)i + 54) + 1, state = 0;
    pcg32(state, increment);
    state += seed;
    pcg32(state, increment);
    for (int j = 0; j < DRAWS; j++) out[(size_t)i * DRAWS + j] = pcg32(state, increment);
}

__device__ __forceinline__ u32 rot(u32 x, int k) { return __funnelshift_l(x, x, k); }

extern "C" __global__ void xoshiro128_generate(uint4 *states, float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    uint4 s = states[i];
#pragma unroll 4
    for (int j = 0; j < DRAWS; j++) {
        out[(size_t)j * n + i] = (rot(s.x + s.w, 7) + s.x >> 8) * 0x1p-24f;
        u32 t = s.y << 9;
        s.z ^= s.x; s.w ^= s.y; s.y ^= s.z; s.x ^= s.w; s.z ^= t;
        s.w = rot(s.w, 11);
    }
    states[i] = s;
}

__device__ __forceinline__ u64 splitmix(u64 x)
{
    x += 0x9E3779B97F4A7C15ull;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

extern "C" __global__ void splitmix_shuffle_keys(u64 seed, u64 *keys, u32 *values, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x) {
        keys[i] = splitmix(seed + (u64)i * 0x9E3779B97F4A7C15ull);
        values[i] = i;
    }
}

extern "C" __global__ void squares_generate(u64 key, u32 *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u64 x = i * key, y = x, z = y + key;
    x = x * x + y; x = (x >> 32) | (x << 32);
    x = x * x + z; x = (x >> 32) | (x << 32);
    x = x * x + y; x = (x >> 32) | (x << 32);
    out[i] = (u32)((x * x + z) >> 32);
}

__device__ __forceinline__ u32 taus(u32 &z, int s1, int s2, int s3, u32 m)
{
    u32 b = ((z << s1) ^ z) >> s2;
    return z = ((z & m) << s3) ^ b;
}

// Three Tausworthe steps and a linear congruence, joined by XOR; geometric Brownian paths from it.
extern "C" __global__ void hybrid_taus_paths(uint4 *states, float *last, float drift, float volatility, int steps)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    uint4 s = states[i];
    float log_price = 0;
    for (int t = 0; t < steps; t += 2) {
        float u[2];
        for (int k = 0; k < 2; k++) {
            s.w = 1664525u * s.w + 1013904223u;
            u[k] = 2.3283064e-10f * (taus(s.x, 13, 19, 12, 4294967294u) ^ taus(s.y, 2, 25, 4, 4294967288u) ^ taus(s.z, 3, 11, 17, 4294967280u) ^ s.w);
        }
        float radius = sqrtf(-2.0f * __logf(u[0] + 1e-10f)), a, b;
        __sincosf(6.2831853f * u[1], &a, &b);
        log_price += 2 * drift + volatility * radius * (a + b);
    }
    states[i] = s;
    last[i] = __expf(log_price);
}
