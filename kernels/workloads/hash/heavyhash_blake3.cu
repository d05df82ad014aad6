// The matrix hash with BLAKE3 around it; the 64x64 matrix is unpacked to shared memory, products are scalar. Inert.
#define ROR(x, n) (((x) >> (n)) | ((x) << (32 - (n))))

typedef unsigned int uint;

__constant__ uint header_words[20];      // 80 bytes, the nonce is in the last eight
__constant__ unsigned char matrix_in[64 * 64];

__device__ __forceinline__ void half_round(uint *s, const uint *m) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int a = i & 3, shift = i >> 2;
        const int b = 4 + ((a + shift) & 3), c = 8 + ((a + 2 * shift) & 3), d = 12 + ((a + 3 * shift) & 3);
        s[a] += s[b] + m[2 * i];     s[d] ^= s[a]; s[d] = ROR(s[d], 16);
        s[c] += s[d];                s[b] ^= s[c]; s[b] = ROR(s[b], 12);
        s[a] += s[b] + m[2 * i + 1]; s[d] ^= s[a]; s[d] = ROR(s[d], 8);
        s[c] += s[d];                s[b] ^= s[c]; s[b] = ROR(s[b], 7);
    }
}

__device__ __forceinline__ void permute(uint *m) {
    const int p[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
    uint t[16];
#pragma unroll
    for (int i = 0; i < 16; i++) t[i] = m[p[i]];
#pragma unroll
    for (int i = 0; i < 16; i++) m[i] = t[i];
}

__device__ __forceinline__ void squeeze(uint *cv, uint *m, uint length, uint flags) {
    uint s[16] = {cv[0], cv[1], cv[2], cv[3], cv[4], cv[5], cv[6], cv[7], 0x6A09E667, 0xBB67AE85, 0x3C6EF372,
                  0xA54FF53A, 0, 0, length, flags};
#ifdef COMPACT
#pragma unroll 1
#else
#pragma unroll
#endif
    for (int r = 0; r < 7; r++) {
        half_round(s, m);
        if (r < 6) permute(m);
    }
    for (int i = 0; i < 8; i++) cv[i] = s[i] ^ s[i + 8];
}

__device__ __forceinline__ void reset(uint *cv) {
    cv[0] = 0x6A09E667; cv[1] = 0xBB67AE85; cv[2] = 0x3C6EF372; cv[3] = 0xA54FF53A;
    cv[4] = 0x510E527F; cv[5] = 0x9B05688C; cv[6] = 0x1F83D9AB; cv[7] = 0x5BE0CD19;
}

extern "C" __global__ void matrix_blake3(uint nonce_low, uint nonce_high, uint limit, uint *digests, uint *hits) {
    __shared__ unsigned short rows[64][64];
    for (int i = threadIdx.x; i < 4096; i += blockDim.x) rows[i >> 6][i & 63] = matrix_in[i];
    __syncthreads();

    const uint id = blockIdx.x * blockDim.x + threadIdx.x;
    uint cv[8], m[16];
    reset(cv);
    for (int i = 0; i < 16; i++) m[i] = header_words[i];
    squeeze(cv, m, 64, 1);
    for (int i = 0; i < 16; i++) m[i] = i < 2 ? header_words[16 + i] : 0;
    m[2] = nonce_low + id;
    m[3] = nonce_high;
    squeeze(cv, m, 16, 2 | 8);

    unsigned short v[64];
    for (int i = 0; i < 32; i++) {
        const uint byte = cv[i >> 2] >> (8 * (i & 3));
        v[2 * i] = (byte >> 4) & 15;
        v[2 * i + 1] = byte & 15;
    }
    for (int w = 0; w < 8; w++) {
        uint word = 0;
        for (int k = 0; k < 8; k++) {
            const int row = 8 * w + k;
            uint sum = 0;
#pragma unroll 8
            for (int j = 0; j < 64; j++) sum += rows[row][j] * v[j];
            word |= ((sum >> 10) & 15u) << (8 * (k >> 1) + (k & 1 ? 0 : 4));
        }
        m[w] = cv[w] ^ word;
    }
    for (int i = 8; i < 16; i++) m[i] = 0;
    reset(cv);
    squeeze(cv, m, 32, 11);
    if (digests)
        for (int i = 0; i < 8; i++) digests[8 * id + i] = cv[i];
    if (cv[7] <= limit) atomicAdd(hits, 1u);
}
