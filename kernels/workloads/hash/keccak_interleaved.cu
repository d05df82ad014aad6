/* Keccak-256 search in bit-interleaved form: every 64-bit lane is its even and its odd bits, so that all rotations are
   32 bits wide. The state lies in shared memory, one column of it for each thread. Inert. */
typedef unsigned int uint;

#ifndef THREADS
#define THREADS 64
#endif
#define ROTL(x, n) ((n) ? ((x) << (n)) | ((x) >> (32 - (n))) : (x))

/* Even and odd halves of the round constants. */
__constant__ uint rc_even[24] = {
    0x00000001, 0x00000000, 0x00000000, 0x00000000, 0x00000001, 0x00000001, 0x00000001, 0x00000001,
    0x00000000, 0x00000000, 0x00000001, 0x00000000, 0x00000001, 0x00000001, 0x00000001, 0x00000001,
    0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000001, 0x00000000, 0x00000001, 0x00000000};
__constant__ uint rc_odd[24] = {
    0x00000000, 0x00000089, 0x8000008b, 0x80008080, 0x0000008b, 0x00008000, 0x80008088, 0x80000082,
    0x0000000b, 0x0000000a, 0x00008082, 0x00008003, 0x0000808b, 0x8000000b, 0x8000008a, 0x80000081,
    0x80000081, 0x80000008, 0x00000083, 0x80008003, 0x80008088, 0x80000088, 0x00008000, 0x80008082};
__constant__ unsigned char rho[25] = {0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14};
__constant__ unsigned char pi_to[25] = {0, 10, 20, 5, 15, 16, 1, 11, 21, 6, 7, 17, 2, 12, 22, 23, 8, 18, 3, 13, 14, 24, 9, 19, 4};

__device__ __forceinline__ uint squeeze_even(uint x) {
    x &= 0x55555555u;
    x = (x ^ (x >> 1)) & 0x33333333u;
    x = (x ^ (x >> 2)) & 0x0f0f0f0fu;
    x = (x ^ (x >> 4)) & 0x00ff00ffu;
    return (x ^ (x >> 8)) & 0x0000ffffu;
}
__device__ __forceinline__ uint spread(uint x) {
    x &= 0xffffu;
    x = (x ^ (x << 8)) & 0x00ff00ffu;
    x = (x ^ (x << 4)) & 0x0f0f0f0fu;
    x = (x ^ (x << 2)) & 0x33333333u;
    return (x ^ (x << 1)) & 0x55555555u;
}
__device__ __forceinline__ uint2 interleave(uint low, uint high) {
    return make_uint2(squeeze_even(low) | squeeze_even(high) << 16, squeeze_even(low >> 1) | squeeze_even(high >> 1) << 16);
}
__device__ __forceinline__ uint2 deinterleave(uint2 v) {
    return make_uint2(spread(v.x) | spread(v.y) << 1, spread(v.x >> 16) | spread(v.y >> 16) << 1);
}
__device__ __forceinline__ uint2 turn(uint2 v, uint n) {
    const uint half = n >> 1;
    return n & 1 ? make_uint2(ROTL(v.y, (half + 1) & 31), ROTL(v.x, half)) : make_uint2(ROTL(v.x, half), ROTL(v.y, half));
}

extern "C" __global__ void keccak_interleaved(const uint *header, uint words, uint first, uint limit, uint2 *digests,
                                              uint *hits) {
    __shared__ uint2 state[25][THREADS];
    const uint id = blockIdx.x * blockDim.x + threadIdx.x, t = threadIdx.x;
    uint2 moved[25];
    for (uint i = 0; i < 25; i++) {
        uint low = 2 * i < words ? header[2 * i] : 0, high = 2 * i + 1 < words ? header[2 * i + 1] : 0;
        if (2 * i == words) low = first + id;
        if (2 * i + 1 == words) high = first + id;
        if (2 * i == words + 1) low = 1;
        if (2 * i + 1 == words + 1) high = 1;
        if (i == 16) high ^= 0x80000000u;
        state[i][t] = interleave(low, high);
    }
#pragma unroll 1
    for (int round = 0; round < 24; round++) {
        uint2 c[5];
#pragma unroll
        for (int x = 0; x < 5; x++) {
            c[x] = state[x][t];
#pragma unroll
            for (int y = 5; y < 25; y += 5) {
                c[x].x ^= state[x + y][t].x;
                c[x].y ^= state[x + y][t].y;
            }
        }
#pragma unroll
        for (int i = 0; i < 25; i++) {
            const uint2 a = c[(i + 4) % 5], b = turn(c[(i + 1) % 5], 1), s = state[i][t];
            moved[pi_to[i]] = turn(make_uint2(s.x ^ a.x ^ b.x, s.y ^ a.y ^ b.y), rho[i]);
        }
#pragma unroll
        for (int i = 0; i < 25; i++) {
            const uint2 a = moved[i], b = moved[i / 5 * 5 + (i + 1) % 5], d = moved[i / 5 * 5 + (i + 2) % 5];
            state[i][t] = make_uint2(a.x ^ (~b.x & d.x), a.y ^ (~b.y & d.y));
        }
        state[0][t].x ^= rc_even[round];
        state[0][t].y ^= rc_odd[round];
    }
    uint2 d = make_uint2(0, 0);
    for (int i = 3; i >= 0; i--) {
        d = deinterleave(state[i][t]);
        if (digests) digests[4 * id + i] = d;
    }
    if (d.x <= limit) atomicAdd(hits, 1u);
}
