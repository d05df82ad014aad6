// Matching image descriptors: 128 bytes of gradients by dot product, 256 bits by Hamming distance, with ratio tests.

#ifndef TILE
#define TILE 32
#endif
#ifndef WORDS
#define WORDS 32 // 128 bytes, four a word
#endif

typedef unsigned int uint;
typedef unsigned long long ulong64;

struct BestTwo {
    int best, second, where;
    __device__ __forceinline__ void clear(int worst) { best = second = worst; where = -1; }
    __device__ __forceinline__ void larger(int score, int place)
    {
        if (score > best) { second = best; best = score; where = place; }
        else if (score > second) second = score;
    }
    __device__ __forceinline__ void smaller(int score, int place)
    {
        if (score < best) { second = best; best = score; where = place; }
        else if (score < second) second = score;
    }
};

// Descriptors have length 512: the angle of the best must be a given fraction of the second's.
__device__ __forceinline__ bool distinct(int best, int second, float max_angle, float max_ratio)
{
    float a = acosf(fminf(best * (1.0f / 262144.0f), 1.0f)), b = acosf(fminf(second * (1.0f / 262144.0f), 1.0f));
    return a <= max_angle && a < max_ratio * b;
}

// A row of the block holds TILE queries; the other image passes through shared memory, a padded word a row.
extern "C" __global__ void sift_match_tiled(const uint *a, const uint *b, int rows_a, int rows_b, float max_angle, float max_ratio, int *match)
{
    __shared__ uint mine[TILE][WORDS + 1], theirs[TILE][WORDS + 1];
    const int query = blockIdx.x * TILE + threadIdx.x;
    for (int k = threadIdx.x; k < TILE * WORDS; k += blockDim.x) {
        int row = blockIdx.x * TILE + k / WORDS;
        mine[k / WORDS][k % WORDS] = row < rows_a ? a[row * WORDS + k % WORDS] : 0;
    }
    BestTwo two;
    two.clear(0);
    for (int first = 0; first < rows_b; first += TILE) {
        __syncthreads();
        for (int k = threadIdx.x; k < TILE * WORDS; k += blockDim.x) {
            int row = first + k / WORDS;
            theirs[k / WORDS][k % WORDS] = row < rows_b ? b[row * WORDS + k % WORDS] : 0;
        }
        __syncthreads();
        for (int j = 0; j < TILE && first + j < rows_b; j++) {
            uint dot = 0;
#pragma unroll
            for (int w = 0; w < WORDS; w++) dot = __dp4a(mine[threadIdx.x][w], theirs[j][w], dot);
            two.larger((int)dot, first + j);
        }
    }
    if (query < rows_a) match[query] = two.where >= 0 && distinct(two.best, two.second, max_angle, max_ratio) ? two.where : -1;
}

// Only points near the epipolar line and near the homography's image are candidates; four threads share a query.
extern "C" __global__ void sift_match_guided(const uint4 *a, const uint4 *b, const float2 *at_a, const float2 *at_b, int rows_a, int rows_b,
                                             const float *fundamental, const float *homography, float max_line, float max_point, int *scores, int *match)
{
    const int query = (blockIdx.x * blockDim.x + threadIdx.x) >> 2, part = threadIdx.x & 3;
    const int safe = query < rows_a ? query : rows_a - 1;
    const float2 p = at_a[safe];
    const float *f = fundamental, *h = homography;
    const float la = f[0] * p.x + f[1] * p.y + f[2], lb = f[3] * p.x + f[4] * p.y + f[5], lc = f[6] * p.x + f[7] * p.y + f[8];
    const float scale = 1.0f / (la * la + lb * lb + 1e-12f), hw = 1.0f / (h[6] * p.x + h[7] * p.y + h[8]);
    const float hx = (h[0] * p.x + h[1] * p.y + h[2]) * hw, hy = (h[3] * p.x + h[4] * p.y + h[5]) * hw;
    const uint4 q0 = a[safe * 8 + part * 2], q1 = a[safe * 8 + part * 2 + 1];
    BestTwo two;
    two.clear(0);
    for (int j = 0; j < rows_b; j++) {
        float2 r = at_b[j];
        float line = la * r.x + lb * r.y + lc, dx = r.x - hx, dy = r.y - hy;
        bool near = line * line * scale <= max_line && dx * dx + dy * dy <= max_point;
        uint4 d0 = b[j * 8 + part * 2], d1 = b[j * 8 + part * 2 + 1];
        uint dot = __dp4a(q0.x, d0.x, __dp4a(q0.y, d0.y, __dp4a(q0.z, d0.z, __dp4a(q0.w, d0.w, 0u))));
        dot = __dp4a(q1.x, d1.x, __dp4a(q1.y, d1.y, __dp4a(q1.z, d1.z, __dp4a(q1.w, d1.w, dot))));
        dot += __shfl_xor_sync(0xffffffffu, dot, 1);
        dot += __shfl_xor_sync(0xffffffffu, dot, 2);
        two.larger(near ? (int)dot : 0, j);
    }
    if (part == 0 && query < rows_a) { scores[query] = two.best; match[query] = two.where; }
}

// A warp a query, a lane every 32nd candidate; Lowe's ratio in integers over 256.
extern "C" __global__ void orb_match_ratio(const ulong64 *a, const ulong64 *b, int rows_a, int rows_b, int ratio256, int *match, int *distances)
{
    const int query = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (query >= rows_a) return;
    const ulong64 q0 = a[query * 4], q1 = a[query * 4 + 1], q2 = a[query * 4 + 2], q3 = a[query * 4 + 3];
    BestTwo two;
    two.clear(257);
    for (int j = lane; j < rows_b; j += 32) {
        const ulong64 *d = b + j * 4;
        two.smaller(__popcll(q0 ^ d[0]) + __popcll(q1 ^ d[1]) + __popcll(q2 ^ d[2]) + __popcll(q3 ^ d[3]), j);
    }
#pragma unroll
    for (int step = 16; step; step >>= 1) {
        int best = __shfl_xor_sync(0xffffffffu, two.best, step), second = __shfl_xor_sync(0xffffffffu, two.second, step);
        int where = __shfl_xor_sync(0xffffffffu, two.where, step);
        two.second = min(min(two.second, second), max(two.best, best));
        if (best < two.best || (best == two.best && (uint)where < (uint)two.where)) two.where = where;
        two.best = min(two.best, best);
    }
    if (lane == 0) {
        match[query] = two.best * 256 < two.second * ratio256 ? two.where : -1;
        distances[query] = two.best;
    }
}

// Hamming distances of a tile of pairs, packed with their index so that one atomic minimum keeps the best.
extern "C" __global__ void orb_match_atomic(const uint4 *a, const uint4 *b, int rows_a, int rows_b, uint *best_a, uint *best_b)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, j0 = blockIdx.y * TILE;
    if (i >= rows_a) return;
    uint4 x = a[2 * i], y = a[2 * i + 1];
    uint best = ~0u;
    for (int j = j0; j < min(j0 + TILE, rows_b); j++) {
        uint4 u = __ldg(b + 2 * j), v = __ldg(b + 2 * j + 1);
        uint d = __popc(x.x ^ u.x) + __popc(x.y ^ u.y) + __popc(x.z ^ u.z) + __popc(x.w ^ u.w);
        d += __popc(y.x ^ v.x) + __popc(y.y ^ v.y) + __popc(y.z ^ v.z) + __popc(y.w ^ v.w);
        best = min(best, d << 20 | (uint)j);
        atomicMin(best_b + j, d << 20 | (uint)i);
    }
    atomicMin(best_a + i, best);
}

extern "C" __global__ void cross_check(const uint *best_a, const uint *best_b, int rows_a, uint limit, int2 *pairs, uint *count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= rows_a) return;
    uint to = best_a[i] & 0xfffff;
    if (best_a[i] >> 20 <= limit && (best_b[to] & 0xfffff) == (uint)i) pairs[atomicAdd(count, 1u)] = make_int2(i, (int)to);
}
