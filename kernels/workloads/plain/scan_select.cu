// Prefix sums (block, and a chained single pass), stream compaction, histogram, run-length encoding, segmented sum, top-k.

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef BINS
#define BINS 256
#endif
#ifndef ITEMS
#define ITEMS 4
#endif

__device__ __forceinline__ u32 warp_scan(u32 v)
{
    u32 lane = threadIdx.x & 31;
#pragma unroll
    for (int o = 1; o < 32; o <<= 1) {
        u32 below = __shfl_up_sync(0xffffffffu, v, o);
        if (lane >= (u32)o) v += below;
    }
    return v;
}

// Inclusive sum over the block; `sums` has room for one value a warp.
__device__ u32 block_scan(u32 v, u32 *sums)
{
    u32 inclusive = warp_scan(v), warp = threadIdx.x >> 5;
    if ((threadIdx.x & 31) == 31) sums[warp] = inclusive;
    __syncthreads();
    if (warp == 0) {
        u32 s = threadIdx.x < blockDim.x / 32 ? sums[threadIdx.x] : 0;
        sums[threadIdx.x] = warp_scan(s);
    }
    __syncthreads();
    u32 result = inclusive + (warp ? sums[warp - 1] : 0);
    __syncthreads();
    return result;
}

// Decoupled look-back: status words hold state (1 own sum, 2 full prefix) above a 32-bit value.
extern "C" __global__ void scan_chained(const u32 *in, u32 *out, u64 *status, u32 n)
{
    __shared__ u32 sums[32], before;
    u32 base = (blockIdx.x * blockDim.x + threadIdx.x) * ITEMS, v[ITEMS], total = 0;
#pragma unroll
    for (int i = 0; i < ITEMS; i++) { v[i] = base + i < n ? in[base + i] : 0; total += v[i]; }
    u32 inclusive = block_scan(total, sums);
    if (threadIdx.x == blockDim.x - 1) {
        u32 prefix = 0;
        if (blockIdx.x) {
            atomicExch(&status[blockIdx.x], 1ull << 32 | inclusive);
            for (int b = (int)blockIdx.x - 1; b >= 0; b--) {
                u64 s;
                do s = atomicAdd(&status[b], 0ull); while (s >> 32 == 0);
                prefix += (u32)s;
                if (s >> 32 == 2) break;
            }
        }
        atomicExch(&status[blockIdx.x], 2ull << 32 | (prefix + inclusive));
        before = prefix;
    }
    __syncthreads();
    u32 run = before + inclusive - total;
#pragma unroll
    for (int i = 0; i < ITEMS; i++) { run += v[i]; if (base + i < n) out[base + i] = run; }
}

extern "C" __global__ void select_flagged(const u32 *in, const u32 *bitmap, u32 *out, u32 *count, u32 n)
{
    __shared__ u32 sums[32], first;
    u32 i = blockIdx.x * blockDim.x + threadIdx.x, keep = i < n ? bitmap[i >> 5] >> (i & 31) & 1 : 0;
    u32 place = block_scan(keep, sums);
    if (threadIdx.x == blockDim.x - 1) first = atomicAdd(count, place);
    __syncthreads();
    if (keep) out[first + place - 1] = in[i];
}

extern "C" __global__ void histogram_bytes(const u32 *data, u32 *bins, u32 n_words)
{
    __shared__ u32 local[8][BINS + 1];
    u32 copy = threadIdx.x & 7;
    for (u32 i = threadIdx.x; i < 8 * (BINS + 1); i += blockDim.x) (&local[0][0])[i] = 0;
    __syncthreads();
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < n_words; i += gridDim.x * blockDim.x) {
        u32 w = data[i];
        for (int b = 0; b < 4; b++, w >>= 8) atomicAdd(&local[copy][(w & 255) * BINS >> 8], 1u);
    }
    __syncthreads();
    for (u32 b = threadIdx.x; b < BINS; b += blockDim.x) {
        u32 sum = 0;
        for (int c = 0; c < 8; c++) sum += local[c][b];
        atomicAdd(&bins[b], sum);
    }
}

// Marks where a run begins; the scan of the marks numbers the runs.
extern "C" __global__ void run_heads(const u32 *in, u32 *marks, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) marks[i] = i == 0 || in[i] != in[i - 1];
}

extern "C" __global__ void run_emit(const u32 *in, const u32 *scanned, u32 *values, u32 *starts, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    if (i == 0 || in[i] != in[i - 1]) { values[scanned[i] - 1] = in[i]; starts[scanned[i] - 1] = i; }
}

extern "C" __global__ void segmented_sum(const float *in, const u32 *begin, float *out, u32 segments)
{
    u32 s = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
    if (s >= segments) return;
    float sum = 0;
    for (u32 i = begin[s] + lane; i < begin[s + 1]; i += 32) sum += in[i];
    for (int o = 16; o; o >>= 1) sum += __shfl_down_sync(0xffffffffu, sum, o);
    if (lane == 0) out[s] = sum;
}

// Radix select of the k-th largest float per row, four passes over eight bits of an order-keeping integer.
extern "C" __global__ void radix_select(const float *x, float *threshold, int columns, int k)
{
    __shared__ u32 bins[256], prefix, left;
    if (threadIdx.x == 0) { prefix = 0; left = k; }
    u32 mask = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        for (int b = threadIdx.x; b < 256; b += blockDim.x) bins[b] = 0;
        __syncthreads();
        for (int c = threadIdx.x; c < columns; c += blockDim.x) {
            u32 u = __float_as_uint(x[(size_t)blockIdx.x * columns + c]);
            u ^= u >> 31 ? 0xffffffffu : 0x80000000u;
            if ((u & mask) == prefix) atomicAdd(&bins[u >> shift & 255], 1u);
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            int b = 255;
            while (bins[b] < left) left -= bins[b--];
            prefix |= (u32)b << shift;
        }
        mask |= 255u << shift;
        __syncthreads();
    }
    if (threadIdx.x == 0) threshold[blockIdx.x] = __uint_as_float(prefix >> 31 ? prefix ^ 0x80000000u : ~prefix);
}
