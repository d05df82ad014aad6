// Homomorphic encryption over the torus: gadget decomposition, an FFT of half-size complex polynomials in shared
// memory, the external product and rotation steps of bootstrapping, and the key switch.

typedef unsigned int u32;

#ifndef LOG_N
#define LOG_N 10
#endif
#ifndef LEVELS
#define LEVELS 3
#endif
#ifndef BASE_LOG
#define BASE_LOG 7
#endif
enum { N = 1 << LOG_N, HALF = N / 2 };

__device__ __forceinline__ float2 times(float2 a, float2 b) { return make_float2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); }

// In place, HALF points, decimation in frequency; roots[k] = exp(-2 pi i k / HALF) for the forward direction.
__device__ void transform(float2 *s, const float2 *roots, bool inverse)
{
    for (int step = 0; step < LOG_N - 1; step++) {
        int span = inverse ? 1 << step : HALF >> (step + 1);
        __syncthreads();
        for (int t = threadIdx.x; t < HALF / 2; t += blockDim.x) {
            int k = t & (span - 1), i = ((t - k) << 1) + k;
            float2 w = roots[k * (HALF / 2 / span)], a = s[i], b = s[i + span];
            if (inverse) {
                w.y = -w.y;
                b = times(b, w);
                s[i] = make_float2(a.x + b.x, a.y + b.y);
                s[i + span] = make_float2(a.x - b.x, a.y - b.y);
            } else {
                s[i] = make_float2(a.x + b.x, a.y + b.y);
                s[i + span] = times(make_float2(a.x - b.x, a.y - b.y), w);
            }
        }
    }
    __syncthreads();
}

// Signed digit `level` (0 = most significant) of a torus element.
__device__ __forceinline__ int digit(u32 v, int level)
{
    const u32 round = 1u << (31 - LEVELS * BASE_LOG), half = 1u << (BASE_LOG - 1);
    u32 offset = round;
#pragma unroll
    for (int l = 0; l < LEVELS; l++) offset += half << (32 - BASE_LOG * (l + 1));
    return (int)((v + offset) >> (32 - BASE_LOG * (level + 1)) & ((1u << BASE_LOG) - 1)) - (int)half;
}

__device__ __forceinline__ u32 rotated(const u32 *poly, int i, int by)
{
    int at = (i - by) & (2 * N - 1);
    return at < N ? poly[at] : 0u - poly[at - N];
}

// One block per ciphertext: acc += external product of (X^a - 1) acc with the bootstrapping key of each bit.
extern "C" __global__ void blind_rotate(u32 *accumulators, const int *exponents, const float2 *key, const float2 *roots, const float2 *twist, int bits)
{
    __shared__ float2 work[HALF], sum[2][HALF];
    u32 *acc = accumulators + (size_t)blockIdx.x * 2 * N;
    for (int b = 0; b < bits; b++) {
        int by = exponents[(size_t)blockIdx.x * bits + b];
        for (int i = threadIdx.x; i < HALF; i += blockDim.x) sum[0][i] = sum[1][i] = make_float2(0, 0);
        for (int part = 0; part < 2; part++)
            for (int level = 0; level < LEVELS; level++) {
                for (int i = threadIdx.x; i < HALF; i += blockDim.x) {
                    u32 lo = rotated(acc + part * N, i, by) - acc[part * N + i], hi = rotated(acc + part * N, i + HALF, by) - acc[part * N + i + HALF];
                    work[i] = times(make_float2((float)digit(lo, level), (float)digit(hi, level)), twist[i]);
                }
                transform(work, roots, false);
                const float2 *k = key + (((size_t)b * 2 + part) * LEVELS + level) * 2 * HALF;
                for (int i = threadIdx.x; i < HALF; i += blockDim.x)
                    for (int o = 0; o < 2; o++) {
                        float2 p = times(work[i], k[o * HALF + i]);
                        sum[o][i].x += p.x; sum[o][i].y += p.y;
                    }
                __syncthreads();
            }
        for (int o = 0; o < 2; o++) {
            transform(sum[o], roots, true);
            for (int i = threadIdx.x; i < HALF; i += blockDim.x) {
                float2 w = twist[i], v = times(sum[o][i], make_float2(w.x, -w.y));
                acc[o * N + i] += (u32)(long long)rintf(v.x / HALF);
                acc[o * N + i + HALF] += (u32)(long long)rintf(v.y / HALF);
            }
        }
        __syncthreads();
    }
}

// Switch to the short key: take away digit times key sample, one thread an output coefficient.
extern "C" __global__ void torus_key_switch(const u32 *samples, const u32 *key, u32 *out, int long_size, int short_size)
{
    int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j > short_size) return;
    const u32 *sample = samples + (size_t)blockIdx.y * (long_size + 1);
    u32 v = j == short_size ? sample[long_size] : 0;
    for (int i = 0; i < long_size; i++)
        for (int l = 0; l < LEVELS; l++) v -= (u32)digit(sample[i], l) * key[((size_t)i * LEVELS + l) * (short_size + 1) + j];
    out[(size_t)blockIdx.y * (short_size + 1) + j] = v;
}
