// Homomorphic encryption over residue number systems: negacyclic NTT with Shoup factors, Barrett products,
// base conversion, key switching, rescaling, automorphisms.

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef COLUMNS
#define COLUMNS 8 /* target primes a thread converts to */
#endif

struct Modulus { u64 q, ratio_high, ratio_low; };  // floor(2^128 / q)

// w * a mod q with w' = floor(w * 2^64 / q); the result may be up to 2q.
__device__ __forceinline__ u64 shoup(u64 a, u64 w, u64 w_shoup, u64 q) { return a * w - __umul64hi(a, w_shoup) * q; }
__device__ __forceinline__ u64 below(u64 a, u64 q) { return a >= q ? a - q : a; }

__device__ __forceinline__ u64 barrett(u64 high, u64 low, const Modulus &m)
{
    u64 carry = __umul64hi(low, m.ratio_low), t = low * m.ratio_high, t_high = __umul64hi(low, m.ratio_high);
    u64 s = t + carry;
    t_high += s < t;
    u64 u = high * m.ratio_low, u_high = __umul64hi(high, m.ratio_low), sum = s + u;
    u_high += sum < s;
    u64 quotient = high * m.ratio_high + t_high + u_high;
    return below(low - quotient * m.q, m.q);
}

// One Cooley-Tukey stage over all residues: blockIdx.y names the prime. Lazy: values stay below 4q.
extern "C" __global__ void rns_ntt_stage(u64 *x, const u64 *roots, const u64 *roots_shoup, const Modulus *moduli, u32 n, u32 groups)
{
    u32 t = blockIdx.x * blockDim.x + threadIdx.x, gap = n / (2 * groups);
    if (t >= n / 2) return;
    u64 q = moduli[blockIdx.y].q, *row = x + (size_t)blockIdx.y * n;
    u32 g = t / gap, i = 2 * g * gap + t % gap;
    size_t root = (size_t)blockIdx.y * n + groups + g;
    u64 a = row[i], b = shoup(row[i + gap], roots[root], roots_shoup[root], q);
    a = a >= 2 * q ? a - 2 * q : a;
    row[i] = a + b;
    row[i + gap] = a + 2 * q - b;
}

extern "C" __global__ void rns_inverse_stage(u64 *x, const u64 *roots, const u64 *roots_shoup, const Modulus *moduli, u32 n, u32 groups)
{
    u32 t = blockIdx.x * blockDim.x + threadIdx.x, gap = n / (2 * groups);
    if (t >= n / 2) return;
    u64 q = moduli[blockIdx.y].q, *row = x + (size_t)blockIdx.y * n;
    u32 g = t / gap, i = 2 * g * gap + t % gap;
    size_t root = (size_t)blockIdx.y * n + groups + g;
    u64 a = row[i], b = row[i + gap], s = a + b;
    row[i] = s >= 2 * q ? s - 2 * q : s;
    row[i + gap] = shoup(a + 2 * q - b, roots[root], roots_shoup[root], q);
}

extern "C" __global__ void rns_reduce(u64 *x, const Modulus *moduli, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u64 q = moduli[blockIdx.y].q, v = x[(size_t)blockIdx.y * n + i];
    x[(size_t)blockIdx.y * n + i] = below(below(v, 2 * q), q);
}

// Ciphertext times ciphertext: (a0 b0, a0 b1 + a1 b0, a1 b1).
extern "C" __global__ void rns_tensor(const u64 *a, const u64 *b, u64 *out, const Modulus *moduli, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Modulus m = moduli[blockIdx.y];
    size_t part = (size_t)gridDim.y * n, at = (size_t)blockIdx.y * n + i;
    u64 a0 = a[at], a1 = a[part + at], b0 = b[at], b1 = b[part + at];
    out[at] = barrett(__umul64hi(a0, b0), a0 * b0, m);
    u64 lo = a0 * b1, hi = __umul64hi(a0, b1), lo2 = a1 * b0;
    hi += __umul64hi(a1, b0) + (lo + lo2 < lo);
    out[part + at] = barrett(hi, lo + lo2, m);
    out[2 * part + at] = barrett(__umul64hi(a1, b1), a1 * b1, m);
}

// Base conversion: residues scaled by the punctured inverses, then a matrix product with 128-bit sums.
extern "C" __global__ void rns_base_convert(const u64 *x, const u64 *matrix, u64 *out, const Modulus *targets, u32 n, int sources, int n_targets)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int first = blockIdx.y * COLUMNS;
    u64 lo[COLUMNS] = {}, hi[COLUMNS] = {};
    for (int s = 0; s < sources; s++) {
        u64 v = x[(size_t)s * n + i];
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
            if (first + c >= n_targets) break;
            u64 w = matrix[s * n_targets + first + c], p = v * w;
            lo[c] += p;
            hi[c] += __umul64hi(v, w) + (lo[c] < p);
        }
    }
    for (int c = 0; c < COLUMNS && first + c < n_targets; c++) out[(size_t)(first + c) * n + i] = barrett(hi[c], lo[c], targets[first + c]);
}

// Inner product of decomposed digits with the switching key.
extern "C" __global__ void rns_key_switch(const u64 *digits, const u64 *key, u64 *out, const Modulus *moduli, u32 n, int n_digits)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    size_t row = (size_t)blockIdx.y * n + i, step = (size_t)gridDim.y * n;
    u64 lo[2] = {0, 0}, hi[2] = {0, 0};
    for (int d = 0; d < n_digits; d++)
        for (int k = 0; k < 2; k++) {
            u64 v = digits[d * step + row], w = key[(2 * d + k) * step + row], p = v * w;
            lo[k] += p;
            hi[k] += __umul64hi(v, w) + (lo[k] < p);
        }
    out[row] = barrett(hi[0], lo[0], moduli[blockIdx.y]);
    out[step + row] = barrett(hi[1], lo[1], moduli[blockIdx.y]);
}

// x -> x^g in evaluation form is a permutation of bit-reversed places.
extern "C" __global__ void rns_automorphism(const u64 *x, u64 *out, u32 n, u32 log_n, u32 galois)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 odd = 2 * (__brev(i) >> (32 - log_n)) + 1, source = (odd * galois & (2 * n - 1)) >> 1;
    out[(size_t)blockIdx.y * n + i] = x[(size_t)blockIdx.y * n + (__brev(source) >> (32 - log_n))];
}
