// The parts of a reduction that CuPy has no call for. A window is float[samples][channels], NaN is missing.
//
// They say what cpu.py says. Threads next to each other take channels next to each other, so that rows are
// read whole. Lengths of bursts are integers: the order of the atomic additions does not matter.

typedef long long i64;
typedef unsigned long long u64;

#define THREADS 128

__device__ static bool is_present(float value) { return value - value == 0.0f; }

// Sum and number of what is present in each run of `width` samples; one thread for a run of a channel.
extern "C" __global__ void run_sums(const float *x, int channels, i64 width, i64 runs, double *sums, double *counts) {
    const i64 id = blockIdx.x * (i64)blockDim.x + threadIdx.x;
    if (id >= runs * channels) return;
    const float *at = x + id / channels * width * channels + id % channels;
    double sum = 0.0, count = 0.0;
    for (i64 t = 0; t < width; ++t) {
        const float value = at[t * channels];
        if (!is_present(value)) continue;
        sum += value;
        count += 1.0;
    }
    sums[id] = sum;
    counts[id] = count;
}

// Adds up three numbers of every thread of a block; all threads get the totals.
__device__ static void block_totals(double (*shared)[THREADS], double *a, double *b, double *c) {
    shared[0][threadIdx.x] = *a;
    shared[1][threadIdx.x] = *b;
    shared[2][threadIdx.x] = *c;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            for (int i = 0; i < 3; ++i) shared[i][threadIdx.x] += shared[i][threadIdx.x + half];
    }
    __syncthreads();
    *a = shared[0][0];
    *b = shared[1][0];
    *c = shared[2][0];
}

// Segments of a channel without their means, times the taper; one block of THREADS for a segment.
// out[segment][length]; energy[segment] is the squared taper over what is present, 0 where too little is.
extern "C" __global__ void taper_segments(const float *x, int channels, int channel, const double *taper, int length,
                                          int segments, double least, double *out, double *energy) {
    __shared__ double shared[3][THREADS];
    const int segment = blockIdx.x;
    if (segment >= segments) return;
    const float *at = x + (i64)segment * (length / 2) * channels + channel;
    double n = 0.0, sum = 0.0, weight = 0.0;
    for (int i = threadIdx.x; i < length; i += THREADS) {
        const float value = at[(i64)i * channels];
        if (!is_present(value)) continue;
        n += 1.0;
        sum += value;
        weight += taper[i] * taper[i];
    }
    block_totals(shared, &n, &sum, &weight);
    const bool used = n >= least;
    const double mean = used ? sum / n : 0.0;
    if (threadIdx.x == 0) energy[blockIdx.x] = used ? weight : 0.0;
    double *to = out + (i64)blockIdx.x * length;
    for (int i = threadIdx.x; i < length; i += THREADS) {
        const float value = at[(i64)i * channels];
        to[i] = used && is_present(value) ? (value - mean) * taper[i] : 0.0;
    }
}

// 1 where a channel becomes or stays active, -1 idle, 0 undecided.
__device__ static int decide(float value, double high, double low) {
    if (!(high > 0.0) || !is_present(value)) return 0;
    return value > high ? 1 : value <= low ? -1 : 0;
}

// The window is cut into chunks, one thread each for a channel: i = chunk * channels + channel.
// First the last decided state of each chunk.
extern "C" __global__ void chunk_states(const float *x, i64 samples, int channels, i64 chunk, int chunks,
                                        const double *highs, const double *lows, int *states) {
    const i64 id = blockIdx.x * (i64)blockDim.x + threadIdx.x;
    if (id >= (i64)chunks * channels) return;
    const int c = (int)(id % channels);
    const i64 first = id / channels * chunk, last = min(first + chunk, samples);
    int state = 0;
    for (i64 t = last - 1; t >= first && state == 0; --t) state = decide(x[t * channels + c], highs[c], lows[c]);
    states[id] = state;
}

// The nearest value other than `none` of the chunks before this one.
template <class T>
__device__ static T carried(const T *values, i64 id, int channels, T none) {
    for (i64 i = id - channels; i >= 0; i -= channels)
        if (values[i] != none) return values[i];
    return none;
}

// Then the last start of activity and the last missing sample of each chunk; -1 for none.
extern "C" __global__ void chunk_starts(const float *x, i64 samples, int channels, i64 chunk, int chunks,
                                        const double *highs, const double *lows, const int *states, i64 *starts,
                                        i64 *gaps) {
    const i64 id = blockIdx.x * (i64)blockDim.x + threadIdx.x;
    if (id >= (i64)chunks * channels) return;
    const int c = (int)(id % channels);
    const i64 first = id / channels * chunk, last = min(first + chunk, samples);
    int state = carried(states, id, channels, 0);
    i64 start = -1, gap = -1;
    for (i64 t = first; t < last; ++t) {
        const float value = x[t * channels + c];
        if (!is_present(value)) gap = t;
        const int now = decide(value, highs[c], lows[c]);
        if (now == 0) continue;
        if (state < 0 && now > 0) start = t;
        state = now;
    }
    starts[id] = start;
    gaps[id] = gap;
}

// Last the lengths that end in each chunk: number, sum and sum of squares of those from start to start, and of
// those from start to end.
extern "C" __global__ void chunk_lengths(const float *x, i64 samples, int channels, i64 chunk, int chunks,
                                         const double *highs, const double *lows, const int *states,
                                         const i64 *starts, const i64 *gaps, u64 *bursts) {
    const i64 id = blockIdx.x * (i64)blockDim.x + threadIdx.x;
    if (id >= (i64)chunks * channels) return;
    const int c = (int)(id % channels);
    const i64 first = id / channels * chunk, last = min(first + chunk, samples);
    int state = carried(states, id, channels, 0);
    i64 start = carried(starts, id, channels, (i64)-1), gap = carried(gaps, id, channels, (i64)-1);
    u64 totals[6] = {0, 0, 0, 0, 0, 0};
    for (i64 t = first; t < last; ++t) {
        const float value = x[t * channels + c];
        if (!is_present(value)) gap = t;
        const int now = decide(value, highs[c], lows[c]);
        if (now == 0) continue;
        if (state != 0 && now != state) {
            if (start >= 0 && gap < start) {
                u64 *to = totals + (now > 0 ? 0 : 3);
                const u64 length = (u64)(t - start);
                to[0] += 1;
                to[1] += length;
                to[2] += length * length;
            }
            if (now > 0) start = t;
        }
        state = now;
    }
    for (int i = 0; i < 6; ++i)
        if (totals[i]) atomicAdd(bursts + 6 * c + i, totals[i]);
}
