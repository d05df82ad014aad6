// Proof of useful-looking work on tensor cores: int8 GEMM whose running 16x16 tiles are folded every RANK
// columns and whose folded words go through BLAKE3 at the end. Inert; hits are only counted.
#include "blake3_lanes.cuh"
#include "mma_int8.cuh"

#ifndef RANK
#define RANK 128 /* inner columns between two folds */
#endif
#ifndef WARP_TILES
#define WARP_TILES 2 /* 16x16 tiles a warp holds, side by side */
#endif
#ifndef WARPS
#define WARPS 4
#endif

namespace {

using b3::word;

__device__ __forceinline__ word fold(const int (&c)[8]) {
    word f = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) f = __funnelshift_l(f, f, 13) ^ static_cast<word>(c[i]);
    return f;
}

// The two 8-column halves of a 16x16 tile.
struct Tile {
    int left[4], right[4];
    word transcript;

    __device__ void absorb() {
        const int c[8] = {left[0], left[1], left[2], left[3], right[0], right[1], right[2], right[3]};
        transcript = __funnelshift_l(transcript, transcript, 7) ^ fold(c);
    }
};

__device__ __forceinline__ void load_a(unsigned (&f)[4], const signed char *base, int stride, int lane) {
    const signed char *row = base + (lane >> 2) * stride + (lane & 3) * 4;
    f[0] = *reinterpret_cast<const unsigned *>(row);
    f[1] = *reinterpret_cast<const unsigned *>(row + 8 * stride);
    f[2] = *reinterpret_cast<const unsigned *>(row + 16);
    f[3] = *reinterpret_cast<const unsigned *>(row + 8 * stride + 16);
}

__device__ __forceinline__ void load_b(unsigned (&f)[2], const signed char *base, int stride, int lane) {
    const signed char *column = base + (lane >> 2) * stride + (lane & 3) * 4;
    f[0] = *reinterpret_cast<const unsigned *>(column);
    f[1] = *reinterpret_cast<const unsigned *>(column + 16);
}

// 32 transcript words of a warp, then a digest by every lane for itself is wasteful: lane 0 alone hashes.
__device__ b3::Digest digest(const word *words) {
    b3::Digest cv = b3::start();
#pragma unroll 1
    for (int half = 0; half < 2; ++half) {
        word m[16];
#pragma unroll
        for (int i = 0; i < 16; ++i) m[i] = words[16 * half + i];
        cv = b3::compress(cv, m, 0u, 64u, half == 0 ? 1u : 2u | 8u);
    }
    return cv;
}

}  // namespace

// a: m x k; bt: n x k; both int8, row major. One warp makes a 16 x (16 * WARP_TILES) strip.
extern "C" __global__ void __launch_bounds__(32 * WARPS)
tilepow_tensor(const signed char *a, const signed char *bt, int k, int n, word limit, int *product, uint4 *digests,
               unsigned *hits) {
    __shared__ word transcripts[WARPS][WARP_TILES][32];
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const int strips = n / (16 * WARP_TILES), strip = blockIdx.x * WARPS + warp;
    const int row0 = (strip / strips) * 16, column0 = (strip % strips) * 16 * WARP_TILES;
    Tile tiles[WARP_TILES] = {};
    for (int k0 = 0; k0 < k; k0 += RANK) {
#pragma unroll 4
        for (int kk = 0; kk < RANK; kk += 32) {
            unsigned fa[4];
            load_a(fa, a + row0 * k + k0 + kk, k, lane);
#pragma unroll
            for (int t = 0; t < WARP_TILES; ++t) {
                unsigned fb[2];
                load_b(fb, bt + (column0 + 16 * t) * k + k0 + kk, k, lane);
                mma_16x8x32(tiles[t].left, fa, fb);
                load_b(fb, bt + (column0 + 16 * t + 8) * k + k0 + kk, k, lane);
                mma_16x8x32(tiles[t].right, fa, fb);
            }
        }
#pragma unroll
        for (int t = 0; t < WARP_TILES; ++t) tiles[t].absorb();
    }
#pragma unroll
    for (int t = 0; t < WARP_TILES; ++t) {
        transcripts[warp][t][lane] = tiles[t].transcript;
        if (product)
            for (int i = 0; i < 4; ++i) {
                const int row = row0 + (lane >> 2) + 8 * (i >> 1), column = column0 + 16 * t + (lane & 3) * 2 + (i & 1);
                product[row * n + column] = tiles[t].left[i];
                product[row * n + column + 8] = tiles[t].right[i];
            }
    }
    __syncwarp();
    if (lane < WARP_TILES) {
        const b3::Digest d = digest(transcripts[warp][lane]);
        digests[2 * (strip * WARP_TILES + lane)] = d.low;
        digests[2 * (strip * WARP_TILES + lane) + 1] = d.high;
        if (d.low.x <= limit) atomicAdd(hits, 1u);
    }
}
