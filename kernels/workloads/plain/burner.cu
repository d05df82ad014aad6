// Load generators and bandwidth tests: FMA and integer chains, tensor cores, copy, fill, triad, pointer chase, transpose.
#include "mma.cuh"

#ifndef CHAINS
#define CHAINS 8
#endif
#ifndef ROUNDS
#define ROUNDS 1024
#endif

extern "C" __global__ void burn_fma(float *out, float a, float b)
{
    float v[CHAINS];
    for (int c = 0; c < CHAINS; c++) v[c] = threadIdx.x + c;
#pragma unroll 16
    for (int i = 0; i < ROUNDS; i++)
#pragma unroll
        for (int c = 0; c < CHAINS; c++) v[c] = fmaf(v[c], a, b);
    float sum = 0;
    for (int c = 0; c < CHAINS; c++) sum += v[c];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// Integer pipes: multiply-add, logic and shifts in dependent chains that mean nothing.
extern "C" __global__ void burn_integer(unsigned *out, unsigned a, unsigned b)
{
    unsigned v[CHAINS];
    for (int c = 0; c < CHAINS; c++) v[c] = threadIdx.x * 977 + c;
#pragma unroll 8
    for (int i = 0; i < ROUNDS; i++)
#pragma unroll
        for (int c = 0; c < CHAINS; c++) {
            v[c] = v[c] * a + b;
            v[c] = (v[c] ^ a) | (v[c] & b);
            v[c] = __funnelshift_l(v[c], v[c], 7) + i;
        }
    unsigned sum = 0;
    for (int c = 0; c < CHAINS; c++) sum ^= v[c];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

extern "C" __global__ void burn_tensor(float *out, unsigned seed)
{
    unsigned a[4] = {seed, seed + 1, seed + 2, seed + 3}, b[2] = {seed, seed ^ threadIdx.x};
    float c[CHAINS][4] = {};
#pragma unroll 4
    for (int i = 0; i < ROUNDS; i++)
#pragma unroll
        for (int k = 0; k < CHAINS; k++) mma_f16_16x8x16(c[k], a, b);
    float sum = 0;
    for (int k = 0; k < CHAINS; k++) sum += c[k][0] + c[k][1] + c[k][2] + c[k][3];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

extern "C" __global__ void copy_words(const uint4 *in, uint4 *out, size_t n)
{
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) out[i] = in[i];
}

// Memory test: writes a pattern of the address, reads it back, counts differences.
extern "C" __global__ void memory_pattern(unsigned *data, unsigned pattern, unsigned *errors, size_t n, int check)
{
    unsigned bad = 0;
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        unsigned want = pattern ^ (unsigned)i;
        if (!check) data[i] = want;
        else { bad += data[i] != want; data[i] = ~want; }
    }
    if (bad) atomicAdd(errors, bad);
}

extern "C" __global__ void triad(double *a, const double *b, const double *c, double s, size_t n)
{
    size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
    if (i < n) a[i] = b[i] + s * c[i];
}

extern "C" __global__ void pointer_chase(const unsigned *next, unsigned *last, unsigned start, int steps)
{
    unsigned at = start + threadIdx.x;
    for (int i = 0; i < steps; i++) at = next[at];
    last[threadIdx.x] = at;
}

extern "C" __global__ void transpose_tile(const float *in, float *out, int rows, int columns)
{
    __shared__ float tile[32][33];
    int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
    for (int j = 0; j < 32; j += blockDim.y) if (y + j < rows && x < columns) tile[threadIdx.y + j][threadIdx.x] = in[(size_t)(y + j) * columns + x];
    __syncthreads();
    x = blockIdx.y * 32 + threadIdx.x; y = blockIdx.x * 32 + threadIdx.y;
    for (int j = 0; j < 32; j += blockDim.y) if (y + j < columns && x < rows) out[(size_t)(y + j) * rows + x] = tile[threadIdx.x][threadIdx.y + j];
}
