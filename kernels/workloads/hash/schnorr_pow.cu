// NexaPow-like: SHA-256 of header and nonce gives a secret number; its point on secp256k1 and a Schnorr-style answer
// are hashed again and compared. 256-bit numbers in eight 32-bit limbs; -DCARRY_ASM adds by carry instructions. Inert.
typedef unsigned int u32;
typedef unsigned long long u64;

struct Number {
    u32 v[8];
};
struct Point {
    Number x, y, z;  // Jacobian; z = 0 is the neutral element
};

__constant__ u32 kPrime[8] = {0xfffffc2f, 0xfffffffe, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff};
__constant__ u32 kGx[8] = {0x16f81798, 0x59f2815b, 0x2dce28d9, 0x029bfcdb, 0xce870b07, 0x55a06295, 0xf9dcbbac, 0x79be667e};
__constant__ u32 kGy[8] = {0xfb10d4b8, 0x9c47d08f, 0xa6855419, 0xfd17b448, 0x0e1108a8, 0x5da4fbfc, 0x26a3c465, 0x483ada77};

__device__ __forceinline__ u32 add_carry(Number &r, const Number &a, const u32 *b) {
#ifdef CARRY_ASM
    u32 carry;
    asm("add.cc.u32 %0, %1, %2;" : "=r"(r.v[0]) : "r"(a.v[0]), "r"(b[0]));
#pragma unroll
    for (int i = 1; i < 8; ++i) asm volatile("addc.cc.u32 %0, %1, %2;" : "=r"(r.v[i]) : "r"(a.v[i]), "r"(b[i]));
    asm volatile("addc.u32 %0, 0, 0;" : "=r"(carry));
    return carry;
#else
    u64 c = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        c += (u64)a.v[i] + b[i];
        r.v[i] = (u32)c;
        c >>= 32;
    }
    return (u32)c;
#endif
}

__device__ __forceinline__ u32 sub_borrow(Number &r, const Number &a, const u32 *b) {
    long long c = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        c += (long long)a.v[i] - b[i];
        r.v[i] = (u32)c;
        c >>= 32;
    }
    return (u32)(c & 1);
}

__device__ __forceinline__ void once_below(Number &a) {
    Number t;
    if (!sub_borrow(t, a, kPrime)) a = t;
}

__device__ __forceinline__ Number add(const Number &a, const Number &b) {
    Number r, t;
    const u32 carry = add_carry(r, a, b.v), borrow = sub_borrow(t, r, kPrime);
    return carry || !borrow ? t : r;
}

__device__ __forceinline__ Number sub(const Number &a, const Number &b) {
    Number r;
    if (sub_borrow(r, a, b.v)) add_carry(r, r, kPrime);
    return r;
}

// 2^256 = 2^32 + 977 modulo the prime.
#ifdef INLINE_MUL
#define CALL __forceinline__
#else
#define CALL __noinline__
#endif
__device__ CALL Number mul(const Number &a, const Number &b) {
    u32 w[16] = {};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        u64 c = 0;
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            c += (u64)a.v[i] * b.v[j] + w[i + j];
            w[i + j] = (u32)c;
            c >>= 32;
        }
        w[i + 8] = (u32)c;
    }
    Number r;
    u64 c = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        c += (u64)w[8 + i] * 977u + w[i] + (i ? w[7 + i] : 0u);
        r.v[i] = (u32)c;
        c >>= 32;
    }
    c += w[15];
    // c is below 2^43: fold it again, twice, because the first time may carry once more.
    for (int pass = 0; pass < 2; ++pass) {
        const u32 low = (u32)c, high = (u32)(c >> 32);
        u64 k = (u64)low * 977u + r.v[0];
        r.v[0] = (u32)k;
        k = (k >> 32) + r.v[1] + low + (u64)high * 977u;
        r.v[1] = (u32)k;
        k = (k >> 32) + r.v[2] + high;
        r.v[2] = (u32)k;
        k >>= 32;
#pragma unroll
        for (int i = 3; i < 8; ++i) {
            k += r.v[i];
            r.v[i] = (u32)k;
            k >>= 32;
        }
        c = k;
    }
    once_below(r);
    return r;
}

__device__ __forceinline__ bool is_zero(const Number &a) {
    u32 any = 0;
    for (int i = 0; i < 8; ++i) any |= a.v[i];
    return any == 0;
}

__device__ Number inverse(const Number &a) {  // a ^ (p - 2), bit by bit
    Number r = {{1, 0, 0, 0, 0, 0, 0, 0}};
#pragma unroll 1
    for (int bit = 255; bit >= 0; --bit) {
        r = mul(r, r);
        u32 word = kPrime[bit >> 5];
        if (bit < 32) word -= 2;
        if (word >> (bit & 31) & 1u) r = mul(r, a);
    }
    return r;
}

__device__ Point twice(const Point &p) {
    const Number yy = mul(p.y, p.y), xyy = mul(p.x, yy), xx = mul(p.x, p.x);
    const Number s = add(add(xyy, xyy), add(xyy, xyy)), m = add(add(xx, xx), xx), y4 = mul(yy, yy);
    const Number y8 = add(add(add(y4, y4), add(y4, y4)), add(add(y4, y4), add(y4, y4)));
    Point r;
    r.x = sub(mul(m, m), add(s, s));
    r.y = sub(mul(m, sub(s, r.x)), y8);
    const Number yz = mul(p.y, p.z);
    r.z = add(yz, yz);
    return r;
}

// The generator added to a Jacobian point that is neither it nor its negative.
__device__ Point plus_generator(const Point &p) {
    Number gx, gy;
    for (int i = 0; i < 8; ++i) gx.v[i] = kGx[i], gy.v[i] = kGy[i];
    if (is_zero(p.z)) return {gx, gy, {{1, 0, 0, 0, 0, 0, 0, 0}}};
    const Number zz = mul(p.z, p.z), h = sub(mul(gx, zz), p.x), r = sub(mul(gy, mul(zz, p.z)), p.y);
    const Number hh = mul(h, h), hhh = mul(hh, h), v = mul(p.x, hh);
    Point q;
    q.x = sub(sub(mul(r, r), hhh), add(v, v));
    q.y = sub(mul(r, sub(v, q.x)), mul(p.y, hhh));
    q.z = mul(p.z, h);
    return q;
}

__constant__ u32 kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

__device__ __forceinline__ u32 ror(u32 x, int n) { return __funnelshift_r(x, x, n); }

// SHA-256 of ten words, big endian.
__device__ void sha256_40(const u32 *text, u32 *out) {
    const u32 start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    u32 w[16] = {}, s[8];
    for (int i = 0; i < 10; ++i) w[i] = text[i];
    w[10] = 0x80000000u;
    w[15] = 320;
    for (int i = 0; i < 8; ++i) s[i] = start[i];
#pragma unroll 16
    for (int i = 0; i < 64; ++i) {
        if (i > 15) {
            const u32 p = w[(i + 1) & 15], q = w[(i + 14) & 15];
            w[i & 15] += w[(i + 9) & 15] + (ror(p, 7) ^ ror(p, 18) ^ p >> 3) + (ror(q, 17) ^ ror(q, 19) ^ q >> 10);
        }
        const u32 t = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) + (s[6] ^ (s[4] & (s[5] ^ s[6]))) + kRound[i] + w[i & 15];
        const u32 u = (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) + ((s[0] & s[1]) | (s[2] & (s[0] | s[1])));
        s[7] = s[6]; s[6] = s[5]; s[5] = s[4]; s[4] = s[3] + t; s[3] = s[2]; s[2] = s[1]; s[1] = s[0]; s[0] = t + u;
    }
    for (int i = 0; i < 8; ++i) out[i] = s[i] + start[i];
}

#ifndef SCALAR_BITS
#define SCALAR_BITS 256
#endif

extern "C" __global__ void schnorr_search(const u32 *header, u32 first, u32 limit, u32 *points, u32 *digests, u32 *hits) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    u32 text[10], secret[8], digest[8];
    for (int i = 0; i < 9; ++i) text[i] = header[i];
    text[9] = first + id;
    sha256_40(text, secret);
    Point p = {};
#pragma unroll 1
    for (int bit = SCALAR_BITS - 1; bit >= 0; --bit) {
        if (!is_zero(p.z)) p = twice(p);
        if (secret[7 - (bit >> 5)] >> (bit & 31) & 1u) p = plus_generator(p);
    }
    const Number i = inverse(p.z), ii = mul(i, i), x = mul(p.x, ii), y = mul(p.y, mul(ii, i));
    for (int k = 0; k < 8; ++k) text[k] = x.v[7 - k];
    text[8] = y.v[0] & 1u;
    sha256_40(text, digest);
    if (points)
        for (int k = 0; k < 8; ++k) points[16 * id + k] = x.v[k], points[16 * id + 8 + k] = y.v[k];
    if (digests)
        for (int k = 0; k < 8; ++k) digests[8 * id + k] = digest[k];
    if (digest[0] <= limit) atomicAdd(hits, 1u);
}
