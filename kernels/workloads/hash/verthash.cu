/* Verthash-like: eight SHA3-512 digests of a stepped header give 4,096 places in a large file, of which 32 bytes each
   are folded by FNV-1a. Eight lanes read one place together, or one thread alone (-DALONE). Inert. */
typedef unsigned int uint;
typedef unsigned long long uint64;

#ifndef ROTATIONS
#define ROTATIONS 32
#endif
#define FNV1A(a, b) (((a) ^ (b)) * 0x01000193u)
#define ROTL64(x, s) ((x) << (s) | (x) >> (64 - (s)))

__constant__ uint64 iota[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000, 0x000000000000808B,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008A, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000A, 0x000000008000808B, 0x800000000000008B, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

#define THETA_COLUMN(x) c##x = s[x] ^ s[x + 5] ^ s[x + 10] ^ s[x + 15] ^ s[x + 20]
#define THETA_APPLY(x, d) s[x] ^= d; s[x + 5] ^= d; s[x + 10] ^= d; s[x + 15] ^= d; s[x + 20] ^= d
#define MOVE(to, n) t1 = s[to]; s[to] = ROTL64(t0, n); t0 = t1
#define CHI(j)                                                                                   \
    c0 = s[j]; c1 = s[j + 1]; c2 = s[j + 2]; c3 = s[j + 3]; c4 = s[j + 4];                       \
    s[j] ^= ~c1 & c2; s[j + 1] ^= ~c2 & c3; s[j + 2] ^= ~c3 & c4; s[j + 3] ^= ~c4 & c0; s[j + 4] ^= ~c0 & c1

__device__ void keccak1600(uint64 *s) {
    uint64 c0, c1, c2, c3, c4, d, t0, t1;
    for (int r = 0; r < 24; r++) {
        THETA_COLUMN(0); THETA_COLUMN(1); THETA_COLUMN(2); THETA_COLUMN(3); THETA_COLUMN(4);
        d = c4 ^ ROTL64(c1, 1); THETA_APPLY(0, d);
        d = c0 ^ ROTL64(c2, 1); THETA_APPLY(1, d);
        d = c1 ^ ROTL64(c3, 1); THETA_APPLY(2, d);
        d = c2 ^ ROTL64(c4, 1); THETA_APPLY(3, d);
        d = c3 ^ ROTL64(c0, 1); THETA_APPLY(4, d);
        t0 = s[1];
        MOVE(10, 1); MOVE(7, 3); MOVE(11, 6); MOVE(17, 10); MOVE(18, 15); MOVE(3, 21);
        MOVE(5, 28); MOVE(16, 36); MOVE(8, 45); MOVE(21, 55); MOVE(24, 2); MOVE(4, 14);
        MOVE(15, 27); MOVE(23, 41); MOVE(19, 56); MOVE(13, 8); MOVE(12, 25); MOVE(2, 43);
        MOVE(20, 62); MOVE(14, 18); MOVE(22, 39); MOVE(9, 61); MOVE(6, 20); MOVE(1, 44);
        CHI(0); CHI(5); CHI(10); CHI(15); CHI(20);
        s[0] ^= iota[r];
    }
}

__constant__ uint64 header80[10];

/* SHA3 of the 80 header bytes; `rate_words` is 9 for 512 bits, 17 for 256. */
__device__ void sha3_80(uint64 *s, uint nonce, uint step, int rate_words) {
    uint64 w[10];
    for (int i = 0; i < 10; i++) w[i] = header80[i];
    w[9] = (w[9] & 0xffffffffull) | (uint64)nonce << 32;
    w[0] = (w[0] & ~0xffull) | ((w[0] + step) & 0xffull);
    for (int i = 0; i < 25; i++) s[i] = i < 10 && i < rate_words ? w[i] : 0;
    if (rate_words == 9) {
        keccak1600(s);
        s[0] ^= w[9];
        s[1] ^= 6;
    } else {
        s[10] ^= 6;
    }
    s[rate_words - 1] ^= 0x8000000000000000ull;
    keccak1600(s);
}

/* Thread i of eight neighbours makes the digest of step i + 1 and keeps it for all. */
extern "C" __global__ void verthash_prepare(uint first, uint *seeds, uint *starts) {
    const uint id = blockIdx.x * blockDim.x + threadIdx.x, nonce = first + id / 8, step = id % 8;
    uint64 s[25];
    sha3_80(s, nonce, step + 1, 9);
    for (int i = 0; i < 8; i++) {
        seeds[id * 16 + 2 * i] = (uint)s[i];
        seeds[id * 16 + 2 * i + 1] = (uint)(s[i] >> 32);
    }
    if (step == 0) {
        sha3_80(s, nonce, 0, 17);
        for (int i = 0; i < 4; i++) {
            starts[(id / 8) * 8 + 2 * i] = (uint)s[i];
            starts[(id / 8) * 8 + 2 * i + 1] = (uint)(s[i] >> 32);
        }
    }
}

#ifdef ALONE
extern "C" __global__ void verthash_walk(const uint *file, uint places, const uint *seeds, uint *state) {
    const uint id = blockIdx.x * blockDim.x + threadIdx.x;
    uint p[8], accumulator = 0x811c9dc5u;
    for (int i = 0; i < 8; i++) p[i] = state[id * 8 + i];
    for (int turn = 0; turn < ROTATIONS; turn++)
        for (int i = 0; i < 128; i++) {
            const uint seed = seeds[id * 128 + i], seek = turn ? seed << turn | seed >> (32 - turn) : seed;
            const uint4 *at = (const uint4 *)(file + 4 * (FNV1A(seek, accumulator) % places));
            const uint4 low = at[0], high = at[1];
            const uint w[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
            for (int k = 0; k < 8; k++) {
                p[k] = FNV1A(p[k], w[k]);
                accumulator = FNV1A(accumulator, w[k]);
            }
        }
    for (int i = 0; i < 8; i++) state[id * 8 + i] = p[i];
}
#else
extern "C" __global__ void verthash_walk(const uint *file, uint places, const uint *seeds, uint *state) {
    const uint id = blockIdx.x * blockDim.x + threadIdx.x, lane = id % 8, group = id / 8;
    uint p = state[group * 8 + lane], accumulator = 0x811c9dc5u;
    for (int turn = 0; turn < ROTATIONS; turn++)
#pragma unroll 2
        for (int i = 0; i < 128; i++) {
            const uint seed = seeds[group * 128 + i], seek = __funnelshift_l(seed, seed, turn);
            const uint w = file[4 * (FNV1A(seek, accumulator) % places) + lane];
            p = FNV1A(p, w);
#pragma unroll
            for (int k = 0; k < 8; k++) accumulator = FNV1A(accumulator, __shfl_sync(0xffffffffu, w, k, 8));
        }
    state[group * 8 + lane] = p;
}
#endif

extern "C" __global__ void verthash_check(const uint *state, uint count, uint limit, uint *best) {
    const uint id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id < count && state[id * 8 + 7] <= limit) atomicMin(best, id);
}
