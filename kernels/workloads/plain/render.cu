// Rendering and geometry: Morton codes, LBVH build, stack traversal, signed-distance marching, fractals, rasterised edges, k-means.

typedef unsigned int u32;

#ifndef STACK
#define STACK 32
#endif

__device__ __forceinline__ u32 spread3(u32 v)
{
    v = (v * 0x00010001u) & 0xFF0000FFu; v = (v * 0x00000101u) & 0x0F00F00Fu;
    v = (v * 0x00000011u) & 0xC30C30C3u; return (v * 0x00000005u) & 0x49249249u;
}

extern "C" __global__ void morton_codes(const float4 *points, u32 *codes, u32 *order, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float4 p = points[i];
    u32 x = (u32)fminf(fmaxf(p.x * 1024, 0), 1023), y = (u32)fminf(fmaxf(p.y * 1024, 0), 1023), z = (u32)fminf(fmaxf(p.z * 1024, 0), 1023);
    codes[i] = spread3(x) << 2 | spread3(y) << 1 | spread3(z);
    order[i] = i;
}

__device__ __forceinline__ int common(const u32 *codes, int n, int i, int j)
{
    if (j < 0 || j >= n) return -1;
    return codes[i] == codes[j] ? 32 + __clz(i ^ j) : __clz((int)(codes[i] ^ codes[j]));
}

// Inner nodes of a binary radix tree, all in parallel.
extern "C" __global__ void radix_tree(const u32 *codes, int2 *children, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n - 1) return;
    int d = common(codes, n, i, i + 1) > common(codes, n, i, i - 1) ? 1 : -1, least = common(codes, n, i, i - d), reach = 2;
    while (common(codes, n, i, i + reach * d) > least) reach *= 2;
    int length = 0;
    for (int t = reach / 2; t; t /= 2) if (common(codes, n, i, i + (length + t) * d) > least) length += t;
    int j = i + length * d, node = common(codes, n, i, j), split = 0, t = length;
    do { t = (t + 1) / 2; if (common(codes, n, i, i + (split + t) * d) > node) split += t; } while (t > 1);
    int gamma = i + split * d + min(d, 0);
    children[i] = make_int2(min(i, j) == gamma ? gamma + n - 1 : gamma, max(i, j) == gamma + 1 ? gamma + n : gamma + 1);
}

struct Box { float lo[3], hi[3]; int left, right; };  // right < 0: a leaf, left is the triangle

extern "C" __global__ void trace_rays(const Box *nodes, const float4 *triangles, const float4 *origins, const float4 *directions, float2 *hits, int n)
{
    int ray = blockIdx.x * blockDim.x + threadIdx.x;
    if (ray >= n) return;
    float o[3] = {origins[ray].x, origins[ray].y, origins[ray].z}, d[3] = {directions[ray].x, directions[ray].y, directions[ray].z}, inverse[3], best = 1e30f;
    for (int k = 0; k < 3; k++) inverse[k] = 1.0f / d[k];
    int stack[STACK], top = 0, triangle = -1;
    stack[top++] = 0;
    while (top) {
        const Box &b = nodes[stack[--top]];
        float near = 0, far = best;
#pragma unroll
        for (int k = 0; k < 3; k++) {
            float t0 = (b.lo[k] - o[k]) * inverse[k], t1 = (b.hi[k] - o[k]) * inverse[k];
            near = fmaxf(near, fminf(t0, t1)); far = fminf(far, fmaxf(t0, t1));
        }
        if (near > far) continue;
        if (b.right >= 0) { if (top + 2 <= STACK) { stack[top++] = b.left; stack[top++] = b.right; } continue; }
        const float4 *v = triangles + 3 * b.left;
        float e1[3] = {v[1].x, v[1].y, v[1].z}, e2[3] = {v[2].x, v[2].y, v[2].z}, s[3] = {o[0] - v[0].x, o[1] - v[0].y, o[2] - v[0].z};
        float p[3] = {d[1] * e2[2] - d[2] * e2[1], d[2] * e2[0] - d[0] * e2[2], d[0] * e2[1] - d[1] * e2[0]};
        float f = 1.0f / (e1[0] * p[0] + e1[1] * p[1] + e1[2] * p[2]), u = f * (s[0] * p[0] + s[1] * p[1] + s[2] * p[2]);
        float q[3] = {s[1] * e1[2] - s[2] * e1[1], s[2] * e1[0] - s[0] * e1[2], s[0] * e1[1] - s[1] * e1[0]};
        float w = f * (d[0] * q[0] + d[1] * q[1] + d[2] * q[2]), t = f * (e2[0] * q[0] + e2[1] * q[1] + e2[2] * q[2]);
        if (u >= 0 && w >= 0 && u + w <= 1 && t > 1e-4f && t < best) { best = t; triangle = b.left; }
    }
    hits[ray] = make_float2(best, __int_as_float(triangle));
}

extern "C" __global__ void mandelbrot(uchar4 *image, int width, int height, double cx, double cy, double scale, int limit)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, i = 0;
    if (x >= width || y >= height) return;
    double a = 0, b = 0, ca = cx + scale * (x - width / 2), cb = cy + scale * (y - height / 2);
    for (; i < limit && a * a + b * b < 4; i++) { double t = a * a - b * b + ca; b = 2 * a * b + cb; a = t; }
    image[(size_t)y * width + x] = make_uchar4((unsigned char)(9 * i), (unsigned char)(5 * i), (unsigned char)(i == limit ? 0 : 128), 255);
}

extern "C" __global__ void march_distance(float4 *image, int width, int height, float time)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    float dx = (x - width * 0.5f) / height, dy = (y - height * 0.5f) / height, n = rsqrtf(dx * dx + dy * dy + 1), t = 0;
    int step = 0;
    for (; step < 96 && t < 20; step++) {
        float px = dx * n * t, py = dy * n * t, pz = n * t - 4, q = sqrtf(px * px + pz * pz) - 1.2f, torus = sqrtf(q * q + py * py) - 0.4f;
        float wave = 0.05f * __sinf(8 * px + time) * __sinf(8 * py) * __sinf(8 * pz), d = torus + wave;
        if (d < 1e-3f) break;
        t += 0.7f * d;
    }
    image[(size_t)y * width + x] = make_float4(t / 20, step / 96.0f, dx, dy);
}

extern "C" __global__ void kmeans_assign(const float *points, const float *centres, int *labels, float *sums, int *counts, int n, int k, int dims)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, best = 0;
    if (i >= n) return;
    float least = 1e30f;
    for (int c = 0; c < k; c++) {
        float d = 0;
        for (int j = 0; j < dims; j++) { float t = points[(size_t)j * n + i] - centres[c * dims + j]; d += t * t; }
        if (d < least) { least = d; best = c; }
    }
    labels[i] = best;
    atomicAdd(&counts[best], 1);
    for (int j = 0; j < dims; j++) atomicAdd(&sums[best * dims + j], points[(size_t)j * n + i]);
}
