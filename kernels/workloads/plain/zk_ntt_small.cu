// Number-theoretic transforms over small fields: Goldilocks (64 bits) and BabyBear (31 bits, Montgomery).
// -DFIELD=0 Goldilocks, 1 BabyBear. One stage in global memory, several in shared memory, and a radix-4 stage.

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef FIELD
#define FIELD 0
#endif
#ifndef LOG_TILE
#define LOG_TILE 9
#endif

#if FIELD == 0
typedef u64 F;
#define P 0xffffffff00000001ull
__device__ __forceinline__ F add(F a, F b)
{
    F s = a + b;
    return (s < a || s >= P) ? s - P : s;
}
__device__ __forceinline__ F sub(F a, F b) { return a >= b ? a - b : a - b + P; }
// 2^64 = 2^32 - 1 and 2^96 = -1 modulo P.
__device__ __forceinline__ F mul(F a, F b)
{
    u64 lo = a * b, hi = __umul64hi(a, b);
    u64 hh = hi >> 32, hl = hi & 0xffffffffu, t = lo - hh;
    if (lo < hh) t -= 0xffffffffu;
    u64 m = hl * 0xffffffffu, r = t + m;
    if (r < t) r += 0xffffffffu;
    return r >= P ? r - P : r;
}
#else
typedef u32 F;
#define P 0x78000001u
__device__ __forceinline__ F add(F a, F b) { u32 s = a + b; return s >= P ? s - P : s; }
__device__ __forceinline__ F sub(F a, F b) { return a >= b ? a - b : a + P - b; }
// Montgomery with R = 2^32; 1 / P mod 2^32 is 0x88000001.
__device__ __forceinline__ F mul(F a, F b)
{
    u64 x = (u64)a * b;
    u32 q = (u32)x * 0x88000001u, h = __umulhi(q, P), top = (u32)(x >> 32);
    return top >= h ? top - h : top - h + P;
}
#endif

// Decimation in frequency: halves of a block of 2 * half values.
extern "C" __global__ void ntt_stage(F *x, const F *twiddles, u32 half, u32 stride, u32 n)
{
    u32 t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n / 2) return;
    u32 k = t % half, i = (t / half) * 2 * half + k;
    F a = x[i], b = x[i + half];
    x[i] = add(a, b);
    x[i + half] = mul(sub(a, b), twiddles[k * stride]);
}

// The last LOG_TILE stages of each tile in shared memory.
extern "C" __global__ void ntt_tile(F *x, const F *twiddles, u32 n)
{
    __shared__ F s[1 << LOG_TILE];
    const u32 size = 1u << LOG_TILE;
    F *mine = x + (u64)blockIdx.x * size;
    for (u32 i = threadIdx.x; i < size; i += blockDim.x) s[i] = mine[i];
    for (u32 half = size / 2; half; half >>= 1) {
        __syncthreads();
        for (u32 t = threadIdx.x; t < size / 2; t += blockDim.x) {
            u32 k = t & (half - 1), i = ((t & ~(half - 1)) << 1) + k;
            F a = s[i], b = s[i + half];
            s[i] = add(a, b);
            s[i + half] = mul(sub(a, b), twiddles[k * (n / 2 / half)]);
        }
    }
    __syncthreads();
    for (u32 i = threadIdx.x; i < size; i += blockDim.x) mine[i] = s[i];
}

extern "C" __global__ void ntt_radix4(F *x, const F *twiddles, F imaginary, u32 quarter, u32 stride, u32 n)
{
    for (u32 t = blockIdx.x * blockDim.x + threadIdx.x; t < n / 4; t += gridDim.x * blockDim.x) {
        u32 k = t % quarter, i = (t / quarter) * 4 * quarter + k;
        F a = x[i], b = x[i + quarter], c = x[i + 2 * quarter], d = x[i + 3 * quarter];
        F p = add(a, c), q = sub(a, c), r = add(b, d), s = mul(sub(b, d), imaginary);
        x[i] = add(p, r);
        x[i + quarter] = mul(sub(p, r), twiddles[2 * k * stride]);
        x[i + 2 * quarter] = mul(add(q, s), twiddles[k * stride]);
        x[i + 3 * quarter] = mul(sub(q, s), twiddles[3 * k * stride]);
    }
}

extern "C" __global__ void bit_reverse(F *x, u32 log_n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x, j = __brev(i) >> (32 - log_n);
    if (i >> log_n || j <= i) return;
    F t = x[i]; x[i] = x[j]; x[j] = t;
}

// Fold of a committed polynomial by a challenge (FRI): even part + challenge * odd part, on evaluations.
extern "C" __global__ void fri_fold(const F *x, const F *inverse_points, F challenge, F half, F *out, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n / 2) return;
    F a = x[i], b = x[i + n / 2];
    out[i] = mul(half, add(add(a, b), mul(challenge, mul(sub(a, b), inverse_points[i]))));
}

// One round of sumcheck for a product of two multilinear polynomials: values at 0, 1 and 2, summed per block.
extern "C" __global__ void sumcheck_round(const F *f, const F *g, F *sums, u32 half)
{
    __shared__ F s[3][128];
    F acc[3] = {0, 0, 0};
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < half; i += gridDim.x * blockDim.x) {
        F f0 = f[i], f1 = f[i + half], g0 = g[i], g1 = g[i + half];
        acc[0] = add(acc[0], mul(f0, g0));
        acc[1] = add(acc[1], mul(f1, g1));
        acc[2] = add(acc[2], mul(sub(add(f1, f1), f0), sub(add(g1, g1), g0)));
    }
    for (int e = 0; e < 3; e++) s[e][threadIdx.x] = acc[e];
    for (u32 w = blockDim.x / 2; w; w >>= 1) {
        __syncthreads();
        if (threadIdx.x < w)
            for (int e = 0; e < 3; e++) s[e][threadIdx.x] = add(s[e][threadIdx.x], s[e][threadIdx.x + w]);
    }
    if (threadIdx.x == 0)
        for (int e = 0; e < 3; e++) sums[3 * blockIdx.x + e] = s[e][0];
}
