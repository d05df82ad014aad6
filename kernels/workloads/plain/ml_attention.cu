// Attention: scores with a full softmax, an online-softmax tile kernel, a paged decode step, rotary positions.

#ifndef HEAD
#define HEAD 64
#endif
#ifndef KEYS
#define KEYS 32
#endif

extern "C" __global__ void attention_naive(const float *q, const float *k, const float *v, float *out, float *scores, int length, int causal)
{
    int row = blockIdx.x, head = blockIdx.y, limit = causal ? row + 1 : length;
    size_t base = (size_t)head * length * HEAD;
    float *s = scores + ((size_t)head * length + row) * length;
    __shared__ float query[HEAD], total, top;
    for (int d = threadIdx.x; d < HEAD; d += blockDim.x) query[d] = q[base + (size_t)row * HEAD + d] * rsqrtf((float)HEAD);
    __syncthreads();
    for (int j = threadIdx.x; j < limit; j += blockDim.x) {
        float dot = 0;
        for (int d = 0; d < HEAD; d++) dot += query[d] * k[base + (size_t)j * HEAD + d];
        s[j] = dot;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        top = -1e30f; total = 0;
        for (int j = 0; j < limit; j++) top = fmaxf(top, s[j]);
        for (int j = 0; j < limit; j++) total += expf(s[j] - top);
    }
    __syncthreads();
    for (int d = threadIdx.x; d < HEAD; d += blockDim.x) {
        float sum = 0;
        for (int j = 0; j < limit; j++) sum += expf(s[j] - top) * v[base + (size_t)j * HEAD + d];
        out[base + (size_t)row * HEAD + d] = sum / total;
    }
}

// A thread owns a query; keys and values pass by in tiles through shared memory.
extern "C" __global__ void __launch_bounds__(64)
attention_online(const float *q, const float *k, const float *v, float *out, int length, int causal)
{
    __shared__ float sk[KEYS][HEAD], sv[KEYS][HEAD];
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    size_t base = (size_t)blockIdx.y * length * HEAD;
    float query[HEAD], acc[HEAD], top = -1e30f, total = 0;
    for (int d = 0; d < HEAD; d++) { query[d] = row < length ? q[base + (size_t)row * HEAD + d] * rsqrtf((float)HEAD) : 0; acc[d] = 0; }
    for (int j0 = 0; j0 < length; j0 += KEYS) {
        __syncthreads();
        for (int i = threadIdx.x; i < KEYS * HEAD; i += blockDim.x) {
            bool inside = j0 + i / HEAD < length;
            sk[i / HEAD][i % HEAD] = inside ? k[base + (size_t)j0 * HEAD + i] : 0;
            sv[i / HEAD][i % HEAD] = inside ? v[base + (size_t)j0 * HEAD + i] : 0;
        }
        __syncthreads();
        int limit = min(KEYS, (causal ? min(row + 1, length) : length) - j0);
        for (int j = 0; j < limit; j++) {
            float dot = 0;
#pragma unroll
            for (int d = 0; d < HEAD; d++) dot += query[d] * sk[j][d];
            float now = fmaxf(top, dot), old = expf(top - now), p = expf(dot - now);
            total = total * old + p;
            top = now;
#pragma unroll
            for (int d = 0; d < HEAD; d++) acc[d] = acc[d] * old + p * sv[j][d];
        }
    }
    for (int d = 0; d < HEAD && row < length; d++) out[base + (size_t)row * HEAD + d] = acc[d] / total;
}

// Decode over a paged cache: the block table maps positions to pages, a warp per head.
extern "C" __global__ void attention_paged(const float *q, const float *k_pages, const float *v_pages, const int *table, const int *lengths, float *out, int max_pages, int page)
{
    int sequence = blockIdx.x, head = blockIdx.y, heads = gridDim.y, lane = threadIdx.x;
    float query[HEAD / 32], acc[HEAD / 32] = {}, top = -1e30f, total = 0;
    for (int i = 0; i < HEAD / 32; i++) query[i] = q[((size_t)sequence * heads + head) * HEAD + 32 * i + lane];
    for (int t = 0; t < lengths[sequence]; t++) {
        size_t at = (((size_t)table[sequence * max_pages + t / page] * page + t % page) * heads + head) * HEAD + lane;
        float dot = 0;
        for (int i = 0; i < HEAD / 32; i++) dot += query[i] * k_pages[at + 32 * i];
        for (int o = 16; o; o >>= 1) dot += __shfl_xor_sync(0xffffffffu, dot, o);
        float now = fmaxf(top, dot), old = __expf(top - now), p = __expf(dot - now);
        total = total * old + p;
        top = now;
        for (int i = 0; i < HEAD / 32; i++) acc[i] = acc[i] * old + p * v_pages[at + 32 * i];
    }
    for (int i = 0; i < HEAD / 32; i++) out[((size_t)sequence * heads + head) * HEAD + 32 * i + lane] = acc[i] / total;
}

extern "C" __global__ void rotary(float *x, const int *positions, int heads, float base)
{
    int token = blockIdx.x;
    for (int i = threadIdx.x; i < heads * HEAD / 2; i += blockDim.x) {
        int head = i / (HEAD / 2), d = i % (HEAD / 2);
        float angle = positions[token] * powf(base, -2.0f * d / HEAD), s, c;
        sincosf(angle, &s, &c);
        float *p = x + ((size_t)token * heads + head) * HEAD + d, a = p[0], b = p[HEAD / 2];
        p[0] = a * c - b * s;
        p[HEAD / 2] = b * c + a * s;
    }
}
