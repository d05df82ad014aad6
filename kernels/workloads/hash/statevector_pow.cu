// qhash-like: the digits of SHA-256 turn a 16-qubit state vector by rotations and controlled flips; expectations in
// fixed point are hashed with the first digest. The gates alone look like any quantum simulator. Inert.
#ifndef QUBITS
#define QUBITS 16
#endif
#ifdef DOUBLE_PRECISION
typedef double real;
typedef double2 cplx;
#define MAKE make_double2
#else
typedef float real;
typedef float2 cplx;
#define MAKE make_float2
#endif
typedef unsigned int u32;
typedef unsigned char u8;

#define SIZE (1u << QUBITS)

__constant__ u32 K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

__device__ u32 r(u32 x, u32 n) { return (x >> n) | (x << (32 - n)); }

__device__ void sha256_block(u32 *h, const u32 *block) {
    u32 w[64], s[8];
    for (int i = 0; i < 16; i++) w[i] = block[i];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + (r(w[i - 15], 7) ^ r(w[i - 15], 18) ^ (w[i - 15] >> 3)) + w[i - 7] +
               (r(w[i - 2], 17) ^ r(w[i - 2], 19) ^ (w[i - 2] >> 10));
    for (int i = 0; i < 8; i++) s[i] = h[i];
#pragma unroll 4
    for (int i = 0; i < 64; i++) {
        u32 t = s[7] + (r(s[4], 6) ^ r(s[4], 11) ^ r(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[i] + w[i];
        u32 u = (r(s[0], 2) ^ r(s[0], 13) ^ r(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int j = 7; j > 0; j--) s[j] = s[j - 1];
        s[4] += t;
        s[0] = t + u;
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
}

__device__ void sha256_start(u32 *h) {
    h[0] = 0x6a09e667; h[1] = 0xbb67ae85; h[2] = 0x3c6ef372; h[3] = 0xa54ff53a;
    h[4] = 0x510e527f; h[5] = 0x9b05688c; h[6] = 0x1f83d9ab; h[7] = 0x5be0cd19;
}

extern "C" __global__ void state_begin(cplx *state) {
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < SIZE; i += gridDim.x * blockDim.x)
        state[i] = MAKE(i == 0 ? (real)1 : (real)0, (real)0);
}

// A rotation about Y by `angle` and then about Z by `phase`, on one qubit.
extern "C" __global__ void rotate_qubit(cplx *state, int qubit, real cos_y, real sin_y, real cos_z, real sin_z) {
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < SIZE / 2; i += gridDim.x * blockDim.x) {
        const u32 low = i & ((1u << qubit) - 1u), zero = ((i ^ low) << 1) | low, one = zero | 1u << qubit;
        const cplx a = state[zero], b = state[one];
        const cplx p = MAKE(cos_y * a.x - sin_y * b.x, cos_y * a.y - sin_y * b.y);
        const cplx q = MAKE(sin_y * a.x + cos_y * b.x, sin_y * a.y + cos_y * b.y);
        state[zero] = MAKE(p.x * cos_z + p.y * sin_z, p.y * cos_z - p.x * sin_z);
        state[one] = MAKE(q.x * cos_z - q.y * sin_z, q.y * cos_z + q.x * sin_z);
    }
}

extern "C" __global__ void controlled_flip(cplx *state, int control, int target) {
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < SIZE; i += gridDim.x * blockDim.x)
        if ((i >> control & 1u) && !(i >> target & 1u)) {
            const u32 j = i | 1u << target;
            const cplx t = state[i];
            state[i] = state[j];
            state[j] = t;
        }
}

extern "C" __global__ void expect_z(const cplx *state, int qubit, real *sums) {
    __shared__ real part[256];
    real sum = 0;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < SIZE; i += gridDim.x * blockDim.x) {
        const cplx a = state[i];
        const real p = a.x * a.x + a.y * a.y;
        sum += i >> qubit & 1u ? -p : p;
    }
    part[threadIdx.x] = sum;
    __syncthreads();
    for (u32 d = blockDim.x / 2; d; d >>= 1) {
        if (threadIdx.x < d) part[threadIdx.x] += part[threadIdx.x + d];
        __syncthreads();
    }
    if (threadIdx.x == 0) atomicAdd(&sums[qubit], part[0]);
}

// First digest (eight words) and the expectations as signed 1.15 fixed point, two bytes each.
extern "C" __global__ void state_digest(const u32 *first, const real *sums, u32 instances, u32 limit, u32 *digests, u32 *hits) {
    const u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= instances) return;
    u32 h[8], block[16];
    for (int i = 0; i < 16; i++) block[i] = 0;
    for (int i = 0; i < 8; i++) block[i] = first[8 * id + i];
    for (int q = 0; q < QUBITS; q++) {
        const int fixed = (int)(sums[id * QUBITS + q] * (real)32768);
        const u32 bytes = ((u32)fixed & 255u) << 8 | ((u32)fixed >> 8 & 255u);
        block[8 + q / 2] |= bytes << (q & 1 ? 0 : 16);
    }
    sha256_start(h);
    sha256_block(h, block);
    for (int i = 0; i < 16; i++) block[i] = 0;
    block[0] = 0x80000000u;
    block[15] = 512;
    sha256_block(h, block);
    for (int i = 0; i < 8; i++) digests[8 * id + i] = h[i];
    if (h[0] <= limit) atomicAdd(hits, 1u);
}
