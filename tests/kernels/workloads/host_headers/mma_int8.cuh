// The same warp-wide int8 step as the tensor cores', for the CPU: fragments are exchanged between the lanes.
#pragma once

static inline int shim_byte(unsigned word, int i) { return (int)(signed char)(word >> (8 * i)); }

static inline void mma_16x8x32(int (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    const int lane = (int)shim_lane(), group = lane >> 2, pair = lane & 3;
    int sum[4] = {0, 0, 0, 0};
    for (int quad = 0; quad < 4; ++quad)
        for (int half = 0; half < 2; ++half) {
            const unsigned upper = __shfl_sync(~0u, a[2 * half], group * 4 + quad);
            const unsigned lower = __shfl_sync(~0u, a[2 * half + 1], group * 4 + quad);
            const unsigned left = __shfl_sync(~0u, b[half], (2 * pair) * 4 + quad);
            const unsigned right = __shfl_sync(~0u, b[half], (2 * pair + 1) * 4 + quad);
            for (int i = 0; i < 4; ++i) {
                sum[0] += shim_byte(upper, i) * shim_byte(left, i);
                sum[1] += shim_byte(upper, i) * shim_byte(right, i);
                sum[2] += shim_byte(lower, i) * shim_byte(left, i);
                sum[3] += shim_byte(lower, i) * shim_byte(right, i);
            }
        }
    for (int i = 0; i < 4; ++i) c[i] += sum[i];
}
