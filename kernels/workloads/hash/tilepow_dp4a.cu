// Matrix product as proof of work: int8 GEMM by dp4a, a keyed BLAKE3 over every 16x16 tile of the product.
// Inert: matrices are whatever the caller gives, hits are counted. A tile is 1024 bytes, one BLAKE3 chunk.
typedef unsigned int u32;

#ifndef KSTEP
#define KSTEP 32 /* bytes of the inner dimension a step stages in shared memory */
#endif
#define TILE 64
#define WORDS (KSTEP / 4)

__constant__ u32 c_key[8];
__constant__ u32 c_limit;

__device__ __forceinline__ u32 ror(u32 x, u32 n) { return __funnelshift_r(x, x, n); }

#define MIX(a, b, c, d, mx, my)          \
    s[a] += s[b] + mx;                   \
    s[d] = ror(s[d] ^ s[a], 16);         \
    s[c] += s[d];                        \
    s[b] = ror(s[b] ^ s[c], 12);         \
    s[a] += s[b] + my;                   \
    s[d] = ror(s[d] ^ s[a], 8);          \
    s[c] += s[d];                        \
    s[b] = ror(s[b] ^ s[c], 7)

__device__ void tile_block(u32 cv[8], const u32 *words, u32 flags) {
    const u32 iv[4] = {0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au};
    u32 m[16], s[16];
#pragma unroll
    for (int i = 0; i < 16; ++i) m[i] = words[i];
#pragma unroll
    for (int i = 0; i < 8; ++i) s[i] = cv[i];
#pragma unroll
    for (int i = 0; i < 4; ++i) s[8 + i] = iv[i];
    s[12] = s[13] = 0;
    s[14] = 64;
    s[15] = flags;
#pragma unroll
    for (int r = 0; r < 7; ++r) {
        MIX(0, 4, 8, 12, m[0], m[1]);
        MIX(1, 5, 9, 13, m[2], m[3]);
        MIX(2, 6, 10, 14, m[4], m[5]);
        MIX(3, 7, 11, 15, m[6], m[7]);
        MIX(0, 5, 10, 15, m[8], m[9]);
        MIX(1, 6, 11, 12, m[10], m[11]);
        MIX(2, 7, 8, 13, m[12], m[13]);
        MIX(3, 4, 9, 14, m[14], m[15]);
        const u32 t[16] = {m[2], m[6], m[3], m[10], m[7], m[0], m[4], m[13],
                           m[1], m[11], m[12], m[5], m[9], m[14], m[15], m[8]};
#pragma unroll
        for (int i = 0; i < 16; ++i) m[i] = t[i];
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) cv[i] = s[i] ^ s[8 + i];
}

__device__ void tile_hash(u32 cv[8], const u32 *tile) {
#pragma unroll
    for (int i = 0; i < 8; ++i) cv[i] = c_key[i];
#pragma unroll 1
    for (int b = 0; b < 16; ++b) tile_block(cv, tile + 16 * b, 16u | (b == 0 ? 1u : 0u) | (b == 15 ? 2u | 8u : 0u));
}

// a: rows x k, row major; b: columns x k (transposed), both int8 packed in words; block = 16 x 16 threads.
extern "C" __global__ void __launch_bounds__(256)
tilepow_gemm(const int *a, const int *b, int k_words, u32 *digests, u32 *hits) {
    __shared__ int sa[WORDS][TILE + 1], sb[WORDS][TILE + 1];
    __shared__ u32 tiles[16][256];
    const int tx = threadIdx.x, ty = threadIdx.y, id = ty * 16 + tx;
    int acc[4][4] = {};
    for (int k0 = 0; k0 < k_words; k0 += WORDS) {
        for (int i = id; i < TILE * WORDS; i += 256) {
            const int row = i / WORDS, col = i % WORDS;
            sa[col][row] = a[(blockIdx.y * TILE + row) * k_words + k0 + col];
            sb[col][row] = b[(blockIdx.x * TILE + row) * k_words + k0 + col];
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < WORDS; ++k) {
            int x[4], y[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) x[i] = sa[k][ty * 4 + i], y[i] = sb[k][tx * 4 + i];
#pragma unroll
            for (int i = 0; i < 4; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) acc[i][j] = __dp4a(x[i], y[j], acc[i][j]);
        }
        __syncthreads();
    }
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
            const int row = ty * 4 + i, col = tx * 4 + j;
            tiles[(row / 16) * 4 + col / 16][(row % 16) * 16 + col % 16] = (u32)acc[i][j];
        }
    __syncthreads();
    if (id < 16) {
        u32 cv[8];
        tile_hash(cv, tiles[id]);
        const int tile = (blockIdx.y * gridDim.x + blockIdx.x) * 16 + id;
        if (digests)
            for (int i = 0; i < 8; ++i) digests[tile * 8 + i] = cv[i];
        if (cv[7] <= c_limit) atomicAdd(hits, 1u);
    }
}
