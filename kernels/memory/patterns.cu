// The passes over an address log, kernel by kernel the bodies of patterns_requests.py and patterns_threads.py,
// whose comments hold here too. The first argument of each is its number of threads; a grid of any size covers
// them. Constants are those of patterns_cells.py. patterns_lines.cu goes on from here: both are one text.

typedef long long i64;
typedef unsigned long long u64;
typedef unsigned int u32;

enum {
    WINDOWS = 32, WINDOW_CELLS = 9,
    STEP_MIDDLE = 40, ZERO = 81, UNIT = 82, CHAINED = 83, CONSTANT = 84, IRREGULAR = 85, STEP_CELLS = 86,
    SECTORS = 33, LANES = 99, REQUEST_STEPS = 132, TWINS = 218, ASKED = 219, DISTINCT = 220, REQUEST_CELLS = 221,
    WIDTHS = 3, FIRST_BIT = 5, BIT_COUNT = 32, COLUMN_CELLS = 41,
    GAP_BINS = 33, THREAD_CELLS = 119, SITE_SLOTS = 64, DIFFERENCE_BITS = 48,
    DISTANCE_BINS = 41, COLD = 41, DISTANCE_CELLS = 42, BUCKETS = 65536
};
static const i64 TAG = 0xFFFF0003LL;
static const i64 NO_DIFFERENCE = (1LL << DIFFERENCE_BITS) - 1;

#define FOR_THREADS(thread, count)                                                      \
    for (i64 thread = (i64)blockIdx.x * blockDim.x + threadIdx.x; thread < (count);     \
         thread += (i64)gridDim.x * blockDim.x)
#define FOR_CHUNK(i) for (i64 i = thread * chunk, last = least(i + chunk, n); i < last; ++i)

static __device__ __forceinline__ i64 least(i64 a, i64 b) { return a < b ? a : b; }
static __device__ __forceinline__ i64 most(i64 a, i64 b) { return a > b ? a : b; }

static __device__ __forceinline__ i64 bit_length(i64 value) { return value ? 64 - __clzll(value) : 0; }

static __device__ __forceinline__ void add(i64 *cell, i64 value) {
    if (value) atomicAdd((u64 *)cell, (u64)value);
}

template <class T> static __device__ void clear(T *mine, int count) {
    for (int cell = 0; cell < count; ++cell) mine[cell] = 0;
}

template <class T> static __device__ void flush(const T *mine, i64 *cells, int count) {
    for (int cell = 0; cell < count; ++cell) add(cells + cell, (i64)mine[cell]);
}

static __device__ void add_step(i64 *mine, i64 step, i64 width, bool chained, i64 previous) {
    const i64 size = step < 0 ? -step : step, bin = least(bit_length(size), STEP_MIDDLE);
    mine[STEP_MIDDLE + (step >= 0 ? bin : -bin)] += 1;
    if (step == 0) mine[ZERO] += 1;
    else if (size == width) mine[UNIT] += 1;
    if (chained) {
        mine[CHAINED] += 1;
        if (step == previous) mine[CONSTANT] += 1;
        else if (step != 0 && size != width) mine[IRREGULAR] += 1;
    }
}

static __device__ i64 lower_bound(const i64 *keys, i64 low, i64 high, i64 key) {
    while (low < high) {
        const i64 middle = (low + high) >> 1;
        if (keys[middle] < key) low = middle + 1;
        else high = middle;
    }
    return low;
}

static __device__ i64 run_end(const i64 *keys, i64 place, i64 count, i64 shift) {
    const i64 value = keys[place] >> shift;
    i64 step = 1;
    while (place + step < count && keys[place + step] >> shift == value) step *= 2;
    return lower_bound(keys, place + step / 2 + 1, least(place + step, count), (value + 1) << shift);
}

static __device__ i64 bucket_of(i64 key) {
    u32 value = (u32)key ^ ((u32)(key >> 32) * 40503u);
    value = (value ^ value >> 16) * 0x7FEB352Du;
    value = (value ^ value >> 15) * 0x846CA68Bu;
    return (value ^ value >> 16) & (BUCKETS - 1);
}

static __device__ i64 difference_key(i64 launch, i64 site, i64 step) {
    u64 value = (u64)step + (u64)(launch << 16 | site) * 0x9E3779B97F4A7C15ull;
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9ull;
    value = (value ^ value >> 27) * 0x94D049BB133111EBull;
    value ^= value >> 31;
    return least((i64)(value >> (64 - DIFFERENCE_BITS)), NO_DIFFERENCE - 1);
}

// ---- A row of the log

struct Row { i64 address, who, what; };

static __device__ __forceinline__ i64 launch_of(const Row &row) { return row.what >> 48; }
static __device__ __forceinline__ i64 thread_of(const Row &row) { return row.who >> 32; }
static __device__ __forceinline__ i64 order_of(const Row &row) { return row.who & 0xFFFFFFFFLL; }
static __device__ __forceinline__ i64 site_of(const Row &row) { return row.what >> 16 & 0xFFFF; }
static __device__ __forceinline__ i64 width_of(const Row &row) { return row.what >> 2 & 0x3FFF; }
static __device__ __forceinline__ int kind_of(const Row &row) { return (int)(row.what & 3); }

extern "C" __global__ void pack(i64 count, const i64 *address, const i64 *lane, const i64 *order, const i64 *launch,
                                const i64 *depth, const i64 *site, const i64 *width, const i64 *kind, i64 base, i64 n,
                                i64 chunk, Row *rows) {
    FOR_THREADS(thread, count) FOR_CHUNK(i) {
        const i64 what = launch[i] << 48 | depth[i] << 32 | site[i] << 16 | width[i] << 2 | kind[i];
        rows[i].address = address[i] - base;
        rows[i].who = lane[i] << 32 | order[i];
        rows[i].what = what;
    }
}

extern "C" __global__ void sort_keys(i64 count, const Row *rows, i64 n, i64 chunk, i64 launch_at, i64 order_at,
                                     i64 thread_at, i64 *keys) {
    FOR_THREADS(thread, count) FOR_CHUNK(i) {
        i64 key = 0;
        if (launch_at >= 0) key |= launch_of(rows[i]) << launch_at;
        if (order_at >= 0) key |= order_of(rows[i]) << order_at;
        if (thread_at >= 0) key |= thread_of(rows[i]) << thread_at;
        keys[i] = key;
    }
}

extern "C" __global__ void gather(i64 count, const Row *rows, const i64 *order, i64 n, i64 chunk, Row *sorted) {
    FOR_THREADS(thread, count) FOR_CHUNK(i) sorted[i] = rows[order[i]];
}

// ---- Columns and requests

static __device__ void add_window(i64 *windows, i64 window, int first, i64 one, i64 two, i64 three) {
    if (window < 0) return;
    add(windows + window * WINDOW_CELLS + first, one);
    add(windows + window * WINDOW_CELLS + first + 1, two);
    if (first == 0) add(windows + window * WINDOW_CELLS + 2, three);
}

extern "C" __global__ void columns(i64 count, const Row *rows, i64 n, i64 chunk, i64 *cells, i64 *depths,
                                   i64 *windows) {
    FOR_THREADS(thread, count) {
        u32 mine[COLUMN_CELLS];
        clear(mine, COLUMN_CELLS);
        i64 window = -1, accesses = 0, loads = 0, deep = 0, level = -1, same = 0;
        FOR_CHUNK(i) {
            const Row row = rows[i];
            const i64 here = i * WINDOWS / n, depth = row.what >> 32 & 0xFFFF;
            if (here != window) {
                add_window(windows, window, 0, accesses, loads, deep);
                window = here, accesses = loads = deep = 0;
            }
            if (depth != level) {
                if (same) add(depths + level, same);
                level = depth, same = 0;
            }
            accesses += 1, loads += kind_of(row) == 0, deep += depth, same += 1;
            mine[kind_of(row)] += 1;
            mine[WIDTHS + least(bit_length(width_of(row)) - 1, 5)] += 1;
            for (int bit = 0; bit < BIT_COUNT; ++bit)
                mine[WIDTHS + 6 + bit] += (u32)(row.address >> (FIRST_BIT + bit)) & 1u;
        }
        add_window(windows, window, 0, accesses, loads, deep);
        if (same) add(depths + level, same);
        flush(mine, cells, COLUMN_CELLS);
    }
}

static __device__ bool same_turn(const Row &a, const Row &b) {
    return a.who >> 37 == b.who >> 37 && order_of(a) == order_of(b) && launch_of(a) == launch_of(b);
}

static __device__ i64 first_turn(const Row *rows, i64 i, i64 last) {
    while (0 < i && i < last && same_turn(rows[i - 1], rows[i])) ++i;
    return i;
}

static __device__ i64 turn_end(const Row *rows, i64 first, i64 n) {
    i64 end = first + 1;
    while (end < n && end - first < 32 && same_turn(rows[first], rows[end])) ++end;
    return end;
}

// Byte ranges of a request, sorted.
struct Ranges {
    i64 start[32], end[32];
    int lanes;

    __device__ u32 collect(const Row *rows, i64 turn, i64 first, i64 last, bool by_line, u32 done) {
        const i64 tag = rows[first].what & TAG;
        lanes = 0;
        for (i64 k = first; k < last; ++k) {
            const Row row = rows[k];
            if ((row.what & TAG) != tag) continue;
            done |= 1u << (k - turn);
            i64 stop = row.address + width_of(row);
            if (by_line) stop = least(stop, ((row.address >> 7) + 1) << 7);
            int place = lanes++;
            for (; place > 0 && start[place - 1] > row.address; --place)
                start[place] = start[place - 1], end[place] = end[place - 1];
            start[place] = row.address, end[place] = stop;
        }
        return done;
    }

    __device__ i64 units(int shift) const {
        i64 found = 0, last = -1;
        for (int lane = 0; lane < lanes; ++lane) {
            const i64 low = most(start[lane] >> shift, last + 1), high = (end[lane] - 1) >> shift;
            if (high >= low) found += high - low + 1, last = high;
        }
        return found;
    }

    __device__ i64 write(int shift, i64 at, i64 *found, i64 *when, i64 mark) const {
        i64 last = -1;
        for (int lane = 0; lane < lanes; ++lane)
            for (i64 unit = most(start[lane] >> shift, last + 1); unit <= (end[lane] - 1) >> shift; ++unit, ++at) {
                found[at] = unit;
                if (mark >= 0) when[at] = mark;
                last = unit;
            }
        return at;
    }
};

static __device__ void lane_steps(const Row *rows, i64 first, i64 end, i64 *mine) {
    const i64 tag = rows[first].what & TAG;
    i64 before = first, previous = 0;
    bool chained = false;
    for (i64 k = first + 1; k < end; ++k) {
        if ((rows[k].what & TAG) != tag) continue;
        if (thread_of(rows[k]) == thread_of(rows[before]) + 1) {
            const i64 step = rows[k].address - rows[before].address;
            add_step(mine, step, width_of(rows[k]), chained, previous);
            previous = step, chained = true;
        } else {
            chained = false;
        }
        before = k;
    }
}

extern "C" __global__ void requests(i64 count, const Row *rows, i64 n, i64 chunk, i64 by_line, i64 *cells,
                                    i64 *windows, i64 *counts) {
    FOR_THREADS(thread, count) {
        i64 mine[REQUEST_CELLS];
        Ranges ranges;
        clear(mine, REQUEST_CELLS);
        const i64 last = least((thread + 1) * chunk, n);
        i64 window = -1, seen = 0, touched = 0, all_sectors = 0, all_lines = 0;
        for (i64 i = first_turn(rows, thread * chunk, last), end; i < last; i = end) {
            u32 done = 0;
            end = turn_end(rows, i, n);
            for (i64 first = i; first < end; ++first) {
                if (first > i && rows[first].who == rows[first - 1].who) mine[TWINS] += 1;
                if (done >> (first - i) & 1) continue;
                done = ranges.collect(rows, i, first, end, by_line != 0, done);
                const i64 sectors = ranges.units(5), here = first * WINDOWS / n;
                mine[kind_of(rows[first]) * SECTORS + least(sectors, 32)] += 1;
                mine[LANES + ranges.lanes] += 1;
                mine[DISTINCT] += ranges.units(0);
                for (int lane = 0; lane < ranges.lanes; ++lane) mine[ASKED] += ranges.end[lane] - ranges.start[lane];
                lane_steps(rows, first, end, mine + REQUEST_STEPS);
                if (here != window) {
                    add_window(windows, window, 3, seen, touched, 0);
                    window = here, seen = touched = 0;
                }
                seen += 1, touched += sectors, all_sectors += sectors, all_lines += ranges.units(7);
            }
        }
        add_window(windows, window, 3, seen, touched, 0);
        counts[2 * thread] = all_sectors, counts[2 * thread + 1] = all_lines;
        flush(mine, cells, REQUEST_CELLS);
    }
}

extern "C" __global__ void emit(i64 count, const Row *rows, i64 n, i64 chunk, i64 by_line, const i64 *offsets,
                                i64 *sectors, i64 *lines, i64 *when) {
    FOR_THREADS(thread, count) {
        Ranges ranges;
        const i64 last = least((thread + 1) * chunk, n);
        i64 sector_at = offsets[2 * thread], line_at = offsets[2 * thread + 1];
        for (i64 i = first_turn(rows, thread * chunk, last), end; i < last; i = end) {
            u32 done = 0;
            end = turn_end(rows, i, n);
            for (i64 first = i; first < end; ++first) {
                if (done >> (first - i) & 1) continue;
                done = ranges.collect(rows, i, first, end, by_line != 0, done);
                sector_at = ranges.write(5, sector_at, sectors, when, -1);
                line_at = ranges.write(7, line_at, lines, when, first << 2 | kind_of(rows[first]));
            }
        }
    }
}

// ---- Thread by thread

static __device__ bool same_thread(const Row &a, const Row &b) {
    return thread_of(a) == thread_of(b) && launch_of(a) == launch_of(b);
}

static __device__ i64 row_before(const Row *rows, i64 i, i64 start, const i64 *recent) {
    const i64 site = site_of(rows[i]), guess = recent[site % SITE_SLOTS];
    if (guess < start) return -1;
    if (site_of(rows[guess]) == site) return guess;
    i64 k = i - 1;
    while (k >= start && site_of(rows[k]) != site) --k;
    return k >= start ? k : -1;
}

extern "C" __global__ void threads(i64 count, const Row *rows, i64 n, i64 chunk, i64 nothing, i64 *cells,
                                   i64 *differences, i64 *groups, i64 *earlier) {
    FOR_THREADS(thread, count) {
        i64 mine[THREAD_CELLS], recent[SITE_SLOTS];
        clear(mine, THREAD_CELLS);
        for (int slot = 0; slot < SITE_SLOTS; ++slot) recent[slot] = -1;
        i64 i = thread * chunk;
        const i64 last = least(i + chunk, n);
        while (0 < i && i < last && same_thread(rows[i - 1], rows[i])) ++i;
        const bool begun = i < last;
        i64 start = i, loads = 0;
        for (; begun && i < n && (i < last || same_thread(rows[i - 1], rows[i])); ++i) {
            if (i > start && !same_thread(rows[i - 1], rows[i])) start = i, loads = 0;
            const i64 before = row_before(rows, i, start, recent);
            recent[site_of(rows[i]) % SITE_SLOTS] = i;
            earlier[i] = before, differences[i] = NO_DIFFERENCE, groups[i] = nothing;
            if (before >= 0) {
                const i64 step = rows[i].address - rows[before].address, beyond = earlier[before];
                const bool chained = beyond >= start;
                const i64 previous = chained ? rows[before].address - rows[beyond].address : 0;
                add_step(mine, step, width_of(rows[i]), chained, previous);
                differences[i] = difference_key(launch_of(rows[i]), site_of(rows[i]), step);
                groups[i] = launch_of(rows[i]) << 16 | site_of(rows[i]);
            }
            if (kind_of(rows[i]) == 0) {
                loads += 1;
            } else {
                mine[STEP_CELLS + least(bit_length(loads), GAP_BINS - 1)] += 1;
                loads = 0;
            }
        }
        flush(mine, cells, THREAD_CELLS);
    }
}
