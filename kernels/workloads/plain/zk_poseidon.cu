// Poseidon over a 256-bit field (full and partial rounds, dense matrix) and Poseidon2 over BabyBear (16 words,
// sparse inner layer), each hashing leaves and pairs of a Merkle tree. Round constants come from the host.
#include "mont.cuh"

#ifndef WIDTH
#define WIDTH 3
#endif
#ifndef PARTIAL_ROUNDS
#define PARTIAL_ROUNDS 57
#endif
#define FULL_ROUNDS 8

__device__ __forceinline__ Fe fifth(const Fe &a)
{
    Fe b = a * a;
    return b * b * a;
}

__device__ void poseidon(Fe (&s)[WIDTH], const Fe *constants, const Fe *matrix)
{
#pragma unroll 1
    for (int r = 0; r < FULL_ROUNDS + PARTIAL_ROUNDS; r++) {
        bool full = r < FULL_ROUNDS / 2 || r >= FULL_ROUNDS / 2 + PARTIAL_ROUNDS;
        Fe t[WIDTH];
        for (int i = 0; i < WIDTH; i++) s[i] = s[i] + constants[r * WIDTH + i];
        s[0] = fifth(s[0]);
        if (full)
            for (int i = 1; i < WIDTH; i++) s[i] = fifth(s[i]);
        for (int i = 0; i < WIDTH; i++) {
            t[i] = s[0] * matrix[i * WIDTH];
            for (int j = 1; j < WIDTH; j++) t[i] = t[i] + s[j] * matrix[i * WIDTH + j];
        }
        for (int i = 0; i < WIDTH; i++) s[i] = t[i];
    }
}

extern "C" __global__ void poseidon_pairs(const Fe *nodes, const Fe *constants, const Fe *matrix, Fe *parents, unsigned n)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Fe s[WIDTH] = {};
    s[1] = nodes[2 * i];
    s[2] = nodes[2 * i + 1];
    poseidon(s, constants, matrix);
    parents[i] = s[0];
}

namespace babybear {
typedef unsigned u32;
enum : u32 { P = 0x78000001u };

__device__ __forceinline__ u32 add(u32 a, u32 b) { u32 s = a + b; return min(s, s - P); }
__device__ __forceinline__ u32 mul(u32 a, u32 b)
{
    unsigned long long x = (unsigned long long)a * b;
    u32 h = __umulhi((u32)x * 0x88000001u, P), r = (u32)(x >> 32) - h;
    return min(r, r + P);
}
__device__ __forceinline__ u32 seventh(u32 a) { u32 b = mul(a, a), c = mul(b, a); return mul(mul(b, b), c); }

// Outer layer: a 4 x 4 circulant-like matrix on each group, then the sums of the groups.
__device__ __forceinline__ void outer(u32 (&s)[16])
{
    u32 sums[4] = {0, 0, 0, 0};
#pragma unroll
    for (int g = 0; g < 16; g += 4) {
        u32 a = add(s[g], s[g + 1]), b = add(s[g + 2], s[g + 3]), all = add(a, b);
        u32 c = add(all, s[g + 1]), d = add(all, s[g + 3]);
        s[g + 3] = add(d, add(s[g], s[g])); s[g + 1] = add(c, add(s[g + 2], s[g + 2]));
        s[g] = add(c, a); s[g + 2] = add(d, b);
        for (int i = 0; i < 4; i++) sums[i] = add(sums[i], s[g + i]);
    }
#pragma unroll
    for (int i = 0; i < 16; i++) s[i] = add(s[i], sums[i % 4]);
}

__device__ void permute(u32 (&s)[16], const u32 *rc, const u32 *diagonal)
{
    outer(s);
    for (int r = 0; r < 8; r++) {
        if (r == 4)
#pragma unroll 1
            for (int p = 0; p < 13; p++) {
                s[0] = seventh(add(s[0], rc[128 + p]));
                u32 sum = 0;
                for (int i = 0; i < 16; i++) sum = add(sum, s[i]);
                for (int i = 0; i < 16; i++) s[i] = add(sum, mul(s[i], diagonal[i]));
            }
        for (int i = 0; i < 16; i++) s[i] = seventh(add(s[i], rc[16 * r + i]));
        outer(s);
    }
}
}  // namespace babybear

extern "C" __global__ void poseidon2_leaves(const unsigned *columns, const unsigned *rc, const unsigned *diagonal, unsigned *digests, unsigned n, int n_columns)
{
    unsigned row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= n) return;
    unsigned s[16] = {};
    for (int c = 0; c < n_columns; c += 8) {
        for (int i = 0; i < 8 && c + i < n_columns; i++) s[i] = columns[(size_t)(c + i) * n + row];
        babybear::permute(s, rc, diagonal);
    }
    for (int i = 0; i < 8; i++) digests[8 * (size_t)row + i] = s[i];
}

extern "C" __global__ void poseidon2_pairs(const uint4 *nodes, const unsigned *rc, const unsigned *diagonal, uint4 *parents, unsigned n)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned s[16];
    for (int q = 0; q < 4; q++) {
        uint4 v = nodes[4 * (size_t)i + q];
        s[4 * q] = v.x; s[4 * q + 1] = v.y; s[4 * q + 2] = v.z; s[4 * q + 3] = v.w;
    }
    babybear::permute(s, rc, diagonal);
    parents[2 * (size_t)i] = make_uint4(s[0], s[1], s[2], s[3]);
    parents[2 * (size_t)i + 1] = make_uint4(s[4], s[5], s[6], s[7]);
}
