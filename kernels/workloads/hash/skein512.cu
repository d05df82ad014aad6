/* Skein-512-512 of 64 or 80 bytes: Threefish with its key schedule spelled out by a macro for four rounds and two
   injections. Inert. */
typedef unsigned long long uint64;
typedef unsigned int uint32;

#define C240 0x1BD11BDAA9FC1A22ULL
#define ROTL64(x, n) (((x) << (n)) | ((x) >> (64 - (n))))

#define MIX(a, b, r) a += b; b = ROTL64(b, r) ^ a;
#define FOUR(r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, ra, rb, rc, rd, re, rf)   \
    MIX(p0, p1, r0) MIX(p2, p3, r1) MIX(p4, p5, r2) MIX(p6, p7, r3)            \
    MIX(p2, p1, r4) MIX(p4, p7, r5) MIX(p6, p5, r6) MIX(p0, p3, r7)            \
    MIX(p4, p1, r8) MIX(p6, p3, r9) MIX(p0, p5, ra) MIX(p2, p7, rb)            \
    MIX(p6, p1, rc) MIX(p0, p7, rd) MIX(p2, p5, re) MIX(p4, p3, rf)
#define EVEN FOUR(46, 36, 19, 37, 33, 27, 14, 42, 17, 49, 36, 39, 44, 9, 54, 56)
#define ODD FOUR(39, 30, 34, 24, 13, 50, 10, 17, 25, 29, 39, 43, 8, 35, 56, 22)
#define INJECT(s)                                                                       \
    p0 += k[(s) % 9]; p1 += k[((s) + 1) % 9]; p2 += k[((s) + 2) % 9];                   \
    p3 += k[((s) + 3) % 9]; p4 += k[((s) + 4) % 9]; p5 += k[((s) + 5) % 9] + t[(s) % 3]; \
    p6 += k[((s) + 6) % 9] + t[((s) + 1) % 3]; p7 += k[((s) + 7) % 9] + (s);

#ifdef ROLLED
#define EIGHTEEN                                     \
    _Pragma("unroll 1") for (int s = 0; s < 18; s += 2) { \
        INJECT(s) EVEN INJECT(s + 1) ODD             \
    }                                                \
    INJECT(18)
#else
#define TWO(s) INJECT(s) EVEN INJECT(s + 1) ODD
#define EIGHTEEN TWO(0) TWO(2) TWO(4) TWO(6) TWO(8) TWO(10) TWO(12) TWO(14) TWO(16) INJECT(18)
#endif

__device__ __forceinline__ void ubi(uint64 *h, const uint64 *m, uint64 position, uint64 flags) {
    uint64 k[9], t[3] = {position, flags, position ^ flags};
    k[8] = C240;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        k[i] = h[i];
        k[8] ^= h[i];
    }
    uint64 p0 = m[0], p1 = m[1], p2 = m[2], p3 = m[3], p4 = m[4], p5 = m[5], p6 = m[6], p7 = m[7];
    EIGHTEEN
    h[0] = m[0] ^ p0; h[1] = m[1] ^ p1; h[2] = m[2] ^ p2; h[3] = m[3] ^ p3;
    h[4] = m[4] ^ p4; h[5] = m[5] ^ p5; h[6] = m[6] ^ p6; h[7] = m[7] ^ p7;
}

/* Chaining value after the configuration block of Skein-512-512. */
__constant__ uint64 c_start[8] = {0x4903ADFF749C51CE, 0x0D95DE399746DF03, 0x8FD1934127C79BCE, 0x9A255629FF352CB1,
                                  0x5DB62599DF6CA7B0, 0xEABE394CA9D5C3F4, 0x991112C71A75B523, 0xAE18A40B660FCC33};
__constant__ uint64 c_header[10];

extern "C" __global__ void skein_stage(uint64 *digests, uint32 count) {
    const uint32 id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= count) return;
    uint64 h[8], m[8];
    for (int i = 0; i < 8; i++) {
        h[i] = c_start[i];
        m[i] = digests[8 * id + i];
    }
    ubi(h, m, 64, 0xF000000000000000ULL); /* first and last block of a message */
    for (int i = 0; i < 8; i++) m[i] = 0;
    ubi(h, m, 8, 0xFF00000000000000ULL); /* output */
    for (int i = 0; i < 8; i++) digests[8 * id + i] = h[i];
}

extern "C" __global__ void skein_header(uint32 first, uint64 limit, uint64 *digests, uint32 *hits) {
    const uint32 id = blockIdx.x * blockDim.x + threadIdx.x;
    uint64 h[8], m[8];
    for (int i = 0; i < 8; i++) {
        h[i] = c_start[i];
        m[i] = c_header[i];
    }
    ubi(h, m, 64, 0x7000000000000000ULL); /* first block */
    for (int i = 0; i < 8; i++) m[i] = 0;
    m[0] = c_header[8];
    m[1] = (c_header[9] & 0xffffffffULL) | (uint64)(first + id) << 32;
    ubi(h, m, 80, 0xB000000000000000ULL); /* last block */
    for (int i = 0; i < 8; i++) m[i] = 0;
    ubi(h, m, 8, 0xFF00000000000000ULL);
    for (int i = 0; i < 8; i++) digests[8 * id + i] = h[i];
    if (h[3] <= limit) atomicAdd(hits, 1u);
}
