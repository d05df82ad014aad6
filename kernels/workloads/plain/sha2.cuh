// SHA-256 and SHA-512 compression as templates on the word type, for the files that share them.
#pragma once
#include "sha2_tables.cuh"

template <typename W> struct Sha2;

__constant__ unsigned int sha256_k[64] = {SHA256_K_LIST};
__constant__ unsigned long long sha512_k[80] = {SHA512_K_LIST};

template <> struct Sha2<unsigned int> {
    enum { ROUNDS = 64, BITS = 32 };
    static __device__ __forceinline__ unsigned int k(int t) { return sha256_k[t]; }
    static __device__ __forceinline__ unsigned int rotr(unsigned int x, int n) { return (x >> n) | (x << (32 - n)); }
    static __device__ __forceinline__ unsigned int big0(unsigned int x) { return rotr(x, 2) ^ rotr(x, 13) ^ rotr(x, 22); }
    static __device__ __forceinline__ unsigned int big1(unsigned int x) { return rotr(x, 6) ^ rotr(x, 11) ^ rotr(x, 25); }
    static __device__ __forceinline__ unsigned int small0(unsigned int x) { return rotr(x, 7) ^ rotr(x, 18) ^ (x >> 3); }
    static __device__ __forceinline__ unsigned int small1(unsigned int x) { return rotr(x, 17) ^ rotr(x, 19) ^ (x >> 10); }
    static __device__ void start(unsigned int *h)
    {
        const unsigned int iv[8] = {SHA256_IV_LIST};
        for (int i = 0; i < 8; i++) h[i] = iv[i];
    }
};

template <> struct Sha2<unsigned long long> {
    typedef unsigned long long W;
    enum { ROUNDS = 80, BITS = 64 };
    static __device__ __forceinline__ W k(int t) { return sha512_k[t]; }
    static __device__ __forceinline__ W rotr(W x, int n) { return (x >> n) | (x << (64 - n)); }
    static __device__ __forceinline__ W big0(W x) { return rotr(x, 28) ^ rotr(x, 34) ^ rotr(x, 39); }
    static __device__ __forceinline__ W big1(W x) { return rotr(x, 14) ^ rotr(x, 18) ^ rotr(x, 41); }
    static __device__ __forceinline__ W small0(W x) { return rotr(x, 1) ^ rotr(x, 8) ^ (x >> 7); }
    static __device__ __forceinline__ W small1(W x) { return rotr(x, 19) ^ rotr(x, 61) ^ (x >> 6); }
    static __device__ void start(W *h)
    {
        const W iv[8] = {SHA512_IV_LIST};
        for (int i = 0; i < 8; i++) h[i] = iv[i];
    }
};

#ifndef SHA2_UNROLL
#define SHA2_UNROLL 16
#endif

// `w` holds the 16 message words and is used as the ring of the schedule.
template <typename W> __device__ void sha2_compress(W *h, W *w)
{
    typedef Sha2<W> S;
    W a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], x = h[7];
#pragma unroll SHA2_UNROLL
    for (int t = 0; t < S::ROUNDS; t++) {
        if (t >= 16) w[t & 15] += S::small1(w[(t + 14) & 15]) + w[(t + 9) & 15] + S::small0(w[(t + 1) & 15]);
        W t1 = x + S::big1(e) + ((e & f) ^ (~e & g)) + S::k(t) + w[t & 15];
        W t2 = S::big0(a) + ((a & b) ^ (a & c) ^ (b & c));
        x = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e; h[5] += f; h[6] += g; h[7] += x;
}
