// Sketches by hashing: Bloom filter (plain and blocked), count-min, HyperLogLog, MinHash and SimHash.

using u32 = unsigned int;
using u64 = unsigned long long;

#ifndef PRECISION
#define PRECISION 12 /* of HyperLogLog: 2^12 registers */
#endif
#ifndef HASHES
#define HASHES 7
#endif

__device__ __forceinline__ u64 mix64(u64 x, u64 seed)
{
    x ^= seed;
    x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdull;
    x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ull;
    return x ^ (x >> 33);
}

extern "C" __global__ void bloom_add(u32 *bits, u32 n_bits, const u64 *keys, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u64 h = mix64(keys[i], 0);
    u32 a = (u32)h, b = (u32)(h >> 32) | 1;
#pragma unroll
    for (int k = 0; k < HASHES; k++, a += b) {
        u32 bit = a % n_bits;
        atomicOr(&bits[bit >> 5], 1u << (bit & 31));
    }
}

extern "C" __global__ void bloom_test(const u32 *bits, u32 n_bits, const u64 *keys, unsigned char *present, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u64 h = mix64(keys[i], 0);
    u32 a = (u32)h, b = (u32)(h >> 32) | 1, all = 1;
    for (int k = 0; k < HASHES && all; k++, a += b) all &= bits[(a % n_bits) >> 5] >> ((a % n_bits) & 31);
    present[i] = (unsigned char)(all & 1);
}

// Parquet-style split block: eight odd multipliers set one bit in each of eight words.
extern "C" __global__ void bloom_block_add(uint4 *blocks, u32 n_blocks, const u64 *hashes, int n)
{
    const u32 salt[8] = {0x47b6137bu, 0x44974d91u, 0x8824ad5bu, 0xa2b7289du, 0x705495c7u, 0x2df1424bu, 0x9efc4947u, 0x5c6bfb31u};
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        u64 h = hashes[i];
        u32 *block = (u32 *)(blocks + 2 * (u32)(((h >> 32) * n_blocks) >> 32));
        for (int k = 0; k < 8; k++) atomicOr(&block[k], 1u << (((u32)h * salt[k]) >> 27));
    }
}

extern "C" __global__ void count_min_add(u32 *table, u32 width, const u64 *keys, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    for (u32 row = 0; row < HASHES; row++) atomicAdd(&table[row * width + (u32)(mix64(keys[i], row * 0x9E3779B97F4A7C15ull) % width)], 1u);
}

extern "C" __global__ void hyperloglog_add(u32 *registers, const u64 *keys, int n)
{
    const u32 m = 1u << PRECISION;
    __shared__ u32 local[m];
    for (u32 r = threadIdx.x; r < m; r += blockDim.x) local[r] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        u64 h = mix64(keys[i], 0);
        u32 rank = (u32)__clzll((long long)((h << PRECISION) | (1ull << (PRECISION - 1)))) + 1;
        atomicMax(&local[h >> (64 - PRECISION)], rank);
    }
    __syncthreads();
    for (u32 r = threadIdx.x; r < m; r += blockDim.x)
        if (local[r]) atomicMax(&registers[r], local[r]);
}

// Signatures of sets for near-duplicate search: one warp a document, a lane per permutation.
extern "C" __global__ void minhash(const u32 *shingles, const u32 *begin, const u32 *a, const u32 *b, u32 *signatures, int permutations)
{
    u32 document = blockIdx.x;
    for (int p = threadIdx.x; p < permutations; p += blockDim.x) {
        u32 least = ~0u;
        for (u32 s = begin[document]; s < begin[document + 1]; s++) {
            u64 v = (u64)a[p] * shingles[s] + b[p];
            v = (v & 0x1fffffffffffffffull) + (v >> 61);  // Mersenne prime 2^61 - 1
            least = min(least, (u32)v);
        }
        signatures[(size_t)document * permutations + p] = least;
    }
}

extern "C" __global__ void simhash(const u64 *features, const u32 *begin, u64 *out)
{
    int lane = threadIdx.x & 31, votes0 = 0, votes1 = 0;
    u32 document = blockIdx.x;
    for (u32 f = begin[document]; f < begin[document + 1]; f++) {
        u64 h = mix64(features[f], 7);
        votes0 += (h >> lane & 1) ? 1 : -1;
        votes1 += (h >> (lane + 32) & 1) ? 1 : -1;
    }
    u32 low = __ballot_sync(0xffffffffu, votes0 > 0), high = __ballot_sync(0xffffffffu, votes1 > 0);
    if (lane == 0) out[document] = low | (u64)high << 32;
}
