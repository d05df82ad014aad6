// Non-cryptographic checksums of many buffers: xxHash32 and 64, Murmur3, FNV-1a, SipHash-2-4, a CityHash-like mix.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned char u8;

#define PRIME32_1 2654435761u
#define PRIME32_2 2246822519u
#define PRIME32_3 3266489917u
#define PRIME32_4 668265263u
#define PRIME32_5 374761393u
#define PRIME64_1 11400714785074694791ull
#define PRIME64_2 14029467366897019727ull
#define PRIME64_3 1609587929392839161ull
#define PRIME64_4 9650029242287828579ull
#define PRIME64_5 2870177450012600261ull

__device__ __forceinline__ u32 rol32(u32 x, int r) { return (x << r) | (x >> (32 - r)); }
__device__ __forceinline__ u64 rol64(u64 x, int r) { return (x << r) | (x >> (64 - r)); }
// Buffers start at any byte, so words are put together from bytes.
__device__ __forceinline__ u32 get32(const u8 *p) { return p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24; }
__device__ __forceinline__ u64 get64(const u8 *p) { return get32(p) | (u64)get32(p + 4) << 32; }

extern "C" __global__ void xxhash32(const u8 *data, const u32 *begin, u32 seed, u32 *out, int n)
{
    int item = blockIdx.x * blockDim.x + threadIdx.x;
    if (item >= n) return;
    const u8 *p = data + begin[item], *end = data + begin[item + 1];
    u32 length = begin[item + 1] - begin[item], h = seed + PRIME32_5;
    if (length >= 16) {
        u32 v[4] = {seed + PRIME32_1 + PRIME32_2, seed + PRIME32_2, seed, seed - PRIME32_1};
        for (; p + 16 <= end; p += 16)
#pragma unroll
            for (int i = 0; i < 4; i++) v[i] = rol32(v[i] + get32(p + 4 * i) * PRIME32_2, 13) * PRIME32_1;
        h = rol32(v[0], 1) + rol32(v[1], 7) + rol32(v[2], 12) + rol32(v[3], 18);
    }
    h += length;
    for (; p + 4 <= end; p += 4) h = rol32(h + get32(p) * PRIME32_3, 17) * PRIME32_4;
    for (; p < end; p++) h = rol32(h + *p * PRIME32_5, 11) * PRIME32_1;
    h = (h ^ (h >> 15)) * PRIME32_2;
    h = (h ^ (h >> 13)) * PRIME32_3;
    out[item] = h ^ (h >> 16);
}

extern "C" __global__ void xxhash64(const u8 *data, const u32 *begin, u64 seed, u64 *out, int n)
{
    int item = blockIdx.x * blockDim.x + threadIdx.x;
    if (item >= n) return;
    const u8 *p = data + begin[item], *end = data + begin[item + 1];
    u64 length = begin[item + 1] - begin[item], h = seed + PRIME64_5;
    if (length >= 32) {
        u64 v[4] = {seed + PRIME64_1 + PRIME64_2, seed + PRIME64_2, seed, seed - PRIME64_1};
        for (; p + 32 <= end; p += 32)
#pragma unroll
            for (int i = 0; i < 4; i++) v[i] = rol64(v[i] + get64(p + 8 * i) * PRIME64_2, 31) * PRIME64_1;
        h = rol64(v[0], 1) + rol64(v[1], 7) + rol64(v[2], 12) + rol64(v[3], 18);
        for (int i = 0; i < 4; i++) h = (h ^ (rol64(v[i] * PRIME64_2, 31) * PRIME64_1)) * PRIME64_1 + PRIME64_4;
    }
    h += length;
    for (; p + 8 <= end; p += 8) h = rol64(h ^ (rol64(get64(p) * PRIME64_2, 31) * PRIME64_1), 27) * PRIME64_1 + PRIME64_4;
    if (p + 4 <= end) { h = rol64(h ^ (get32(p) * PRIME64_1), 23) * PRIME64_2 + PRIME64_3; p += 4; }
    for (; p < end; p++) h = rol64(h ^ (*p * PRIME64_5), 11) * PRIME64_1;
    h = (h ^ (h >> 33)) * PRIME64_2;
    h = (h ^ (h >> 29)) * PRIME64_3;
    out[item] = h ^ (h >> 32);
}

extern "C" __global__ void murmur3_x86_32(const u8 *data, const u32 *begin, u32 seed, u32 *out, int n)
{
    int item = blockIdx.x * blockDim.x + threadIdx.x;
    if (item >= n) return;
    const u8 *p = data + begin[item];
    u32 length = begin[item + 1] - begin[item], h = seed, tail = 0;
    for (u32 i = 0; i < length / 4; i++) {
        u32 k = rol32(get32(p + 4 * i) * 0xcc9e2d51u, 15) * 0x1b873593u;
        h = rol32(h ^ k, 13) * 5 + 0xe6546b64u;
    }
    for (u32 i = length & ~3u; i < length; i++) tail |= (u32)p[i] << (8 * (i & 3));
    h ^= rol32(tail * 0xcc9e2d51u, 15) * 0x1b873593u;
    h ^= length;
    h = (h ^ (h >> 16)) * 0x85ebca6bu;
    h = (h ^ (h >> 13)) * 0xc2b2ae35u;
    out[item] = h ^ (h >> 16);
}

__device__ __forceinline__ u64 finish64(u64 k)
{
    k = (k ^ (k >> 33)) * 0xff51afd7ed558ccdull;
    k = (k ^ (k >> 33)) * 0xc4ceb9fe1a85ec53ull;
    return k ^ (k >> 33);
}

// x64 128-bit form over fixed rows of `blocks` 16-byte blocks.
extern "C" __global__ void murmur3_x64_rows(const ulonglong2 *rows, int blocks, u64 seed, ulonglong2 *out, int n)
{
    const u64 c1 = 0x87c37b91114253d5ull, c2 = 0x4cf5ad432745937full;
    for (int item = blockIdx.x * blockDim.x + threadIdx.x; item < n; item += gridDim.x * blockDim.x) {
        u64 h1 = seed, h2 = seed;
        for (int b = 0; b < blocks; b++) {
            ulonglong2 k = rows[(size_t)item * blocks + b];
            h1 ^= rol64(k.x * c1, 31) * c2;
            h1 = (rol64(h1, 27) + h2) * 5 + 0x52dce729;
            h2 ^= rol64(k.y * c2, 33) * c1;
            h2 = (rol64(h2, 31) + h1) * 5 + 0x38495ab5;
        }
        h1 ^= 16ull * blocks; h2 ^= 16ull * blocks;
        h1 += h2; h2 += h1;
        h1 = finish64(h1); h2 = finish64(h2);
        h1 += h2; h2 += h1;
        out[item] = make_ulonglong2(h1, h2);
    }
}

extern "C" __global__ void fnv1a_strings(const u8 *data, const u32 *begin, u64 *out, int n)
{
    int item = blockIdx.x * blockDim.x + threadIdx.x;
    if (item >= n) return;
    u64 h = 0xcbf29ce484222325ull;
    for (u32 p = begin[item]; p < begin[item + 1]; p++) h = (h ^ data[p]) * 0x100000001b3ull;
    out[item] = h;
}

#ifndef SIP_C
#define SIP_C 2
#define SIP_D 4
#endif
struct Sip {
    u64 v0, v1, v2, v3;
    __device__ __forceinline__ void round()
    {
        v0 += v1; v1 = rol64(v1, 13) ^ v0; v0 = rol64(v0, 32);
        v2 += v3; v3 = rol64(v3, 16) ^ v2;
        v0 += v3; v3 = rol64(v3, 21) ^ v0;
        v2 += v1; v1 = rol64(v1, 17) ^ v2; v2 = rol64(v2, 32);
    }
};

extern "C" __global__ void siphash_strings(const u8 *data, const u32 *begin, u64 k0, u64 k1, u64 *out, int n)
{
    int item = blockIdx.x * blockDim.x + threadIdx.x;
    if (item >= n) return;
    const u8 *p = data + begin[item];
    u32 length = begin[item + 1] - begin[item];
    Sip s = {k0 ^ 0x736f6d6570736575ull, k1 ^ 0x646f72616e646f6dull, k0 ^ 0x6c7967656e657261ull, k1 ^ 0x7465646279746573ull};
    for (u32 w = 0; w <= length / 8; w++) {
        u64 m = 0;
        if (w < length / 8) m = get64(p + 8 * w);
        else {
            for (u32 i = length & ~7u; i < length; i++) m |= (u64)p[i] << (8 * (i & 7));
            m |= (u64)length << 56;
        }
        s.v3 ^= m;
        for (int r = 0; r < SIP_C; r++) s.round();
        s.v0 ^= m;
    }
    s.v2 ^= 255;
    for (int r = 0; r < SIP_D; r++) s.round();
    out[item] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

// Short keys of 8 to 16 bytes by multiply, rotate and a 128-to-64 fold, as city-style hashes do it.
extern "C" __global__ void city_like_short(const ulonglong2 *keys, u64 *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const u64 k2 = 0x9ae16a3b2f90404full;
    u64 mul = k2 + 32, a = keys[i].x + k2, b = keys[i].y, c = rol64(b, 27) * mul + a, d = (rol64(a, 39) + b) * mul;
    u64 x = (c ^ d) * mul;
    x = (d ^ x ^ (x >> 47)) * mul;
    out[i] = (x ^ (x >> 47)) * mul;
}
