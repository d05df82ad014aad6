// One kernel for each class of instruction: a loop of little else, for instructions.py, which asks what GPM counts.
//
// Each thread has several independent chains, so that latency is hidden, and the loop is unrolled by hand, so that
// its own instructions hardly count. The results are stored if the argument `never` is not 0; it always is 0, which the
// compiler cannot know. The work is inline PTX, which the compiler neither merges nor drops.
// The kernels are called `..._loop` and take the same arguments: out, data (a ring of `mask` + 1 bytes), mask, seed,
// rounds, never.

typedef unsigned u32;
typedef unsigned long long u64;

#define KERNEL(name) \
    extern "C" __global__ void __launch_bounds__(256, 4) \
        name##_loop(u32 *out, const char *data, u64 mask, u32 seed, int rounds, int never)
#define EACH(i) _Pragma("unroll") for (int i = 0; i < 8; ++i)
#define TIMES(n, k) _Pragma("unroll") for (int k = 0; k < n; ++k)
#define ROUNDS _Pragma("unroll 1") for (int r = 0; r < rounds; ++r)
#define OWN (seed * (blockIdx.x * 256 + threadIdx.x + 1))
#define KEEP(word) \
    if (never) { \
        u32 all = 0; \
        EACH(i) all = all * 31 + (u32)(word); \
        out[blockIdx.x * 256 + threadIdx.x] = all; \
    }

// Eight chains of 32-bit words. Operand 1 is the next chain: with constants alone the compiler may merge two steps.
#define WORDS(name, text) \
    KERNEL(name) { \
        u32 a[8], b = seed | 1; \
        EACH(i) a[i] = OWN + i * 0x9E3779B9u; \
        ROUNDS TIMES(16, k) EACH(i) asm volatile(text : "+r"(a[i]) : "r"(a[(i + 1) & 7]), "r"(b)); \
        KEEP(a[i]) \
    }

WORDS(imad, "mad.lo.u32 %0, %0, %2, %1;")
WORDS(lop3, "lop3.b32 %0, %0, %1, %2, 0x96;")
WORDS(shf, "shf.l.wrap.b32 %0, %0, %1, %2;")
WORDS(iadd3, "{.reg .u32 t; add.u32 t, %0, %1; add.u32 %0, t, %2;}")
WORDS(popc, "popc.b32 %0, %0;")
WORDS(dp4a, "dp4a.u32.u32 %0, %1, %2, %0;")
WORDS(hfma2, "fma.rn.f16x2 %0, %0, %2, %1;")

// A product whose low half one chain goes on with and whose high half the next: with an addend of 64 bits the compiler
// makes three instructions of it. The words soon are 0, which the pipes do not care about; the power is less.
KERNEL(imad_wide) {
    u32 low[8], high[8];
    EACH(i) low[i] = OWN + i * 0x9E3779B9u, high[i] = ~low[i];
    ROUNDS TIMES(16, k) EACH(i)
        asm volatile("{.reg .u64 t; mul.wide.u32 t, %0, %2; mov.b64 {%0, %1}, t;}"
                     : "+r"(low[i]), "=r"(high[i]) : "r"(high[(i + 1) & 7]));
    KEEP(low[i] ^ high[i])
}

KERNEL(ffma) {
    float a[8], b = __uint_as_float(0x3F000000u | (seed & 0x7FFFFFu)), c = 1.0f - b;
    EACH(i) a[i] = __uint_as_float(0x3F000000u | ((OWN + i) & 0x7FFFFFu));
    ROUNDS TIMES(16, k) EACH(i) asm volatile("fma.rn.f32 %0, %0, %1, %2;" : "+f"(a[i]) : "f"(b), "f"(c));
    KEEP(__float_as_uint(a[i]))
}

KERNEL(dfma) {
    double a[8], b = (seed & 0xFFFF) / 65536.0, c = 1.0 - b;
    EACH(i) a[i] = ((OWN + i) & 0xFFFF) / 65536.0;
    ROUNDS TIMES(16, k) EACH(i) asm volatile("fma.rn.f64 %0, %0, %1, %2;" : "+d"(a[i]) : "d"(b), "d"(c));
    KEEP(__double_as_longlong(a[i]) >> 20)
}

KERNEL(mufu) {
    float a[8];
    EACH(i) a[i] = __uint_as_float(0x3F000000u | ((OWN + i) & 0x7FFFFFu));
    ROUNDS TIMES(16, k) EACH(i) asm volatile("rsqrt.approx.ftz.f32 %0, %0;" : "+f"(a[i]));
    KEEP(__float_as_uint(a[i]))
}

// The matrix products of a warp, mma.sync: eight accumulators each.
#define LEFT "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1])
#define FOUR(kind, d) "+" kind(d[0]), "+" kind(d[1]), "+" kind(d[2]), "+" kind(d[3])
#define MMA(name, kind, number, shape, mask_of_data) \
    KERNEL(name) { \
        number d[8][4]; \
        u32 x[4], y[2]; \
        TIMES(4, k) x[k] = (OWN * (2 * k + 3)) & mask_of_data; \
        TIMES(2, k) y[k] = (OWN * (2 * k + 11)) & mask_of_data; \
        EACH(i) TIMES(4, k) d[i][k] = 0; \
        ROUNDS TIMES(8, k) EACH(i) asm volatile("mma.sync.aligned." shape \
            " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" : FOUR(kind, d[i]) : LEFT); \
        KEEP(d[i][0] + d[i][1] + d[i][2] + d[i][3]) \
    }

// The masks leave out exponents of infinity.
MMA(mma_s8, "r", u32, "m16n8k32.row.col.s32.s8.s8.s32", 0xFFFFFFFFu)
MMA(mma_f16, "f", float, "m16n8k16.row.col.f32.f16.f16.f32", 0xBBFFBBFFu)

// sm_90 has no such instruction and takes several for it: the operands have to change, or it does that work only once.
#if __CUDA_ARCH__ >= 890
KERNEL(mma_e4m3) {
    float d[8][4];
    u32 x[4], y[2];
    TIMES(4, k) x[k] = (OWN * (2 * k + 3)) & 0x3F3F3F3Fu;
    TIMES(2, k) y[k] = (OWN * (2 * k + 11)) & 0x3F3F3F3Fu;
    EACH(i) TIMES(4, k) d[i][k] = 0;
    ROUNDS EACH(i) {
        x[i & 3] += 0x01010101u;
        asm volatile("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32"
            " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" : FOUR("f", d[i]) : LEFT);
    }
    KEEP(d[i][0] + d[i][1] + d[i][2] + d[i][3])
}
#endif

KERNEL(mma_f64) {
    double d[8][2], x = (OWN & 0xFFFF) / 65536.0 - 0.5, y = (seed & 0xFFFF) / 65536.0 - 0.5;
    EACH(i) TIMES(2, k) d[i][k] = 0;
    ROUNDS TIMES(8, k) EACH(i)
        asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, {%0, %1};"
                     : "+d"(d[i][0]), "+d"(d[i][1]) : "d"(x), "d"(y));
    KEEP(__double_as_longlong(d[i][0] + d[i][1]) >> 20)
}

// Reads of 16 bytes a thread around a ring: DRAM if it is larger than L2, L2 if it is smaller. A volatile read
// passes L1 by, and is kept though nothing is done with what it gives.
KERNEL(global_read) {
    u64 place = (u64)blockIdx.x * 32 * 4096;
    u32 a[8][4];
    EACH(i) TIMES(4, k) a[i][k] = 0;
    ROUNDS {
        const char *at = data + (place & mask) + threadIdx.x * 16;
        TIMES(4, k) EACH(i) asm volatile("ld.volatile.global.v4.u32 {%0, %1, %2, %3}, [%4];"
            : "=r"(a[i][0]), "=r"(a[i][1]), "=r"(a[i][2]), "=r"(a[i][3]) : "l"(at + (k * 8 + i) * 4096) : "memory");
        place += (u64)gridDim.x * 32 * 4096;
    }
    KEEP(a[i][0] ^ a[i][1] ^ a[i][2] ^ a[i][3])
}

KERNEL(shared_read) {
    __shared__ __align__(128) u32 words[8192];
    TIMES(32, k) words[k * 256 + threadIdx.x] = OWN + k;
    __syncthreads();
    u32 a[8][4], at = (u32)__cvta_generic_to_shared(words) + threadIdx.x * 16;
    EACH(i) TIMES(4, k) a[i][k] = 0;
    ROUNDS TIMES(4, k) EACH(i) asm volatile("ld.volatile.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(a[i][0]), "=r"(a[i][1]), "=r"(a[i][2]), "=r"(a[i][3]) : "r"(at + i * 4096) : "memory");
    KEEP(a[i][0] ^ a[i][1] ^ a[i][2] ^ a[i][3])
}
