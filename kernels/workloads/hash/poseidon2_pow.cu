// Proof of work by an algebraic sponge: header and nonce in field elements, Poseidon2-like, applied twice. Inert.
#include "poseidon2_field.cuh"

#ifndef SQUEEZE
#define SQUEEZE 2
#endif

extern "C" __global__ void poseidon_search(const gold::u64 *header, gold::u64 first, gold::u64 limit, gold::u64 *digests,
                                           gold::u64 *best) {
    using namespace gold;
    const u64 nonce = first + static_cast<u64>(blockIdx.x) * blockDim.x + threadIdx.x;
    u64 s[WIDTH] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) s[i] = header[i];
    s[4] = nonce & kEpsilon;
    s[5] = nonce >> 32;
    s[8] = 1;
    permute(s);
#pragma unroll 1
    for (int i = 1; i < SQUEEZE; ++i) {
        s[4] = s[5] = s[6] = s[7] = 0;
        s[8] = 1;
#pragma unroll
        for (int k = 9; k < WIDTH; ++k) s[k] = 0;
        permute(s);
    }
    if (digests)
        for (int i = 0; i < 4; ++i) digests[4 * (nonce - first) + i] = s[i];
    if (s[0] <= limit) atomicMin(best, nonce);
}
