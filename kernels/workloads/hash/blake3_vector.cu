// BLAKE3 proof of work over a 128-byte or 192-byte header (two or three blocks); inert, fixed header.
// Style: C++ templates, uint4 rows, PRMT rotations, the first block's chaining value computed on the host.
#include "blake3_lanes.cuh"

#ifndef TAIL_WORDS
#define TAIL_WORDS 13
#endif
#ifndef PER_THREAD
#define PER_THREAD 2
#endif

namespace {

struct Job {
    b3::Digest midstate;
    b3::word tail[16];
    unsigned long long target;
};

__device__ __forceinline__ unsigned long long leading(uint4 v) {
    return (static_cast<unsigned long long>(v.w) << 32) | v.z;
}

template <int Tail>
__device__ __forceinline__ b3::Digest attempt(const Job &job, unsigned long long nonce) {
    b3::word m[16];
#pragma unroll
    for (int i = 0; i < 16; ++i) m[i] = i < Tail ? job.tail[i] : 0u;
    m[Tail] = static_cast<b3::word>(nonce);
    m[Tail + 1] = static_cast<b3::word>(nonce >> 32);
    return b3::compress(job.midstate, m, 0u, 4u * (Tail + 2), 2u | 8u);
}

}  // namespace

extern "C" __global__ void vector_search(Job job, unsigned long long base, unsigned int *count,
                                         unsigned long long *hits) {
    const unsigned long long stride = static_cast<unsigned long long>(gridDim.x) * blockDim.x;
    unsigned long long nonce = base + blockIdx.x * blockDim.x + threadIdx.x;
#pragma unroll
    for (int i = 0; i < PER_THREAD; ++i, nonce += stride) {
        const b3::Digest d = attempt<TAIL_WORDS>(job, nonce);
        if (leading(d.high) <= job.target) {
            const unsigned int slot = atomicAdd(count, 1u);
            if (slot < 16u) hits[slot] = nonce;
        }
    }
}

extern "C" __global__ void vector_digest(const b3::word *midstate, const b3::word *tail, unsigned long long nonce,
                                         uint4 *out) {
    Job job;
    job.midstate = {make_uint4(midstate[0], midstate[1], midstate[2], midstate[3]),
                    make_uint4(midstate[4], midstate[5], midstate[6], midstate[7])};
    for (int i = 0; i < 16; ++i) job.tail[i] = tail[i];
    const b3::Digest d = attempt<TAIL_WORDS>(job, nonce);
    out[0] = d.low;
    out[1] = d.high;
}
