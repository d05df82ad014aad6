// MRG32k3a in integers and in doubles, and MT19937 with one block per stream.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#ifndef USE_DOUBLE
#define USE_DOUBLE 0
#endif

struct Mrg { u32 a[3], b[3]; };

__device__ __forceinline__ double mrg_next(Mrg &s)
{
#if USE_DOUBLE
    double p = 1403580.0 * s.a[1] - 810728.0 * s.a[0];
    p -= floor(p / 4294967087.0) * 4294967087.0;
    double q = 527612.0 * s.b[2] - 1370589.0 * s.b[0];
    q -= floor(q / 4294944443.0) * 4294944443.0;
    u32 x = (u32)p, y = (u32)q;
#else
    i64 p = (i64)1403580 * s.a[1] - (i64)810728 * s.a[0], q = (i64)527612 * s.b[2] - (i64)1370589 * s.b[0];
    p %= 4294967087ll; q %= 4294944443ll;
    u32 x = (u32)(p < 0 ? p + 4294967087ll : p), y = (u32)(q < 0 ? q + 4294944443ll : q);
#endif
    s.a[0] = s.a[1]; s.a[1] = s.a[2]; s.a[2] = x;
    s.b[0] = s.b[1]; s.b[1] = s.b[2]; s.b[2] = y;
    return ((x <= y ? x - y + 4294967087u : x - y)) * 2.328306549295728e-10;
}

extern "C" __global__ void mrg32k3a_uniform(Mrg *states, double *out, int n, int draws)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Mrg s = states[i];
    for (int j = 0; j < draws; j++) out[(size_t)j * n + i] = mrg_next(s);
    states[i] = s;
}

// Arithmetic Asian option: the mean of a path against a strike, sums joined per block.
extern "C" __global__ void mrg_asian_option(Mrg *states, double *sums, double spot, double strike, double drift, double vol, int steps)
{
    __shared__ double part[256];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    Mrg s = states[i];
    double price = spot, mean = 0;
    for (int t = 0; t < steps; t++) {
        double u = mrg_next(s), v = mrg_next(s);
        price *= exp(drift + vol * sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
        mean += price / steps;
    }
    part[threadIdx.x] = fmax(mean - strike, 0.0);
    states[i] = s;
    __syncthreads();
    for (int w = blockDim.x / 2; w; w >>= 1) {
        if (threadIdx.x < w) part[threadIdx.x] += part[threadIdx.x + w];
        __syncthreads();
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = part[0];
}

// One block renews the 624 words in three passes, so that each pass reads only finished words.
extern "C" __global__ void mt19937_generate(u32 *states, u32 *out, int rounds)
{
    __shared__ u32 mt[624];
    u32 *mine = states + 624 * blockIdx.x;
    for (int i = threadIdx.x; i < 624; i += blockDim.x) mt[i] = mine[i];
    __syncthreads();
    for (int r = 0; r < rounds; r++) {
        const int edge[4] = {0, 227, 454, 624};
        for (int pass = 0; pass < 3; pass++) {
            for (int base = edge[pass]; base < edge[pass + 1]; base += 256) {
                int i = base + threadIdx.x;
                u32 v = 0;
                if (i < edge[pass + 1] && threadIdx.x < 256) {
                    u32 y = (mt[i] & 0x80000000u) | (mt[(i + 1) % 624] & 0x7fffffffu);
                    v = mt[(i + 397) % 624] ^ (y >> 1) ^ ((y & 1) * 0x9908b0dfu);
                }
                __syncthreads();
                if (i < edge[pass + 1] && threadIdx.x < 256) mt[i] = v;
                __syncthreads();
            }
        }
        for (int i = threadIdx.x; i < 624; i += blockDim.x) {
            u32 y = mt[i];
            y ^= y >> 11; y ^= (y << 7) & 0x9d2c5680u; y ^= (y << 15) & 0xefc60000u; y ^= y >> 18;
            out[((size_t)blockIdx.x * rounds + r) * 624 + i] = y;
        }
        __syncthreads();
    }
    for (int i = threadIdx.x; i < 624; i += blockDim.x) mine[i] = mt[i];
}

extern "C" __global__ void mt19937_seed(const u32 *seeds, u32 *states, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 x = seeds[i];
    for (int j = 0; j < 624; j++) {
        states[(size_t)i * 624 + j] = x;
        x = 1812433253u * (x ^ (x >> 30)) + j + 1;
    }
}
