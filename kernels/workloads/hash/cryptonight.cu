// CryptoNight-like: Keccak, AES-filled scratchpad, a latency-bound loop of AES rounds and 64-bit products, AES folding,
// Keccak again. AES by tables in shared memory. Inert, sizes are macros.
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef SCRATCH
#define SCRATCH (1 << 21)
#endif
#ifndef ITERATIONS
#define ITERATIONS (1 << 18)
#endif
#define MASK ((SCRATCH - 1) & ~15u)

__constant__ u8 c_sbox[256] = {
    0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76, 0xca, 0x82, 0xc9, 0x7d,
    0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0, 0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc,
    0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15, 0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2,
    0xeb, 0x27, 0xb2, 0x75, 0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
    0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf, 0xd0, 0xef, 0xaa, 0xfb,
    0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8, 0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5,
    0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2, 0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d,
    0x64, 0x5d, 0x19, 0x73, 0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
    0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79, 0xe7, 0xc8, 0x37, 0x6d,
    0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08, 0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6,
    0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a, 0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9,
    0x86, 0xc1, 0x1d, 0x9e, 0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
    0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16};

struct Tables {
#ifdef ONE_TABLE
    u32 t0[256];
    __device__ u32 get(int i, u32 x) const { const u32 v = t0[x]; return (v << (8 * i)) | (i ? v >> (32 - 8 * i) : 0); }
#else
    u32 t[4][256];
    __device__ u32 get(int i, u32 x) const { return t[i][x]; }
#endif
    __device__ void fill() {
        for (u32 x = threadIdx.x; x < 256; x += blockDim.x) {
            const u32 s = c_sbox[x], twice = (s << 1) ^ ((s >> 7) * 0x11b), thrice = twice ^ s;
            const u32 v = twice | s << 8 | s << 16 | thrice << 24;
#ifdef ONE_TABLE
            t0[x] = v;
#else
            for (int i = 0; i < 4; ++i) t[i][x] = __funnelshift_l(v, v, 8 * i);
#endif
        }
        __syncthreads();
    }
    __device__ uint4 round(uint4 b, uint4 k) const {
        uint4 r;
        r.x = get(0, b.x & 255) ^ get(1, b.y >> 8 & 255) ^ get(2, b.z >> 16 & 255) ^ get(3, b.w >> 24) ^ k.x;
        r.y = get(0, b.y & 255) ^ get(1, b.z >> 8 & 255) ^ get(2, b.w >> 16 & 255) ^ get(3, b.x >> 24) ^ k.y;
        r.z = get(0, b.z & 255) ^ get(1, b.w >> 8 & 255) ^ get(2, b.x >> 16 & 255) ^ get(3, b.y >> 24) ^ k.z;
        r.w = get(0, b.w & 255) ^ get(1, b.x >> 8 & 255) ^ get(2, b.y >> 16 & 255) ^ get(3, b.z >> 24) ^ k.w;
        return r;
    }
};

__device__ __forceinline__ uint4 operator^(uint4 a, uint4 b) { return make_uint4(a.x ^ b.x, a.y ^ b.y, a.z ^ b.z, a.w ^ b.w); }

__device__ u32 sub_word(u32 v) {
    return c_sbox[v & 255] | (u32)c_sbox[v >> 8 & 255] << 8 | (u32)c_sbox[v >> 16 & 255] << 16 | (u32)c_sbox[v >> 24] << 24;
}

// The first ten round keys of AES-256.
__device__ void expand_key(const u32 *key, uint4 *round_keys) {
    u32 w[40], rcon = 1;
    for (int i = 0; i < 8; ++i) w[i] = key[i];
    for (int i = 8; i < 40; ++i) {
        u32 t = w[i - 1];
        if (i % 8 == 0) {
            t = sub_word(t >> 8 | t << 24) ^ rcon;
            rcon <<= 1;
        } else if (i % 8 == 4) {
            t = sub_word(t);
        }
        w[i] = w[i - 8] ^ t;
    }
    for (int i = 0; i < 10; ++i) round_keys[i] = make_uint4(w[4 * i], w[4 * i + 1], w[4 * i + 2], w[4 * i + 3]);
}

__constant__ u64 c_round[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

__device__ void keccakf(u64 *s) {
    const int offsets[25] = {0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14};
    for (int r = 0; r < 24; ++r) {
        u64 c[5], b[25];
        for (int x = 0; x < 5; ++x) c[x] = s[x] ^ s[x + 5] ^ s[x + 10] ^ s[x + 15] ^ s[x + 20];
#pragma unroll
        for (int i = 0; i < 25; ++i) {
            const u64 d = c[(i + 4) % 5] ^ (c[(i + 1) % 5] << 1 | c[(i + 1) % 5] >> 63), v = s[i] ^ d;
            const int x = i % 5, y = i / 5, n = offsets[i];
            b[y + 5 * ((2 * x + 3 * y) % 5)] = n ? v << n | v >> (64 - n) : v;
        }
#pragma unroll
        for (int i = 0; i < 25; ++i) s[i] = b[i] ^ (~b[i / 5 * 5 + (i + 1) % 5] & b[i / 5 * 5 + (i + 2) % 5]);
        s[0] ^= c_round[r];
    }
}

// input: 76 bytes in ten 64-bit words, the nonce replaces bytes 39 to 42.
extern "C" __global__ void cn_prepare(const u64 *input, u32 first, u64 *states) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x, nonce = first + id;
    u64 s[25] = {};
    for (int i = 0; i < 10; ++i) s[i] = input[i];
    s[4] = (s[4] & 0x00ffffffffffffffull) | (u64)(nonce & 255) << 56;
    s[5] = (s[5] & ~0xffffffull) | nonce >> 8;
    s[9] = (s[9] & 0xffffffffull) | 1ull << 32;
    s[16] ^= 0x8000000000000000ull;
    keccakf(s);
    for (int i = 0; i < 25; ++i) states[25 * id + i] = s[i];
}

// Eight threads an instance, each one 16-byte column of the 128-byte rows.
extern "C" __global__ void cn_explode(const u64 *states, uint4 *pads) {
    __shared__ Tables tables;
    tables.fill();
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x, instance = id / 8, column = id % 8;
    const u32 *state = (const u32 *)(states + 25 * instance);
    uint4 keys[10], text;
    expand_key(state, keys);
    text = make_uint4(state[16 + 4 * column], state[17 + 4 * column], state[18 + 4 * column], state[19 + 4 * column]);
    uint4 *pad = pads + (u64)instance * (SCRATCH / 16);
    for (u32 row = 0; row < SCRATCH / 128; ++row) {
#pragma unroll
        for (int r = 0; r < 10; ++r) text = tables.round(text, keys[r]);
        pad[8 * row + column] = text;
    }
}

extern "C" __global__ void cn_loop(const u64 *states, uint4 *pads) {
    __shared__ Tables tables;
    tables.fill();
    const u32 instance = blockIdx.x * blockDim.x + threadIdx.x;
    const u64 *s = states + 25 * instance;
    u8 *pad = (u8 *)(pads + (u64)instance * (SCRATCH / 16));
    ulonglong2 a = make_ulonglong2(s[0] ^ s[4], s[1] ^ s[5]), b = make_ulonglong2(s[2] ^ s[6], s[3] ^ s[7]);
#pragma unroll 1
    for (u32 i = 0; i < ITERATIONS; ++i) {
        uint4 *at = (uint4 *)(pad + ((u32)a.x & MASK));
        const uint4 key = make_uint4((u32)a.x, (u32)(a.x >> 32), (u32)a.y, (u32)(a.y >> 32));
        const uint4 c4 = tables.round(*at, key);
        const ulonglong2 c = make_ulonglong2((u64)c4.y << 32 | c4.x, (u64)c4.w << 32 | c4.z);
        *at = make_uint4((u32)b.x ^ c4.x, (u32)(b.x >> 32) ^ c4.y, (u32)b.y ^ c4.z, (u32)(b.y >> 32) ^ c4.w);
        ulonglong2 *to = (ulonglong2 *)(pad + ((u32)c.x & MASK));
        const ulonglong2 d = *to;
        a.x += __umul64hi(c.x, d.x);
        a.y += c.x * d.x;
        *to = a;
        a.x ^= d.x;
        a.y ^= d.y;
        b = c;
    }
}

extern "C" __global__ void cn_implode(u64 *states, const uint4 *pads) {
    __shared__ Tables tables;
    tables.fill();
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x, instance = id / 8, column = id % 8;
    u32 *state = (u32 *)(states + 25 * instance);
    uint4 keys[10], text;
    expand_key(state + 8, keys);
    text = make_uint4(state[16 + 4 * column], state[17 + 4 * column], state[18 + 4 * column], state[19 + 4 * column]);
    const uint4 *pad = pads + (u64)instance * (SCRATCH / 16);
    for (u32 row = 0; row < SCRATCH / 128; ++row) {
        text = text ^ pad[8 * row + column];
#pragma unroll
        for (int r = 0; r < 10; ++r) text = tables.round(text, keys[r]);
    }
    state[16 + 4 * column] = text.x;
    state[17 + 4 * column] = text.y;
    state[18 + 4 * column] = text.z;
    state[19 + 4 * column] = text.w;
}

// The last hash of the original is one of four by the state's low bits; here the permuted state itself is compared.
extern "C" __global__ void cn_finish(u64 *states, u32 count, u64 limit, u32 *hits) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= count) return;
    u64 s[25];
    for (int i = 0; i < 25; ++i) s[i] = states[25 * id + i];
    keccakf(s);
    for (int i = 0; i < 25; ++i) states[25 * id + i] = s[i];
    if (s[3] <= limit) atomicAdd(hits, 1u);
}
