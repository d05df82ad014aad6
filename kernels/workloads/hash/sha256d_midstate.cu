// Double SHA-256 of an 80-byte header from a midstate, everything unrolled, constants as immediates.
// Inert: fixed header, the nonces that pass are kept in a short list. The last words are checked before the rest.
#define ROR(x, n) __funnelshift_r(x, x, n)
#define CH(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define MAJ(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))
#define S0(x) (ROR(x, 2) ^ ROR(x, 13) ^ ROR(x, 22))
#define S1(x) (ROR(x, 6) ^ ROR(x, 11) ^ ROR(x, 25))
#define W0(x) (ROR(x, 7) ^ ROR(x, 18) ^ ((x) >> 3))
#define W1(x) (ROR(x, 17) ^ ROR(x, 19) ^ ((x) >> 10))

#ifndef HASHES
#define HASHES 1
#endif

#define STEP(a, b, c, d, e, f, g, h, k, w)              \
    {                                                   \
        const unsigned t = h + S1(e) + CH(e, f, g) + k + (w); \
        d += t;                                         \
        h = t + S0(a) + MAJ(a, b, c);                   \
    }
#define NEXT(i) (w[(i) & 15] += W1(w[((i) + 14) & 15]) + w[((i) + 9) & 15] + W0(w[((i) + 1) & 15]))

#define EIGHT(F, k0, k1, k2, k3, k4, k5, k6, k7, i) \
    STEP(a, b, c, d, e, f, g, h, k0, F(i))          \
    STEP(h, a, b, c, d, e, f, g, k1, F(i + 1))      \
    STEP(g, h, a, b, c, d, e, f, k2, F(i + 2))      \
    STEP(f, g, h, a, b, c, d, e, k3, F(i + 3))      \
    STEP(e, f, g, h, a, b, c, d, k4, F(i + 4))      \
    STEP(d, e, f, g, h, a, b, c, k5, F(i + 5))      \
    STEP(c, d, e, f, g, h, a, b, k6, F(i + 6))      \
    STEP(b, c, d, e, f, g, h, a, k7, F(i + 7))
#define FIRST(i) w[i]

#define ALL_STEPS                                                                                                       \
    EIGHT(FIRST, 0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u, 0) \
    EIGHT(FIRST, 0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u, 8) \
    EIGHT(NEXT, 0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau, 16) \
    EIGHT(NEXT, 0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u, 24) \
    EIGHT(NEXT, 0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u, 32) \
    EIGHT(NEXT, 0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u, 40) \
    EIGHT(NEXT, 0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u, 48) \
    EIGHT(NEXT, 0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u, 56)

__constant__ unsigned c_midstate[8];
__constant__ unsigned c_tail[3];

__device__ __forceinline__ void transform(unsigned *s, unsigned *w) {
    unsigned a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
    ALL_STEPS
    s[0] += a; s[1] += b; s[2] += c; s[3] += d; s[4] += e; s[5] += f; s[6] += g; s[7] += h;
}

__device__ __forceinline__ void sha256d(unsigned nonce, unsigned *s) {
    unsigned w[16] = {c_tail[0], c_tail[1], c_tail[2], nonce, 0x80000000u, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 640};
#pragma unroll
    for (int i = 0; i < 8; i++) s[i] = c_midstate[i];
    transform(s, w);
#pragma unroll
    for (int i = 0; i < 8; i++) w[i] = s[i];
    w[8] = 0x80000000u;
#pragma unroll
    for (int i = 9; i < 15; i++) w[i] = 0;
    w[15] = 256;
    s[0] = 0x6a09e667u; s[1] = 0xbb67ae85u; s[2] = 0x3c6ef372u; s[3] = 0xa54ff53au;
    s[4] = 0x510e527fu; s[5] = 0x9b05688cu; s[6] = 0x1f83d9abu; s[7] = 0x5be0cd19u;
    transform(s, w);
}

extern "C" __global__ void sha256d_scan(unsigned first, unsigned high, unsigned *list, unsigned *count) {
    unsigned nonce = first + (blockIdx.x * blockDim.x + threadIdx.x) * HASHES;
#pragma unroll 1
    for (int i = 0; i < HASHES; i++, nonce++) {
        unsigned s[8];
        sha256d(nonce, s);
        if (__byte_perm(s[7], 0, 0x0123) <= high) {
            const unsigned at = atomicAdd(count, 1u);
            if (at < 32) list[at] = nonce;
        }
    }
}

extern "C" __global__ void sha256d_dump(unsigned first, unsigned *digests) {
    const unsigned id = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned s[8];
    sha256d(first + id, s);
    for (int i = 0; i < 8; i++) digests[8 * id + i] = s[i];
}
