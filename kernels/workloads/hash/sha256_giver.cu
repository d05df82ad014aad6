// Proof of work over a 123-byte message: SHA-256 of two blocks whose random part is repeated at the end, as a wallet
// contract may ask for. Textbook loops with the whole schedule in local memory. Inert.
typedef unsigned int uint32_tt;
typedef unsigned char uchar;

#ifndef ROUNDS_UNROLLED
#define ROUNDS_UNROLLED 1
#endif
#define LENGTH 123

__device__ const uint32_tt k[] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

#define ROTRIGHT(a, b) (((a) >> (b)) | ((a) << (32 - (b))))

typedef struct {
    uchar data[64];
    uint32_tt datalen;
    unsigned long long bitlen;
    uint32_tt state[8];
} Context;

__device__ void transform(Context *ctx) {
    uint32_tt a, b, c, d, e, f, g, h, i, j, t1, t2, m[64];
    for (i = 0, j = 0; i < 16; ++i, j += 4)
        m[i] = (ctx->data[j] << 24) | (ctx->data[j + 1] << 16) | (ctx->data[j + 2] << 8) | (ctx->data[j + 3]);
    for (; i < 64; ++i)
        m[i] = (ROTRIGHT(m[i - 2], 17) ^ ROTRIGHT(m[i - 2], 19) ^ (m[i - 2] >> 10)) + m[i - 7] +
               (ROTRIGHT(m[i - 15], 7) ^ ROTRIGHT(m[i - 15], 18) ^ (m[i - 15] >> 3)) + m[i - 16];
    a = ctx->state[0]; b = ctx->state[1]; c = ctx->state[2]; d = ctx->state[3];
    e = ctx->state[4]; f = ctx->state[5]; g = ctx->state[6]; h = ctx->state[7];
#pragma unroll ROUNDS_UNROLLED
    for (i = 0; i < 64; ++i) {
        t1 = h + (ROTRIGHT(e, 6) ^ ROTRIGHT(e, 11) ^ ROTRIGHT(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + m[i];
        t2 = (ROTRIGHT(a, 2) ^ ROTRIGHT(a, 13) ^ ROTRIGHT(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2;
    }
    ctx->state[0] += a; ctx->state[1] += b; ctx->state[2] += c; ctx->state[3] += d;
    ctx->state[4] += e; ctx->state[5] += f; ctx->state[6] += g; ctx->state[7] += h;
}

__device__ void sha_init(Context *ctx) {
    ctx->datalen = 0;
    ctx->bitlen = 0;
    ctx->state[0] = 0x6a09e667; ctx->state[1] = 0xbb67ae85; ctx->state[2] = 0x3c6ef372; ctx->state[3] = 0xa54ff53a;
    ctx->state[4] = 0x510e527f; ctx->state[5] = 0x9b05688c; ctx->state[6] = 0x1f83d9ab; ctx->state[7] = 0x5be0cd19;
}

__device__ void sha_update(Context *ctx, const uchar *data, uint32_tt length) {
    for (uint32_tt i = 0; i < length; ++i) {
        ctx->data[ctx->datalen++] = data[i];
        if (ctx->datalen == 64) {
            transform(ctx);
            ctx->bitlen += 512;
            ctx->datalen = 0;
        }
    }
}

__device__ void sha_final(Context *ctx, uchar *hash) {
    uint32_tt i = ctx->datalen;
    ctx->data[i++] = 0x80;
    if (i > 56) {
        while (i < 64) ctx->data[i++] = 0;
        transform(ctx);
        i = 0;
    }
    while (i < 56) ctx->data[i++] = 0;
    ctx->bitlen += ctx->datalen * 8;
    for (i = 0; i < 8; ++i) ctx->data[63 - i] = (uchar)(ctx->bitlen >> (8 * i));
    transform(ctx);
    for (i = 0; i < 32; ++i) hash[i] = (uchar)(ctx->state[i / 4] >> (24 - 8 * (i % 4)));
}

extern "C" __global__ void giver_search(const uchar *message, unsigned long long base, uint32_tt tries, uchar limit,
                                        uchar *digests, unsigned long long *found) {
    uchar text[LENGTH], hash[32];
    const uint32_tt id = blockIdx.x * blockDim.x + threadIdx.x;
    for (int i = 0; i < LENGTH; ++i) text[i] = message[i];
    for (uint32_tt t = 0; t < tries; ++t) {
        const unsigned long long value = base + (unsigned long long)id * tries + t;
        for (int i = 0; i < 8; ++i) text[43 + i] = text[91 + i] = (uchar)(value >> (56 - 8 * i));
        Context ctx;
        sha_init(&ctx);
        sha_update(&ctx, text, LENGTH);
        sha_final(&ctx, hash);
        if (digests)
            for (int i = 0; i < 32; ++i) digests[(value - base) * 32 + i] = hash[i];
        if (hash[0] <= limit) atomicMin(found, value);
    }
}
