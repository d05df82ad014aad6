// The matrix products of a warpgroup, wgmma (sm_90a only): one kernel for each type, for instructions.py.
//
// Both operands lie in shared memory, 8 x 16 byte tiles one after another without swizzling, filled with words that
// hold no infinity; each product is 64 x 128 x 32 bytes. Sixty-four are under way before they are waited for, and four
// warpgroups share an SM, so that the tensor cores never wait. The arguments are those of instructions.cu.

typedef unsigned u32;
typedef unsigned long long u64;

#define TIMES(n, k) _Pragma("unroll") for (int k = 0; k < n; ++k)
#define D4(kind, i) "+" kind(d[i]), "+" kind(d[i + 1]), "+" kind(d[i + 2]), "+" kind(d[i + 3])
#define D16(kind, i) D4(kind, i), D4(kind, i + 4), D4(kind, i + 8), D4(kind, i + 12)
#define D64(kind) D16(kind, 0), D16(kind, 16), D16(kind, 32), D16(kind, 48)
#define NAMES \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}"

enum { LEFT = 64 * 32, RIGHT = 128 * 32, TILES = 2 };

// Address, distance of tiles along k (128 bytes) and along rows (256 bytes), all in units of 16 bytes; no swizzling.
__device__ u64 descriptor(u32 address) {
    return (u64)((address >> 4) & 0x3FFF) | (u64)(128 >> 4) << 16 | (u64)(256 >> 4) << 32;
}

#define WGMMA(name, kind, number, shape, scales, mask_of_data) \
    extern "C" __global__ void __launch_bounds__(128, 4) \
        name##_loop(u32 *out, const char *data, u64 mask, u32 seed, int rounds, int never) { \
        __shared__ __align__(128) u32 words[TILES * (LEFT + RIGHT) / 4]; \
        u32 own = seed * (blockIdx.x * 128 + threadIdx.x + 1); \
        TIMES(TILES * (LEFT + RIGHT) / 512, k) words[k * 128 + threadIdx.x] = (own * (2 * k + 3)) & mask_of_data; \
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); \
        __syncthreads(); \
        number d[64]; \
        TIMES(64, i) d[i] = 0; \
        u32 at = (u32)__cvta_generic_to_shared(words); \
        u64 x[TILES], y[TILES]; \
        TIMES(TILES, t) x[t] = descriptor(at + t * LEFT), y[t] = descriptor(at + TILES * LEFT + t * RIGHT); \
        _Pragma("unroll 1") for (int r = 0; r < rounds; ++r) { \
            asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); \
            TIMES(64, k) asm volatile("wgmma.mma_async.sync.aligned.m64n128" shape " " NAMES ", %64, %65, " scales ";" \
                : D64(kind) : "l"(x[k % TILES]), "l"(y[k % TILES]) : "memory"); \
            asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); \
            asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory"); \
        } \
        if (never) { \
            number all = 0; \
            TIMES(64, i) all = all * 3 + d[i]; \
            out[blockIdx.x * 128 + threadIdx.x] = (u32)all; \
        } \
    }

WGMMA(wgmma_s8, "r", u32, "k32.s32.s8.s8", "1", 0xFFFFFFFFu)
WGMMA(wgmma_f16, "f", float, "k16.f32.f16.f16", "1, 1, 1, 0, 0", 0xBBFFBBFFu)
WGMMA(wgmma_e4m3, "f", float, "k32.f32.e4m3.e4m3", "1, 1, 1", 0xBFBFBFBFu)
