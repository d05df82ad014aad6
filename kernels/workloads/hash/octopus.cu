// Octopus-like: a SipHash-filled vector, a polynomial over the field of 1,032,193 elements evaluated at chained points,
// and 32 reads of 256 bytes by a whole warp. Inert, any table size.
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef MODULUS
#define MODULUS 1032193u
#endif
#ifndef TERMS
#define TERMS 1024
#endif
#ifndef READS
#define READS 32
#endif
#define FNV(a, b) (((a) * 0x01000193u) ^ (b))

struct Sip {
    u64 a, b, c, d;
    __device__ static u64 rot(u64 x, int n) { return x << n | x >> (64 - n); }
    __device__ void step() {
        a += b; c += d; b = rot(b, 13) ^ a; d = rot(d, 16) ^ c; a = rot(a, 32);
        c += b; a += d; b = rot(b, 17) ^ c; d = rot(d, 21) ^ a; c = rot(c, 32);
    }
    __device__ u32 of(u64 word) {
        d ^= word; step(); step(); a ^= word; c ^= 0xff; step(); step(); step(); step();
        const u64 v = a ^ b ^ c ^ d;
        return (u32)v ^ (u32)(v >> 32);
    }
};

__device__ __forceinline__ u32 mod_mul(u32 x, u32 y) { return (u32)((u64)x * y % MODULUS); }

__constant__ u64 c_keys[4];

// One warp for one nonce. Coefficients live in shared memory; Horner's rule is split over the lanes.
extern "C" __global__ void octopus_warp(const uint2 *table, u32 rows, u64 first, u32 limit, u32 *results, u32 *hits) {
    __shared__ u32 coefficient[4][TERMS];
    const u32 lane = threadIdx.x & 31u, warp = threadIdx.x >> 5;
    const u64 nonce = first + blockIdx.x * (blockDim.x >> 5) + warp;
    for (u32 i = lane; i < TERMS; i += 32) {
        Sip s = {c_keys[0], c_keys[1], c_keys[2], c_keys[3]};
        coefficient[warp][i] = s.of(nonce * TERMS + i) % MODULUS;
    }
    __syncwarp();
    uint2 mix = make_uint2(coefficient[warp][lane], coefficient[warp][lane + 32]);
    u32 point = (u32)(nonce % MODULUS);
#pragma unroll 1
    for (u32 k = 0; k < READS; ++k) {
        // lane L sums the terms L, L+32, ...: powers of point^32, then times point^L
        u32 p = 1, p32 = point, value = 0;
#pragma unroll
        for (int i = 0; i < 5; ++i) {
            if ((lane >> i) & 1u) p = mod_mul(p, p32);
            p32 = mod_mul(p32, p32);
        }
#pragma unroll 4
        for (int i = TERMS / 32 - 1; i >= 0; --i) value = (mod_mul(value, p32) + coefficient[warp][32 * i + lane]) % MODULUS;
        value = mod_mul(value, p);
        for (int d = 16; d; d >>= 1) value = (value + __shfl_xor_sync(0xffffffffu, value, d)) % MODULUS;
        const u32 row = FNV(value ^ k, __shfl_sync(0xffffffffu, mix.x, k & 31u)) % rows;
        const uint2 read = __ldg(&table[(u64)row * 32 + lane]);
        mix.x = FNV(mix.x, read.x);
        mix.y = FNV(mix.y, read.y);
        point = (point + value + 1u) % MODULUS;
    }
    u32 folded = FNV(mix.x, mix.y);
    for (int d = 16; d; d >>= 1) folded = FNV(folded, 0u) ^ __shfl_xor_sync(0xffffffffu, folded, d);
    if (lane == 0) {
        Sip s = {c_keys[0], c_keys[1], c_keys[2], c_keys[3] ^ folded};
        const u32 result = s.of(nonce);
        if (results) results[nonce - first] = result;
        if (result <= limit) atomicAdd(hits, 1u);
    }
}
