// bcrypt: the expensive Blowfish key schedule. Four S-boxes of 1 KiB a candidate live in shared memory
// (-DIN_SHARED=1) or in global memory, laid out so that one thread owns one column.

typedef unsigned int u32;

#ifndef IN_SHARED
#define IN_SHARED 1
#endif
#ifndef BLOCK_THREADS
#define BLOCK_THREADS 8
#endif

struct Blowfish {
    u32 p[18];
    u32 *s;

    __device__ u32 box(int which, u32 index) const { return s[(which * 256 + index) * BLOCK_THREADS]; }

    __device__ u32 mix(u32 x) const
    {
        return ((box(0, x >> 24) + box(1, (x >> 16) & 255)) ^ box(2, (x >> 8) & 255)) + box(3, x & 255);
    }

    __device__ __noinline__ void encrypt(u32 &left, u32 &right) const
    {
#pragma unroll
        for (int i = 0; i < 16; i += 2) {
            left ^= p[i];
            right ^= mix(left);
            right ^= p[i + 1];
            left ^= mix(right);
        }
        u32 swap = left ^ p[16];
        left = right ^ p[17];
        right = swap;
    }

    // Mix a key of 18 words in, then replace all subkeys; `salt` may be null, which stands for zeros.
    __device__ void expand(const u32 *key, const u32 *salt)
    {
        for (int i = 0; i < 18; i++) p[i] ^= key[i];
        u32 l = 0, r = 0;
        int at = 0;
        for (int i = 0; i < 18; i += 2) {
            if (salt) { l ^= salt[at]; r ^= salt[at + 1]; at ^= 2; }
            encrypt(l, r);
            p[i] = l; p[i + 1] = r;
        }
        for (int i = 0; i < 1024; i += 2) {
            if (salt) { l ^= salt[at]; r ^= salt[at + 1]; at ^= 2; }
            encrypt(l, r);
            s[i * BLOCK_THREADS] = l; s[(i + 1) * BLOCK_THREADS] = r;
        }
    }
};

// `initial`: 18 P words and 1,024 S words (digits of pi). `keys`: 18 words a candidate, the password repeated.
extern "C" __global__ void __launch_bounds__(BLOCK_THREADS)
audit_bcrypt(const u32 *initial, const u32 *keys, const u32 *salt, u32 cost, u32 n, u32 *scratch, u32 *digests)
{
#if IN_SHARED
    __shared__ u32 boxes[1024 * BLOCK_THREADS];
    u32 *mine = boxes + threadIdx.x;
#else
    u32 *mine = scratch + (size_t)blockIdx.x * 1024 * BLOCK_THREADS + threadIdx.x;
#endif
    u32 i = blockIdx.x * BLOCK_THREADS + threadIdx.x;
    if (i >= n) return;
    Blowfish bf;
    bf.s = mine;
    for (int j = 0; j < 18; j++) bf.p[j] = initial[j];
    for (int j = 0; j < 1024; j++) mine[j * BLOCK_THREADS] = initial[18 + j];
    u32 salt_key[18];
    for (int j = 0; j < 18; j++) salt_key[j] = salt[j & 3];
    bf.expand(keys + 18 * i, salt);
    for (u32 r = 0; r < (1u << cost); r++) {
        bf.expand(keys + 18 * i, nullptr);
        bf.expand(salt_key, nullptr);
    }
    // "OrpheanBeholderScryDoubt"
    u32 text[6] = {0x4f727068u, 0x65616e42u, 0x65686f6cu, 0x64657253u, 0x63727944u, 0x6f756274u};
    for (int r = 0; r < 64; r++)
        for (int b = 0; b < 6; b += 2) bf.encrypt(text[b], text[b + 1]);
    for (int j = 0; j < 6; j++) digests[6 * i + j] = text[j];
}
