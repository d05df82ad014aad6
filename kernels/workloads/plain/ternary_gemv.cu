// 1.58-bit weights {-1, 0, 1}: two bits each, or five to a byte in base 3, against 8-bit activations.

#ifndef PACKING
#define PACKING 2 /* 2: two bits, 3: base 3, 1: two bit planes and popcount-free masks */
#endif

typedef unsigned int u32;
typedef signed char i8;

__device__ __forceinline__ int dot(int a, int b, int c) { return __dp4a(a, b, c); }

extern "C" __global__ void ternary_gemv(const u32 *w, const int *x, const float *scale, float *y, int rows, int words)
{
    int lane = threadIdx.x & 31, row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), sum = 0;
    if (row >= rows) return;
    for (int i = lane; i < words; i += 32) {
        u32 q = w[(size_t)row * words + i];
#if PACKING == 2
        // 16 weights a word as v + 1; the field at bit 2j + 8b is weight 4j + b.
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int v = (int)((q >> (2 * j)) & 0x03030303u);
            sum = dot(v, x[4 * i + j], sum);
            sum = dot((int)0xffffffff, x[4 * i + j], sum);
        }
#elif PACKING == 3
        // 20 weights a word. A byte c stands for c / 3^5 rounded up to 1/256: times 3, the carry is the digit.
        u32 even = q & 0x00ff00ffu, odd = (q >> 8) & 0x00ff00ffu;
#pragma unroll
        for (int j = 0; j < 5; j++) {
            even *= 3; odd *= 3;
            int v = (int)(((even >> 8) & 0x00030003u) | (odd & 0x03000300u));
            even &= 0x00ff00ffu; odd &= 0x00ff00ffu;
            sum = dot((int)(((u32)v | 0x80808080u) - 0x01010101u) ^ (int)0x80808080, x[5 * i + j], sum);
        }
#else
        // 16 weights: low half-word says "not zero", high half-word "negative".
#pragma unroll
        for (int j = 0; j < 4; j++) {
            u32 on = ((q >> (4 * j)) & 15) * 0x00204081u & 0x01010101u, minus = ((q >> (16 + 4 * j)) & 15) * 0x00204081u & 0x01010101u;
            int v = (int)(on | (minus * 0xffu));
            sum = dot(v, x[4 * i + j], sum);
        }
#endif
    }
    for (int o = 16; o; o >>= 1) sum += __shfl_down_sync(0xffffffffu, sum, o);
    if (lane == 0) y[row] = scale[0] * sum;
}

extern "C" __global__ void ternary_pack(const float *w, float threshold, u32 *packed, int n_words)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n_words) return;
    u32 q = 0;
    for (int k = 0; k < 16; k++) {
        float v = w[16 * i + k];
        u32 t = v > threshold ? 2u : v < -threshold ? 0u : 1u;
        q |= t << (2 * (k / 4) + 8 * (k % 4));
    }
    packed[i] = q;
}
