// Fourier transforms in radix 2, 4 and 8 (Stockham), a real-to-complex post pass, and a cosine transform of 8 points.

#ifndef POINTS
#define POINTS 512
#endif
#ifdef DOUBLE
typedef double real;
typedef double2 cplx;
#define SINCOSPI sincospi
#else
typedef float real;
typedef float2 cplx;
#define SINCOSPI sincospif
#endif

__device__ __forceinline__ cplx mk(real x, real y) { cplx c; c.x = x; c.y = y; return c; }
__device__ __forceinline__ cplx operator+(cplx a, cplx b) { return mk(a.x + b.x, a.y + b.y); }
__device__ __forceinline__ cplx operator-(cplx a, cplx b) { return mk(a.x - b.x, a.y - b.y); }
__device__ __forceinline__ cplx operator*(cplx a, cplx b) { return mk(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); }
__device__ __forceinline__ cplx turn(cplx a) { return mk(a.y, -a.x); }  // times -i
__device__ __forceinline__ cplx root(real numerator, real denominator)
{
    real s, c;
    SINCOSPI(-2 * numerator / denominator, &s, &c);
    return mk(c, s);
}

// Whole transform of POINTS values in shared memory, one block a row.
extern "C" __global__ void fft_radix2_shared(const cplx *in, cplx *out)
{
    __shared__ cplx a[2][POINTS];
    const cplx *row = in + (size_t)blockIdx.x * POINTS;
    for (int i = threadIdx.x; i < POINTS; i += blockDim.x) a[0][i] = row[i];
    int from = 0;
    for (int half = 1; half < POINTS; half <<= 1, from ^= 1) {
        __syncthreads();
        for (int t = threadIdx.x; t < POINTS / 2; t += blockDim.x) {
            int k = t & (half - 1);
            cplx u = a[from][t], v = a[from][t + POINTS / 2] * root((real)k, (real)(2 * half));
            int j = 2 * t - k;
            a[from ^ 1][j] = u + v;
            a[from ^ 1][j + half] = u - v;
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < POINTS; i += blockDim.x) out[(size_t)blockIdx.x * POINTS + i] = a[from][i];
}

__device__ __forceinline__ void dft4(cplx &a, cplx &b, cplx &c, cplx &d)
{
    cplx s = a + c, t = a - c, u = b + d, v = turn(b - d);
    a = s + u; b = t + v; c = s - u; d = t - v;
}

// One Stockham pass: n points in all, `done` is the size already transformed.
extern "C" __global__ void fft_radix4_pass(const cplx *in, cplx *out, int n, int done)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n / 4) return;
    int k = t & (done - 1), j = 4 * (t - k) + k;
    cplx w = root((real)k, (real)(4 * done)), w2 = w * w;
    cplx a = in[t], b = in[t + n / 4] * w, c = in[t + n / 2] * w2, d = in[t + 3 * n / 4] * (w2 * w);
    dft4(a, b, c, d);
    out[j] = a; out[j + done] = b; out[j + 2 * done] = c; out[j + 3 * done] = d;
}

extern "C" __global__ void fft_radix8_pass(const cplx *in, cplx *out, int n, int done)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= n / 8) return;
    int k = t & (done - 1), j = 8 * (t - k) + k;
    cplx v[8], w = root((real)k, (real)(8 * done)), p = w;
    v[0] = in[t];
#pragma unroll
    for (int i = 1; i < 8; i++) { v[i] = in[t + i * (n / 8)] * p; p = p * w; }
    const real h = (real)0.70710678118654752;
    cplx e[4] = {v[0], v[2], v[4], v[6]}, o[4] = {v[1], v[3], v[5], v[7]};
    dft4(e[0], e[1], e[2], e[3]);
    dft4(o[0], o[1], o[2], o[3]);
    o[1] = o[1] * mk(h, -h); o[2] = turn(o[2]); o[3] = o[3] * mk(-h, -h);
#pragma unroll
    for (int i = 0; i < 4; i++) { out[j + i * done] = e[i] + o[i]; out[j + (i + 4) * done] = e[i] - o[i]; }
}

extern "C" __global__ void fft_real_split(const cplx *packed, cplx *spectrum, int half)
{
    int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k > half) return;
    cplx a = packed[k == half ? 0 : k], b = packed[k == 0 ? 0 : half - k];
    cplx even = mk((a.x + b.x) / 2, (a.y - b.y) / 2), odd = mk((a.y + b.y) / 2, (b.x - a.x) / 2);
    spectrum[k] = even + odd * root((real)k, (real)(2 * half));
}
