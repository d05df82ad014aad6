// Content-defined chunking for deduplication: gear hash, Rabin-Karp over a window, and chunk fingerprints.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned char u8;

#ifndef WINDOW
#define WINDOW 48
#endif
#ifndef SPAN
#define SPAN 512 /* bytes a thread looks at */
#endif

// A boundary is a position whose hash of the last 64 bytes is zero under the mask.
extern "C" __global__ void gear_boundaries(const u8 *data, u32 length, const u64 *gear, u64 mask, u32 *bits)
{
    __shared__ u64 table[256];
    for (u32 i = threadIdx.x; i < 256; i += blockDim.x) table[i] = gear[i];
    __syncthreads();
    u32 first = (blockIdx.x * blockDim.x + threadIdx.x) * SPAN, last = min(first + SPAN, length);
    if (first >= length) return;
    u64 h = 0;
    // 64 bytes ahead of the span fill the shift register.
    for (u32 p = first > 63 ? first - 63 : 0; p < first; p++) h = (h << 1) + table[data[p]];
    for (u32 p = first; p < last; p++) {
        h = (h << 1) + table[data[p]];
        if ((h & mask) == 0) atomicOr(&bits[p >> 5], 1u << (p & 31));
    }
}

extern "C" __global__ void rabin_karp_boundaries(const u8 *data, u32 length, u32 base, u32 base_to_window, u32 mask, u32 *bits)
{
    u32 first = (blockIdx.x * blockDim.x + threadIdx.x) * SPAN, last = min(first + SPAN, length);
    if (first + WINDOW > length) return;
    u32 h = 0;
    for (u32 p = first; p < first + WINDOW; p++) h = h * base + data[p] + 1;
    for (u32 p = first + WINDOW; ; p++) {
        if ((h & mask) == mask) atomicOr(&bits[(p - 1) >> 5], 1u << ((p - 1) & 31));
        if (p >= last + WINDOW - 1 || p >= length) break;
        h = h * base + data[p] + 1 - base_to_window * (data[p - WINDOW] + 1);
    }
}

// True Rabin fingerprint: polynomials over GF(2) modulo a degree-53 polynomial, by two byte tables.
extern "C" __global__ void rabin_fingerprints(const u8 *data, const u32 *begin, const u64 *reduce, u64 *out, int n)
{
    int chunk = blockIdx.x * blockDim.x + threadIdx.x;
    if (chunk >= n) return;
    u64 f = 1;
    for (u32 p = begin[chunk]; p < begin[chunk + 1]; p++) {
        u32 top = (u32)(f >> 45) & 255;
        f = (((f << 8) | data[p]) & ((1ull << 53) - 1)) ^ reduce[top];
    }
    out[chunk] = f;
}
