/* scrypt with r = 1, p = 1 over an 80-byte header: PBKDF2-HMAC-SHA256 before and after, Salsa20/8 over a large pad in
   between. The pad lies in global memory as uint4, interleaved over the threads; GAP > 1 stores every GAP-th row and
   computes the others again; -DLOCAL_PAD keeps a small pad in local memory. Inert. */
typedef unsigned int u32;

#ifndef LOG_N
#define LOG_N 10
#endif
#ifndef GAP
#define GAP 1
#endif
#define COST (1 << LOG_N)

__constant__ u32 k256[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

__device__ __forceinline__ u32 ror(u32 x, int n) { return (x >> n) | (x << (32 - n)); }
__device__ __forceinline__ u32 rol(u32 x, int n) { return __funnelshift_l(x, x, n); }
__device__ __forceinline__ u32 bswap(u32 x) { return __byte_perm(x, 0, 0x0123); }

__device__ __noinline__ void compress(u32 *h, const u32 *block) {
    u32 w[16], v[8];
    for (int i = 0; i < 16; i++) w[i] = block[i];
    for (int i = 0; i < 8; i++) v[i] = h[i];
#pragma unroll 16
    for (int i = 0; i < 64; i++) {
        if (i > 15) {
            u32 p = w[(i + 1) & 15], q = w[(i + 14) & 15];
            w[i & 15] += w[(i + 9) & 15] + (ror(p, 7) ^ ror(p, 18) ^ (p >> 3)) + (ror(q, 17) ^ ror(q, 19) ^ (q >> 10));
        }
        u32 t = v[7] + (ror(v[4], 6) ^ ror(v[4], 11) ^ ror(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k256[i] + w[i & 15];
        u32 s = (ror(v[0], 2) ^ ror(v[0], 13) ^ ror(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        v[7] = v[6]; v[6] = v[5]; v[5] = v[4]; v[4] = v[3] + t; v[3] = v[2]; v[2] = v[1]; v[1] = v[0]; v[0] = t + s;
    }
    for (int i = 0; i < 8; i++) h[i] += v[i];
}

__device__ void fresh(u32 *h) {
    const u32 iv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    for (int i = 0; i < 8; i++) h[i] = iv[i];
}

/* Chaining values of HMAC's two pads for a key of 20 words, which is hashed first. */
__device__ void hmac_key(const u32 *key, u32 *inner, u32 *outer) {
    u32 h[8], block[16];
    fresh(h);
    compress(h, key);
    for (int i = 0; i < 16; i++) block[i] = i < 4 ? key[16 + i] : 0;
    block[4] = 0x80000000u;
    block[15] = 640;
    compress(h, block);
    for (int i = 0; i < 16; i++) block[i] = (i < 8 ? h[i] : 0) ^ 0x36363636u;
    fresh(inner);
    compress(inner, block);
    for (int i = 0; i < 16; i++) block[i] ^= 0x36363636u ^ 0x5c5c5c5cu;
    fresh(outer);
    compress(outer, block);
}

__device__ void hmac_end(const u32 *inner, const u32 *outer, u32 *out) {
    u32 block[16];
    for (int i = 0; i < 16; i++) block[i] = i < 8 ? inner[i] : 0;
    block[8] = 0x80000000u;
    block[15] = 768;
    for (int i = 0; i < 8; i++) out[i] = outer[i];
    compress(out, block);
}

__constant__ u32 c_header[20];

extern "C" __global__ void scrypt_begin(u32 first, u32 *states) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    u32 key[20], inner[8], outer[8], h[8], block[16], out[8];
    for (int i = 0; i < 20; i++) key[i] = c_header[i];
    key[19] = first + id;
    hmac_key(key, inner, outer);
    compress(inner, key);
    for (u32 part = 1; part <= 4; part++) {
        for (int i = 0; i < 16; i++) block[i] = i < 4 ? key[16 + i] : 0;
        block[4] = part;
        block[5] = 0x80000000u;
        block[15] = (64 + 84) * 8;
        for (int i = 0; i < 8; i++) h[i] = inner[i];
        compress(h, block);
        hmac_end(h, outer, out);
        for (int i = 0; i < 8; i++) states[id * 32 + (part - 1) * 8 + i] = bswap(out[i]);
    }
}

__device__ __forceinline__ void salsa8(u32 *b, const u32 *other) {
    u32 x[16];
#pragma unroll
    for (int i = 0; i < 16; i++) x[i] = b[i] ^= other[i];
#pragma unroll
    for (int r = 0; r < 4; r++) {
#define QUARTER(a, b, c, d) \
    x[b] ^= rol(x[a] + x[d], 7); x[c] ^= rol(x[b] + x[a], 9); x[d] ^= rol(x[c] + x[b], 13); x[a] ^= rol(x[d] + x[c], 18)
        QUARTER(0, 4, 8, 12); QUARTER(5, 9, 13, 1); QUARTER(10, 14, 2, 6); QUARTER(15, 3, 7, 11);
        QUARTER(0, 1, 2, 3); QUARTER(5, 6, 7, 4); QUARTER(10, 11, 8, 9); QUARTER(15, 12, 13, 14);
    }
#pragma unroll
    for (int i = 0; i < 16; i++) b[i] += x[i];
}

__device__ __forceinline__ void block_mix(u32 *x) {
    salsa8(x, x + 16);
    salsa8(x + 16, x);
}

#ifdef LOCAL_PAD
#define PAD_AT(row, q) pad[(row) * 8 + (q)]
#else
#define PAD_AT(row, q) pad[((u32)(row) * 8 + (q)) * threads + id]
#endif

extern "C" __global__ void scrypt_mix(u32 *states, uint4 *global_pad) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
#ifdef LOCAL_PAD
    uint4 pad[COST / GAP * 8];
    (void)global_pad;
    (void)threads;
#else
    uint4 *pad = global_pad;
#endif
    u32 x[32], y[32];
    for (int i = 0; i < 32; i++) x[i] = states[id * 32 + i];
    for (u32 row = 0; row < COST; row++) {
        if (row % GAP == 0)
#pragma unroll
            for (int q = 0; q < 8; q++)
                PAD_AT(row / GAP, q) = make_uint4(x[4 * q], x[4 * q + 1], x[4 * q + 2], x[4 * q + 3]);
        block_mix(x);
    }
    for (u32 step = 0; step < COST; step++) {
        const u32 row = x[16] & (COST - 1);
#pragma unroll
        for (int q = 0; q < 8; q++) {
            const uint4 v = PAD_AT(row / GAP, q);
            y[4 * q] = v.x; y[4 * q + 1] = v.y; y[4 * q + 2] = v.z; y[4 * q + 3] = v.w;
        }
#if GAP > 1
        for (u32 again = row % GAP; again; again--) block_mix(y);
#endif
#pragma unroll
        for (int i = 0; i < 32; i++) x[i] ^= y[i];
        block_mix(x);
    }
    for (int i = 0; i < 32; i++) states[id * 32 + i] = x[i];
}

extern "C" __global__ void scrypt_end(u32 first, const u32 *states, u32 limit, u32 *digests, u32 *hits) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    u32 key[20], inner[8], outer[8], block[16], out[8];
    for (int i = 0; i < 20; i++) key[i] = c_header[i];
    key[19] = first + id;
    hmac_key(key, inner, outer);
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < 16; i++) block[i] = bswap(states[id * 32 + half * 16 + i]);
        compress(inner, block);
    }
    for (int i = 0; i < 16; i++) block[i] = 0;
    block[0] = 1;
    block[1] = 0x80000000u;
    block[15] = (64 + 132) * 8;
    compress(inner, block);
    hmac_end(inner, outer, out);
    if (digests)
        for (int i = 0; i < 8; i++) digests[id * 8 + i] = out[i];
    if (bswap(out[7]) <= limit) atomicAdd(hits, 1u);
}
