// Latency probes: each kernel times dependent chains of one instruction, so that a sample is links x latency.
//
// Every kernel has the same arguments and the same frame, `time_chain`: read the clock, run `passes` times through
// LINKS dependent steps, hand the last result to shared memory (a store waits for its data), read the clock. The
// instructions are pinned by inline PTX, and their operands are run-time values, so nothing can be folded; what
// became of them in machine code is checked by code_check.py. A sample is in clock cycles of the SM, stored by
// the first lane of each warp. Options by -D: LINKS, steps in the timed loop.
//
// A test that runs this file on a CPU includes its stand-ins for the instructions first (PROBE_STAND_INS).

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef LINKS
#define LINKS 16
#endif
#define RING 1024       // words of the shared-memory chain
#define MOST_THREADS 128

#ifndef PROBE_STAND_INS
#define STEP __device__ __forceinline__

STEP u64 clock_now() { u64 t; asm volatile("mov.u64 %0, %%clock64;" : "=l"(t) :: "memory"); return t; }
STEP u64 timer_now() { u64 t; asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t) :: "memory"); return t; }

STEP void settle(u32 *slot, u32 word) {
    asm volatile("st.volatile.shared.u32 [%0], %1;" :: "r"((u32)__cvta_generic_to_shared(slot)), "r"(word) : "memory");
}

STEP void lop3(u32 &x, u32 a, u32 b) { asm volatile("lop3.b32 %0, %0, %1, %2, 0x6A;" : "+r"(x) : "r"(a), "r"(b)); }
STEP void shf(u32 &x, u32 a, u32 s) { asm volatile("shf.l.wrap.b32 %0, %0, %1, %2;" : "+r"(x) : "r"(a), "r"(s)); }
STEP void imad(u32 &x, u32 a, u32 b) { asm volatile("mad.lo.u32 %0, %0, %1, %2;" : "+r"(x) : "r"(a), "r"(b)); }
STEP void ffma(float &x, float a, float b) { asm volatile("fma.rn.f32 %0, %0, %1, %2;" : "+f"(x) : "f"(a), "f"(b)); }
STEP void hfma2(u32 &x, u32 a, u32 b) { asm volatile("fma.rn.f16x2 %0, %0, %1, %2;" : "+r"(x) : "r"(a), "r"(b)); }
STEP void dfma(double &x, double a, double b) { asm volatile("fma.rn.f64 %0, %0, %1, %2;" : "+d"(x) : "d"(a), "d"(b)); }
STEP void dp4a(u32 &x, u32 a, u32 b) { asm volatile("dp4a.s32.s32 %0, %0, %1, %2;" : "+r"(x) : "r"(a), "r"(b)); }
STEP void rsqrt_(float &x) { asm volatile("rsqrt.approx.ftz.f32 %0, %0;" : "+f"(x)); }
STEP void hmma(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
STEP void imma(u32 (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
STEP void load_shared(u32 &x, const u32 *ring) {
    asm volatile("ld.volatile.shared.u32 %0, [%1];" : "=r"(x) : "r"((u32)__cvta_generic_to_shared(ring + x)) : "memory");
}
STEP void load_l2(u32 &x, const u32 *memory) {  // .cg: not from the first-level cache
    asm volatile("ld.global.cg.u32 %0, [%1];" : "=r"(x) : "l"(memory + x) : "memory");
}
STEP void atomic_add(u32 &x, u32 *word) {
    asm volatile("atom.global.add.u32 %0, [%1], %0;" : "+r"(x) : "l"(word) : "memory");
}
#endif

__shared__ u32 ring[RING];
__shared__ u32 slots[MOST_THREADS];

struct Place {  // what a thread knows about itself
    u32 lane, warp, thread, seed;
    u32 *memory;
    u32 start;
};

// Chains: a state, the step that depends on the last one, and a word that depends on the last step.
struct Lop3 {
    u32 x, a, b, c, d;
    __device__ Lop3(const Place &p) : x(p.start), a(p.seed), b(p.seed * 3), c(p.seed * 5 + p.lane), d(p.seed ^ p.warp) {}
    __device__ void step(int link) { link & 1 ? lop3(x, c, d) : lop3(x, a, b); }
    __device__ u32 word() const { return x; }
};
struct Shf {
    u32 x, a, s;
    __device__ Shf(const Place &p) : x(p.start), a(p.seed + p.lane), s(p.seed % 31 + 1) {}
    __device__ void step(int) { shf(x, a, s); }
    __device__ u32 word() const { return x; }
};
struct Imad {
    u32 x, a, b;
    __device__ Imad(const Place &p) : x(p.start), a(p.seed | 1), b(p.lane + p.seed) {}
    __device__ void step(int) { imad(x, a, b); }
    __device__ u32 word() const { return x; }
};
struct Ffma {
    float x, a, b;
    __device__ Ffma(const Place &p) : x((float)p.lane), a((float)(p.seed & 255) / 256.0f), b((float)(p.lane + 1)) {}
    __device__ void step(int) { ffma(x, a, b); }
    __device__ u32 word() const { return __float_as_uint(x); }
};
struct Hfma2 {  // halves between 0.5 and 2
    u32 x, a, b;
    __device__ Hfma2(const Place &p) : x(0x3C003C00u), a(0x38003800u | (p.seed & 0xFF)), b(0x38003800u | p.lane) {}
    __device__ void step(int) { hfma2(x, a, b); }
    __device__ u32 word() const { return x; }
};
struct Dfma {
    double x, a, b;
    __device__ Dfma(const Place &p) : x((double)p.lane), a((double)(p.seed & 255) / 256.0), b((double)(p.lane + 1)) {}
    __device__ void step(int) { dfma(x, a, b); }
    __device__ u32 word() const { return (u32)__double_as_longlong(x); }
};
struct Dp4a {
    u32 x, a, b;
    __device__ Dp4a(const Place &p) : x(p.start), a(p.seed), b(p.lane + p.seed) {}
    __device__ void step(int) { dp4a(x, a, b); }
    __device__ u32 word() const { return x; }
};
struct Mufu {
    float x;
    __device__ Mufu(const Place &p) : x((float)(p.lane + 2 + (p.seed & 15))) {}
    __device__ void step(int) { rsqrt_(x); }
    __device__ u32 word() const { return __float_as_uint(x); }
};
struct Hmma {
    float c[4];
    u32 a[4], b[2];
    __device__ Hmma(const Place &p) : c{0, 1, 2, 3}, a{p.seed, p.lane, p.warp, p.seed >> 1}, b{p.lane, p.seed & 255} {}
    __device__ void step(int) { hmma(c, a, b); }
    __device__ u32 word() const { return __float_as_uint(c[0]); }
};
struct Imma {
    u32 c[4], a[4], b[2];
    __device__ Imma(const Place &p) : c{0, 1, 2, 3}, a{p.seed, p.lane, p.warp, p.seed >> 1}, b{p.lane, p.seed} {}
    __device__ void step(int) { imma(c, a, b); }
    __device__ u32 word() const { return c[0]; }
};
struct Shared {  // a chain of word numbers in shared memory, copied from the first RING words of the memory
    u32 x;
    __device__ Shared(const Place &p) : x(p.start % RING) {
        for (u32 i = threadIdx.x; i < RING; i += blockDim.x) ring[i] = p.memory[i];
        __syncthreads();
    }
    __device__ void step(int) { load_shared(x, ring); }
    __device__ u32 word() const { return x; }
};
struct Chase {  // a chain of word numbers in device memory; all lanes of a warp read the same word
    u32 x;
    const u32 *memory;
    __device__ Chase(const Place &p) : x(p.start), memory(p.memory) {}
    __device__ void step(int) { load_l2(x, memory); }
    __device__ u32 word() const { return x; }
};
struct Atomic {  // each warp has a cache line of its own; the next addend is what the last one found
    u32 x;
    u32 *mine;
    __device__ Atomic(const Place &p) : x(p.seed), mine(p.memory + p.thread) {}
    __device__ void step(int) { atomic_add(x, mine); }
    __device__ u32 word() const { return x; }
};

template <class Chain>
__device__ __forceinline__ void time_chain(u32 *samples, u64 *stamps, u32 *memory, u32 *cursors, u32 repetitions,
                                           u32 passes, u32 seed) {
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x, warp = thread / 32, lane = thread % 32;
    if (thread == 0) stamps[0] = timer_now();
    Chain chain(Place{lane, warp, thread, seed, memory, cursors[warp]});
    u32 *slot = slots + threadIdx.x;
#pragma unroll 1
    for (u32 repetition = 0; repetition <= repetitions; ++repetition) {
        settle(slot, chain.word());
        const u64 begin = clock_now();
#pragma unroll 1
        for (u32 pass = 0; pass < passes; ++pass) {
#pragma unroll
            for (int link = 0; link < LINKS; ++link) chain.step(link);
        }
        settle(slot, chain.word());
        const u64 cycles = clock_now() - begin;
        if (lane == 0 && repetition > 0)  // the first repetition fetches the code
            samples[warp * repetitions + repetition - 1] = cycles >> 32 ? 0xFFFFFFFFu : (u32)cycles;
    }
    if (lane == 0) cursors[warp] = chain.word();
    if (thread == 0) stamps[1] = timer_now();
}

#define PROBE(name, Chain)                                                                                     \
    extern "C" __global__ void __launch_bounds__(MOST_THREADS)                                                 \
        name(u32 *samples, u64 *stamps, u32 *memory, u32 *cursors, u32 repetitions, u32 passes, u32 seed) {    \
        time_chain<Chain>(samples, stamps, memory, cursors, repetitions, passes, seed);                        \
    }

PROBE(probe_lop3, Lop3)
PROBE(probe_shf, Shf)
PROBE(probe_imad, Imad)
PROBE(probe_ffma, Ffma)
PROBE(probe_hfma2, Hfma2)
PROBE(probe_dfma, Dfma)
PROBE(probe_dp4a, Dp4a)
PROBE(probe_mufu, Mufu)
PROBE(probe_hmma, Hmma)
PROBE(probe_imma, Imma)
PROBE(probe_shared, Shared)
PROBE(probe_l2, Chase)
PROBE(probe_dram, Chase)
PROBE(probe_atomic, Atomic)
