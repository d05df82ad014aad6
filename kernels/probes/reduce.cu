// Reduces a round on the device, so that a few hundred bytes leave it: quantiles by histogram, and gap totals.
//
// reference.py is the definition. A bin holds one value below 128; above, each power of two has 64 bins, so that a
// quantile, which is the lower edge of its bin, is at most 1/64 too low.

typedef unsigned int u32;
typedef unsigned long long u64;

#define BINS 1728
#define NOTHING 0xFFFFFFFFu

__device__ static u32 bin_of(u32 value) {
    if (value < 128) return value;
    const u32 shift = 31 - __clz(value) - 6;
    return shift * 64 + (value >> shift);
}

__device__ static u32 edge_of(u32 bin) {
    if (bin < 128) return bin;
    const u32 shift = bin / 64 - 1;
    return (bin - shift * 64) << shift;
}

// Row r of `samples` has `capacity` places, of which counts[r] are filled; block r writes values[r][quantile]:
// the edge of the bin in which the ceil(count * permille / 1000)-th smallest sample lies, NOTHING for an empty row.
extern "C" __global__ void row_quantiles(const u32 *samples, const u32 *counts, u32 capacity, const u32 *permilles,
                                         u32 quantiles, u32 *values) {
    __shared__ u32 histogram[BINS];
    const u32 *row = samples + (u64)blockIdx.x * capacity;
    const u32 count = counts[blockIdx.x];
    for (u32 i = threadIdx.x; i < BINS; i += blockDim.x) histogram[i] = 0;
    __syncthreads();
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) atomicAdd(&histogram[bin_of(row[i])], 1u);
    __syncthreads();
    for (u32 q = threadIdx.x; q < quantiles; q += blockDim.x) {
        const u32 wanted = (u32)(((u64)count * permilles[q] + 999) / 1000), rank = wanted ? wanted : 1;
        u32 bin = 0, below = 0;
        while (bin < BINS - 1 && below + histogram[bin] < rank) below += histogram[bin++];
        values[blockIdx.x * quantiles + q] = count ? edge_of(bin) : NOTHING;
    }
}

// Totals over all blocks of spin_gaps: gaps, gaps that were stored, their summed length, the longest, watched time (ns).
// The stored lengths are also packed, saturated, into `row`, for row_quantiles. One thread.
extern "C" __global__ void gap_totals(const u64 *lengths, const u32 *counts, const u64 *spans, u32 blocks, u32 capacity,
                                      u64 *totals, u32 *row, u32 *row_count) {
    if (blockIdx.x || threadIdx.x) return;
    u64 gaps = 0, stored = 0, lost = 0, longest = 0, watched = 0;
    for (u32 block = 0; block < blocks; ++block) {
        gaps += counts[block];
        watched += spans[4 * block + 1] - spans[4 * block];
        for (u32 i = 0; i < min(counts[block], capacity); ++i) {
            const u64 length = lengths[(u64)block * capacity + i];
            row[stored++] = length >> 32 ? NOTHING : (u32)length;
            lost += length;
            longest = max(longest, length);
        }
    }
    totals[0] = gaps;
    totals[1] = stored;
    totals[2] = lost;
    totals[3] = longest;
    totals[4] = watched;
    row_count[0] = (u32)stored;
}
