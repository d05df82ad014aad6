// Hashimoto as a beginner would write it: one thread, one nonce, 128-byte mix in local memory, 64-bit Keccak in loops.
// SHA3 padding instead of the original one by -DSHA3_PAD, for coins that changed it. Inert.
typedef unsigned char byte;
typedef unsigned int uint32;
typedef unsigned long long uint64;

#ifdef SHA3_PAD
#define PAD 6
#else
#define PAD 1
#endif
#ifndef MIX_WORDS
#define MIX_WORDS 32
#endif
#ifndef ACCESSES
#define ACCESSES 64
#endif

__device__ uint64 rotate_left(uint64 x, unsigned n) { return n ? (x << n) | (x >> (64 - n)) : x; }

__device__ uint64 round_constant(int round) {
    // The shift register of the specification, run again each time.
    uint32 state = 1;
    uint64 constant = 0;
    for (int bit = 0; bit < 7 * (round + 1); bit++) {
        if (bit >= 7 * round && (state & 1)) constant ^= 1ull << ((1 << (bit - 7 * round)) - 1);
        state = (state << 1) ^ ((state & 0x80) ? 0x171 : 0);
    }
    return constant;
}

__device__ void permute(uint64 *lanes, const uint64 *constants) {
    for (int round = 0; round < 24; round++) {
        uint64 parity[5], moved[25];
        for (int x = 0; x < 5; x++) {
            parity[x] = 0;
            for (int y = 0; y < 5; y++) parity[x] ^= lanes[x + 5 * y];
        }
        for (int i = 0; i < 25; i++) lanes[i] ^= parity[(i + 4) % 5] ^ rotate_left(parity[(i + 1) % 5], 1);
        int x = 1, y = 0;
        moved[0] = lanes[0];
        for (int t = 0; t < 24; t++) {
            int to_x = y, to_y = (2 * x + 3 * y) % 5;
            moved[to_x + 5 * to_y] = rotate_left(lanes[x + 5 * y], ((t + 1) * (t + 2) / 2) % 64);
            x = to_x;
            y = to_y;
        }
        for (int i = 0; i < 25; i++)
            lanes[i] = moved[i] ^ (~moved[i / 5 * 5 + (i + 1) % 5] & moved[i / 5 * 5 + (i + 2) % 5]);
        lanes[0] ^= constants[round];
    }
}

__device__ void sponge(const byte *data, int length, int rate, byte *out, int out_length, const uint64 *constants) {
    uint64 lanes[25];
    byte *state = (byte *)lanes;
    for (int i = 0; i < 25; i++) lanes[i] = 0;
    for (int i = 0; i < length; i++) state[i] ^= data[i];
    state[length] ^= PAD;
    state[rate - 1] ^= 0x80;
    permute(lanes, constants);
    for (int i = 0; i < out_length; i++) out[i] = state[i];
}

__device__ uint32 fnv(uint32 a, uint32 b) { return a * 16777619u ^ b; }

extern "C" __global__ void hashimoto(const byte *header, const uint32 *table, uint32 rows, uint64 first, byte *digests,
                                     byte limit, uint32 *hits) {
    __shared__ uint64 constants[24];
    if (threadIdx.x < 24) constants[threadIdx.x] = round_constant(threadIdx.x);
    __syncthreads();
    const uint32 id = blockIdx.x * blockDim.x + threadIdx.x;
    const uint64 nonce = first + id;
    byte input[96], digest[32];
    uint32 mix[MIX_WORDS], seed[24];
    for (int i = 0; i < 32; i++) input[i] = header[i];
    for (int i = 0; i < 8; i++) input[32 + i] = (byte)(nonce >> (8 * i));
    sponge(input, 40, 72, (byte *)seed, 64, constants);
    for (int i = 0; i < MIX_WORDS; i++) mix[i] = seed[i % 16];
    for (uint32 i = 0; i < ACCESSES; i++) {
        const uint32 row = fnv(i ^ seed[0], mix[i % MIX_WORDS]) % rows;
        for (int j = 0; j < MIX_WORDS; j++) mix[j] = fnv(mix[j], table[(uint64)row * MIX_WORDS + j]);
    }
    for (int i = 0; i < MIX_WORDS; i += 4)
        seed[16 + i / 4] = fnv(fnv(fnv(mix[i], mix[i + 1]), mix[i + 2]), mix[i + 3]);
    for (int i = 0; i < 96; i++) input[i] = ((byte *)seed)[i];
    sponge(input, 64 + MIX_WORDS, 136, digest, 32, constants);
    if (digests)
        for (int i = 0; i < 32; i++) digests[32 * id + i] = digest[i];
    if (digest[0] <= limit) atomicAdd(hits, 1u);
}
