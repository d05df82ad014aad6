// Cuckatoo by lean trimming: edges from SipHash-2-4, one bit an edge and one bit a node, leaves dropped round by round.
// Inert: keys come from a fixed header; what survives is counted.
#ifndef EDGE_BITS
#define EDGE_BITS 29
#endif
#ifndef PER_THREAD
#define PER_THREAD 32
#endif

typedef unsigned int u32;
typedef unsigned long long u64;

constexpr u32 kNodeMask = (1u << EDGE_BITS) - 1u;

struct SipKeys {
    u64 k0, k1, k2, k3;
};

__device__ __forceinline__ u64 rotl(u64 x, int b) { return (x << b) | (x >> (64 - b)); }

class SipState {
    u64 v0, v1, v2, v3;

  public:
    __device__ SipState(const SipKeys &k) : v0(k.k0), v1(k.k1), v2(k.k2), v3(k.k3) {}
    __device__ void round() {
        v0 += v1; v2 += v3;
        v1 = rotl(v1, 13); v3 = rotl(v3, 16);
        v1 ^= v0; v3 ^= v2;
        v0 = rotl(v0, 32);
        v2 += v1; v0 += v3;
        v1 = rotl(v1, 17); v3 = rotl(v3, 21);
        v1 ^= v2; v3 ^= v0;
        v2 = rotl(v2, 32);
    }
    __device__ void hash24(u64 nonce) {
        v3 ^= nonce;
        round(); round();
        v0 ^= nonce;
        v2 ^= 0xff;
        round(); round(); round(); round();
    }
    __device__ u64 value() const { return v0 ^ v1 ^ v2 ^ v3; }
};

__device__ __forceinline__ u32 endpoint(const SipKeys &keys, u32 edge, u32 side) {
    SipState s(keys);
    s.hash24(2ull * edge + side);
    return static_cast<u32>(s.value()) & kNodeMask;
}

// A thread takes the edges of whole words of the bitmap; node bits are set by atomics.
extern "C" __global__ void lean_mark(SipKeys keys, const u32 *alive, u32 side, u32 *nodes) {
    const u32 threads = gridDim.x * blockDim.x;
    u32 block = blockIdx.x * blockDim.x + threadIdx.x;
    for (; block < (1u << EDGE_BITS) / PER_THREAD; block += threads) {
        u32 bits = alive[block];
        while (bits) {
            const u32 bit = __ffs(bits) - 1;
            bits &= bits - 1;
            const u32 node = endpoint(keys, block * PER_THREAD + bit, side);
            atomicOr(&nodes[node >> 5], 1u << (node & 31));
        }
    }
}

// An edge lives on if the other node of its pair (node ^ 1) is marked as well.
extern "C" __global__ void lean_kill(SipKeys keys, u32 *alive, u32 side, const u32 *nodes) {
    const u32 threads = gridDim.x * blockDim.x;
    u32 block = blockIdx.x * blockDim.x + threadIdx.x;
    for (; block < (1u << EDGE_BITS) / PER_THREAD; block += threads) {
        u32 bits = alive[block], left = bits;
        while (bits) {
            const u32 bit = __ffs(bits) - 1;
            bits &= bits - 1;
            const u32 node = endpoint(keys, block * PER_THREAD + bit, side) ^ 1u;
            if (!((__ldg(&nodes[node >> 5]) >> (node & 31)) & 1u)) left &= ~(1u << bit);
        }
        alive[block] = left;
    }
}

extern "C" __global__ void lean_census(const u32 *alive, u32 words, u32 *total) {
    u32 sum = 0;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < words; i += gridDim.x * blockDim.x) sum += __popc(alive[i]);
    for (int d = 16; d; d >>= 1) sum += __shfl_down_sync(0xffffffffu, sum, d);
    if ((threadIdx.x & 31) == 0) atomicAdd(total, sum);
}
