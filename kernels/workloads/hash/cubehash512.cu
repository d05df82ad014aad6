// CubeHash16/32-512 of 64 bytes, 32 words in registers, two rounds a step so that no word is ever moved. Inert.
#ifndef UNROLL_ROUNDS
#define UNROLL_ROUNDS 4
#endif

struct Cube {
    unsigned x[32];

    // One round with the words' places given by two masks: adding, rotating, swapping and xoring in turn.
    template <int Phase>
    __device__ __forceinline__ void half() {
        constexpr int turn = Phase ? 11 : 7, swap_low = Phase ? 4 : 8, swap_high = Phase ? 1 : 2;
        unsigned y[16];
#pragma unroll
        for (int i = 0; i < 16; ++i) x[16 + i] += x[i];
#pragma unroll
        for (int i = 0; i < 16; ++i) y[i ^ swap_low] = __funnelshift_l(x[i], x[i], turn);
#pragma unroll
        for (int i = 0; i < 16; ++i) x[i] = y[i] ^ x[16 + i];
#pragma unroll
        for (int i = 0; i < 16; ++i) y[i ^ swap_high] = x[16 + i];
#pragma unroll
        for (int i = 0; i < 16; ++i) x[16 + i] = y[i];
    }

    __device__ __forceinline__ void rounds(int count) {
#pragma unroll UNROLL_ROUNDS
        for (int r = 0; r < count; ++r) {
            half<0>();
            half<1>();
        }
    }
};

extern "C" __global__ void cube_stage(unsigned *digests, unsigned count, unsigned *hits, unsigned limit) {
    const unsigned id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= count) return;
    Cube c;
    for (int i = 0; i < 32; ++i) c.x[i] = 0;
    c.x[0] = 64;
    c.x[1] = 32;
    c.x[2] = 16;
    c.rounds(160);
    for (int block = 0; block < 3; ++block) {
        for (int i = 0; i < 8; ++i)
            c.x[i] ^= block < 2 ? digests[16 * id + 8 * block + i] : i == 0 ? 0x80u : 0u;
        c.rounds(16);
    }
    c.x[31] ^= 1;
    c.rounds(160);
    for (int i = 0; i < 16; ++i) digests[16 * id + i] = c.x[i];
    if (c.x[7] <= limit) atomicAdd(hits, 1u);
}
