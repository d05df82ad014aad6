// Convolutions: direct with shared tiles, depthwise, Winograd F(2x2, 3x3), im2col, and graph message passing.

#ifndef TILE
#define TILE 16
#endif
#ifndef KERNEL
#define KERNEL 3
#endif

extern "C" __global__ void conv_direct(const float *x, const float *w, float *y, int channels, int height, int width)
{
    __shared__ float tile[TILE + KERNEL - 1][TILE + KERNEL];
    int column = blockIdx.x * TILE + threadIdx.x, row = blockIdx.y * TILE + threadIdx.y, out = blockIdx.z;
    float acc = 0;
    for (int c = 0; c < channels; c++) {
        __syncthreads();
        for (int i = threadIdx.y; i < TILE + KERNEL - 1; i += TILE)
            for (int j = threadIdx.x; j < TILE + KERNEL - 1; j += TILE) {
                int r = blockIdx.y * TILE + i - KERNEL / 2, s = blockIdx.x * TILE + j - KERNEL / 2;
                tile[i][j] = r >= 0 && r < height && s >= 0 && s < width ? x[((size_t)c * height + r) * width + s] : 0;
            }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < KERNEL * KERNEL; i++)
            acc += tile[threadIdx.y + i / KERNEL][threadIdx.x + i % KERNEL] * w[((size_t)out * channels + c) * KERNEL * KERNEL + i];
    }
    if (row < height && column < width) y[((size_t)out * height + row) * width + column] = fmaxf(acc, 0.0f);
}

extern "C" __global__ void conv_depthwise(const float *x, const float *w, float *y, int channels, int height, int width)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, c = i % channels, s = i / channels % width, r = i / channels / width;
    if (r >= height) return;
    float acc = 0;
#pragma unroll
    for (int k = 0; k < KERNEL * KERNEL; k++) {
        int rr = r + k / KERNEL - KERNEL / 2, ss = s + k % KERNEL - KERNEL / 2;
        if (rr >= 0 && rr < height && ss >= 0 && ss < width) acc += x[((size_t)rr * width + ss) * channels + c] * w[k * channels + c];
    }
    y[i] = acc;
}

extern "C" __global__ void winograd_input(const float *x, float *out, int tiles_x, int tiles, int height, int width)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x, c = blockIdx.y;
    if (t >= tiles) return;
    float d[4][4], b[4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            int r = t / tiles_x * 2 + i - 1, s = t % tiles_x * 2 + j - 1;
            d[i][j] = r >= 0 && r < height && s >= 0 && s < width ? x[((size_t)c * height + r) * width + s] : 0;
        }
#pragma unroll
    for (int j = 0; j < 4; j++) { b[0][j] = d[0][j] - d[2][j]; b[1][j] = d[1][j] + d[2][j]; b[2][j] = d[2][j] - d[1][j]; b[3][j] = d[1][j] - d[3][j]; }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float v[4] = {b[i][0] - b[i][2], b[i][1] + b[i][2], b[i][2] - b[i][1], b[i][1] - b[i][3]};
        for (int j = 0; j < 4; j++) out[((size_t)(4 * i + j) * gridDim.y + c) * tiles + t] = v[j];
    }
}

extern "C" __global__ void winograd_output(const float *m, float *y, int tiles_x, int tiles, int height, int width)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x, k = blockIdx.y;
    if (t >= tiles) return;
    float a[4][4], b[2][4];
    for (int i = 0; i < 16; i++) a[i / 4][i % 4] = m[((size_t)i * gridDim.y + k) * tiles + t];
    for (int j = 0; j < 4; j++) { b[0][j] = a[0][j] + a[1][j] + a[2][j]; b[1][j] = a[1][j] - a[2][j] - a[3][j]; }
    for (int i = 0; i < 2; i++) {
        float v[2] = {b[i][0] + b[i][1] + b[i][2], b[i][1] - b[i][2] - b[i][3]};
        for (int j = 0; j < 2; j++) {
            int r = t / tiles_x * 2 + i, s = t % tiles_x * 2 + j;
            if (r < height && s < width) y[((size_t)k * height + r) * width + s] = v[j];
        }
    }
}

// Messages along edges added at their targets (scatter), and the gather form over sorted edges.
extern "C" __global__ void graph_scatter(const float *x, const int2 *edges, const float *weights, float *out, int n_edges, int width)
{
    int e = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (e >= n_edges) return;
    int2 edge = edges[e];
    for (int c = lane; c < width; c += 32) atomicAdd(&out[(size_t)edge.y * width + c], weights[e] * x[(size_t)edge.x * width + c]);
}

extern "C" __global__ void graph_gather_mean(const float *x, const int *begin, const int *sources, float *out, int nodes, int width)
{
    int node = blockIdx.x * blockDim.y + threadIdx.y;
    if (node >= nodes) return;
    for (int c = threadIdx.x; c < width; c += blockDim.x) {
        float sum = 0;
        for (int e = begin[node]; e < begin[node + 1]; e++) sum += x[(size_t)sources[e] * width + c];
        out[(size_t)node * width + c] = sum / max(begin[node + 1] - begin[node], 1);
    }
}
