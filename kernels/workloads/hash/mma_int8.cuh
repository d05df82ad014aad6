// One warp-wide int8 matrix step, 16x8 += 16x32 * 32x8, by the tensor cores.
#pragma once

__device__ __forceinline__ void mma_16x8x32(int (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
#define MMA_8X8X16(x, y, p, q)                                                                         \
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"        \
                 : "+r"(x), "+r"(y)                                                                    \
                 : "r"(p), "r"(q))
    MMA_8X8X16(c[0], c[1], a[0], b[0]);
    MMA_8X8X16(c[0], c[1], a[2], b[1]);
    MMA_8X8X16(c[2], c[3], a[1], b[0]);
    MMA_8X8X16(c[2], c[3], a[3], b[1]);
#undef MMA_8X8X16
#endif
}
