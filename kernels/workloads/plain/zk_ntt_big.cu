// NTT stages and element-wise work over a 256-bit scalar field with Montgomery multiplication.
#include "mont.cuh"

extern "C" __global__ void big_ntt_stage(Fe *x, const Fe *twiddles, unsigned half, unsigned stride, unsigned n)
{
    unsigned t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n / 2) return;
    unsigned k = t % half, i = t / half * 2 * half + k;
    Fe a = x[i], b = x[i + half];
    x[i] = a + b;
    x[i + half] = (a - b) * twiddles[k * stride];
}

// Values lie limb by limb, so that neighbouring threads read neighbouring words.
extern "C" __global__ void big_multiply_coset(unsigned *x, const unsigned *powers, unsigned n)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Fe a, b;
#pragma unroll
    for (int l = 0; l < LIMBS; l++) { a.v[l] = x[(size_t)l * n + i]; b.v[l] = powers[(size_t)l * n + i]; }
    a = a * b;
#pragma unroll
    for (int l = 0; l < LIMBS; l++) x[(size_t)l * n + i] = a.v[l];
}

// Quotient of a gate: (a * b - c) * inverse of the vanishing polynomial.
extern "C" __global__ void big_gate_quotient(const Fe *a, const Fe *b, const Fe *c, Fe inverse, Fe *out, unsigned n)
{
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        out[i] = (a[i] * b[i] - c[i]) * inverse;
}

// Inverses of a run of values with one exponentiation by modulus - 2 (Montgomery's trick).
#ifndef RUN
#define RUN 8
#endif
extern "C" __global__ void big_batch_inverse(Fe *x, Fe one, unsigned runs)
{
    unsigned r = blockIdx.x * blockDim.x + threadIdx.x;
    if (r >= runs) return;
    Fe prefix[RUN], acc = one;
    for (int i = 0; i < RUN; i++) { prefix[i] = acc; acc = acc * x[(size_t)r * RUN + i]; }
    Fe inverse = one;
    for (int bit = 32 * LIMBS - 1; bit >= 0; bit--) {
        // modulus - 2: the lowest word is 1, so that the subtraction borrows.
        unsigned word = modulus[bit / 32];
        if (bit / 32 == 0) word -= 2;
#if LIMBS == 8
        if (bit / 32 == 1) word -= 1;
#endif
        inverse = inverse * inverse;
        if (word >> (bit % 32) & 1) inverse = inverse * acc;
    }
    for (int i = RUN - 1; i >= 0; i--) {
        Fe value = x[(size_t)r * RUN + i];
        x[(size_t)r * RUN + i] = inverse * prefix[i];
        inverse = inverse * value;
    }
}
