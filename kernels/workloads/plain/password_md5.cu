// Password audit over MD5: candidates from a mask, from a word list, and an iterated salted form.
// The digest is compared with a sorted target list behind a small bitmap, as audit tools do.

#ifndef MASK_LENGTH
#define MASK_LENGTH 8
#endif
#ifndef ITERATIONS
#define ITERATIONS 1000
#endif

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned char u8;

#define F(x, y, z) (((x) & (y)) | (~(x) & (z)))
#define G(x, y, z) (((x) & (z)) | ((y) & ~(z)))
#define H(x, y, z) ((x) ^ (y) ^ (z))
#define I(x, y, z) ((y) ^ ((x) | ~(z)))
#define ROL(x, n) (((x) << (n)) | ((x) >> (32 - (n))))
#define STEP(f, a, b, c, d, m, s, k) a = b + ROL(a + f(b, c, d) + (m) + k, s)

__device__ __forceinline__ void md5_block(u32 h[4], const u32 m[16])
{
    u32 a = h[0], b = h[1], c = h[2], d = h[3];
#define R1(i, k0, k1, k2, k3)                                                                                  \
    STEP(F, a, b, c, d, m[i], 7, k0); STEP(F, d, a, b, c, m[i + 1], 12, k1);                                   \
    STEP(F, c, d, a, b, m[i + 2], 17, k2); STEP(F, b, c, d, a, m[i + 3], 22, k3)
#define R2(i, k0, k1, k2, k3)                                                                                  \
    STEP(G, a, b, c, d, m[(i) & 15], 5, k0); STEP(G, d, a, b, c, m[(i + 5) & 15], 9, k1);                      \
    STEP(G, c, d, a, b, m[(i + 10) & 15], 14, k2); STEP(G, b, c, d, a, m[(i + 15) & 15], 20, k3)
#define R3(i, k0, k1, k2, k3)                                                                                  \
    STEP(H, a, b, c, d, m[(i) & 15], 4, k0); STEP(H, d, a, b, c, m[(i + 3) & 15], 11, k1);                     \
    STEP(H, c, d, a, b, m[(i + 6) & 15], 16, k2); STEP(H, b, c, d, a, m[(i + 9) & 15], 23, k3)
#define R4(i, k0, k1, k2, k3)                                                                                  \
    STEP(I, a, b, c, d, m[(i) & 15], 6, k0); STEP(I, d, a, b, c, m[(i + 7) & 15], 10, k1);                     \
    STEP(I, c, d, a, b, m[(i + 14) & 15], 15, k2); STEP(I, b, c, d, a, m[(i + 21) & 15], 21, k3)
    R1(0, 0xd76aa478u, 0xe8c7b756u, 0x242070dbu, 0xc1bdceeeu);
    R1(4, 0xf57c0fafu, 0x4787c62au, 0xa8304613u, 0xfd469501u);
    R1(8, 0x698098d8u, 0x8b44f7afu, 0xffff5bb1u, 0x895cd7beu);
    R1(12, 0x6b901122u, 0xfd987193u, 0xa679438eu, 0x49b40821u);
    R2(1, 0xf61e2562u, 0xc040b340u, 0x265e5a51u, 0xe9b6c7aau);
    R2(5, 0xd62f105du, 0x02441453u, 0xd8a1e681u, 0xe7d3fbc8u);
    R2(9, 0x21e1cde6u, 0xc33707d6u, 0xf4d50d87u, 0x455a14edu);
    R2(13, 0xa9e3e905u, 0xfcefa3f8u, 0x676f02d9u, 0x8d2a4c8au);
    R3(5, 0xfffa3942u, 0x8771f681u, 0x6d9d6122u, 0xfde5380cu);
    R3(1, 0xa4beea44u, 0x4bdecfa9u, 0xf6bb4b60u, 0xbebfbc70u);
    R3(13, 0x289b7ec6u, 0xeaa127fau, 0xd4ef3085u, 0x04881d05u);
    R3(9, 0xd9d4d039u, 0xe6db99e5u, 0x1fa27cf8u, 0xc4ac5665u);
    R4(0, 0xf4292244u, 0x432aff97u, 0xab9423a7u, 0xfc93a039u);
    R4(12, 0x655b59c3u, 0x8f0ccc92u, 0xffeff47du, 0x85845dd1u);
    R4(8, 0x6fa87e4fu, 0xfe2ce6e0u, 0xa3014314u, 0x4e0811a1u);
    R4(4, 0xf7537e82u, 0xbd3af235u, 0x2ad7d2bbu, 0xeb86d391u);
    h[0] += a; h[1] += b; h[2] += c; h[3] += d;
}

__device__ __forceinline__ void md5_start(u32 h[4])
{
    h[0] = 0x67452301u; h[1] = 0xefcdab89u; h[2] = 0x98badcfeu; h[3] = 0x10325476u;
}

// The bitmap answers "no" for nearly every candidate with one read.
__device__ int find_target(const u32 h[4], const u32 *targets, const u32 *bitmap, u32 n_targets)
{
    if (!((bitmap[(h[0] >> 5) & 0x7ff] >> (h[0] & 31)) & 1)) return -1;
    u32 lo = 0, hi = n_targets;
    while (lo < hi) {
        u32 mid = (lo + hi) >> 1;
        if (targets[4 * mid] < h[0]) lo = mid + 1; else hi = mid;
    }
    if (lo < n_targets && targets[4 * lo] == h[0] && targets[4 * lo + 1] == h[1] &&
        targets[4 * lo + 2] == h[2] && targets[4 * lo + 3] == h[3]) return (int)lo;
    return -1;
}

extern "C" __global__ void audit_md5_mask(const u8 *charsets, const u32 *charset_sizes, u64 first, u32 count,
                                          const u32 *targets, const u32 *bitmap, u32 n_targets, u64 *found)
{
    u32 tid = blockIdx.x * blockDim.x + threadIdx.x;
    if (tid >= count) return;
    u64 index = first + tid;
    u32 m[16] = {0};
#pragma unroll
    for (int i = 0; i < MASK_LENGTH; i++) {
        u32 size = charset_sizes[i];
        m[i >> 2] |= (u32)charsets[i * 256 + (u32)(index % size)] << (8 * (i & 3));
        index /= size;
    }
    m[MASK_LENGTH >> 2] |= 0x80u << (8 * (MASK_LENGTH & 3));
    m[14] = MASK_LENGTH * 8;
    u32 h[4];
    md5_start(h);
    md5_block(h, m);
    int hit = find_target(h, targets, bitmap, n_targets);
    if (hit >= 0) found[hit] = first + tid + 1;
}

// Words lie back to back, each at most 39 bytes; a 16-byte salt goes behind the word.
__device__ u32 load_word(u32 m[16], const u8 *words, u32 begin, u32 end, const u8 *salt)
{
    for (int i = 0; i < 16; i++) m[i] = 0;
    u32 n = 0;
    for (u32 p = begin; p < end; p++, n++) m[n >> 2] |= (u32)words[p] << (8 * (n & 3));
    for (u32 s = 0; s < 16; s++, n++) m[n >> 2] |= (u32)salt[s] << (8 * (n & 3));
    m[n >> 2] |= 0x80u << (8 * (n & 3));
    m[14] = n * 8;
    return n;
}

extern "C" __global__ void audit_md5_words_salted(const u8 *words, const u32 *offsets, u32 n_words, const u8 *salt,
                                                  u32 *digests)
{
    for (u32 w = blockIdx.x * blockDim.x + threadIdx.x; w < n_words; w += gridDim.x * blockDim.x) {
        u32 m[16], h[4];
        load_word(m, words, offsets[w], offsets[w + 1], salt);
        md5_start(h);
        md5_block(h, m);
        for (int i = 0; i < 4; i++) digests[4 * w + i] = h[i];
    }
}

extern "C" __global__ void audit_md5_iterated(u32 *state, u32 n)
{
    u32 w = blockIdx.x * blockDim.x + threadIdx.x;
    if (w >= n) return;
    u32 h[4], m[16] = {0};
    for (int i = 0; i < 4; i++) m[i] = state[4 * w + i];
    m[4] = 0x80; m[14] = 128;
#pragma unroll 1
    for (int r = 0; r < ITERATIONS; r++) {
        md5_start(h);
        md5_block(h, m);
        for (int i = 0; i < 4; i++) m[i] = h[i];
    }
    for (int i = 0; i < 4; i++) state[4 * w + i] = m[i];
}
