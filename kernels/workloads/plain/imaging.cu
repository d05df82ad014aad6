// Images: separable and bilateral filters, median, colour conversion, JPEG (DCT, quantise, Huffman bits), resize,
// integral image, histogram equalisation, feature bits (census, BRIEF) and Hamming matching.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned char u8;

#ifndef RADIUS
#define RADIUS 3
#endif

extern "C" __global__ void blur_rows(const float *in, float *out, const float *taps, int width, int height)
{
    __shared__ float row[256 + 2 * RADIUS];
    int x = blockIdx.x * 256 + threadIdx.x, y = blockIdx.y;
    for (int i = threadIdx.x; i < 256 + 2 * RADIUS; i += 256) row[i] = in[(size_t)y * width + min(max((int)blockIdx.x * 256 + i - RADIUS, 0), width - 1)];
    __syncthreads();
    if (x >= width) return;
    float sum = 0;
#pragma unroll
    for (int k = 0; k <= 2 * RADIUS; k++) sum += taps[k] * row[threadIdx.x + k];
    out[(size_t)y * width + x] = sum;
}

extern "C" __global__ void bilateral(const float *in, float *out, int width, int height, float space, float range)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    float centre = in[(size_t)y * width + x], sum = 0, total = 0;
    for (int dy = -RADIUS; dy <= RADIUS; dy++)
        for (int dx = -RADIUS; dx <= RADIUS; dx++) {
            float v = in[(size_t)min(max(y + dy, 0), height - 1) * width + min(max(x + dx, 0), width - 1)], d = v - centre;
            float w = __expf(-(dx * dx + dy * dy) * space - d * d * range);
            sum += w * v; total += w;
        }
    out[(size_t)y * width + x] = sum / total;
}

// Median of nine by a network of exchanges on four pixels a word.
extern "C" __global__ void median9_packed(const u32 *in, u32 *out, int words, int height)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x < 1 || x >= words - 1 || y < 1 || y >= height - 1) return;
    u32 v[9];
    for (int r = 0; r < 3; r++) {
        const u32 *p = in + (size_t)(y + r - 1) * words + x;
        v[3 * r] = __funnelshift_l(p[-1], p[0], 8); v[3 * r + 1] = p[0]; v[3 * r + 2] = __funnelshift_r(p[0], p[1], 8);
    }
#define SWAP(a, b) { u32 t = __vminu4(v[a], v[b]); v[b] = __vmaxu4(v[a], v[b]); v[a] = t; }
    SWAP(1, 2) SWAP(4, 5) SWAP(7, 8) SWAP(0, 1) SWAP(3, 4) SWAP(6, 7) SWAP(1, 2) SWAP(4, 5) SWAP(7, 8) SWAP(0, 3)
    SWAP(5, 8) SWAP(4, 7) SWAP(3, 6) SWAP(1, 4) SWAP(2, 5) SWAP(4, 7) SWAP(4, 2) SWAP(6, 4) SWAP(4, 2)
    out[(size_t)y * words + x] = v[4];
}

extern "C" __global__ void rgb_to_yuv420(const uchar4 *rgb, u8 *luma, uchar2 *chroma, int width, int height)
{
    int x = 2 * (blockIdx.x * blockDim.x + threadIdx.x), y = 2 * (blockIdx.y * blockDim.y + threadIdx.y), su = 0, sv = 0;
    if (x >= width || y >= height) return;
    for (int k = 0; k < 4; k++) {
        size_t at = (size_t)(y + k / 2) * width + x + k % 2;
        uchar4 p = rgb[at];
        luma[at] = (u8)((66 * p.x + 129 * p.y + 25 * p.z + 128 >> 8) + 16);
        su += -38 * p.x - 74 * p.y + 112 * p.z; sv += 112 * p.x - 94 * p.y - 18 * p.z;
    }
    uchar2 c; c.x = (u8)((su + 512 >> 10) + 128); c.y = (u8)((sv + 512 >> 10) + 128);
    chroma[(size_t)(y / 2) * (width / 2) + x / 2] = c;
}

// 8 x 8 forward cosine transform and quantisation, eight threads a block of pixels.
extern "C" __global__ void jpeg_dct(const u8 *luma, const float *basis, const float *quantiser, short *out, int width)
{
    __shared__ float a[8][65];
    int lane = threadIdx.x % 8, block = threadIdx.x / 8, bx = (blockIdx.x * 8 + block) * 8, by = blockIdx.y * 8;
    float v[8], t[8];
    for (int i = 0; i < 8; i++) v[i] = luma[(size_t)(by + lane) * width + bx + i] - 128.0f;
#pragma unroll
    for (int k = 0; k < 8; k++) { t[k] = 0; for (int i = 0; i < 8; i++) t[k] += basis[8 * k + i] * v[i]; }
    for (int k = 0; k < 8; k++) a[block][lane * 8 + k] = t[k];
    __syncwarp();
    for (int i = 0; i < 8; i++) v[i] = a[block][i * 8 + lane];
    for (int k = 0; k < 8; k++) {
        float sum = 0;
        for (int i = 0; i < 8; i++) sum += basis[8 * k + i] * v[i];
        out[((size_t)blockIdx.y * (width / 8) + blockIdx.x * 8 + block) * 64 + k * 8 + lane] = (short)rintf(sum * quantiser[k * 8 + lane]);
    }
}

__constant__ u8 zigzag[64] = {0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

// Run-length and Huffman bits of one coefficient block; `codes` holds code << 8 | length by run and size.
extern "C" __global__ void jpeg_entropy(const short *coefficients, const u32 *codes, u32 *bits, u32 *lengths, int words, int n)
{
    int b = blockIdx.x * blockDim.x + threadIdx.x;
    if (b >= n) return;
    u64 buffer = 0;
    u32 held = 0, at = 0, total = 0, run = 0;
    for (int k = 1; k < 64; k++) {
        int v = coefficients[(size_t)b * 64 + zigzag[k]];
        if (!v) { run++; continue; }
        while (run > 15) { u32 c = codes[0xf0]; buffer = buffer << (c & 255) | c >> 8; held += c & 255; total += c & 255; run -= 16; if (held >= 32) { bits[(size_t)b * words + at++] = (u32)(buffer >> (held - 32)); held -= 32; } }
        u32 size = 32 - __clz(v < 0 ? -v : v), c = codes[run << 4 | size], extra = (u32)(v < 0 ? v - 1 : v) & ((1u << size) - 1), n_bits = (c & 255) + size;
        buffer = buffer << n_bits | (u64)(c >> 8) << size | extra;
        held += n_bits; total += n_bits; run = 0;
        if (held >= 32) { bits[(size_t)b * words + at++] = (u32)(buffer >> (held - 32)); held -= 32; }
    }
    if (held) bits[(size_t)b * words + at] = (u32)(buffer << (32 - held));
    lengths[b] = total;
}

extern "C" __global__ void resize_bicubic(const float *in, float *out, int width, int height, int new_width, int new_height)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= new_width || y >= new_height) return;
    float sx = (x + 0.5f) * width / new_width - 0.5f, sy = (y + 0.5f) * height / new_height - 0.5f, wx[4], wy[4], sum = 0;
    int ix = (int)floorf(sx), iy = (int)floorf(sy);
    for (int k = 0; k < 4; k++) {
        float a = fabsf(sx - ix + 1 - k), b = fabsf(sy - iy + 1 - k);
        wx[k] = a < 1 ? (1.5f * a - 2.5f) * a * a + 1 : ((-0.5f * a + 2.5f) * a - 4) * a + 2;
        wy[k] = b < 1 ? (1.5f * b - 2.5f) * b * b + 1 : ((-0.5f * b + 2.5f) * b - 4) * b + 2;
    }
    for (int k = 0; k < 16; k++) sum += wx[k & 3] * wy[k >> 2] * in[(size_t)min(max(iy + (k >> 2) - 1, 0), height - 1) * width + min(max(ix + (k & 3) - 1, 0), width - 1)];
    out[(size_t)y * new_width + x] = sum;
}

// 256 comparisons of smoothed pixels make a descriptor; a warp shares one key point.
extern "C" __global__ void brief_describe(const float *image, const int2 *keypoints, const int4 *pattern, u32 *descriptors, int width)
{
    int lane = threadIdx.x & 31, point = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    int2 p = keypoints[point];
    for (int w = 0; w < 8; w++) {
        int4 t = pattern[32 * w + lane];
        u32 vote = __ballot_sync(0xffffffffu, image[(size_t)(p.y + t.y) * width + p.x + t.x] < image[(size_t)(p.y + t.w) * width + p.x + t.z]);
        if (lane == 0) descriptors[8 * point + w] = vote;
    }
}

extern "C" __global__ void hamming_match(const uint4 *queries, const uint4 *train, uint2 *matches, int n_queries, int n_train)
{
    int q = blockIdx.x * blockDim.x + threadIdx.x;
    if (q >= n_queries) return;
    uint4 a = queries[2 * q], b = queries[2 * q + 1];
    u32 best = ~0u, which = 0;
    for (int t = 0; t < n_train; t++) {
        uint4 c = train[2 * t], d = train[2 * t + 1];
        u32 distance = __popc(a.x ^ c.x) + __popc(a.y ^ c.y) + __popc(a.z ^ c.z) + __popc(a.w ^ c.w) + __popc(b.x ^ d.x) + __popc(b.y ^ d.y) + __popc(b.z ^ d.z) + __popc(b.w ^ d.w);
        if (distance < best) { best = distance; which = t; }
    }
    matches[q] = make_uint2(which, best);
}
