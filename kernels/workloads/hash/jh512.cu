// JH-512 of 64 bytes in the plain form of its definition: 256 four-bit elements, constants made on the way. Inert.
typedef unsigned char u8;
typedef unsigned long long u64;
typedef unsigned int u32;

#ifndef UNROLL
#define UNROLL 4
#endif

__constant__ u8 kSbox[2][16] = {{9, 0, 4, 11, 13, 12, 3, 15, 1, 10, 2, 6, 7, 5, 8, 14},
                                {3, 12, 6, 13, 5, 7, 1, 9, 15, 2, 0, 4, 11, 10, 14, 8}};
__constant__ u8 kZero[64] = {0x6, 0xa, 0x0, 0x9, 0xe, 0x6, 0x6, 0x7, 0xf, 0x3, 0xb, 0xc, 0xc, 0x9, 0x0, 0x8,
                             0xb, 0x2, 0xf, 0xb, 0x1, 0x3, 0x6, 0x6, 0xe, 0xa, 0x9, 0x5, 0x7, 0xd, 0x3, 0xe,
                             0x3, 0xa, 0xd, 0xe, 0xc, 0x1, 0x7, 0x5, 0x1, 0x2, 0x7, 0x7, 0x5, 0x0, 0x9, 0x9,
                             0xd, 0xa, 0x2, 0xf, 0x5, 0x9, 0x0, 0xb, 0x0, 0x6, 0x6, 0x7, 0x3, 0x2, 0x2, 0xa};

__device__ __forceinline__ void linear(u8 &a, u8 &b) {
    b ^= ((a << 1) ^ (a >> 3) ^ ((a >> 2) & 2)) & 15;
    a ^= ((b << 1) ^ (b >> 3) ^ ((b >> 2) & 2)) & 15;
}

// Layers of one round on 2^D elements; `select` gives a bit for each element's box.
template <int D>
__device__ __noinline__ void layers(u8 *a, const u8 *select) {
    constexpr int n = 1 << D;
    u8 t[n];
#pragma unroll UNROLL
    for (int i = 0; i < n; ++i) t[i] = kSbox[select ? (select[i >> 2] >> (3 - (i & 3))) & 1 : 0][a[i]];
#pragma unroll UNROLL
    for (int i = 0; i < n; i += 2) linear(t[i], t[i + 1]);
#pragma unroll UNROLL
    for (int i = 0; i < n; i += 4) {
        const u8 s = t[i + 2];
        t[i + 2] = t[i + 3];
        t[i + 3] = s;
    }
#pragma unroll UNROLL
    for (int i = 0; i < n / 2; ++i) {
        a[i] = t[2 * i];
        a[i + n / 2] = t[2 * i + 1];
    }
#pragma unroll UNROLL
    for (int i = n / 2; i < n; i += 2) {
        const u8 s = a[i];
        a[i] = a[i + 1];
        a[i + 1] = s;
    }
}

__device__ __noinline__ void e8(u8 *h) {
    u8 q[256], constants[64];
#pragma unroll 1
    for (int i = 0; i < 256; ++i) {
        const int byte = i >> 3, bit = 7 - (i & 7);
        const u8 v = (h[byte] >> bit & 1) << 3 | (h[byte + 32] >> bit & 1) << 2 | (h[byte + 64] >> bit & 1) << 1 |
                     (h[byte + 96] >> bit & 1);
        q[i < 128 ? 2 * i : 2 * (i - 128) + 1] = v;
    }
    for (int i = 0; i < 64; ++i) constants[i] = kZero[i];
#pragma unroll 1
    for (int r = 0; r < 42; ++r) {
        layers<8>(q, constants);
        layers<6>(constants, 0);
    }
    for (int i = 0; i < 128; ++i) h[i] = 0;
#pragma unroll 1
    for (int i = 0; i < 256; ++i) {
        const u8 v = q[i < 128 ? 2 * i : 2 * (i - 128) + 1];
        const int byte = i >> 3, bit = 7 - (i & 7);
        h[byte] |= (v >> 3 & 1) << bit;
        h[byte + 32] |= (v >> 2 & 1) << bit;
        h[byte + 64] |= (v >> 1 & 1) << bit;
        h[byte + 96] |= (v & 1) << bit;
    }
}

__device__ void absorb(u8 *h, const u8 *block) {
    for (int i = 0; i < 64; ++i) h[i] ^= block[i];
    e8(h);
    for (int i = 0; i < 64; ++i) h[64 + i] ^= block[i];
}

extern "C" __global__ void jh_stage(u8 *digests, u32 count, u8 limit, u32 *hits) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= count) return;
    u8 h[128], block[64];
    for (int i = 0; i < 128; ++i) h[i] = 0;
    for (int i = 0; i < 64; ++i) block[i] = 0;
    h[0] = 2;
    absorb(h, block);
    for (int i = 0; i < 64; ++i) block[i] = digests[64 * id + i];
    absorb(h, block);
    for (int i = 0; i < 64; ++i) block[i] = 0;
    block[0] = 0x80;
    block[62] = 2;
    absorb(h, block);
    for (int i = 0; i < 64; ++i) digests[64 * id + i] = h[64 + i];
    if (h[64] <= limit) atomicAdd(hits, 1u);
}
