// Argon2d's memory filling, one warp an instance: a 1,024-byte block is four 64-bit words in each of the 32 lanes,
// BLAKE2b's round with multiplications runs on columns and rows that are exchanged by shuffles. Inert.
using u64 = unsigned long long;
using u32 = unsigned int;

#ifndef WARPS_PER_BLOCK
#define WARPS_PER_BLOCK 1
#endif

namespace {

struct Quad {
    u64 a, b, c, d;
};

__device__ __forceinline__ u64 rotr(u64 x, u32 n) { return (x >> n) | (x << (64 - n)); }

__device__ __forceinline__ u64 blamka(u64 x, u64 y) {
    return x + y + 2 * static_cast<u64>(static_cast<u32>(x)) * static_cast<u32>(y);
}

__device__ __forceinline__ void g(Quad &q) {
    q.a = blamka(q.a, q.b);
    q.d = rotr(q.d ^ q.a, 32);
    q.c = blamka(q.c, q.d);
    q.b = rotr(q.b ^ q.c, 24);
    q.a = blamka(q.a, q.b);
    q.d = rotr(q.d ^ q.a, 16);
    q.c = blamka(q.c, q.d);
    q.b = rotr(q.b ^ q.c, 63);
}

// Four lanes hold one 16-word group: lane's words are a column; a diagonal is a column after rotation.
__device__ __forceinline__ void round16(Quad &q) {
    const int lane = threadIdx.x & 3;
    g(q);
    q.b = __shfl_sync(0xffffffffu, q.b, lane + 1, 4);
    q.c = __shfl_sync(0xffffffffu, q.c, lane + 2, 4);
    q.d = __shfl_sync(0xffffffffu, q.d, lane + 3, 4);
    g(q);
    q.b = __shfl_sync(0xffffffffu, q.b, lane + 3, 4);
    q.c = __shfl_sync(0xffffffffu, q.c, lane + 2, 4);
    q.d = __shfl_sync(0xffffffffu, q.d, lane + 1, 4);
}

// Word numbers of a lane: in the row pass, groups are 16 neighbouring words; in the column pass, pairs of words
// 16 apart.
__device__ __forceinline__ int row_word(int lane, int k) { return 16 * (lane >> 2) + 4 * k + (lane & 3); }
__device__ __forceinline__ int column_word(int lane, int k) {
    const int j = 4 * k + (lane & 3);
    return 2 * (lane >> 2) + 16 * (j >> 1) + (j & 1);
}

__device__ void fill_block(const u64 *previous, const u64 *reference, u64 *target, u64 *scratch, bool mix_in) {
    const int lane = threadIdx.x & 31;
    u64 r[4];
    Quad q;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        const int w = row_word(lane, k);
        r[k] = previous[w] ^ reference[w];
    }
    q = {r[0], r[1], r[2], r[3]};
    round16(q);
    scratch[row_word(lane, 0)] = q.a;
    scratch[row_word(lane, 1)] = q.b;
    scratch[row_word(lane, 2)] = q.c;
    scratch[row_word(lane, 3)] = q.d;
    __syncwarp();
    q = {scratch[column_word(lane, 0)], scratch[column_word(lane, 1)], scratch[column_word(lane, 2)],
         scratch[column_word(lane, 3)]};
    round16(q);
    __syncwarp();
    scratch[column_word(lane, 0)] = q.a;
    scratch[column_word(lane, 1)] = q.b;
    scratch[column_word(lane, 2)] = q.c;
    scratch[column_word(lane, 3)] = q.d;
    __syncwarp();
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        const int w = row_word(lane, k);
        const u64 value = scratch[w] ^ r[k];
        target[w] = mix_in ? target[w] ^ value : value;
    }
    __syncwarp();
}

}  // namespace

// memory: instances x blocks x 128 words, the first two blocks of each are filled in; one lane of parallelism.
extern "C" __global__ void argon2d_fill(u64 *memory, u32 blocks, u32 passes) {
    __shared__ u64 scratch[WARPS_PER_BLOCK][128];
    const u32 warp = threadIdx.x >> 5, instance = blockIdx.x * WARPS_PER_BLOCK + warp;
    u64 *mine = memory + static_cast<u64>(instance) * blocks * 128;
    const u32 segment = blocks / 4;
    for (u32 pass = 0; pass < passes; ++pass)
        for (u32 at = pass == 0 ? 2 : 0; at < blocks; ++at) {
            const u32 before = at == 0 ? blocks - 1 : at - 1, slice = at / segment, inside = at % segment;
            const u32 j1 = static_cast<u32>(mine[static_cast<u64>(before) * 128]);
            const u32 area = pass == 0 ? at - 1 : blocks - segment + inside - 1;
            const u64 squared = (static_cast<u64>(j1) * j1) >> 32;
            const u32 relative = area - 1 - static_cast<u32>((area * squared) >> 32);
            const u32 start = pass == 0 ? 0 : ((slice + 1) & 3) * segment;
            const u32 from = (start + relative) % blocks;
            fill_block(mine + before * 128ull, mine + from * 128ull, mine + at * 128ull, scratch[warp], pass != 0);
        }
}
