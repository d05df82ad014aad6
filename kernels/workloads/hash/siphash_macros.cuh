/* SipHash-2-4 without its padding, as cuckoo-cycle proofs use it; 64-bit rotates by two funnel shifts. */
#pragma once

__device__ __forceinline__ unsigned long long sip_rotl(unsigned long long x, int n) {
    unsigned lo = (unsigned)x, hi = (unsigned)(x >> 32);
    unsigned l = n < 32 ? __funnelshift_l(hi, lo, n) : __funnelshift_l(lo, hi, n - 32);
    unsigned h = n < 32 ? __funnelshift_l(lo, hi, n) : __funnelshift_l(hi, lo, n - 32);
    return ((unsigned long long)h << 32) | l;
}

#define SIP_ROUND(a, b, c, d, r) \
    do {                         \
        a += b;                  \
        c += d;                  \
        b = sip_rotl(b, 13);     \
        d = sip_rotl(d, 16);     \
        b ^= a;                  \
        d ^= c;                  \
        a = sip_rotl(a, 32);     \
        c += b;                  \
        a += d;                  \
        b = sip_rotl(b, 17);     \
        d = sip_rotl(d, r);      \
        b ^= c;                  \
        d ^= a;                  \
        c = sip_rotl(c, 32);     \
    } while (0)

#define SIP_HASH24(a, b, c, d, nonce, r)       \
    do {                                       \
        unsigned long long sip_n = (nonce);    \
        d ^= sip_n;                            \
        SIP_ROUND(a, b, c, d, r);              \
        SIP_ROUND(a, b, c, d, r);              \
        a ^= sip_n;                            \
        c ^= 0xff;                             \
        SIP_ROUND(a, b, c, d, r);              \
        SIP_ROUND(a, b, c, d, r);              \
        SIP_ROUND(a, b, c, d, r);              \
        SIP_ROUND(a, b, c, d, r);              \
    } while (0)
