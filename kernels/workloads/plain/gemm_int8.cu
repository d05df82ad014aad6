// 8-bit integer products (W8A8): dp4a tiles and IMMA tensor cores, both with a requantising epilogue.

#ifndef TM
#define TM 64
#endif
#ifndef TN
#define TN 64
#endif

typedef signed char i8;

__device__ __forceinline__ i8 requantise(int acc, int bias, float scale, int zero)
{
    int v = __float2int_rn((float)(acc + bias) * scale) + zero;
    return (i8)max(-128, min(127, v));
}

// Fixed-point form of the same, as integer-only runtimes have it: rounding doubling high multiply, then a shift.
__device__ __forceinline__ i8 requantise_fixed(int acc, int multiplier, int shift, int zero)
{
    int high = (int)(((long long)acc * multiplier + (1ll << 30)) >> 31);
    int mask = (1 << shift) - 1, rest = high & mask;
    high = (high >> shift) + (rest > (mask >> 1) + (high < 0));
    return (i8)max(-128, min(127, high + zero));
}

// A is [m, k / 4] words, B is [n, k / 4] words; 16 x 16 threads, TM / 16 x TN / 16 results each.
extern "C" __global__ void __launch_bounds__(256)
gemm_dp4a(const int *a, const int *b, const int *bias, const float *scale, i8 *c, int m, int n, int k4, int zero)
{
    const int KT = 8;
    __shared__ int sa[KT][TM + 1], sb[KT][TN + 1];
    int tx = threadIdx.x % 16, ty = threadIdx.x / 16, acc[TM / 16][TN / 16] = {};
    for (int k0 = 0; k0 < k4; k0 += KT) {
        for (int i = threadIdx.x; i < TM * KT; i += 256) {
            int r = blockIdx.y * TM + i / KT, k = k0 + i % KT;
            sa[i % KT][i / KT] = r < m && k < k4 ? a[(size_t)r * k4 + k] : 0;
        }
        for (int i = threadIdx.x; i < TN * KT; i += 256) {
            int r = blockIdx.x * TN + i / KT, k = k0 + i % KT;
            sb[i % KT][i / KT] = r < n && k < k4 ? b[(size_t)r * k4 + k] : 0;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < KT; k++)
#pragma unroll
            for (int i = 0; i < TM / 16; i++)
#pragma unroll
                for (int j = 0; j < TN / 16; j++) acc[i][j] = __dp4a(sa[k][ty + 16 * i], sb[k][tx + 16 * j], acc[i][j]);
        __syncthreads();
    }
    for (int i = 0; i < TM / 16; i++)
        for (int j = 0; j < TN / 16; j++) {
            int r = blockIdx.y * TM + ty + 16 * i, col = blockIdx.x * TN + tx + 16 * j;
            if (r < m && col < n) c[(size_t)r * n + col] = requantise(acc[i][j], bias[col], scale[col], zero);
        }
}

extern "C" __global__ void gemm_imma(const int *a, const int *b, const int *multiplier, const int *shift, i8 *c, int n, int k4, int zero)
{
#if __CUDA_ARCH__ >= 800
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = blockIdx.y * 16 + lane / 4, col0 = (blockIdx.x * 4 + warp) * 32;
    int acc[4][4] = {};
    for (int k = lane % 4; k < k4; k += 8) {
        int a0 = a[(size_t)row * k4 + k], a1 = a[(size_t)(row + 8) * k4 + k], a2 = a[(size_t)row * k4 + k + 4],
            a3 = a[(size_t)(row + 8) * k4 + k + 4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            size_t at = (size_t)(col0 + 8 * j + lane / 4) * k4 + k;
            asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                         : "+r"(acc[j][0]), "+r"(acc[j][1]), "+r"(acc[j][2]), "+r"(acc[j][3])
                         : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b[at]), "r"(b[at + 4]));
        }
    }
    for (int j = 0; j < 4; j++)
        for (int e = 0; e < 4; e++) {
            int r = row + e / 2 * 8, col = col0 + 8 * j + lane % 4 * 2 + e % 2;
            c[(size_t)r * n + col] = requantise_fixed(acc[j][e], multiplier[col], shift[col], zero);
        }
#endif
}

// Int8 rows times per-token and per-channel scales, results as floats; one warp a row, batch 1.
extern "C" __global__ void gemv_w8a8(const int4 *w, const int4 *x, const float *w_scale, const float *x_scale, float *y, int rows, int k16)
{
    int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32, s0 = 0, s1 = 0;
    if (row >= rows) return;
    for (int k = lane; k < k16; k += 32) {
        int4 u = w[(size_t)row * k16 + k], v = x[k];
        s0 = __dp4a(u.x, v.x, s0); s1 = __dp4a(u.y, v.y, s1);
        s0 = __dp4a(u.z, v.z, s0); s1 = __dp4a(u.w, v.w, s1);
    }
    int sum = s0 + s1;
    for (int o = 16; o; o >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, o);
    if (lane == 0) y[row] = sum * w_scale[row] * x_scale[0];
}
