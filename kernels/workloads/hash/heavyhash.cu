// kHeavyHash: Keccak with a prepared cSHAKE state, a 64x64 matrix of nibbles by dp4a, Keccak again. Inert.
// Style: 64-bit lanes in registers, constants in constant memory, results compared as four 64-bit words.
typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned char u8;

__constant__ u64 kRound[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

__constant__ u64 c_pow_state[25];    // after the block with the name "ProofOfWorkHash"
__constant__ u64 c_heavy_state[25];  // after the block with the name "HeavyHash"
__constant__ u64 c_header[9];        // 32 bytes hash, 8 bytes time, 32 zero bytes
__constant__ u32 c_matrix[64][16];   // 64 rows of 64 values below 16, one a byte
__constant__ u64 c_target[4];        // little endian

#define ROL(x, n) (((x) << (n)) | ((x) >> (64 - (n))))

__device__ __forceinline__ void keccak(u64 a[25]) {
#ifdef ROLLED
#pragma unroll 1
#else
#pragma unroll 4
#endif
    for (int round = 0; round < 24; ++round) {
        u64 c[5], b[25];
#pragma unroll
        for (int x = 0; x < 5; ++x) c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
#pragma unroll
        for (int x = 0; x < 5; ++x) {
            const u64 d = c[(x + 4) % 5] ^ ROL(c[(x + 1) % 5], 1);
#pragma unroll
            for (int y = 0; y < 25; y += 5) a[x + y] ^= d;
        }
        b[0] = a[0];
        b[10] = ROL(a[1], 1);   b[20] = ROL(a[2], 62);  b[5] = ROL(a[3], 28);   b[15] = ROL(a[4], 27);
        b[16] = ROL(a[5], 36);  b[1] = ROL(a[6], 44);   b[11] = ROL(a[7], 6);   b[21] = ROL(a[8], 55);
        b[6] = ROL(a[9], 20);   b[7] = ROL(a[10], 3);   b[17] = ROL(a[11], 10); b[2] = ROL(a[12], 43);
        b[12] = ROL(a[13], 25); b[22] = ROL(a[14], 39); b[23] = ROL(a[15], 41); b[8] = ROL(a[16], 45);
        b[18] = ROL(a[17], 15); b[3] = ROL(a[18], 21);  b[13] = ROL(a[19], 8);  b[14] = ROL(a[20], 18);
        b[24] = ROL(a[21], 2);  b[9] = ROL(a[22], 61);  b[19] = ROL(a[23], 56); b[4] = ROL(a[24], 14);
#pragma unroll
        for (int y = 0; y < 25; y += 5)
#pragma unroll
            for (int x = 0; x < 5; ++x) a[y + x] = b[y + x] ^ (~b[y + (x + 1) % 5] & b[y + (x + 2) % 5]);
        a[0] ^= kRound[round];
    }
}

__device__ __forceinline__ u32 row_product(int row, const u32 v[16]) {
    u32 sum = 0;
#pragma unroll
    for (int i = 0; i < 16; ++i) sum = __dp4a(c_matrix[row][i], v[i], sum);
    return sum >> 10;
}

__device__ void heavy(const u64 nonce, u64 digest[4]) {
    u64 a[25];
#pragma unroll
    for (int i = 0; i < 25; ++i) a[i] = c_pow_state[i];
#pragma unroll
    for (int i = 0; i < 9; ++i) a[i] ^= c_header[i];
    a[9] ^= nonce;
    a[10] ^= 0x04;
    a[16] ^= 0x8000000000000000ull;
    keccak(a);

    u32 nibbles[16];
    const u8 *bytes = (const u8 *)a;
#pragma unroll
    for (int i = 0; i < 16; ++i) {
        const u32 p = bytes[2 * i], q = bytes[2 * i + 1];
        nibbles[i] = (p >> 4) | (p & 15u) << 8 | (q >> 4) << 16 | (q & 15u) << 24;
    }
    u64 mixed[4];
#ifdef ROLLED
#pragma unroll 1
#else
#pragma unroll 2
#endif
    for (int w = 0; w < 4; ++w) {
        u64 word = 0;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const int row = 2 * (8 * w + i);
            word |= (u64)((row_product(row, nibbles) << 4) | row_product(row + 1, nibbles)) << (8 * i);
        }
        mixed[w] = a[w] ^ word;
    }
#pragma unroll
    for (int i = 0; i < 25; ++i) a[i] = c_heavy_state[i];
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] ^= mixed[i];
    a[4] ^= 0x04;
    a[16] ^= 0x8000000000000000ull;
    keccak(a);
#pragma unroll
    for (int i = 0; i < 4; ++i) digest[i] = a[i];
}

__device__ __forceinline__ bool not_above(const u64 d[4]) {
    for (int i = 3; i >= 0; --i)
        if (d[i] != c_target[i]) return d[i] < c_target[i];
    return true;
}

extern "C" __global__ void heavy_hash(u64 mask, u64 fixed, u64 *states, u64 count, u64 *final_nonce, u64 *digests) {
    const u64 id = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= count) return;
    // Each thread keeps a xorshift of its own and so visits its own nonces.
    u64 s = states[id], nonce = (s & mask) | fixed, d[4];
    heavy(nonce, d);
    if (not_above(d)) atomicCAS(final_nonce, 0ull, nonce);
    if (digests)
        for (int i = 0; i < 4; ++i) digests[4 * id + i] = d[i];
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    states[id] = s;
}
