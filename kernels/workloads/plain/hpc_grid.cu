// Grids: 7-point stencil, wave equation of high order, red-black Gauss-Seidel, Jacobi, lattice Boltzmann D2Q9, multigrid transfer.

#ifdef DOUBLE
typedef double real;
#else
typedef float real;
#endif
#ifndef RADIUS
#define RADIUS 4
#endif

extern "C" __global__ void stencil7(const real *in, real *out, int nx, int ny, int nz, real c0, real c1)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < 1 || y < 1 || x >= nx - 1 || y >= ny - 1) return;
    size_t plane = (size_t)nx * ny, at = (size_t)y * nx + x;
    real below = in[at], here = in[at + plane];
    for (int z = 1; z < nz - 1; z++) {
        real above = in[at + (z + 1) * plane];
        const real *p = in + at + z * plane;
        out[at + z * plane] = c0 * here + c1 * (below + above + p[-1] + p[1] + p[-nx] + p[nx]);
        below = here; here = above;
    }
}

// Acoustic wave, order 2 * RADIUS in space; a column of the stencil lives in registers.
extern "C" __global__ void wave_step(const real *now, real *past, const real *speed, const real *coefficients, int nx, int ny, int nz)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x + RADIUS, y = blockIdx.y * blockDim.y + threadIdx.y + RADIUS;
    if (x >= nx - RADIUS || y >= ny - RADIUS) return;
    size_t plane = (size_t)nx * ny, at = (size_t)y * nx + x;
    real column[2 * RADIUS + 1];
    for (int i = 0; i < 2 * RADIUS; i++) column[i + 1] = now[at + i * plane];
    for (int z = RADIUS; z < nz - RADIUS; z++) {
#pragma unroll
        for (int i = 0; i < 2 * RADIUS; i++) column[i] = column[i + 1];
        column[2 * RADIUS] = now[at + (z + RADIUS) * plane];
        const real *p = now + at + z * plane;
        real sum = 3 * coefficients[0] * column[RADIUS];
#pragma unroll
        for (int r = 1; r <= RADIUS; r++) sum += coefficients[r] * (column[RADIUS - r] + column[RADIUS + r] + p[-r] + p[r] + p[-r * nx] + p[r * nx]);
        size_t i = at + z * plane;
        past[i] = 2 * column[RADIUS] - past[i] + speed[i] * sum;
    }
}

extern "C" __global__ void red_black(real *u, const real *f, int n, real h2, int colour, real omega)
{
    int i = blockIdx.y * blockDim.y + threadIdx.y, j = 2 * (blockIdx.x * blockDim.x + threadIdx.x) + ((i + colour) & 1);
    if (i < 1 || j < 1 || i >= n - 1 || j >= n - 1) return;
    real *p = u + (size_t)i * n + j, fresh = (real)0.25 * (p[-1] + p[1] + p[-n] + p[n] - h2 * f[(size_t)i * n + j]);
    *p += omega * (fresh - *p);
}

extern "C" __global__ void jacobi_residual(const real *a, const real *b, const real *x, real *next, real *norm, int n)
{
    __shared__ real part[8];
    int row = blockIdx.x;
    real sum = 0;
    for (int c = threadIdx.x; c < n; c += blockDim.x) if (c != row) sum += a[(size_t)row * n + c] * x[c];
    for (int o = 16; o; o >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, o);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x) return;
    for (int w = 1; w < (int)blockDim.x / 32; w++) sum += part[w];
    real fresh = (b[row] - sum) / a[(size_t)row * n + row], d = fresh - x[row];
    next[row] = fresh;
    atomicAdd(norm, d * d);
}

extern "C" __global__ void lattice_boltzmann(const float *in, float *out, const unsigned char *solid, int nx, int ny, float omega)
{
    const int ex[9] = {0, 1, 0, -1, 0, 1, -1, -1, 1}, ey[9] = {0, 0, 1, 0, -1, 1, 1, -1, -1}, back[9] = {0, 3, 4, 1, 2, 7, 8, 5, 6};
    const float weight[9] = {4.f / 9, 1.f / 9, 1.f / 9, 1.f / 9, 1.f / 9, 1.f / 36, 1.f / 36, 1.f / 36, 1.f / 36};
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x >= nx) return;
    size_t cells = (size_t)nx * ny, at = (size_t)y * nx + x;
    float f[9], rho = 0, ux = 0, uy = 0;
#pragma unroll
    for (int d = 0; d < 9; d++) {
        f[d] = in[d * cells + (size_t)((y - ey[d] + ny) % ny) * nx + (x - ex[d] + nx) % nx];
        rho += f[d]; ux += ex[d] * f[d]; uy += ey[d] * f[d];
    }
    ux /= rho; uy /= rho;
    float u2 = 1.5f * (ux * ux + uy * uy);
#pragma unroll
    for (int d = 0; d < 9; d++) {
        float eu = 3 * (ex[d] * ux + ey[d] * uy), equilibrium = weight[d] * rho * (1 + eu + 0.5f * eu * eu - u2);
        out[d * cells + at] = solid[at] ? f[back[d]] : f[d] + omega * (equilibrium - f[d]);
    }
}

extern "C" __global__ void restrict_full(const real *fine, real *coarse, int n)
{
    int i = blockIdx.y * blockDim.y + threadIdx.y, j = blockIdx.x * blockDim.x + threadIdx.x, m = 2 * n - 1;
    if (i < 1 || j < 1 || i >= n - 1 || j >= n - 1) return;
    const real *p = fine + (size_t)2 * i * m + 2 * j;
    coarse[(size_t)i * n + j] = (4 * p[0] + 2 * (p[-1] + p[1] + p[-m] + p[m]) + p[-m - 1] + p[-m + 1] + p[m - 1] + p[m + 1]) / 16;
}
