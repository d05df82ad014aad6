// Matrix product as proof of work with the work in the epilogue: operands get low-rank noise on their way to two
// buffers in shared memory, the accumulators are folded into a transcript after every step, and one compression of
// BLAKE3 or SHA-256 judges the transcript of each 16x16 tile. By dp4a and by tensor cores. Inert.
#include "mma_int8.cuh"

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef RANK
#define RANK 8
#endif
#ifndef STEP_BYTES
#define STEP_BYTES 32
#endif
#ifndef USE_SHA
#define USE_SHA 0
#endif
#ifndef TARGET_WORDS
#define TARGET_WORDS 2 /* 64 or 128 bits */
#endif
#ifndef TURN_IN
#define TURN_IN 3
#endif
#ifndef TURN_STEP
#define TURN_STEP 11
#endif
#define TILE 64
#define STEP_WORDS (STEP_BYTES / 4)
#define PITCH (STEP_BYTES + 16)

__constant__ u32 c_chain[8];
__constant__ u32 c_target[4];  // most significant first

__device__ __forceinline__ u32 left(u32 x, int n) { return __funnelshift_l(x, x, n); }

#if USE_SHA
__constant__ u32 c_round[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

__device__ void judge_hash(u32 (&out)[8], u32 (&w)[16]) {
    u32 s[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) s[i] = c_chain[i];
#pragma unroll 16
    for (int r = 0; r < 64; ++r) {
        if (r >= 16) {
            const u32 p = w[(r + 1) & 15], q = w[(r + 14) & 15];
            w[r & 15] += (left(p, 25) ^ left(p, 14) ^ p >> 3) + w[(r + 9) & 15] + (left(q, 15) ^ left(q, 13) ^ q >> 10);
        }
        const u32 t = s[7] + (left(s[4], 26) ^ left(s[4], 21) ^ left(s[4], 7)) + (s[6] ^ (s[4] & (s[5] ^ s[6]))) +
                      c_round[r] + w[r & 15];
        const u32 u = (left(s[0], 30) ^ left(s[0], 19) ^ left(s[0], 10)) + ((s[0] & s[1]) | (s[2] & (s[0] | s[1])));
#pragma unroll
        for (int i = 7; i > 0; --i) s[i] = s[i - 1];
        s[4] += t;
        s[0] = t + u;
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) out[i] = c_chain[i] + s[i];
}
#else
__device__ __forceinline__ void stir(u32 &a, u32 &b, u32 &c, u32 &d, u32 x, u32 y) {
    a += b + x; d = left(d ^ a, 16); c += d; b = left(b ^ c, 20);
    a += b + y; d = left(d ^ a, 24); c += d; b = left(b ^ c, 25);
}

__device__ void judge_hash(u32 (&out)[8], u32 (&m)[16]) {
    u32 s[16] = {c_chain[0], c_chain[1], c_chain[2], c_chain[3], c_chain[4], c_chain[5], c_chain[6], c_chain[7],
                 0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au, 0u, 0u, 64u, 27u};
    constexpr int from[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
#pragma unroll
    for (int r = 0; r < 7; ++r) {
#pragma unroll
        for (int i = 0; i < 4; ++i) stir(s[i], s[4 + i], s[8 + i], s[12 + i], m[2 * i], m[2 * i + 1]);
#pragma unroll
        for (int i = 0; i < 4; ++i)
            stir(s[i], s[4 + (i + 1) % 4], s[8 + (i + 2) % 4], s[12 + (i + 3) % 4], m[8 + 2 * i], m[9 + 2 * i]);
        u32 t[16];
#pragma unroll
        for (int i = 0; i < 16; ++i) t[i] = m[from[i]];
#pragma unroll
        for (int i = 0; i < 16; ++i) m[i] = t[i];
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) out[i] = s[i] ^ s[8 + i];
}
#endif

__device__ __forceinline__ bool meets(const u32 (&h)[8]) {
#if TARGET_WORDS == 4
    const u64 top = (u64)h[0] << 32 | h[1], want = (u64)c_target[0] << 32 | c_target[1];
    const u64 low = (u64)h[2] << 32 | h[3], rest = (u64)c_target[2] << 32 | c_target[3];
    return top < want || (top == want && low <= rest);
#else
    return ((u64)h[0] << 32 | h[1]) <= ((u64)c_target[0] << 32 | c_target[1]);
#endif
}

__device__ __forceinline__ void judge(const u32 *words, u32 tile, u32 *digests, u32 *hits) {
    u32 m[16], h[8];
#pragma unroll
    for (int i = 0; i < 16; ++i) m[i] = words[i];
    judge_hash(h, m);
    if (digests)
        for (int i = 0; i < 8; ++i) digests[8 * tile + i] = h[i];
    if (meets(h)) hits[1 + (atomicAdd(&hits[0], 1u) & 7u)] = tile;
}

// Four bytes of an operand plus their noise: row of the left factor (bytes) times a column of words of the right one.
__device__ __forceinline__ int noised(int word, const signed char *factor, const int *right, int pitch) {
    int sum[4] = {0, 0, 0, 0};
#pragma unroll
    for (int j = 0; j < RANK; ++j) {
        const int l = factor[j], r = __ldg(right + j * pitch);
#pragma unroll
        for (int b = 0; b < 4; ++b) sum[b] += l * (int)(signed char)(r >> 8 * b);
    }
    u32 out = 0;
#pragma unroll
    for (int b = 0; b < 4; ++b) out |= (((u32)word >> 8 * b) + (u32)sum[b] & 255u) << 8 * b;
    return (int)out;
}

// Rows of both operands (b by columns), k_words words each; 16x16 threads for 64x64 of the product.
extern "C" __global__ void __launch_bounds__(256)
epilogue_dot(const int *a, const int *b, const signed char *left_a, const int *right_a, int k_words, int *product,
             u32 *digests, u32 *hits) {
    __shared__ int sa[2][STEP_WORDS][TILE], sb[2][STEP_WORDS][TILE];
    __shared__ u32 transcript[16][16];
    const int tx = threadIdx.x, ty = threadIdx.y, id = ty * 16 + tx;
    int acc[4][4] = {};
    int keep_a[STEP_WORDS / 4], keep_b[STEP_WORDS / 4];
    u32 record = 0;
    const auto fetch = [&](int k0) {
#pragma unroll
        for (int i = 0; i < STEP_WORDS / 4; ++i) {
            const int at = id + 256 * i, row = at / STEP_WORDS, col = k0 + at % STEP_WORDS;
            const int ra = blockIdx.y * TILE + row;
            keep_a[i] = noised(a[ra * k_words + col], left_a + ra * RANK, right_a + col, k_words);
            keep_b[i] = b[(blockIdx.x * TILE + row) * k_words + col];
        }
    };
    const auto store = [&](int buffer) {
#pragma unroll
        for (int i = 0; i < STEP_WORDS / 4; ++i) {
            const int at = id + 256 * i;
            sa[buffer][at % STEP_WORDS][at / STEP_WORDS] = keep_a[i];
            sb[buffer][at % STEP_WORDS][at / STEP_WORDS] = keep_b[i];
        }
    };
    fetch(0);
    store(0);
    __syncthreads();
    for (int k0 = 0, now = 0; k0 < k_words; k0 += STEP_WORDS, now ^= 1) {
        const bool more = k0 + STEP_WORDS < k_words;
        if (more) fetch(k0 + STEP_WORDS);
#pragma unroll
        for (int k = 0; k < STEP_WORDS; ++k) {
            const int4 x = *(const int4 *)&sa[now][k][4 * ty], y = *(const int4 *)&sb[now][k][4 * tx];
            const int xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
            for (int i = 0; i < 16; ++i) acc[i / 4][i % 4] = __dp4a(xs[i / 4], ys[i % 4], acc[i / 4][i % 4]);
        }
        u32 fold = 0;
#pragma unroll
        for (int i = 0; i < 16; ++i) fold = left(fold, TURN_IN) ^ (u32)acc[i / 4][i % 4];
        record = left(record, TURN_STEP) ^ fold;
        if (more) store(now ^ 1);
        __syncthreads();
    }
    transcript[(ty / 4) * 4 + tx / 4][(ty % 4) * 4 + tx % 4] = record;
    if (product)
        for (int i = 0; i < 4; ++i)
            *(int4 *)&product[(blockIdx.y * TILE + 4 * ty + i) * gridDim.x * TILE + blockIdx.x * TILE + 4 * tx] =
                make_int4(acc[i][0], acc[i][1], acc[i][2], acc[i][3]);
    __syncthreads();
    if (id < 16) judge(transcript[id], (blockIdx.y * gridDim.x + blockIdx.x) * 16 + id, digests, hits);
}

// Takes the noise's part out again: product -= factor (rows x RANK) * (right_a * b) (RANK x columns).
extern "C" __global__ void __launch_bounds__(256)
epilogue_restore(const signed char *factor, const int *inner, int columns, int *product) {
    __shared__ int strip[RANK][16];
    const int row = blockIdx.y * 16 + threadIdx.y, col = blockIdx.x * 16 + threadIdx.x;
    for (int j = threadIdx.y; j < RANK; j += 16) strip[j][threadIdx.x] = inner[j * columns + col];
    __syncthreads();
    int sum = 0;
#pragma unroll
    for (int j = 0; j < RANK; ++j) sum += factor[row * RANK + j] * strip[j][threadIdx.x];
    product[row * columns + col] -= sum;
}

__device__ __forceinline__ void load_matrices(u32 (&r)[4], const unsigned char *row) {
#ifdef __CUDA_ARCH__
    u32 at;
    asm("{\n\t.reg .u64 p;\n\tcvta.to.shared.u64 p, %1;\n\tcvt.u32.u64 %0, p;\n\t}" : "=r"(at) : "l"(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
#else
    for (int i = 0; i < 4; ++i) {
        const u64 p = __shfl_sync(~0u, (u64)row, 8 * i + (threadIdx.x & 31) / 4);
        r[i] = ((const u32 *)p)[threadIdx.x & 3];
    }
#endif
}

// Four warps of 32x32 each; the operands come already noised.
extern "C" __global__ void __launch_bounds__(128)
epilogue_tensor(const uint4 *a, const uint4 *b, int k_bytes, u32 *digests, u32 *hits) {
    __shared__ __align__(16) unsigned char sa[2][TILE][PITCH], sb[2][TILE][PITCH];
    __shared__ u32 transcript[16][16];
    const int id = threadIdx.x, lane = id & 31, warp = id >> 5, quads = k_bytes / 16, parts = STEP_BYTES / 16;
    const int top = 32 * (warp >> 1), side = 32 * (warp & 1);
    int acc[2][4][4] = {};
    u32 record[2][2] = {};
    const auto bring = [&](int k0, int buffer) {
        for (int i = id; i < TILE * parts; i += 128) {
            const int row = i / parts, part = i % parts;
            *(uint4 *)&sa[buffer][row][16 * part] = __ldg(a + (blockIdx.y * TILE + row) * quads + k0 / 16 + part);
            *(uint4 *)&sb[buffer][row][16 * part] = __ldg(b + (blockIdx.x * TILE + row) * quads + k0 / 16 + part);
        }
    };
    bring(0, 0);
    __syncthreads();
    for (int k0 = 0, now = 0; k0 < k_bytes; k0 += STEP_BYTES, now ^= 1) {
        if (k0 + STEP_BYTES < k_bytes) bring(k0 + STEP_BYTES, now ^ 1);
#pragma unroll
        for (int k = 0; k < STEP_BYTES; k += 32) {
            u32 x[2][4], y[2][4];
            const int group = lane >> 3, in = lane & 7;
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                load_matrices(x[i], &sa[now][top + 16 * i + in + 8 * (group & 1)][k + 16 * (group >> 1)]);
                load_matrices(y[i], &sb[now][side + 16 * i + in + 8 * (group >> 1)][k + 16 * (group & 1)]);
            }
#pragma unroll
            for (int i = 0; i < 2; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) {
                    const u32 pair[2] = {y[j / 2][2 * (j & 1)], y[j / 2][2 * (j & 1) + 1]};
                    mma_16x8x32(acc[i][j], x[i], pair);
                }
        }
#pragma unroll
        for (int t = 0; t < 4; ++t) {
            u32 fold = 0;
#pragma unroll
            for (int e = 0; e < 8; ++e) fold = left(fold, TURN_IN) ^ (u32)acc[t / 2][2 * (t & 1) + e / 4][e % 4];
            record[t / 2][t & 1] = left(record[t / 2][t & 1], TURN_STEP) ^ fold;
        }
        __syncthreads();
    }
#pragma unroll
    for (int t = 0; t < 4; ++t) {
        const u32 mine = record[t / 2][t & 1], other = __shfl_xor_sync(~0u, mine, 16);
        if (lane < 16) transcript[4 * warp + t][lane] = mine ^ left(other, 7);
    }
    __syncthreads();
    if (id < 16) judge(transcript[id], (blockIdx.y * gridDim.x + blockIdx.x) * 16 + id, digests, hits);
}
