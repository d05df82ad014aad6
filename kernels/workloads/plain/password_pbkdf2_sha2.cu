// PBKDF2-HMAC over SHA-256 or SHA-512 (-DWORD64), whole derivation of one output block in one kernel,
// and the plain salted iteration that crypt-like schemes use.
#include "sha2.cuh"

#ifdef WORD64
typedef unsigned long long Word;
#else
typedef unsigned int Word;
#endif
enum { HALF = 8, BLOCK = 16, WORD_BITS = Sha2<Word>::BITS };

struct Hmac {
    Word inner[8], outer[8];

    __device__ void key(const Word *padded_key)
    {
        const Word i = (Word)0x3636363636363636ull, o = (Word)0x5c5c5c5c5c5c5c5cull;
        Word w[16];
        Sha2<Word>::start(inner);
        for (int j = 0; j < 16; j++) w[j] = padded_key[j] ^ i;
        sha2_compress(inner, w);
        Sha2<Word>::start(outer);
        for (int j = 0; j < 16; j++) w[j] = padded_key[j] ^ o;
        sha2_compress(outer, w);
    }

    // `w` is the last, padded block of the message behind the inner pad.
    __device__ void sign(Word *w, Word *mac) const
    {
        Word h[8];
        for (int j = 0; j < 8; j++) h[j] = inner[j];
        sha2_compress(h, w);
        pad_digest(h, w);
        for (int j = 0; j < 8; j++) mac[j] = outer[j];
        sha2_compress(mac, w);
    }

    __device__ static void pad_digest(const Word *digest, Word *w)
    {
        for (int j = 0; j < 8; j++) w[j] = digest[j];
        w[8] = (Word)1 << (WORD_BITS - 1);
        for (int j = 9; j < 15; j++) w[j] = 0;
        w[15] = (BLOCK + HALF) * WORD_BITS;
    }
};

extern "C" __global__ void pbkdf2_sha2(const Word *keys, const Word *salt_block, unsigned iterations, Word *derived,
                                       unsigned n)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Hmac hmac;
    Word w[16], u[8], sum[8];
    hmac.key(keys + 16 * i);
    for (int j = 0; j < 16; j++) w[j] = salt_block[j];
    hmac.sign(w, u);
    for (int j = 0; j < 8; j++) sum[j] = u[j];
    for (unsigned r = 1; r < iterations; r++) {
        Hmac::pad_digest(u, w);
        hmac.sign(w, u);
        for (int j = 0; j < 8; j++) sum[j] ^= u[j];
    }
    for (int j = 0; j < 8; j++) derived[8 * i + j] = sum[j];
}

// Crypt-like: digest = H(digest || key) for a key of at most 5 words; order alternates with the round's parity.
extern "C" __global__ void crypt_sha2_rounds(const Word *keys, Word *digests, unsigned rounds, unsigned n)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Word key[4], digest[8], w[16];
    for (int j = 0; j < 4; j++) key[j] = keys[4 * i + j];
    for (int j = 0; j < 8; j++) digest[j] = digests[8 * i + j];
    for (unsigned r = 0; r < rounds; r++) {
        bool odd = r & 1;
        for (int j = 0; j < 8; j++) w[odd ? 4 + j : j] = digest[j];
        for (int j = 0; j < 4; j++) w[odd ? j : 8 + j] = key[j];
        w[12] = (Word)1 << (WORD_BITS - 1);
        w[13] = w[14] = 0;
        w[15] = 12 * WORD_BITS;
        Sha2<Word>::start(digest);
        sha2_compress(digest, w);
    }
    for (int j = 0; j < 8; j++) digests[8 * i + j] = digest[j];
}
