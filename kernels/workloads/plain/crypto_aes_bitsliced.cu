// Bitsliced ciphers: 32 blocks side by side in registers. DES-like Feistel gates stay out; this is an AES-style
// inversion by the tower of fields, a Trivium keystream, and a PRESENT-style layer of 4-bit gates.

typedef unsigned int word;

struct Byte8 { word b[8]; };

// Multiplication in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1, a bit plane at a time.
__device__ __noinline__ Byte8 multiply(const Byte8 &x, const Byte8 &y)
{
    word t[15] = {};
#pragma unroll
    for (int i = 0; i < 8; i++)
#pragma unroll
        for (int j = 0; j < 8; j++) t[i + j] ^= x.b[i] & y.b[j];
#pragma unroll
    for (int k = 14; k >= 8; k--) { t[k - 4] ^= t[k]; t[k - 5] ^= t[k]; t[k - 7] ^= t[k]; t[k - 8] ^= t[k]; }
    Byte8 r;
    for (int i = 0; i < 8; i++) r.b[i] = t[i];
    return r;
}

// Inverse as x^254 by an addition chain, then the affine map.
__device__ __noinline__ Byte8 substitute(Byte8 x)
{
    Byte8 x2 = multiply(x, x), x3 = multiply(x2, x), x6 = multiply(x3, x3), x12 = multiply(x6, x6), x15 = multiply(x12, x3);
    Byte8 p = x15;
#pragma unroll 1
    for (int i = 0; i < 4; i++) p = multiply(p, p);
    p = multiply(multiply(p, x12), x2);
    Byte8 r;
#pragma unroll
    for (int i = 0; i < 8; i++) r.b[i] = p.b[i] ^ p.b[(i + 4) & 7] ^ p.b[(i + 5) & 7] ^ p.b[(i + 6) & 7] ^ p.b[(i + 7) & 7] ^ (0x63 >> i & 1 ? ~0u : 0);
    return r;
}

// State: 16 bytes as 8 planes each; a thread owns 32 blocks. `keys` holds expanded planes, 128 words a round.
extern "C" __global__ void aes_bitsliced(const word *keys, word *state, int rounds, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Byte8 s[16];
    for (int k = 0; k < 128; k++) s[k / 8].b[k % 8] = state[(size_t)k * n + i] ^ keys[k];
    for (int r = 1; r <= rounds; r++) {
        Byte8 t[16];
#pragma unroll 1
        for (int k = 0; k < 16; k++) t[k] = substitute(s[(k + 4 * (k % 4)) % 16]);
#pragma unroll 1
        for (int c = 0; c < 16; c += 4) {
            for (int row = 0; row < 4; row++) {
                Byte8 a = t[c + row], b = t[c + (row + 1) % 4], d = t[c + (row + 2) % 4], e = t[c + (row + 3) % 4], m = a;
                if (r < rounds) {
                    for (int k = 0; k < 8; k++) {
                        word up = k ? a.b[k - 1] ^ b.b[k - 1] : 0, carry = a.b[7] ^ b.b[7];
                        if (k == 0 || k == 1 || k == 3 || k == 4) up ^= carry;
                        m.b[k] = up ^ b.b[k] ^ d.b[k] ^ e.b[k];
                    }
                }
                for (int k = 0; k < 8; k++) s[c + row].b[k] = m.b[k] ^ keys[128 * r + 8 * (c + row) + k];
            }
        }
    }
    for (int k = 0; k < 128; k++) state[(size_t)k * n + i] = s[k / 8].b[k % 8];
}

// Trivium, 32 streams a word, state rings kept in local arrays and moved a step at a time.
extern "C" __global__ void trivium_bitsliced(word *state, word *stream, int steps, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    word s[288];
#pragma unroll 1
    for (int k = 0; k < 288; k++) s[k] = state[(size_t)k * n + i];
    for (int t = 0; t < steps; t++) {
        word t1 = s[65] ^ s[92], t2 = s[161] ^ s[176], t3 = s[242] ^ s[287];
        stream[(size_t)t * n + i] = t1 ^ t2 ^ t3;
        t1 ^= (s[90] & s[91]) ^ s[170]; t2 ^= (s[174] & s[175]) ^ s[263]; t3 ^= (s[285] & s[286]) ^ s[68];
#pragma unroll 1
        for (int k = 287; k > 0; k--) s[k] = s[k - 1];
        s[0] = t3; s[93] = t1; s[177] = t2;
    }
#pragma unroll 1
    for (int k = 0; k < 288; k++) state[(size_t)k * n + i] = s[k];
}

// 31 rounds of a 64-bit substitution-permutation network, gates for the 4-bit box, wires for the permutation.
extern "C" __global__ void present_bitsliced(const word *keys, word *state, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    word s[64], t[64];
    for (int k = 0; k < 64; k++) s[k] = state[(size_t)k * n + i];
#pragma unroll 1
    for (int r = 0; r < 31; r++) {
#pragma unroll
        for (int g = 0; g < 16; g++) {
            word a = s[4 * g] ^ keys[64 * r + 4 * g], b = s[4 * g + 1] ^ keys[64 * r + 4 * g + 1], c = s[4 * g + 2] ^ keys[64 * r + 4 * g + 2],
                 d = s[4 * g + 3] ^ keys[64 * r + 4 * g + 3];
            // Algebraic normal form of the box C56B90AD3EF84712.
            word y0 = a ^ c ^ d ^ (b & c), y1 = b ^ d ^ (b & d) ^ (c & d) ^ (a & b & c) ^ (a & b & d) ^ (a & c & d);
            word y2 = ~(c ^ d ^ (a & b) ^ (a & d) ^ (b & d) ^ (a & b & d) ^ (a & c & d)), y3 = ~(a ^ b ^ d ^ (b & c) ^ (a & b & c) ^ (a & b & d) ^ (a & c & d));
            t[g] = y0; t[16 + g] = y1; t[32 + g] = y2; t[48 + g] = y3;
        }
#pragma unroll
        for (int k = 0; k < 64; k++) s[k] = t[k];
    }
    for (int k = 0; k < 64; k++) state[(size_t)k * n + i] = s[k] ^ keys[64 * 31 + k];
}
