// BLAKE3 of long data: chunks of 1,024 bytes in parallel, then parents level by level up the tree.

typedef unsigned int u32;

enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

__device__ __constant__ unsigned char permutation[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};

struct Node { u32 cv[8]; };

__device__ __forceinline__ u32 ror(u32 x, int n) { return __funnelshift_r(x, x, n); }

__device__ __forceinline__ void quarter(u32 &a, u32 &b, u32 &c, u32 &d, u32 x, u32 y)
{
    a += b + x; d = ror(d ^ a, 16); c += d; b = ror(b ^ c, 12);
    a += b + y; d = ror(d ^ a, 8); c += d; b = ror(b ^ c, 7);
}

__device__ void compress(u32 *cv, const u32 *block, u32 counter_low, u32 counter_high, u32 length, u32 flags)
{
    u32 v[16] = {cv[0], cv[1], cv[2], cv[3], cv[4], cv[5], cv[6], cv[7], 0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au,
                 counter_low, counter_high, length, flags}, m[16];
    for (int i = 0; i < 16; i++) m[i] = block[i];
#ifdef ROLLED
#pragma unroll 1
#else
#pragma unroll
#endif
    for (int r = 0; r < 7; r++) {
        for (int i = 0; i < 4; i++) quarter(v[i], v[4 + i], v[8 + i], v[12 + i], m[2 * i], m[2 * i + 1]);
        for (int i = 0; i < 4; i++) quarter(v[i], v[4 + (i + 1) % 4], v[8 + (i + 2) % 4], v[12 + (i + 3) % 4], m[8 + 2 * i], m[9 + 2 * i]);
        u32 next[16];
        for (int i = 0; i < 16; i++) next[i] = m[permutation[i]];
        for (int i = 0; i < 16; i++) m[i] = next[i];
    }
    for (int i = 0; i < 8; i++) cv[i] = v[i] ^ v[i + 8];
}

__device__ __forceinline__ void start(u32 *cv)
{
    const u32 iv[8] = {0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au, 0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u};
    for (int i = 0; i < 8; i++) cv[i] = iv[i];
}

// Whole chunks; `root` is set where the data is a single chunk.
extern "C" __global__ void blake3_chunks(const u32 *data, unsigned long long first_chunk, Node *nodes, int n, int root)
{
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= n) return;
    unsigned long long counter = first_chunk + c;
    u32 cv[8], block[16];
    start(cv);
    for (int b = 0; b < 16; b++) {
        for (int i = 0; i < 16; i++) block[i] = data[(size_t)c * 256 + b * 16 + i];
        u32 flags = (b == 0 ? CHUNK_START : 0) | (b == 15 ? CHUNK_END | (root ? ROOT : 0) : 0);
        compress(cv, block, (u32)counter, (u32)(counter >> 32), 64, flags);
    }
    for (int i = 0; i < 8; i++) nodes[c].cv[i] = cv[i];
}

// One level: pairs become parents, an odd node at the end moves up as it is.
extern "C" __global__ void blake3_parents(const Node *children, Node *parents, int n_children)
{
    int p = blockIdx.x * blockDim.x + threadIdx.x, n = (n_children + 1) / 2;
    if (p >= n) return;
    if (2 * p + 1 == n_children) { parents[p] = children[2 * p]; return; }
    u32 cv[8], block[16];
    start(cv);
    for (int i = 0; i < 8; i++) { block[i] = children[2 * p].cv[i]; block[8 + i] = children[2 * p + 1].cv[i]; }
    compress(cv, block, 0, 0, 64, PARENT | (n == 1 ? ROOT : 0));
    for (int i = 0; i < 8; i++) parents[p].cv[i] = cv[i];
}
