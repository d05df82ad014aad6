/* One BLAKE3 by four neighbouring lanes: each lane holds one column, diagonals by warp shuffles.
   Inert: a fixed 80-byte style message in global memory, the hits are counted and dropped. */
#define FULL 0xffffffffu

__device__ const unsigned char schedule[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
    {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
    {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13}};

__device__ const unsigned int iv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

__device__ __forceinline__ unsigned int rot(unsigned int x, int n) { return x >> n | x << (32 - n); }

__device__ __forceinline__ void g(unsigned int &a, unsigned int &b, unsigned int &c, unsigned int &d, unsigned int x,
                                  unsigned int y) {
    a += b + x; d = rot(d ^ a, 16); c += d; b = rot(b ^ c, 12);
    a += b + y; d = rot(d ^ a, 8);  c += d; b = rot(b ^ c, 7);
}

/* lane: 0..3. words: the 16 message words of this group of four in shared memory. Returns two digest words. */
__device__ uint2 quad(const unsigned int *words, const unsigned char (*order)[16], int lane, unsigned int length) {
    unsigned int a = iv[lane], b = iv[lane + 4], c = iv[lane];
    unsigned int d = lane == 2 ? length : lane == 3 ? 11u : 0u;
#ifdef UNROLL
#pragma unroll
#else
#pragma unroll 1
#endif
    for (int r = 0; r < 7; ++r) {
        g(a, b, c, d, words[order[r][2 * lane]], words[order[r][2 * lane + 1]]);
        b = __shfl_sync(FULL, b, lane + 1, 4);
        c = __shfl_sync(FULL, c, lane + 2, 4);
        d = __shfl_sync(FULL, d, lane + 3, 4);
        g(a, b, c, d, words[order[r][8 + 2 * lane]], words[order[r][9 + 2 * lane]]);
        b = __shfl_sync(FULL, b, lane + 3, 4);
        c = __shfl_sync(FULL, c, lane + 2, 4);
        d = __shfl_sync(FULL, d, lane + 1, 4);
    }
    return make_uint2(a ^ c, b ^ d);
}

#ifndef GROUPS
#define GROUPS 32
#endif

extern "C" __global__ void quad_mine(const unsigned int *message, unsigned int start, unsigned int limit, int tries,
                                     unsigned int *digest, unsigned int *hits) {
    __shared__ unsigned int words[GROUPS][17];
    __shared__ unsigned char order[7][16];
    const int lane = threadIdx.x & 3, group = threadIdx.x >> 2;
    for (int i = threadIdx.x; i < 112; i += blockDim.x) order[i / 16][i % 16] = schedule[i / 16][i % 16];
    for (int i = lane; i < 16; i += 4) words[group][i] = message[i];
    __syncthreads();
    unsigned int nonce = start + blockIdx.x * GROUPS + group;
    for (int t = 0; t < tries; ++t, nonce += gridDim.x * GROUPS) {
        if (lane == 0) words[group][15] = nonce;
        __syncwarp();
        uint2 h = quad(words[group], order, lane, 64);
        if (digest) {
            digest[(nonce - start) * 8 + lane] = h.x;
            digest[(nonce - start) * 8 + 4 + lane] = h.y;
        }
        if (lane == 0 && h.x < limit) atomicAdd(hits, 1u);
        __syncwarp();
    }
}
