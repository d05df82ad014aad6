// AstroBWT-like: Salsa20 expands a seed, a block sorts all suffixes of the text, the sorted order is hashed by SHA3.
// Bitonic sort in shared memory on eight leading bytes, ties broken by reading on. Inert.
typedef unsigned char byte;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned long long u64;

#ifndef TEXT
#define TEXT 1024
#endif

__device__ __forceinline__ u32 rl(u32 x, int n) { return (x << n) | (x >> (32 - n)); }

__device__ void salsa20(const u32 *key, u32 counter, u32 *out) {
    u32 x[16], in[16] = {0x61707865, key[0], key[1], key[2], key[3], 0x3320646e, 0, 0, counter, 0, 0x79622d32,
                         key[4], key[5], key[6], key[7], 0x6b206574};
    for (int i = 0; i < 16; i++) x[i] = in[i];
#pragma unroll 2
    for (int i = 0; i < 10; i++) {
        x[4] ^= rl(x[0] + x[12], 7);   x[8] ^= rl(x[4] + x[0], 9);    x[12] ^= rl(x[8] + x[4], 13);   x[0] ^= rl(x[12] + x[8], 18);
        x[9] ^= rl(x[5] + x[1], 7);    x[13] ^= rl(x[9] + x[5], 9);   x[1] ^= rl(x[13] + x[9], 13);   x[5] ^= rl(x[1] + x[13], 18);
        x[14] ^= rl(x[10] + x[6], 7);  x[2] ^= rl(x[14] + x[10], 9);  x[6] ^= rl(x[2] + x[14], 13);   x[10] ^= rl(x[6] + x[2], 18);
        x[3] ^= rl(x[15] + x[11], 7);  x[7] ^= rl(x[3] + x[15], 9);   x[11] ^= rl(x[7] + x[3], 13);   x[15] ^= rl(x[11] + x[7], 18);
        x[1] ^= rl(x[0] + x[3], 7);    x[2] ^= rl(x[1] + x[0], 9);    x[3] ^= rl(x[2] + x[1], 13);    x[0] ^= rl(x[3] + x[2], 18);
        x[6] ^= rl(x[5] + x[4], 7);    x[7] ^= rl(x[6] + x[5], 9);    x[4] ^= rl(x[7] + x[6], 13);    x[5] ^= rl(x[4] + x[7], 18);
        x[11] ^= rl(x[10] + x[9], 7);  x[8] ^= rl(x[11] + x[10], 9);  x[9] ^= rl(x[8] + x[11], 13);   x[10] ^= rl(x[9] + x[8], 18);
        x[12] ^= rl(x[15] + x[14], 7); x[13] ^= rl(x[12] + x[15], 9); x[14] ^= rl(x[13] + x[12], 13); x[15] ^= rl(x[14] + x[13], 18);
    }
    for (int i = 0; i < 16; i++) out[i] = x[i] + in[i];
}

__device__ u64 leading(const byte *text, u32 at) {
    u64 v = 0;
    for (u32 i = 0; i < 8; i++) v = v << 8 | (at + i < TEXT ? text[at + i] : 0);
    return v;
}

__device__ bool later(const byte *text, u64 ka, u32 a, u64 kb, u32 b) {
    if (ka != kb) return ka > kb;
    u32 i = 0;
    while (a + i < TEXT && b + i < TEXT) {
        if (text[a + i] != text[b + i]) return text[a + i] > text[b + i];
        i++;
    }
    return a < b;  // the shorter suffix comes first
}

extern "C" __global__ void suffix_sort(const u32 *seed, u32 first, byte *texts, u16 *orders) {
    __shared__ byte text[TEXT];
    __shared__ u64 key[TEXT];
    __shared__ u16 order[TEXT];
    u32 words[8];
    for (int i = 0; i < 8; i++) words[i] = seed[i];
    words[7] ^= first + blockIdx.x;
    for (u32 b = threadIdx.x; b < TEXT / 64; b += blockDim.x) {
        u32 out[16];
        salsa20(words, b, out);
        for (int i = 0; i < 64; i++) text[64 * b + i] = (byte)(out[i / 4] >> (8 * (i % 4))) & 15;
    }
    __syncthreads();
    for (u32 i = threadIdx.x; i < TEXT; i += blockDim.x) {
        key[i] = leading(text, i);
        order[i] = (u16)i;
    }
    __syncthreads();
    for (u32 size = 2; size <= TEXT; size *= 2)
        for (u32 gap = size / 2; gap; gap /= 2) {
            for (u32 i = threadIdx.x; i < TEXT / 2; i += blockDim.x) {
                const u32 low = 2 * i - (i & (gap - 1)), high = low + gap;
                const bool up = (low & size) == 0;
                if (later(text, key[low], order[low], key[high], order[high]) == up) {
                    const u64 k = key[low];
                    const u16 o = order[low];
                    key[low] = key[high]; order[low] = order[high];
                    key[high] = k; order[high] = o;
                }
            }
            __syncthreads();
        }
    for (u32 i = threadIdx.x; i < TEXT; i += blockDim.x) {
        if (texts) texts[blockIdx.x * TEXT + i] = text[i];
        orders[blockIdx.x * TEXT + i] = order[i];
    }
}

__constant__ u64 rc[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

// SHA3-256 by one warp: lane i < 25 keeps lane i of the state, neighbours are fetched by shuffles.
extern "C" __global__ void order_digest(const u64 *orders, u32 count, u64 limit, u64 *digests, u32 *hits) {
    const unsigned all = 0xffffffffu;
    const int lane = threadIdx.x & 31, i = lane < 25 ? lane : 0, x = i % 5, y = i / 5;
    const int offsets[25] = {0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14};
    const u32 instance = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (instance >= count) return;
    const u64 *words = orders + (u64)instance * (TEXT / 4);
    // Inverse of pi: where the lane that ends up here comes from.
    const int from = (x + 3 * y) % 5 + 5 * x;
    u64 s = 0;
    const int turn = offsets[from];
    for (u32 at = 0; at <= TEXT / 4; at += 17) {
        if (lane < 17) {
            const u32 w = at + lane;
            s ^= w < TEXT / 4 ? words[w] : w == TEXT / 4 ? 6ull : 0ull;
            if (at + 17 > TEXT / 4 && lane == 16) s ^= 0x8000000000000000ull;
        }
#pragma unroll 1
        for (int r = 0; r < 24; r++) {
            u64 c = __shfl_sync(all, s, x) ^ __shfl_sync(all, s, x + 5) ^ __shfl_sync(all, s, x + 10) ^
                    __shfl_sync(all, s, x + 15) ^ __shfl_sync(all, s, x + 20);
            const u64 left = __shfl_sync(all, c, (x + 4) % 5), right = __shfl_sync(all, c, (x + 1) % 5);
            s ^= left ^ (right << 1 | right >> 63);
            u64 v = __shfl_sync(all, s, from);
            v = turn ? v << turn | v >> (64 - turn) : v;
            const u64 a = __shfl_sync(all, v, y * 5 + (x + 1) % 5), b = __shfl_sync(all, v, y * 5 + (x + 2) % 5);
            s = v ^ (~a & b);
            if (lane == 0) s ^= rc[r];
        }
    }
    if (lane < 4) digests[4 * instance + lane] = s;
    if (lane == 3 && s <= limit) atomicAdd(hits, 1u);
}
