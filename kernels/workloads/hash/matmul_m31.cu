/* Proof of work from matrix products over the field of 2^31 - 1 elements, with rank-8 noise and a SHA-256 transcript.
   Written in the C style of a node's reference code: one thread per output, then a hash per tile. Inert. */

#define P 0x7fffffffu
#ifndef TILE
#define TILE 16
#endif
#ifndef RANK
#define RANK 8
#endif

typedef unsigned int uint;
typedef unsigned long long ulong64;

__device__ __forceinline__ uint reduce(ulong64 x) {
    x = (x & P) + (x >> 31);
    x = (x & P) + (x >> 31);
    uint r = (uint)x;
    return r >= P ? r - P : r;
}

__device__ __forceinline__ uint add_mod(uint a, uint b) {
    uint s = a + b;
    return s >= P ? s - P : s;
}

__constant__ uint K256[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

__device__ __forceinline__ uint rr(uint x, int n) { return (x >> n) | (x << (32 - n)); }

__device__ void sha256_block(uint h[8], const uint w_in[16]) {
    uint w[64];
    for (int i = 0; i < 16; i++) w[i] = w_in[i];
    for (int i = 16; i < 64; i++) {
        uint s0 = rr(w[i - 15], 7) ^ rr(w[i - 15], 18) ^ (w[i - 15] >> 3);
        uint s1 = rr(w[i - 2], 17) ^ rr(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
    for (int i = 0; i < 64; i++) {
        uint t1 = k + (rr(e, 6) ^ rr(e, 11) ^ rr(e, 25)) + ((e & f) ^ (~e & g)) + K256[i] + w[i];
        uint t2 = (rr(a, 2) ^ rr(a, 13) ^ rr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        k = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e; h[5] += f; h[6] += g; h[7] += k;
}

__device__ void sha256_start(uint h[8]) {
    h[0] = 0x6a09e667; h[1] = 0xbb67ae85; h[2] = 0x3c6ef372; h[3] = 0xa54ff53a;
    h[4] = 0x510e527f; h[5] = 0x9b05688c; h[6] = 0x1f83d9ab; h[7] = 0x5be0cd19;
}

/* Element `id` of a field matrix: the first word of SHA-256(seed || id) below the prime. */
extern "C" __global__ void field_matrix(const uint *seed, uint count, uint *matrix) {
    uint id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= count) return;
    for (uint attempt = 0;; attempt++) {
        uint h[8], w[16] = {0};
        for (int i = 0; i < 8; i++) w[i] = seed[i];
        w[8] = id;
        w[9] = attempt;
        w[10] = 0x80000000u;
        w[15] = 320;
        sha256_start(h);
        sha256_block(h, w);
        uint candidate = h[0] & P;
        if (candidate < P) {
            matrix[id] = candidate;
            return;
        }
    }
}

/* out = base + left * right with left n x RANK, right RANK x n. */
extern "C" __global__ void low_rank_noise(const uint *base, const uint *left, const uint *right, int n, uint *out) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y;
    if (column >= n) return;
    ulong64 acc = 0;
    for (int i = 0; i < RANK; i++) acc += reduce((ulong64)left[row * RANK + i] * right[i * n + column]);
    out[row * n + column] = add_mod(base[row * n + column], reduce(acc));
}

/* c = a * b by shared tiles; products are below 2^62, four of them fit a 64-bit sum. */
extern "C" __global__ void matmul_field(const uint *a, const uint *b, int n, uint *c) {
    __shared__ uint sa[TILE][TILE], sb[TILE][TILE];
    int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    ulong64 total = 0;
    for (int t = 0; t < n; t += TILE) {
        sa[threadIdx.y][threadIdx.x] = a[row * n + t + threadIdx.x];
        sb[threadIdx.y][threadIdx.x] = b[(t + threadIdx.y) * n + column];
        __syncthreads();
#pragma unroll
        for (int k = 0; k < TILE; k += 2) {
            ulong64 pair = (ulong64)sa[threadIdx.y][k] * sb[k][threadIdx.x];
            pair += (ulong64)sa[threadIdx.y][k + 1] * sb[k + 1][threadIdx.x];
            total += reduce(pair);
        }
        __syncthreads();
    }
    c[row * n + column] = reduce(total);
}

/* One thread per tile: compress the tile by a random vector, hash the 16 results with the nonce. */
extern "C" __global__ void tile_transcript(const uint *c, const uint *weights, int n, const uint *nonce, uint limit,
                                           uint *digests, uint *hits) {
    int tiles = n / TILE, id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= tiles * tiles) return;
    const uint *tile = c + (id / tiles) * TILE * n + (id % tiles) * TILE;
    uint h[8], w[16];
    for (int i = 0; i < 16; i++) {
        ulong64 acc = 0;
        for (int j = 0; j < TILE; j++) acc += reduce((ulong64)tile[(i % TILE) * n + j] * weights[j]);
        w[i] = reduce(acc);
    }
    sha256_start(h);
    sha256_block(h, w);
    for (int i = 0; i < 16; i++) w[i] = 0;
    w[0] = nonce[0];
    w[1] = nonce[1];
    w[2] = 0x80000000u;
    w[15] = 512 + 64;
    sha256_block(h, w);
    for (int i = 0; i < 8; i++) digests[id * 8 + i] = h[i];
    if (h[0] <= limit) atomicAdd(hits, 1u);
}
