// Binary and few-bit networks: XNOR and population count, bit-serial products of bit planes, and the 1-bit tensor core.

#ifndef A_BITS
#define A_BITS 2
#endif
#ifndef W_BITS
#define W_BITS 1
#endif
#define TILE 16
#define KWORDS 8

typedef unsigned int u32;

// +1/-1 weights as bits: dot = K - 2 * popcount(a ^ b).
extern "C" __global__ void xnor_gemm(const u32 *a, const u32 *b, int *c, int m, int n, int kw)
{
    __shared__ u32 sa[TILE][KWORDS + 1], sb[TILE][KWORDS + 1];
    int tx = threadIdx.x, ty = threadIdx.y, row = blockIdx.y * TILE + ty, col = blockIdx.x * TILE + tx, miss = 0;
    for (int k0 = 0; k0 < kw; k0 += KWORDS) {
        if (tx < KWORDS) sa[ty][tx] = row < m && k0 + tx < kw ? a[(size_t)row * kw + k0 + tx] : 0;
        if (ty < KWORDS) sb[tx][ty] = col < n && k0 + ty < kw ? b[(size_t)col * kw + k0 + ty] : 0;
        __syncthreads();
#pragma unroll
        for (int k = 0; k < KWORDS; k++) miss += __popc(sa[ty][k] ^ sb[tx][k]);
        __syncthreads();
    }
    if (row < m && col < n) c[(size_t)row * n + col] = 32 * kw - 2 * miss;
}

// Unsigned A_BITS x W_BITS integers as bit planes; plane p of operand row r starts at (r * BITS + p) * kw.
extern "C" __global__ void bit_serial_gemv(const u32 *w, const u32 *x, int *y, int rows, int kw)
{
    int row = blockIdx.x * blockDim.y + threadIdx.y, sum = 0;
    if (row >= rows) return;
    for (int k = threadIdx.x; k < kw; k += 32) {
        u32 xa[A_BITS];
#pragma unroll
        for (int p = 0; p < A_BITS; p++) xa[p] = x[p * kw + k];
#pragma unroll
        for (int q = 0; q < W_BITS; q++) {
            u32 bits = w[((size_t)row * W_BITS + q) * kw + k];
#pragma unroll
            for (int p = 0; p < A_BITS; p++) sum += __popc(bits & xa[p]) << (p + q);
        }
    }
    for (int o = 16; o; o >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, o);
    if (threadIdx.x == 0) y[row] = sum;
}

// Sign bits of 32 neighbouring floats by a warp vote.
extern "C" __global__ void binarise(const float *x, u32 *bits, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    u32 vote = __ballot_sync(0xffffffffu, i < n && x[i] >= 0.0f);
    if ((threadIdx.x & 31) == 0 && i < n) bits[i >> 5] = vote;
}

// Transposes a 32 x 32 bit matrix per thread by masked swaps of halves: values to bit planes.
extern "C" __global__ void bit_transpose(const u32 *in, u32 *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 x[32];
    for (int j = 0; j < 32; j++) x[j] = in[32 * i + j];
    u32 mask = 0x0000ffffu;
#pragma unroll
    for (int width = 16; width; width >>= 1, mask ^= mask << width)
#pragma unroll
        for (int k = 0; k < 32; k = (k + width + 1) & ~width) {
            u32 t = ((x[k] >> width) ^ x[k + width]) & mask;
            x[k + width] ^= t;
            x[k] ^= t << width;
        }
    for (int j = 0; j < 32; j++) out[32 * i + j] = x[j];
}

extern "C" __global__ void binary_mma(const u32 *a, const u32 *b, int *c, int kw)
{
#if defined(__CUDA_ARCH__)
    int lane = threadIdx.x & 31, tile = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    int c0 = 0, c1 = 0;
    for (int k = 0; k < kw; k += 4) {
        u32 fa = a[((size_t)tile * 8 + lane / 4) * kw + k + lane % 4], fb = b[(size_t)(lane / 4) * kw + k + lane % 4];
        asm volatile("mma.sync.aligned.m8n8k128.row.col.s32.b1.b1.s32.xor.popc {%0,%1}, {%2}, {%3}, {%0,%1};"
                     : "+r"(c0), "+r"(c1) : "r"(fa), "r"(fb));
    }
    c[(size_t)tile * 64 + lane / 4 * 8 + lane % 4 * 2] = 128 * kw / 4 - 2 * c0;
    c[(size_t)tile * 64 + lane / 4 * 8 + lane % 4 * 2 + 1] = 128 * kw / 4 - 2 * c1;
#endif
}
