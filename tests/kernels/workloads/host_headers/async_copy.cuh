// The same copies and matrix loads for the CPU: a copy is done at once, rows are exchanged between the lanes.
#pragma once

static inline void copy16(void *to, const void *from) { memcpy(to, from, 16); }
static inline void copy_close() {}
template <int Left> static inline void copy_wait() {}

static inline void load_matrices(unsigned (&r)[4], const void *row) {
    for (int i = 0; i < 4; ++i) {
        const unsigned lane = shim_lane();
        const char *from = __shfl_sync(~0u, (const char *)row, 8 * i + (int)(lane >> 2));
        memcpy(&r[i], from + 4 * (lane & 3), 4);
    }
}
