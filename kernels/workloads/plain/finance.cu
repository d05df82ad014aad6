// Options: closed form, binomial tree in shared memory, explicit and implicit finite differences, splines.

#ifndef STEPS
#define STEPS 256
#endif
#ifdef DOUBLE
typedef double real;
#else
typedef float real;
#endif

__device__ __forceinline__ float normal_cdf(float x) { return 0.5f * erfcf(-x * 0.70710678f); }

extern "C" __global__ void black_scholes(const float *spot, const float *strike, const float *years, float *call, float *put, float rate, float volatility, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        float root = sqrtf(years[i]), d1 = (logf(spot[i] / strike[i]) + (rate + 0.5f * volatility * volatility) * years[i]) / (volatility * root);
        float a = normal_cdf(d1), b = normal_cdf(d1 - volatility * root), discounted = strike[i] * expf(-rate * years[i]);
        call[i] = spot[i] * a - discounted * b;
        put[i] = discounted * (1 - b) - spot[i] * (1 - a);
    }
}

extern "C" __global__ void binomial_american(const real *spot, const real *strike, real *price, real up, real probability, real discount)
{
    __shared__ real v[STEPS + 1];
    real s = spot[blockIdx.x], k = strike[blockIdx.x];
    for (int i = threadIdx.x; i <= STEPS; i += blockDim.x) v[i] = fmax(k - s * pow(up, (real)(2 * i - STEPS)), (real)0);
    for (int step = STEPS - 1; step >= 0; step--) {
        for (int base = 0; base <= step; base += blockDim.x) {
            int i = base + threadIdx.x;
            __syncthreads();
            real hold = i <= step ? discount * (probability * v[i + 1] + (1 - probability) * v[i]) : 0;
            real exercise = k - s * pow(up, (real)(2 * i - step));
            __syncthreads();
            if (i <= step) v[i] = fmax(hold, exercise);
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) price[blockIdx.x] = v[0];
}

extern "C" __global__ void explicit_difference(const real *in, real *out, real volatility, real rate, real dt, int nodes)
{
    int option = blockIdx.y, i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= nodes) return;
    const real *v = in + (size_t)option * nodes;
    real s = (real)i, a = (real)0.5 * dt * (volatility * volatility * s * s - rate * s), c = (real)0.5 * dt * (volatility * volatility * s * s + rate * s), b = 1 - dt * (volatility * volatility * s * s + rate);
    out[(size_t)option * nodes + i] = i == 0 || i == nodes - 1 ? v[i] : a * v[i - 1] + b * v[i] + c * v[i + 1];
}

extern "C" __global__ void spline_evaluate(const real *knots, const real *values, const real *second, int n_knots, const real *x, real *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int lo = 0, hi = n_knots - 1;
    while (hi - lo > 1) { int mid = (lo + hi) >> 1; if (knots[mid] > x[i]) hi = mid; else lo = mid; }
    real h = knots[hi] - knots[lo], a = (knots[hi] - x[i]) / h, b = 1 - a;
    y[i] = a * values[lo] + b * values[hi] + ((a * a * a - a) * second[lo] + (b * b * b - b) * second[hi]) * h * h / 6;
}
