// Goes on from patterns.cu: the bodies of patterns_lines.py, and of patterns_sort.py those that merge.

extern "C" __global__ void chain(i64 count, const i64 *order, const i64 *keys, i64 n, i64 chunk, i64 *previous) {
    FOR_THREADS(thread, count) FOR_CHUNK(i)
        previous[order[i]] = i > 0 && keys[i] == keys[i - 1] ? order[i - 1] : -1;
}

extern "C" __global__ void mark(i64 count, const i64 *order, const i64 *keys, i64 n, i64 chunk, const i64 *when,
                                i64 *flags) {
    FOR_THREADS(thread, count) {
        const i64 first = thread * chunk;
        if (first >= n) continue;
        i64 head = lower_bound(keys, 0, first, keys[first]);
        u64 seen = 0;
        FOR_CHUNK(i) {
            if (i > first && keys[i] != keys[i - 1]) {
                atomicOr((u64 *)flags + head, seen);
                head = i, seen = 0;
            }
            seen |= 1ull << (when[order[i]] & 3);
        }
        atomicOr((u64 *)flags + head, seen);
    }
}

extern "C" __global__ void classify(i64 count, const i64 *order, const i64 *keys, i64 n, i64 chunk, const i64 *when,
                                    const i64 *flags, i64 *cells) {
    FOR_THREADS(thread, count) {
        i64 mine[4];
        clear(mine, 4);
        FOR_CHUNK(i)
            if (i == 0 || keys[i] != keys[i - 1])
                mine[flags[i] == 1 ? 0 : flags[i] == 2 ? 1 : (when[order[i]] & 3) == 0 ? 2 : 3] += 1;
        flush(mine, cells, 4);
    }
}

extern "C" __global__ void runs(i64 count, const i64 *keys, i64 n, i64 shift, i64 chunk, i64 *heads,
                                double *weights) {
    FOR_THREADS(thread, count) {
        i64 found = 0;
        double weight = 0;
        FOR_CHUNK(i)
            if (i == 0 || keys[i] >> shift != keys[i - 1] >> shift) {
                const double size = (double)(run_end(keys, i, n, shift) - i);
                found += 1, weight += size * log2(size);
            }
        heads[thread] = found, weights[thread] = weight;
    }
}

static __device__ void add_turnover(i64 *windows, i64 window, i64 *mine) {
    if (window >= 0) flush(mine, windows + window * WINDOW_CELLS + 5, 4);
    clear(mine, 4);
}

extern "C" __global__ void turnover(i64 count, const i64 *previous, const i64 *when, i64 n, i64 chunk, i64 total,
                                    i64 *windows) {
    FOR_THREADS(thread, count) {
        i64 mine[4], window = -1;
        clear(mine, 4);
        FOR_CHUNK(time) {
            const i64 here = (when[time] >> 2) * WINDOWS / total, earlier = previous[time];
            if (here != window) {
                add_turnover(windows, window, mine);
                window = here;
            }
            const i64 before = earlier >= 0 ? (when[earlier] >> 2) * WINDOWS / total : -1;
            mine[0] += 1, mine[1] += before < here, mine[2] += earlier < 0;
            mine[3] += before >= 0 && before == here - 1;
        }
        add_turnover(windows, window, mine);
    }
}

extern "C" __global__ void fill_buckets(i64 count, const i64 *keys, i64 n, i64 chunk, i64 *buckets) {
    FOR_THREADS(thread, count) FOR_CHUNK(i)
        if (i == 0 || keys[i] != keys[i - 1]) add(buckets + bucket_of(keys[i]), 1);
}

extern "C" __global__ void pick(i64 count, const i64 *keys, i64 n, i64 chunk, i64 threshold, i64 *counts) {
    FOR_THREADS(thread, count) {
        i64 found = 0;
        FOR_CHUNK(time) found += bucket_of(keys[time]) < threshold;
        counts[thread] = found;
    }
}

extern "C" __global__ void place(i64 count, const i64 *keys, i64 n, i64 chunk, i64 threshold, const i64 *offsets,
                                 i64 *places, i64 *picked) {
    FOR_THREADS(thread, count) {
        i64 at = offsets[thread];
        FOR_CHUNK(time)
            if (bucket_of(keys[time]) < threshold) places[time] = at, picked[at++] = time;
    }
}

extern "C" __global__ void relink(i64 count, const i64 *picked, const i64 *previous, const i64 *places, i64 n,
                                  i64 chunk, i64 *linked) {
    FOR_THREADS(thread, count) FOR_CHUNK(i) {
        const i64 before = previous[picked[i]];
        linked[i] = before >= 0 ? places[before] : -1;
    }
}

extern "C" __global__ void bins(i64 count, const i64 *distances, i64 n, i64 chunk, i64 all_lines, i64 sampled,
                                i64 *cells) {
    FOR_THREADS(thread, count) {
        u32 mine[DISTANCE_CELLS];
        clear(mine, DISTANCE_CELLS);
        FOR_CHUNK(i) {
            const i64 scaled = distances[i] * all_lines / sampled;
            mine[distances[i] < 0 ? (i64)COLD : least(bit_length(scaled), DISTANCE_BINS - 1)] += 1;
        }
        flush(mine, cells, DISTANCE_CELLS);
    }
}

// ---- Stack distances

extern "C" __global__ void start_merge(i64 count, const i64 *previous, i64 n, i64 chunk, i64 *values, i64 *owners,
                                       i64 *over) {
    FOR_THREADS(thread, count) FOR_CHUNK(i) values[i] = previous[i], owners[i] = i, over[i] = 0;
}

extern "C" __global__ void merge(i64 count, const i64 *values, const i64 *owners, i64 n, i64 chunk, i64 width,
                                 i64 *new_values, i64 *new_owners, i64 *over) {
    FOR_THREADS(thread, count) FOR_CHUNK(i) {
        const i64 run = i / width, value = values[i], pair = run / 2 * 2 * width, middle = least(pair + width, n);
        i64 at;
        if (run & 1) {
            const i64 passed = lower_bound(values, pair, middle, value + 1) - pair;
            over[owners[i]] += middle - pair - passed;
            at = i - middle + pair + passed;
        } else {
            at = i + lower_bound(values, middle, least(middle + width, n), value) - middle;
        }
        new_values[at] = value, new_owners[at] = owners[i];
    }
}

extern "C" __global__ void distance_of(i64 count, const i64 *previous, const i64 *over, i64 n, i64 chunk,
                                       i64 *distances) {
    FOR_THREADS(thread, count) FOR_CHUNK(i)
        distances[i] = previous[i] >= 0 ? i - previous[i] - 1 - over[i] : -1;
}
