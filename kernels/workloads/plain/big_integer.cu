// Multi-precision integers: schoolbook product, Montgomery exponentiation for RSA sizes, Lucas-Lehmer style squares
// by carry chains, trial factors of Mersenne numbers, sieve of small primes, binary GCD.

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef WORDS
#define WORDS 16
#endif
#if WORDS > 16
#define OUTER 1 /* unrolled whole, 32 words already overflow the compiler's stack */
#else
#define OUTER WORDS
#endif

extern "C" __global__ void big_multiply(const u32 *a, const u32 *b, u32 *out, int n)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n) return;
    u32 x[WORDS], r[2 * WORDS];
    for (int i = 0; i < WORDS; i++) x[i] = a[(size_t)i * n + t];
    for (int i = 0; i < 2 * WORDS; i++) r[i] = 0;
#pragma unroll OUTER
    for (int j = 0; j < WORDS; j++) {
        u32 y = b[(size_t)j * n + t];
        u64 c = 0;
#pragma unroll
        for (int i = 0; i < WORDS; i++) {
            c += (u64)x[i] * y + r[i + j];
            r[i + j] = (u32)c;
            c >>= 32;
        }
        r[j + WORDS] = (u32)c;
    }
    for (int i = 0; i < 2 * WORDS; i++) out[(size_t)i * n + t] = r[i];
}

__device__ __noinline__ void montgomery(u32 *r, const u32 *a, const u32 *b, const u32 *m, u32 inverse)
{
    u32 t[WORDS + 2] = {};
#pragma unroll 1
    for (int i = 0; i < WORDS; i++) {
        u64 c = 0;
        for (int j = 0; j < WORDS; j++) { c += (u64)a[j] * b[i] + t[j]; t[j] = (u32)c; c >>= 32; }
        c += t[WORDS]; t[WORDS] = (u32)c; t[WORDS + 1] = (u32)(c >> 32);
        u32 q = t[0] * inverse;
        c = ((u64)q * m[0] + t[0]) >> 32;
        for (int j = 1; j < WORDS; j++) { c += (u64)q * m[j] + t[j]; t[j - 1] = (u32)c; c >>= 32; }
        c += t[WORDS]; t[WORDS - 1] = (u32)c;
        t[WORDS] = t[WORDS + 1] + (u32)(c >> 32);
    }
    u32 d[WORDS];
    u64 borrow = 0;
    for (int i = 0; i < WORDS; i++) { u64 v = (u64)t[i] - m[i] - borrow; d[i] = (u32)v; borrow = v >> 63; }
    bool keep = borrow > t[WORDS];
    for (int i = 0; i < WORDS; i++) r[i] = keep ? t[i] : d[i];
}

// base^exponent, base and one already in Montgomery form; fixed window of four bits.
extern "C" __global__ void rsa_power(const u32 *bases, const u32 *one, const u32 *exponent, const u32 *m, u32 inverse, u32 *out, int n)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n) return;
    u32 table[16][WORDS], acc[WORDS];
    for (int i = 0; i < WORDS; i++) { table[0][i] = acc[i] = one[i]; table[1][i] = bases[(size_t)t * WORDS + i]; }
    for (int k = 2; k < 16; k++) montgomery(table[k], table[k - 1], table[1], m, inverse);
    for (int nibble = 8 * WORDS - 1; nibble >= 0; nibble--) {
        for (int s = 0; s < 4; s++) montgomery(acc, acc, acc, m, inverse);
        montgomery(acc, acc, table[exponent[nibble >> 3] >> (4 * (nibble & 7)) & 15], m, inverse);
    }
    for (int i = 0; i < WORDS; i++) out[(size_t)t * WORDS + i] = acc[i];
}

// Does 2kp + 1 divide 2^p - 1? Square and double modulo a candidate below 2^63.
extern "C" __global__ void mersenne_factors(u32 p, u64 first_k, u64 *found, int n)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n) return;
    u64 q = 2 * (first_k + t) * p + 1, r = 1;
    if ((q & 7) != 1 && (q & 7) != 7) return;
    for (int bit = 31 - __clz((int)p); bit >= 0; bit--) {
        u64 low = r * r, high = __umul64hi(r, r), x = 0;
        // Reduction of 128 bits by shift and subtract: slow but without a 128-bit type.
        x = high % q;
        for (int k = 63; k >= 0; k--) { x = x << 1 | (low >> k & 1); if (x >= q) x -= q; }
        r = x;
        if (p >> bit & 1) { r <<= 1; if (r >= q) r -= q; }
    }
    if (r == 1) atomicMin(found, q);
}

extern "C" __global__ void sieve_block(const u32 *primes, int n_primes, u64 first, u32 *bits)
{
    __shared__ u32 s[2048];  // 65,536 odd numbers a block
    u64 start = first + (u64)blockIdx.x * 131072;
    for (int i = threadIdx.x; i < 2048; i += blockDim.x) s[i] = 0;
    __syncthreads();
    for (int k = threadIdx.x; k < n_primes; k += blockDim.x) {
        u64 p = primes[k], m = (start + p - 1) / p * p;
        if (m < p * p) m = p * p;
        if (!(m & 1)) m += p;
        for (u64 v = (m - start) / 2; v < 65536; v += p) atomicOr(&s[v >> 5], 1u << (v & 31));
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 2048; i += blockDim.x) bits[(size_t)blockIdx.x * 2048 + i] = ~s[i];
}

extern "C" __global__ void binary_gcd(const u64 *a, const u64 *b, u64 *out, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        u64 x = a[i], y = b[i];
        if (!x || !y) { out[i] = x | y; continue; }
        int shift = __ffsll((long long)(x | y)) - 1;
        x >>= __ffsll((long long)x) - 1;
        while (y) {
            y >>= __ffsll((long long)y) - 1;
            if (x > y) { u64 t = x; x = y; y = t; }
            y -= x;
        }
        out[i] = x << shift;
    }
}
