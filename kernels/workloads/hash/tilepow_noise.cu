// Noise for the matrix proof of work: low-rank int8 matrices from a BLAKE3 output stream, added to the operands
// with saturation to seven bits, and taken out again afterwards. Inert.
#include "blake3_lanes.cuh"

#ifndef RANK
#define RANK 64
#endif

using b3::operator^;

namespace {

// 64 bytes of output stream number `counter` for a 32-byte seed.
__device__ void stream(const b3::word *seed, b3::word counter, uint4 (&out)[4]) {
    b3::word m[16] = {};
#pragma unroll
    for (int i = 0; i < 8; ++i) m[i] = seed[i];
    const b3::Digest cv = b3::start();
    b3::Rows s = {cv.low, cv.high, make_uint4(b3::iv(0), b3::iv(1), b3::iv(2), b3::iv(3)),
                  make_uint4(counter, 0u, 32u, 1u | 2u | 8u)};
    b3::rounds(s, m);
    out[0] = s.a ^ s.c;
    out[1] = s.b ^ s.d;
    out[2] = s.c ^ cv.low;
    out[3] = s.d ^ cv.high;
}

__device__ __forceinline__ int clip7(int v) { return max(-63, min(63, v)); }

}  // namespace

// One thread makes 64 entries in -1 ... 2 from the two low bits of each byte.
extern "C" __global__ void noise_fill(const b3::word *seed, unsigned blocks, signed char *factor) {
    const unsigned id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= blocks) return;
    uint4 bytes[4];
    stream(seed, id, bytes);
    char4 *out = reinterpret_cast<char4 *>(factor) + 16 * id;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const b3::word w[4] = {bytes[i].x, bytes[i].y, bytes[i].z, bytes[i].w};
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            char4 v;
            v.x = static_cast<signed char>((w[j] & 3u) - 1u);
            v.y = static_cast<signed char>(((w[j] >> 8) & 3u) - 1u);
            v.z = static_cast<signed char>(((w[j] >> 16) & 3u) - 1u);
            v.w = static_cast<signed char>(((w[j] >> 24) & 3u) - 1u);
            out[4 * i + j] = v;
        }
    }
}

// operand += left (rows x RANK) * right (columns x RANK, transposed), clipped to seven bits.
extern "C" __global__ void noise_add(const int *left, const int *right, int columns, const signed char *operand,
                                     signed char *noised) {
    __shared__ int sl[16][RANK / 4 + 1], sr[16][RANK / 4 + 1];
    const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
    for (int i = threadIdx.x; i < RANK / 4; i += 16) {
        sl[threadIdx.y][i] = left[row * (RANK / 4) + i];
        sr[threadIdx.y][i] = right[(blockIdx.x * 16 + threadIdx.y) * (RANK / 4) + i];
    }
    __syncthreads();
    int e = 0;
#pragma unroll
    for (int i = 0; i < RANK / 4; ++i) e = __dp4a(sl[threadIdx.y][i], sr[threadIdx.x][i], e);
    noised[row * columns + column] = static_cast<signed char>(clip7(operand[row * columns + column] + e));
}

// product -= (A L) R: the correction that gives the honest product back, with int32 throughout.
extern "C" __global__ void noise_peel(const int *projected, const signed char *right, int columns, int *product) {
    const int row = blockIdx.y * blockDim.y + threadIdx.y, column = blockIdx.x * blockDim.x + threadIdx.x;
    int e = 0;
    for (int i = 0; i < RANK; ++i) e += projected[row * RANK + i] * right[column * RANK + i];
    product[row * columns + column] -= e;
}
