// Multi-scalar multiplication by buckets (Pippenger) on a short Weierstrass curve y^2 = x^3 + 4 over 384 bits.
#ifndef LIMBS
#define LIMBS 12
#endif
#include "mont.cuh"

#ifndef WINDOW_BITS
#define WINDOW_BITS 10
#endif

struct Affine { Fe x, y; };
struct Jacobian { Fe x, y, z; };  // z = 0 is infinity

__device__ __forceinline__ bool is_zero(const Fe &a)
{
    unsigned any = 0;
    for (int i = 0; i < LIMBS; i++) any |= a.v[i];
    return any == 0;
}

__device__ __noinline__ void twice(Jacobian &p)
{
    Fe a = p.x * p.x, b = p.y * p.y, c = b * b, t = p.x + b;
    Fe d = t * t - a - c;
    d = d + d;
    Fe e = a + a + a, f = e * e;
    p.z = p.y * p.z;
    p.z = p.z + p.z;
    p.x = f - d - d;
    Fe c8 = c + c;
    c8 = c8 + c8; c8 = c8 + c8;
    p.y = e * (d - p.x) - c8;
}

__device__ __noinline__ void add_mixed(Jacobian &p, const Affine &q, const Fe &one)
{
    if (is_zero(p.z)) { p.x = q.x; p.y = q.y; p.z = one; return; }
    Fe zz = p.z * p.z, u = q.x * zz, s = q.y * p.z * zz, h = u - p.x, r = s - p.y;
    if (is_zero(h)) {
        if (is_zero(r)) twice(p); else p.z = h;
        return;
    }
    Fe hh = h * h, hhh = h * hh, v = p.x * hh;
    p.z = p.z * h;
    Fe x = r * r - hhh - v - v;
    p.y = r * (v - x) - p.y * hhh;
    p.x = x;
}

__device__ __noinline__ void add_full(Jacobian &p, const Jacobian &q)
{
    if (is_zero(q.z)) return;
    if (is_zero(p.z)) { p = q; return; }
    Fe zp = p.z * p.z, zq = q.z * q.z, u1 = p.x * zq, u2 = q.x * zp, s1 = p.y * q.z * zq, s2 = q.y * p.z * zp;
    Fe h = u2 - u1, r = s2 - s1;
    if (is_zero(h)) {
        if (is_zero(r)) twice(p); else p.z = h;
        return;
    }
    Fe hh = h * h, hhh = h * hh, v = u1 * hh;
    p.z = p.z * q.z * h;
    p.x = r * r - hhh - v - v;
    p.y = r * (v - p.x) - s1 * hhh;
}

// Digits of all scalars for sorting: key = window << WINDOW_BITS | digit, value = index.
extern "C" __global__ void msm_digits(const unsigned *scalars, unsigned *keys, unsigned *values, unsigned n, unsigned windows)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    for (unsigned w = 0; w < windows; w++) {
        unsigned bit = w * WINDOW_BITS, word = bit / 32, shift = bit % 32;
        unsigned long long pair = scalars[8 * i + word] | (word < 7 ? (unsigned long long)scalars[8 * i + word + 1] << 32 : 0);
        keys[(size_t)w * n + i] = w << WINDOW_BITS | (unsigned)(pair >> shift) & ((1u << WINDOW_BITS) - 1);
        values[(size_t)w * n + i] = i;
    }
}

// A thread adds the points of one bucket, named by a run of the sorted list.
extern "C" __global__ void msm_accumulate(const Affine *points, const unsigned *sorted, const unsigned *begin, Jacobian *buckets, Fe one, unsigned n_buckets)
{
    unsigned b = blockIdx.x * blockDim.x + threadIdx.x;
    if (b >= n_buckets) return;
    Jacobian sum = {};
    for (unsigned i = begin[b]; i < begin[b + 1]; i++) add_mixed(sum, points[sorted[i]], one);
    buckets[b] = sum;
}

// Sum of digit * bucket within a window by running sums from the top.
extern "C" __global__ void msm_reduce_windows(const Jacobian *buckets, Jacobian *results, unsigned windows)
{
    unsigned w = blockIdx.x * blockDim.x + threadIdx.x;
    if (w >= windows) return;
    Jacobian running = {}, total = {};
    for (unsigned d = (1u << WINDOW_BITS) - 1; d > 0; d--) {
        add_full(running, buckets[((size_t)w << WINDOW_BITS) + d]);
        add_full(total, running);
    }
    results[w] = total;
}
