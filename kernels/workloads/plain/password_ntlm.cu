// Password audit over NTLM: MD4 of the UTF-16LE password. The outer part of each candidate is fixed per thread,
// the first two characters vary in an inner loop, so that only the first message word changes.

typedef unsigned int u32;

#ifndef INNER_UNROLL
#define INNER_UNROLL 1
#endif

struct Md4 {
    u32 a, b, c, d;

    __device__ __forceinline__ static u32 rot(u32 x, int n) { return (x << n) | (x >> (32 - n)); }
    __device__ __forceinline__ static u32 f(u32 x, u32 y, u32 z) { return z ^ (x & (y ^ z)); }
    __device__ __forceinline__ static u32 g(u32 x, u32 y, u32 z) { return (x & y) | (z & (x | y)); }

    template <int ROUND>
    __device__ __forceinline__ void step(u32 w, int s)
    {
        u32 t;
        if (ROUND == 0) t = a + f(b, c, d) + w;
        else if (ROUND == 1) t = a + g(b, c, d) + w + 0x5a827999u;
        else t = a + (b ^ c ^ d) + w + 0x6ed9eba1u;
        a = d; d = c; c = b; b = rot(t, s);
    }

    __device__ __forceinline__ void hash(const u32 (&w)[16])
    {
        a = 0x67452301u; b = 0xefcdab89u; c = 0x98badcfeu; d = 0x10325476u;
        const int s0[4] = {3, 7, 11, 19}, s1[4] = {3, 5, 9, 13}, s2[4] = {3, 9, 11, 15};
        const int order[16] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};
#pragma unroll
        for (int i = 0; i < 16; i++) step<0>(w[i], s0[i & 3]);
#pragma unroll
        for (int i = 0; i < 16; i++) step<1>(w[(i & 3) * 4 + (i >> 2)], s1[i & 3]);
#pragma unroll
        for (int i = 0; i < 16; i++) step<2>(w[order[i]], s2[i & 3]);
        a += 0x67452301u; b += 0xefcdab89u; c += 0x98badcfeu; d += 0x10325476u;
    }
};

// `tails`: message words 1..15 of each outer candidate, padded; `heads`: values of word 0 to try.
extern "C" __global__ void audit_ntlm_mask(const u32 *tails, u32 n_outer, const u32 *heads, u32 n_heads,
                                           const uint4 *targets, u32 n_targets, u32 *found)
{
    u32 outer = blockIdx.x * blockDim.x + threadIdx.x;
    if (outer >= n_outer) return;
    u32 w[16];
#pragma unroll
    for (int i = 1; i < 16; i++) w[i] = tails[(i - 1) * n_outer + outer];
#pragma unroll INNER_UNROLL
    for (u32 head = 0; head < n_heads; head++) {
        w[0] = heads[head];
        Md4 md;
        md.hash(w);
        for (u32 t = 0; t < n_targets; t++) {
            uint4 want = targets[t];
            if (md.a == want.x && md.b == want.y && md.c == want.z && md.d == want.w) found[t] = outer * n_heads + head + 1;
        }
    }
}

extern "C" __global__ void audit_ntlm_words(const unsigned char *words, const u32 *offsets, u32 n_words, uint4 *digests)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n_words) return;
    u32 w[16] = {};
    u32 length = min(offsets[i + 1] - offsets[i], 27u);
    for (u32 c = 0; c < length; c++) w[c / 2] |= (u32)words[offsets[i] + c] << (16 * (c % 2));
    w[length / 2] |= 0x80u << (16 * (length % 2));
    w[14] = length * 16;
    Md4 md;
    md.hash(w);
    digests[i] = make_uint4(md.a, md.b, md.c, md.d);
}
