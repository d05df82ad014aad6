// Bitwise and table-driven physics: multi-spin Ising Monte Carlo, HPP lattice gas, heat-bath Potts, percolation.

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef THRESHOLD_BITS
#define THRESHOLD_BITS 16
#endif

__device__ __forceinline__ u32 xorshift(u32 &s) { s ^= s << 13; s ^= s >> 17; s ^= s << 5; return s; }

// 32 independent lattices a word; a Bernoulli word is built bit by bit of its probability.
__device__ u32 bernoulli(u32 &s, u32 probability)
{
    u32 r = 0;
#pragma unroll
    for (int b = 0; b < THRESHOLD_BITS; b++) {
        u32 x = xorshift(s);
        r = probability >> b & 1 ? r | x : r & x;
    }
    return r;
}

extern "C" __global__ void ising_multispin(u32 *spins, u32 *seeds, int width, int height, int colour, u32 p4, u32 p8)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (2 * x >= width) return;
    int column = 2 * x + ((y + colour) & 1), at = y * width + column;
    u32 s = spins[at], a = s ^ spins[y * width + (column + 1) % width], b = s ^ spins[y * width + (column + width - 1) % width];
    u32 c = s ^ spins[(y + 1) % height * width + column], d = s ^ spins[(y + height - 1) % height * width + column];
    // Number of unlike neighbours by carry-save: two or more flip freely.
    u32 ab = a & b, x1 = a ^ b, cd = c & d, x2 = c ^ d, ones = x1 ^ x2, two_or_more = ab | cd | (x1 & x2);
    u32 seed = seeds[at], r4 = bernoulli(seed, p4), r8 = bernoulli(seed, p8);
    spins[at] = s ^ (two_or_more | (ones & r4) | (~ones & r8));
    seeds[at] = seed;
}

// Four velocity planes; head-on pairs turn by 90 degrees, then every plane moves one cell.
extern "C" __global__ void lattice_gas(const u32 *in, u32 *out, int words, int rows)
{
    int w = blockIdx.x * blockDim.x + threadIdx.x, r = blockIdx.y, plane = words * rows;
    if (w >= words) return;
    int west = (w + words - 1) % words, east = (w + 1) % words, north = (r + rows - 1) % rows, south = (r + 1) % rows;
    u32 moved[4];
#define COLLIDED(d, row, word) ([&] {                                                                  \
        int k = (row) * words + (word);                                                                \
        u32 e = in[k], n = in[plane + k], v = in[2 * plane + k], s = in[3 * plane + k];                \
        u32 turn = (e & v & ~n & ~s) | (n & s & ~e & ~v);                                              \
        return ((d) == 0 ? e : (d) == 1 ? n : (d) == 2 ? v : s) ^ turn; }())
    moved[0] = COLLIDED(0, r, w) << 1 | COLLIDED(0, r, west) >> 31;
    moved[1] = COLLIDED(1, south, w);
    moved[2] = COLLIDED(2, r, w) >> 1 | COLLIDED(2, r, east) << 31;
    moved[3] = COLLIDED(3, north, w);
    for (int d = 0; d < 4; d++) out[d * plane + r * words + w] = moved[d];
}

extern "C" __global__ void potts_heat_bath(unsigned char *spins, u32 *seeds, const float *boltzmann, int width, int height, int states, int colour)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x >= width || ((x + y) & 1) != colour) return;
    int at = y * width + x, near[4] = {y * width + (x + 1) % width, y * width + (x + width - 1) % width, (y + 1) % height * width + x, (y + height - 1) % height * width + x};
    float weights[16], total = 0;
    for (int q = 0; q < states; q++) {
        int same = 0;
        for (int k = 0; k < 4; k++) same += spins[near[k]] == q;
        total += boltzmann[same];
        weights[q] = total;
    }
    u32 s = seeds[at];
    float u = (xorshift(s) >> 8) * 5.9604645e-8f * total;
    int q = 0;
    while (q < states - 1 && weights[q] < u) q++;
    spins[at] = (unsigned char)q;
    seeds[at] = s;
}
