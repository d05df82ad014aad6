/* SHA-512/256 twice over an 80-byte header. 64-bit words, sixteen rounds a turn of the loop, constants in constant
   memory. Inert: digests or a count come back, nothing else. */
typedef unsigned long long word64;
typedef unsigned int word32;

#ifdef USE_PRMT
__device__ __forceinline__ word64 ror8n(word64 x, int bytes) {
    word32 lo = (word32)x, hi = (word32)(x >> 32), sel = 0x3210 + 0x1111 * bytes;
    word32 l = __byte_perm(lo, hi, sel), h = __byte_perm(hi, lo, sel);
    return ((word64)h << 32) | l;
}
#define ROR8(x) ror8n(x, 1)
#else
#define ROR8(x) ROR(x, 8)
#endif
#define ROR(x, n) (((x) >> (n)) | ((x) << (64 - (n))))

__constant__ word64 k512[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817};

__device__ void sha512_256_block(word64 w[16], word64 out[4]) {
    const word64 start[8] = {0x22312194FC2BF72C, 0x9F555FA3C84C64C2, 0x2393B86B6F53B151, 0x963877195940EABD,
                             0x96283EE2A88EFFE3, 0xBE5E1E2553863992, 0x2B0199FC2C85B8AA, 0x0EB72DDC81C52CA2};
    word64 s[8];
    for (int i = 0; i < 8; i++) s[i] = start[i];
    for (int base = 0; base < 80; base += 16) {
#pragma unroll
        for (int i = 0; i < 16; i++) {
            if (base) {
                word64 x = w[(i + 1) & 15], y = w[(i + 14) & 15];
                w[i] += w[(i + 9) & 15] + (ROR(x, 1) ^ ROR8(x) ^ (x >> 7)) + (ROR(y, 19) ^ ROR(y, 61) ^ (y >> 6));
            }
            word64 t = s[7] + (ROR(s[4], 14) ^ ROR(s[4], 18) ^ ROR(s[4], 41)) + (s[6] ^ (s[4] & (s[5] ^ s[6])))
                       + k512[base + i] + w[i];
            word64 u = (ROR(s[0], 28) ^ ROR(s[0], 34) ^ ROR(s[0], 39)) + ((s[0] & s[1]) | (s[2] & (s[0] | s[1])));
            s[7] = s[6]; s[6] = s[5]; s[5] = s[4]; s[4] = s[3] + t;
            s[3] = s[2]; s[2] = s[1]; s[1] = s[0]; s[0] = t + u;
        }
    }
    for (int i = 0; i < 4; i++) out[i] = start[i] + s[i];
}

__constant__ word64 header_words[10];

extern "C" __global__ void sha512_256d_mine(word32 first, word64 limit, word64 *digests, word32 *count) {
    word32 id = blockIdx.x * blockDim.x + threadIdx.x;
    word64 w[16], d[4];
    for (int i = 0; i < 10; i++) w[i] = header_words[i];
    w[9] = (w[9] & 0xffffffff00000000ull) | (first + id);
    w[10] = 0x8000000000000000ull;
    for (int i = 11; i < 15; i++) w[i] = 0;
    w[15] = 640;
    sha512_256_block(w, d);
    for (int i = 0; i < 4; i++) w[i] = d[i];
    w[4] = 0x8000000000000000ull;
    for (int i = 5; i < 15; i++) w[i] = 0;
    w[15] = 256;
    sha512_256_block(w, d);
    if (digests)
        for (int i = 0; i < 4; i++) digests[4 * id + i] = d[i];
    if (d[3] <= limit) atomicAdd(count, 1u);
}
