// Element-wise and row-wise layers: softmax, layer and RMS norms, cross entropy, Adam, embeddings, sampling, MoE routing, pooling.

typedef unsigned int u32;

__device__ float block_sum(float v)
{
    __shared__ float parts[32];
    for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0;
    for (int w = 0; w < (int)(blockDim.x + 31) / 32; w++) v += parts[w];
    return v;
}

extern "C" __global__ void softmax_rows(const float *x, float *y, int columns)
{
    __shared__ float top;
    const float *row = x + (size_t)blockIdx.x * columns;
    float most = -1e30f, sum = 0;
    for (int c = threadIdx.x; c < columns; c += blockDim.x) most = fmaxf(most, row[c]);
    for (int o = 16; o; o >>= 1) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, o));
    if (threadIdx.x == 0) top = -1e30f;
    __syncthreads();
    for (int w = 0; w < (int)blockDim.x / 32; w++) {
        if ((int)threadIdx.x == 32 * w) top = fmaxf(top, most);
        __syncthreads();
    }
    for (int c = threadIdx.x; c < columns; c += blockDim.x) sum += expf(row[c] - top);
    sum = block_sum(sum);
    for (int c = threadIdx.x; c < columns; c += blockDim.x) y[(size_t)blockIdx.x * columns + c] = expf(row[c] - top) / sum;
}

extern "C" __global__ void layer_norm(const float *x, const float *gamma, const float *beta, float *y, int columns, float epsilon)
{
    const float *row = x + (size_t)blockIdx.x * columns;
    float sum = 0, square = 0;
    for (int c = threadIdx.x; c < columns; c += blockDim.x) sum += row[c];
    float mean = block_sum(sum) / columns;
    for (int c = threadIdx.x; c < columns; c += blockDim.x) square += (row[c] - mean) * (row[c] - mean);
    float scale = rsqrtf(block_sum(square) / columns + epsilon);
    for (int c = threadIdx.x; c < columns; c += blockDim.x) y[(size_t)blockIdx.x * columns + c] = (row[c] - mean) * scale * gamma[c] + beta[c];
}

extern "C" __global__ void rms_norm_residual(float4 *x, const float4 *residual, const float4 *gamma, float4 *y, int columns4, float epsilon)
{
    size_t base = (size_t)blockIdx.x * columns4;
    float square = 0;
    for (int c = threadIdx.x; c < columns4; c += blockDim.x) {
        float4 a = x[base + c], b = residual[base + c];
        a.x += b.x; a.y += b.y; a.z += b.z; a.w += b.w;
        x[base + c] = a;
        square += a.x * a.x + a.y * a.y + a.z * a.z + a.w * a.w;
    }
    float scale = rsqrtf(block_sum(square) / (4 * columns4) + epsilon);
    for (int c = threadIdx.x; c < columns4; c += blockDim.x) {
        float4 a = x[base + c], g = gamma[c];
        y[base + c] = make_float4(a.x * scale * g.x, a.y * scale * g.y, a.z * scale * g.z, a.w * scale * g.w);
    }
}

extern "C" __global__ void adam_step(float *w, const float *g, float *m, float *v, float rate, float beta1, float beta2, float correct1, float correct2, float epsilon, float decay, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        float mi = beta1 * m[i] + (1 - beta1) * g[i], vi = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
        m[i] = mi; v[i] = vi;
        w[i] -= rate * (mi / correct1 / (sqrtf(vi / correct2) + epsilon) + decay * w[i]);
    }
}

extern "C" __global__ void embedding_lookup(const float4 *table, const int *tokens, float4 *out, int width4)
{
    const float4 *row = table + (size_t)tokens[blockIdx.x] * width4;
    for (int c = threadIdx.x; c < width4; c += blockDim.x) out[(size_t)blockIdx.x * width4 + c] = row[c];
}

extern "C" __global__ void embedding_backward(const float *grad, const int *tokens, float *table_grad, int width)
{
    for (int c = threadIdx.x; c < width; c += blockDim.x) atomicAdd(&table_grad[(size_t)tokens[blockIdx.x] * width + c], grad[(size_t)blockIdx.x * width + c]);
}

// Top-p sampling on sorted probabilities: prefix sums by chunks until the mass is reached, then an inverse draw.
extern "C" __global__ void sample_top_p(const float *sorted, const int *order, const float *uniform, float mass, int *chosen, int columns)
{
    int lane = threadIdx.x;
    const float *p = sorted + (size_t)blockIdx.x * columns;
    float target = uniform[blockIdx.x] * mass, before = 0;
    for (int c0 = 0; c0 < columns; c0 += 32) {
        float v = c0 + lane < columns ? p[c0 + lane] : 0;
        for (int o = 1; o < 32; o <<= 1) { float below = __shfl_up_sync(0xffffffffu, v, o); if (lane >= o) v += below; }
        u32 reached = __ballot_sync(0xffffffffu, before + v >= target);
        if (reached) { if (lane == __ffs(reached) - 1) chosen[blockIdx.x] = order[(size_t)blockIdx.x * columns + c0 + lane]; return; }
        before += __shfl_sync(0xffffffffu, v, 31);
    }
    if (lane == 0) chosen[blockIdx.x] = order[(size_t)blockIdx.x * columns];
}

// Two best experts a token, weights renormalised, and places in the experts' queues.
#ifndef EXPERTS
#define EXPERTS 8
#endif
extern "C" __global__ void route_experts(const float *logits, int2 *experts, float2 *weights, u32 *queue, int2 *places, int tokens)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= tokens) return;
    int a = 0, b = -1;
    const float *l = logits + (size_t)t * EXPERTS;
#pragma unroll
    for (int e = 1; e < EXPERTS; e++) {
        if (l[e] > l[a]) { b = a; a = e; }
        else if (b < 0 || l[e] > l[b]) b = e;
    }
    float w = 1.0f / (1.0f + expf(l[b] - l[a]));
    experts[t] = make_int2(a, b);
    weights[t] = make_float2(w, 1 - w);
    places[t] = make_int2(atomicAdd(&queue[a], 1u), atomicAdd(&queue[b], 1u));
}

extern "C" __global__ void max_pool(const float *x, float *y, unsigned char *argmax, int channels, int height, int width, int window, int stride)
{
    int oh = (height - window) / stride + 1, ow = (width - window) / stride + 1, i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= channels * oh * ow) return;
    int c = i / (oh * ow), r = i / ow % oh * stride, s = i % ow * stride, best = 0;
    float top = -1e30f;
    for (int k = 0; k < window * window; k++) {
        float v = x[((size_t)c * height + r + k / window) * width + s + k % window];
        if (v > top) { top = v; best = k; }
    }
    y[i] = top;
    argmax[i] = (unsigned char)best;
}
