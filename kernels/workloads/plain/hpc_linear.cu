// Sparse and dense linear algebra: SpMV (CSR, ELL, block), CG pieces, small Cholesky, LU and QR, tridiagonal systems.

#ifdef SINGLE
typedef float real;
#else
typedef double real;
#endif
#ifndef SIZE
#define SIZE 16
#endif

extern "C" __global__ void spmv_csr_vector(const int *begin, const int *columns, const real *values, const real *x, real *y, int rows)
{
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    real sum = 0;
    for (int e = begin[row] + lane; e < begin[row + 1]; e += 32) sum += values[e] * x[columns[e]];
    for (int o = 16; o; o >>= 1) sum += __shfl_down_sync(0xffffffffu, sum, o);
    if (lane == 0) y[row] = sum;
}

extern "C" __global__ void spmv_ell(const int *columns, const real *values, const real *x, real *y, int rows, int width)
{
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    real sum = 0;
    for (int k = 0; k < width; k++) {
        int c = columns[(size_t)k * rows + row];
        if (c >= 0) sum += values[(size_t)k * rows + row] * x[c];
    }
    y[row] = sum;
}

extern "C" __global__ void cg_update(real *x, real *r, const real *p, const real *ap, const real *alpha, real *rr, int n)
{
    __shared__ real part[256];
    real sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        x[i] += *alpha * p[i];
        real v = r[i] - *alpha * ap[i];
        r[i] = v;
        sum += v * v;
    }
    part[threadIdx.x] = sum;
    for (int w = blockDim.x / 2; w; w >>= 1) {
        __syncthreads();
        if ((int)threadIdx.x < w) part[threadIdx.x] += part[threadIdx.x + w];
    }
    if (threadIdx.x == 0) rr[blockIdx.x] = part[0];
}

// One matrix a block, SIZE x SIZE threads.
extern "C" __global__ void cholesky_batched(real *matrices)
{
    __shared__ real a[SIZE][SIZE + 1];
    int r = threadIdx.y, c = threadIdx.x;
    real *m = matrices + (size_t)blockIdx.x * SIZE * SIZE;
    a[r][c] = m[r * SIZE + c];
    for (int k = 0; k < SIZE; k++) {
        __syncthreads();
        if (r == k && c == k) a[k][k] = sqrt(a[k][k]);
        __syncthreads();
        if (c == k && r > k) a[r][k] /= a[k][k];
        __syncthreads();
        if (r > k && c > k && c <= r) a[r][c] -= a[r][k] * a[c][k];
    }
    __syncthreads();
    m[r * SIZE + c] = c <= r ? a[r][c] : 0;
}

// LU with row pivots, one matrix a warp, a lane a column, rows exchanged through shared memory.
extern "C" __global__ void lu_warp(real *matrices, int *pivots)
{
    __shared__ real a[32][33];
    int lane = threadIdx.x;
    real *m = matrices + (size_t)blockIdx.x * 1024;
    for (int r = 0; r < 32; r++) a[r][lane] = m[r * 32 + lane];
    for (int k = 0; k < 32; k++) {
        __syncwarp();
        int best = k;
        for (int r = k + 1; r < 32; r++) if (fabs(a[r][k]) > fabs(a[best][k])) best = r;
        __syncwarp();
        real t = a[k][lane]; a[k][lane] = a[best][lane]; a[best][lane] = t;
        if (lane == 0) pivots[blockIdx.x * 32 + k] = best;
        __syncwarp();
        if (lane > k) a[lane][k] /= a[k][k];
        __syncwarp();
        for (int r = k + 1; r < 32; r++) if (lane > k) a[r][lane] -= a[r][k] * a[k][lane];
    }
    __syncwarp();
    for (int r = 0; r < 32; r++) m[r * 32 + lane] = a[r][lane];
}

// Householder QR of a tall panel of 8 columns held by one block.
extern "C" __global__ void qr_panel(real *panel, real *tau, int rows)
{
    __shared__ real part[256], dots[8];
    for (int k = 0; k < 8; k++) {
        real sum = 0;
        for (int r = k + 1 + threadIdx.x; r < rows; r += blockDim.x) sum += panel[(size_t)k * rows + r] * panel[(size_t)k * rows + r];
        part[threadIdx.x] = sum;
        for (int w = blockDim.x / 2; w; w >>= 1) { __syncthreads(); if ((int)threadIdx.x < w) part[threadIdx.x] += part[threadIdx.x + w]; }
        __syncthreads();
        real head = panel[(size_t)k * rows + k], norm = sqrt(head * head + part[0]), beta = head > 0 ? -norm : norm, t = norm > 0 ? (beta - head) / beta : 0, scale = norm > 0 ? 1 / (head - beta) : 0;
        __syncthreads();
        for (int r = k + 1 + threadIdx.x; r < rows; r += blockDim.x) panel[(size_t)k * rows + r] *= scale;
        if (threadIdx.x == 0) { panel[(size_t)k * rows + k] = beta; tau[k] = t; }
        __syncthreads();
        for (int j = k + 1 + threadIdx.x / 32; j < 8; j += blockDim.x / 32) {
            real dot = threadIdx.x % 32 == 0 ? panel[(size_t)j * rows + k] : 0;
            for (int r = k + 1 + threadIdx.x % 32; r < rows; r += 32) dot += panel[(size_t)k * rows + r] * panel[(size_t)j * rows + r];
            for (int o = 16; o; o >>= 1) dot += __shfl_xor_sync(0xffffffffu, dot, o);
            if (threadIdx.x % 32 == 0) dots[j] = t * dot;
            __syncwarp();
            for (int r = k + 1 + threadIdx.x % 32; r < rows; r += 32) panel[(size_t)j * rows + r] -= dots[j] * panel[(size_t)k * rows + r];
            if (threadIdx.x % 32 == 0) panel[(size_t)j * rows + k] -= dots[j];
        }
        __syncthreads();
    }
}

extern "C" __global__ void tridiagonal(const real *lower, const real *diagonal, const real *upper, real *x, real *scratch, int length, int n)
{
    int s = blockIdx.x * blockDim.x + threadIdx.x;
    if (s >= n) return;
    real c = upper[s] / diagonal[s], d = x[s] / diagonal[s];
    scratch[s] = c; x[s] = d;
    for (int i = 1; i < length; i++) {
        size_t at = (size_t)i * n + s;
        real w = 1 / (diagonal[at] - lower[at] * c);
        c = upper[at] * w; d = (x[at] - lower[at] * d) * w;
        scratch[at] = c; x[at] = d;
    }
    for (int i = length - 2; i >= 0; i--) { size_t at = (size_t)i * n + s; d = x[at] - scratch[at] * d; x[at] = d; }
}
