// PBKDF2-HMAC-SHA1 as audit tools run it: set up the two HMAC pads, iterate in slices so that no launch
// lasts too long, then compare. State of a candidate: ipad (5), opad (5), running block (5), sum (5) words.

typedef unsigned int u32;

#ifndef SLICE
#define SLICE 1024
#endif

static __device__ __forceinline__ u32 rol(u32 x, int n) { return __funnelshift_l(x, x, n); }

static __device__ void sha1_compress(u32 *h, u32 *w)
{
    u32 a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
#pragma unroll
    for (int t = 0; t < 80; t++) {
        u32 wt;
        if (t < 16) wt = w[t];
        else {
            wt = rol(w[(t + 13) & 15] ^ w[(t + 8) & 15] ^ w[(t + 2) & 15] ^ w[t & 15], 1);
            w[t & 15] = wt;
        }
        u32 f, k;
        if (t < 20) { f = (b & c) | (~b & d); k = 0x5a827999u; }
        else if (t < 40) { f = b ^ c ^ d; k = 0x6ed9eba1u; }
        else if (t < 60) { f = (b & c) | (b & d) | (c & d); k = 0x8f1bbcdcu; }
        else { f = b ^ c ^ d; k = 0xca62c1d6u; }
        u32 x = rol(a, 5) + f + e + k + wt;
        e = d; d = c; c = rol(b, 30); b = a; a = x;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e;
}

static __device__ void sha1_init(u32 *h)
{
    h[0] = 0x67452301u; h[1] = 0xefcdab89u; h[2] = 0x98badcfeu; h[3] = 0x10325476u; h[4] = 0xc3d2e1f0u;
}

// HMAC of a 20-byte message with prepared pads: two compressions.
static __device__ __forceinline__ void hmac_20(const u32 *ipad, const u32 *opad, u32 *block)
{
    u32 h[5], w[16];
    for (int pass = 0; pass < 2; pass++) {
        const u32 *start = pass ? opad : ipad;
        for (int i = 0; i < 5; i++) { h[i] = start[i]; w[i] = block[i]; }
        w[5] = 0x80000000u;
        for (int i = 6; i < 15; i++) w[i] = 0;
        w[15] = (64 + 20) * 8;
        sha1_compress(h, w);
        for (int i = 0; i < 5; i++) block[i] = h[i];
    }
}

// `keys`: 16 big-endian words a candidate (zero padded), `salt`: one padded block, 64 + its length counted in.
extern "C" __global__ void pbkdf2_sha1_init(const u32 *keys, const u32 *salt_block, u32 *state, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 pads[2][5], w[16];
    for (int p = 0; p < 2; p++) {
        for (int j = 0; j < 16; j++) w[j] = keys[16 * i + j] ^ (p ? 0x5c5c5c5cu : 0x36363636u);
        sha1_init(pads[p]);
        sha1_compress(pads[p], w);
        for (int j = 0; j < 5; j++) state[(5 * p + j) * n + i] = pads[p][j];
    }
    u32 h[5];
    for (int j = 0; j < 5; j++) h[j] = pads[0][j];
    for (int j = 0; j < 16; j++) w[j] = salt_block[j];
    sha1_compress(h, w);
    for (int j = 0; j < 16; j++) w[j] = j < 5 ? h[j] : 0;
    w[5] = 0x80000000u; w[15] = (64 + 20) * 8;
    for (int j = 0; j < 5; j++) h[j] = pads[1][j];
    sha1_compress(h, w);
    for (int j = 0; j < 5; j++) state[(10 + j) * n + i] = state[(15 + j) * n + i] = h[j];
}

extern "C" __global__ void pbkdf2_sha1_loop(u32 *state, u32 n, u32 left)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 ipad[5], opad[5], block[5], sum[5];
    for (int j = 0; j < 5; j++) {
        ipad[j] = state[j * n + i]; opad[j] = state[(5 + j) * n + i];
        block[j] = state[(10 + j) * n + i]; sum[j] = state[(15 + j) * n + i];
    }
    u32 rounds = left < SLICE ? left : SLICE;
#pragma unroll 1
    for (u32 r = 0; r < rounds; r++) {
        hmac_20(ipad, opad, block);
        for (int j = 0; j < 5; j++) sum[j] ^= block[j];
    }
    for (int j = 0; j < 5; j++) { state[(10 + j) * n + i] = block[j]; state[(15 + j) * n + i] = sum[j]; }
}

extern "C" __global__ void pbkdf2_sha1_compare(const u32 *state, u32 n, const u32 *targets, u32 n_targets, u32 *found)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    for (u32 t = 0; t < n_targets; t++) {
        u32 diff = 0;
        for (int j = 0; j < 5; j++) diff |= state[(15 + j) * n + i] ^ targets[5 * t + j];
        if (!diff) atomicExch(&found[t], i + 1);
    }
}
