// Sobol points by Gray code, with digital shift or hash-based Owen scrambling; a basket option on them.

typedef unsigned int u32;

#ifndef BITS
#define BITS 32
#endif
#ifndef SCRAMBLE
#define SCRAMBLE 0 /* 0 none, 1 digital shift, 2 Owen by hashing */
#endif

__device__ __forceinline__ u32 nested_permute(u32 x, u32 seed)
{
    x ^= x * 0x3d20adeau;
    x += seed;
    x *= (seed >> 16) | 1;
    x ^= x * 0x05526c56u;
    x ^= x * 0x53a22864u;
    return x;
}

__device__ __forceinline__ u32 scramble(u32 x, u32 seed)
{
#if SCRAMBLE == 1
    return x ^ seed;
#elif SCRAMBLE == 2
    return __brev(nested_permute(__brev(x), seed));
#else
    return x;
#endif
}

// Block per dimension; thread strides by a power of two, so that one direction number renews the point.
extern "C" __global__ void sobol_points(const u32 *directions, const u32 *seeds, u32 *out, u32 n, u32 stride_log2)
{
    __shared__ u32 v[BITS];
    u32 dimension = blockIdx.y, stride = 1u << stride_log2, i = blockIdx.x * blockDim.x + threadIdx.x;
    if (threadIdx.x < BITS) v[threadIdx.x] = directions[dimension * BITS + threadIdx.x];
    __syncthreads();
    if (i >= stride) return;
    u32 gray = i ^ (i >> 1), x = 0;
    for (u32 k = 0; k < BITS; k++) x ^= (gray >> k & 1) * v[k];
    u32 jump = stride_log2 ? v[stride_log2 - 1] : 0;
    for (; i < n; ) {
        out[(size_t)dimension * n + i] = scramble(x, seeds[dimension]);
        // Going on by 2^p flips the Gray bit p - 1, and bit p' of the lowest zero above it.
        u32 lowest = __ffs(~(i | (stride - 1))) - 1;
        x ^= jump ^ v[lowest & (BITS - 1)];
        i += stride;
    }
}

__device__ __forceinline__ float inverse_normal(float u)
{
    float q = u - 0.5f, r = fminf(u, 1.0f - u);
    if (fabsf(q) < 0.425f) {
        float t = 0.180625f - q * q;
        return q * (((59.1f * t + 159.3f) * t + 50.4f) * t + 3.3871f) / (((67.2f * t + 78.8f) * t + 17.9f) * t + 1.0f);
    }
    r = sqrtf(-logf(r));
    float z = 1.4142135f * r - (2.30753f + 0.27061f * r) / (1.0f + 0.99229f * r + 0.04481f * r * r);
    return q < 0 ? -z : z;
}

extern "C" __global__ void sobol_basket(const u32 *points, const float *cholesky, float *payoff, int n, int assets, float strike)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float basket = 0;
    for (int a = 0; a < assets; a++) {
        float z = 0;
        for (int b = 0; b <= a; b++) z += cholesky[a * assets + b] * inverse_normal((points[(size_t)b * n + i] + 0.5f) * 2.3283064e-10f);
        basket += expf(z);
    }
    payoff[i] = fmaxf(basket / assets - strike, 0.0f);
}
