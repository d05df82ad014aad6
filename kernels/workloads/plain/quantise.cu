// Quantisers and weight repacking: per-token int8, per-group int4 pack, GPTQ-to-fragment shuffle, int4 KV cache.
#include "half.cuh"

typedef unsigned int u32;
typedef signed char i8;

#ifndef GROUP
#define GROUP 128
#endif

__device__ __forceinline__ float block_max(float v)
{
    __shared__ float parts[32];
    for (int o = 16; o; o >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, o));
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
    __syncthreads();
    v = threadIdx.x % 32 < (blockDim.x + 31) / 32 ? parts[threadIdx.x % 32] : 0.0f;
    for (int o = 16; o; o >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, o));
    return v;
}

extern "C" __global__ void quantise_per_token(const float *x, i8 *q, float *scales, int columns)
{
    const float *row = x + (size_t)blockIdx.x * columns;
    float top = 0.0f;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) top = fmaxf(top, fabsf(row[i]));
    top = block_max(top);
    float inverse = top > 0 ? 127.0f / top : 0.0f;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) q[(size_t)blockIdx.x * columns + i] = (i8)__float2int_rn(row[i] * inverse);
    if (threadIdx.x == 0) scales[blockIdx.x] = top / 127.0f;
}

// Asymmetric 4-bit: eight values to a word, a scale and a zero point per GROUP.
extern "C" __global__ void quantise_int4_groups(const float *x, u32 *packed, float *scales, u32 *zeros, int n_groups)
{
    int g = blockIdx.x * blockDim.x + threadIdx.x;
    if (g >= n_groups) return;
    const float *v = x + (size_t)g * GROUP;
    float lo = 0.0f, hi = 0.0f;
    for (int i = 0; i < GROUP; i++) { lo = fminf(lo, v[i]); hi = fmaxf(hi, v[i]); }
    float scale = hi > lo ? (hi - lo) / 15.0f : 1.0f;
    int zero = __float2int_rn(-lo / scale);
    for (int w = 0; w < GROUP / 8; w++) {
        u32 word = 0;
        for (int j = 0; j < 8; j++) word |= (u32)max(0, min(15, __float2int_rn(v[8 * w + j] / scale) + zero)) << (4 * j);
        packed[(size_t)g * (GROUP / 8) + w] = word;
    }
    scales[g] = scale;
    zeros[g] = (u32)zero;
}

// Reorders the nibbles of each word and gathers a 16 x 64 tile so that a lane's fragments lie together.
extern "C" __global__ void repack_fragments(const u32 *packed, uint4 *out, int n)
{
    int tile_k = blockIdx.y, tile_n = blockIdx.x, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    u32 words[4];
    for (int j = 0; j < 4; j++) {
        int col = tile_n * 128 + warp * 32 + j * 8 + lane / 4, row = lane % 4 * 2;
        u32 upper = packed[(size_t)(2 * tile_k) * n + col], lower = packed[(size_t)(2 * tile_k + 1) * n + col], w = 0;
        u32 v[4] = {upper >> (4 * row), upper >> (4 * row + 4), lower >> (4 * row), lower >> (4 * row + 4)};
        const int place[4] = {0, 16, 4, 20};
#pragma unroll
        for (int e = 0; e < 4; e++) w |= (v[e] & 15) << place[e];
        words[j] = w;
    }
    out[((size_t)tile_k * gridDim.x + tile_n) * 128 + threadIdx.x] = make_uint4(words[0], words[1], words[2], words[3]);
}

// One decoding step of attention over a cache of 4-bit keys and values, a warp per head, online softmax.
extern "C" __global__ void attention_int4_cache(const float *query, const uint2 *keys, const uint2 *values, const float2 *key_scales,
                                                const float2 *value_scales, float *out, int length)
{
    int head = blockIdx.x, lane = threadIdx.x;  // 32 lanes, 16 channels each: head size 512
    float q[16], acc[16] = {}, top = -1e30f, total = 0;
    for (int i = 0; i < 16; i++) q[i] = query[(head * 32 + lane) * 16 + i];
    for (int t = 0; t < length; t++) {
        size_t at = (size_t)t * gridDim.x + head;
        uint2 k = keys[at * 32 + lane], v = values[at * 32 + lane];
        float2 ks = key_scales[at], vs = value_scales[at];
        float dot = 0;
#pragma unroll
        for (int i = 0; i < 16; i++) dot += q[i] * (ks.x * (float)(((i < 8 ? k.x : k.y) >> (4 * (i & 7))) & 15) + ks.y);
        for (int o = 16; o; o >>= 1) dot += __shfl_xor_sync(0xffffffffu, dot, o);
        float now = fmaxf(top, dot), old = __expf(top - now), p = __expf(dot - now);
        total = total * old + p;
        top = now;
#pragma unroll
        for (int i = 0; i < 16; i++) acc[i] = acc[i] * old + p * (vs.x * (float)(((i < 8 ? v.x : v.y) >> (4 * (i & 7))) & 15) + vs.y);
    }
    for (int i = 0; i < 16; i++) out[(head * 32 + lane) * 16 + i] = acc[i] / total;
}
