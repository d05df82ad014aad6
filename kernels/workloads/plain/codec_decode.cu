// Decoders, one block of data a thread or a warp: LZ4, snappy-like, canonical Huffman, rANS, run lengths.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned char u8;

#ifndef TABLE_BITS
#define TABLE_BITS 11
#endif

// LZ4 block format. Returns through `sizes` the bytes written, or ~0 where the data is broken.
extern "C" __global__ void lz4_decode(const u8 *in, const u32 *in_begin, u8 *out, const u32 *out_begin, u32 *sizes, int n)
{
    int b = blockIdx.x * blockDim.x + threadIdx.x;
    if (b >= n) return;
    const u8 *p = in + in_begin[b], *end = in + in_begin[b + 1];
    u8 *o = out + out_begin[b], *first = o, *limit = out + out_begin[b + 1];
    sizes[b] = ~0u;
    while (p < end) {
        u32 token = *p++, length = token >> 4;
        if (length == 15) { u32 more; do { if (p >= end) return; more = *p++; length += more; } while (more == 255); }
        if (length > (u32)(end - p) || length > (u32)(limit - o)) return;
        while (length--) *o++ = *p++;
        if (p >= end) break;
        if (end - p < 2) return;
        u32 offset = p[0] | p[1] << 8;
        p += 2;
        length = token & 15;
        if (length == 15) { u32 more; do { if (p >= end) return; more = *p++; length += more; } while (more == 255); }
        length += 4;
        if (offset == 0 || offset > (u32)(o - first) || length > (u32)(limit - o)) return;
        for (const u8 *m = o - offset; length--; ) *o++ = *m++;
    }
    sizes[b] = (u32)(o - first);
}

// Snappy: tag bytes with literals and copies of three kinds. A warp shares the copying of one block.
extern "C" __global__ void snappy_decode(const u8 *in, const u32 *in_begin, u8 *out, const u32 *out_begin, int n)
{
    int b = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
    if (b >= n) return;
    u32 p = in_begin[b], end = in_begin[b + 1], o = out_begin[b], limit = out_begin[b + 1];
    while (p < end && in[p++] & 0x80) ;  // the preamble tells the size, which is known here
    while (p < end) {
        u32 tag = in[p++], length = (tag >> 2) + 1, offset = 0;
        if ((tag & 3) == 0) {
            if (length > 60) { u32 bytes = length - 60; length = 0; for (u32 k = 0; k < bytes; k++) length |= (u32)in[p + k] << (8 * k); p += bytes; length++; }
        } else if ((tag & 3) == 1) { length = (tag >> 2 & 7) + 4; offset = (tag >> 5) << 8 | in[p++]; }
        else if ((tag & 3) == 2) { offset = in[p] | in[p + 1] << 8; p += 2; }
        else { offset = in[p] | in[p + 1] << 8 | in[p + 2] << 16 | (u32)in[p + 3] << 24; p += 4; }
        length = min(length, limit - o);
        if (offset > o - out_begin[b]) return;
        for (u32 k = lane; k < length; k += 32) out[o + k] = offset ? out[o - offset + k % offset] : in[p + k];
        __syncwarp();
        if (!offset) p += length;
        o += length;
    }
}

struct Bits {
    const u32 *words; u64 buffer; int held;
    __device__ void fill() { if (held <= 32) { buffer |= (u64)*words++ << held; held += 32; } }
    __device__ u32 peek(int n) const { return (u32)buffer & ((1u << n) - 1); }
    __device__ void drop(int n) { buffer >>= n; held -= n; }
};

// Table entries: symbol << 8 | code length; codes are bit-reversed as in deflate.
extern "C" __global__ void huffman_decode(const u32 *streams, const u32 *begin, const unsigned short *table, u8 *out, int symbols, int n)
{
    __shared__ unsigned short t[1 << TABLE_BITS];
    for (int i = threadIdx.x; i < 1 << TABLE_BITS; i += blockDim.x) t[i] = table[i];
    __syncthreads();
    int s = blockIdx.x * blockDim.x + threadIdx.x;
    if (s >= n) return;
    Bits bits = {streams + begin[s], 0, 0};
    for (int i = 0; i < symbols; i++) {
        bits.fill();
        u32 e = t[bits.peek(TABLE_BITS)];
        bits.drop(e & 255);
        out[(size_t)s * symbols + i] = (u8)(e >> 8);
    }
}

// rANS with 16-bit renormalisation: slot -> (symbol, frequency, start).
extern "C" __global__ void rans_decode(const unsigned short *streams, const u32 *begin, const u32 *slots, u32 *states, u8 *out, int symbols, int n)
{
    for (int s = blockIdx.x * blockDim.x + threadIdx.x; s < n; s += gridDim.x * blockDim.x) {
        u32 x = states[s], p = begin[s];
        for (int i = 0; i < symbols; i++) {
            u32 slot = x & ((1u << TABLE_BITS) - 1), e = slots[slot], frequency = (e & 0xfff) + 1, start = e >> 12 & 0xfff;
            x = frequency * (x >> TABLE_BITS) + slot - start;
            if (x < 0x10000u) x = x << 16 | streams[p++];
            out[(size_t)i * n + s] = (u8)(e >> 24);
        }
        states[s] = x;
    }
}

extern "C" __global__ void run_length_decode(const u8 *values, const u32 *ends, u8 *out, int runs, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int lo = 0, hi = runs - 1;
    while (lo < hi) {
        int mid = (lo + hi) >> 1;
        if (ends[mid] > i) hi = mid; else lo = mid + 1;
    }
    out[i] = values[lo];
}
