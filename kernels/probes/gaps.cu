// Watches for gaps: one thread of each block reads the GPU's nanosecond timer again and again for `spin_ns`.
//
// While the GPU runs another context, this one stands still, and two readings lie apart by as much. A gap beyond
// `threshold_ns` is written down with its start; more than `capacity` are counted, not stored. `spans` gets, for each
// block: the first and the last reading (ns), the SM's clock at both (cycles). The loop ends after `most_turns` even
// if the timer stood still.
//
// A test that runs this file on a CPU includes its stand-ins for the instructions first (PROBE_STAND_INS).

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef PROBE_STAND_INS
__device__ __forceinline__ u64 clock_now() { u64 t; asm volatile("mov.u64 %0, %%clock64;" : "=l"(t) :: "memory"); return t; }
__device__ __forceinline__ u64 timer_now() { u64 t; asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t) :: "memory"); return t; }
#endif

extern "C" __global__ void spin_gaps(u64 *starts, u64 *lengths, u32 *counts, u64 *spans, u32 capacity, u64 spin_ns,
                                     u64 threshold_ns, u32 most_turns) {
    if (threadIdx.x != 0) return;
    u64 *my_starts = starts + (u64)blockIdx.x * capacity, *my_lengths = lengths + (u64)blockIdx.x * capacity;
    const u64 clock = clock_now(), first = timer_now();
    u64 last = first;
    u32 found = 0;
    for (u32 turn = 0; turn < most_turns && last - first < spin_ns; ++turn) {
        const u64 now = timer_now();
        if (now - last > threshold_ns) {
            if (found < capacity) {
                my_starts[found] = last - first;
                my_lengths[found] = now - last;
            }
            found += 1;
        }
        last = now;
    }
    u64 *span = spans + 4 * (u64)blockIdx.x;
    span[0] = first;
    span[1] = last;
    span[2] = clock;
    span[3] = clock_now();
    counts[blockIdx.x] = found;
}
