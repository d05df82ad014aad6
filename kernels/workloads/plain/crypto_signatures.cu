// Batches of signature checks: the double scalar product u1 G + u2 Q on secp256k1 (Shamir's trick), and point
// decompression and the same product on edwards25519. Scalars are prepared by the host.

typedef unsigned int u32;
typedef unsigned long long u64;

struct Num { u64 v[4]; };

#ifndef CURVE
#define CURVE 0 /* 0: secp256k1, 1: edwards25519 */
#endif
#if CURVE == 0
#define FOLD 0x1000003d1ull /* 2^256 mod p */
__constant__ Num prime = {{0xfffffffefffffc2full, 0xffffffffffffffffull, 0xffffffffffffffffull, 0xffffffffffffffffull}};
#else
#define FOLD 38ull
__constant__ Num prime = {{0xffffffffffffffedull, 0xffffffffffffffffull, 0xffffffffffffffffull, 0x7fffffffffffffffull}};
#endif

__device__ __forceinline__ u64 add_carry(u64 a, u64 b, u64 &carry)
{
    u64 s = a + carry, c = s < a;
    s += b;
    carry = c + (s < b);
    return s;
}

__device__ __forceinline__ Num fold_small(Num a, u64 top)
{
    u64 carry = 0, lo = top * FOLD, hi = __umul64hi(top, FOLD);
    a.v[0] = add_carry(a.v[0], lo, carry);
    a.v[1] = add_carry(a.v[1], hi, carry);
    a.v[2] = add_carry(a.v[2], 0, carry);
    a.v[3] = add_carry(a.v[3], 0, carry);
    if (carry) { carry = 0; a.v[0] = add_carry(a.v[0], FOLD, carry); a.v[1] += carry; }
    return a;
}

__device__ __forceinline__ Num add(const Num &a, const Num &b)
{
    Num r;
    u64 carry = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) r.v[i] = add_carry(a.v[i], b.v[i], carry);
    return fold_small(r, carry);
}

// Values stay below 2^256, not below the prime: taking away means adding 2^256 and folding its residue off.
__device__ __forceinline__ Num sub(const Num &a, const Num &b)
{
    Num r;
    u64 borrow = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        u64 d = a.v[i] - b.v[i], under = a.v[i] < b.v[i];
        r.v[i] = d - borrow;
        borrow = under | (d < borrow);
    }
    while (borrow) {
        u64 take = FOLD;
        borrow = 0;
#pragma unroll
        for (int i = 0; i < 4; i++) { u64 d = r.v[i] - take; take = r.v[i] < take; r.v[i] = d; }
        borrow = take;
    }
    return r;
}

__device__ __noinline__ Num mul(const Num &a, const Num &b)
{
    u64 t[8] = {};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        u64 high = 0;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            u64 lo = a.v[i] * b.v[j], hi = __umul64hi(a.v[i], b.v[j]);
            lo += t[i + j]; hi += lo < t[i + j];
            lo += high; hi += lo < high;
            t[i + j] = lo;
            high = hi;
        }
        t[i + 4] = high;
    }
    Num r;
    u64 high = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        u64 lo = t[i + 4] * FOLD, hi = __umul64hi(t[i + 4], FOLD);
        lo += t[i]; hi += lo < t[i];
        lo += high; hi += lo < high;
        r.v[i] = lo;
        high = hi;
    }
    return fold_small(r, high);
}

__device__ bool canonical_zero(Num a)
{
    for (int k = 0; k < 2; k++) {
        Num d;
        u64 borrow = 0;
        for (int i = 0; i < 4; i++) { u64 x = a.v[i] - prime.v[i], u = a.v[i] < prime.v[i]; d.v[i] = x - borrow; borrow = u | (x < borrow); }
        if (!borrow) a = d;
    }
    return (a.v[0] | a.v[1] | a.v[2] | a.v[3]) == 0;
}

#if CURVE == 0
struct Point { Num x, y, z; };

__device__ __noinline__ void twice(Point &p)
{
    Num a = mul(p.x, p.x), b = mul(p.y, p.y), c = mul(b, b), s = mul(p.x, b), m = add(add(a, a), a);
    s = add(s, s); s = add(s, s);
    p.z = mul(add(p.y, p.y), p.z);
    p.x = sub(mul(m, m), add(s, s));
    c = add(c, c); c = add(c, c); c = add(c, c);
    p.y = sub(mul(m, sub(s, p.x)), c);
}

__device__ __noinline__ void join(Point &p, const Point &q)
{
    if (canonical_zero(q.z)) return;
    if (canonical_zero(p.z)) { p = q; return; }
    Num zp = mul(p.z, p.z), zq = mul(q.z, q.z), u1 = mul(p.x, zq), u2 = mul(q.x, zp), s1 = mul(p.y, mul(q.z, zq)), s2 = mul(q.y, mul(p.z, zp));
    Num h = sub(u2, u1), r = sub(s2, s1);
    if (canonical_zero(h)) { if (canonical_zero(r)) twice(p); else p.z = h; return; }
    Num hh = mul(h, h), hhh = mul(h, hh), v = mul(u1, hh);
    p.z = mul(mul(p.z, q.z), h);
    p.x = sub(sub(mul(r, r), hhh), add(v, v));
    p.y = sub(mul(r, sub(v, p.x)), mul(s1, hhh));
}
__device__ Point neutral() { return Point{}; }
#else
struct Point { Num x, y, z, t; };
__constant__ Num twice_d = {{0xebd69b9426b2f159ull, 0x00e0149a8283b156ull, 0x198e80f2eef3d130ull, 0x2406d9dc56dffce7ull}};

// Unified addition for a = -1: doubling needs no other formula.
__device__ __noinline__ void join(Point &p, const Point &q)
{
    Num a = mul(sub(p.y, p.x), sub(q.y, q.x)), b = mul(add(p.y, p.x), add(q.y, q.x)), c = mul(mul(p.t, twice_d), q.t), d = mul(p.z, q.z);
    d = add(d, d);
    Num e = sub(b, a), f = sub(d, c), g = add(d, c), h = add(b, a);
    p.x = mul(e, f); p.y = mul(g, h); p.t = mul(e, h); p.z = mul(f, g);
}
__device__ void twice(Point &p) { Point q = p; join(p, q); }
__device__ Point neutral() { Point p = {}; p.y.v[0] = p.z.v[0] = 1; return p; }
#endif

// out = u1 * base + u2 * key, in projective coordinates.
extern "C" __global__ void double_scalar_product(const u32 *u1, const u32 *u2, const Point *base, const Point *keys, Point *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Point table[3] = {*base, keys[i], *base}, acc = neutral();
    join(table[2], keys[i]);
#pragma unroll 1
    for (int bit = 255; bit >= 0; bit--) {
        twice(acc);
        u32 pick = (u1[8 * i + bit / 32] >> (bit % 32) & 1) | (u2[8 * i + bit / 32] >> (bit % 32) & 1) << 1;
        if (pick) join(acc, table[pick - 1]);
    }
    out[i] = acc;
}

// Square root candidates for point decompression: a^((p + 1) / 4) or a^((p + 3) / 8), exponent given by the host.
extern "C" __global__ void field_power(const Num *values, Num exponent, Num *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Num r = {{1, 0, 0, 0}}, a = values[i];
#pragma unroll 1
    for (int bit = 255; bit >= 0; bit--) {
        r = mul(r, r);
        if (exponent.v[bit / 64] >> (bit % 64) & 1) r = mul(r, a);
    }
    out[i] = r;
}

// r of an ECDSA signature is checked without an inversion: x = r * z^2.
extern "C" __global__ void compare_r(const Point *points, const Num *r, unsigned char *valid, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Num zz = mul(points[i].z, points[i].z);
    valid[i] = canonical_zero(sub(points[i].x, mul(r[i], zz))) && !canonical_zero(points[i].z);
}
