// Columnar encodings and bitmaps: bit packing, delta binary packed, varints, dictionary pages, validity masks,
// bitmap set operations, rank and select, Gorilla-style XOR floats.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned char u8;

#ifndef WIDTH
#define WIDTH 7
#endif

// 32 values of WIDTH bits fill WIDTH words: everything is known at compile time.
extern "C" __global__ void unpack_fixed(const u32 *in, u32 *out, u32 groups)
{
    u32 g = blockIdx.x * blockDim.x + threadIdx.x;
    if (g >= groups) return;
    u32 w[WIDTH + 1];
#pragma unroll
    for (int i = 0; i < WIDTH; i++) w[i] = in[(size_t)g * WIDTH + i];
    w[WIDTH] = 0;
#pragma unroll
    for (int i = 0; i < 32; i++) {
        int bit = i * WIDTH;
        out[32 * (size_t)g + i] = __funnelshift_r(w[bit / 32], w[bit / 32 + 1], bit % 32) & (u32)((1ull << WIDTH) - 1);
    }
}

extern "C" __global__ void pack_fixed(const u32 *in, u32 *out, u32 groups)
{
    u32 g = blockIdx.x * blockDim.x + threadIdx.x;
    if (g >= groups) return;
    u64 buffer = 0;
    int held = 0, at = 0;
#pragma unroll
    for (int i = 0; i < 32; i++) {
        buffer |= (u64)(in[32 * (size_t)g + i] & (u32)((1ull << WIDTH) - 1)) << held;
        held += WIDTH;
        if (held >= 32) { out[(size_t)g * WIDTH + at++] = (u32)buffer; buffer >>= 32; held -= 32; }
    }
}

__device__ __forceinline__ u32 any_width(const u32 *in, u64 bit, u32 width)
{
    u64 pair = in[bit >> 5] | (u64)in[(bit >> 5) + 1] << 32;
    return (u32)(pair >> (bit & 31)) & (u32)((1ull << width) - 1);
}

// Mini blocks of 32 deltas with their own width: unpack, add the least delta, prefix sum by shuffles.
extern "C" __global__ void delta_decode(const u32 *in, const u32 *bit_begin, const u8 *widths, const int *least, const int *first, int *out, int mini_blocks)
{
    int warp = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31, carry = first[warp];
    for (int m = 0; m < mini_blocks; m++) {
        int b = warp * mini_blocks + m, v = (int)any_width(in, bit_begin[b] + (u64)lane * widths[b], widths[b]) + least[b];
        for (int o = 1; o < 32; o <<= 1) {
            int below = __shfl_up_sync(0xffffffffu, v, o);
            if (lane >= o) v += below;
        }
        out[32 * (size_t)b + lane] = carry + v;
        carry += __shfl_sync(0xffffffffu, v, 31);
    }
}

// Zigzag varints: a thread per byte; the thread at the last byte of a number writes it, its rank comes from a scan.
extern "C" __global__ void varint_decode(const u8 *in, const u32 *rank, long long *out, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n || in[i] & 0x80) return;
    u32 first = i;
    while (first > 0 && in[first - 1] & 0x80) first--;
    u64 v = 0;
    for (u32 k = first; k <= i; k++) v |= (u64)(in[k] & 0x7f) << (7 * (k - first));
    out[rank[i] - 1] = (long long)(v >> 1) ^ -(long long)(v & 1);
}

// Parquet-like page: runs and bit-packed groups of dictionary indices, one page a block, then a gather.
extern "C" __global__ void dictionary_page(const u8 *pages, const u32 *begin, const u32 *dictionary, u32 *out, const u32 *out_begin)
{
    __shared__ u32 kind, count, at, value;
    u32 p = begin[blockIdx.x], end = begin[blockIdx.x + 1], o = out_begin[blockIdx.x], limit = out_begin[blockIdx.x + 1], width = pages[p++];
    while (p < end && o < limit) {
        __syncthreads();
        if (threadIdx.x == 0) {
            u32 header = 0, shift = 0, byte;
            do { byte = pages[p++]; header |= (byte & 0x7f) << shift; shift += 7; } while (byte & 0x80);
            kind = header & 1;
            count = kind ? (header >> 1) * 8 : header >> 1;
            value = 0;
            if (!kind) for (u32 k = 0; k < (width + 7) / 8; k++) value |= (u32)pages[p + k] << (8 * k);
            at = p;
        }
        __syncthreads();
        for (u32 i = threadIdx.x; i < min(count, limit - o); i += blockDim.x) {
            u32 index = value;
            if (kind) {
                u32 bit = i * width;
                u64 window = 0;
                for (u32 k = 0; k < 5; k++) window |= (u64)pages[min(at + bit / 8 + k, end - 1)] << (8 * k);
                index = (u32)(window >> (bit % 8)) & (u32)((1ull << width) - 1);
            }
            out[o + i] = dictionary[index];
        }
        p = at + (kind ? count / 8 * width : (width + 7) / 8);
        o += count;
    }
}

extern "C" __global__ void bitmap_expression(const u32 *a, const u32 *b, const u32 *c, u32 *out, u32 *ones, u32 words)
{
    u32 count = 0;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < words; i += gridDim.x * blockDim.x) {
        u32 v = (a[i] & b[i]) | (~c[i] & (a[i] ^ b[i]));
        out[i] = v;
        count += __popc(v);
    }
    for (int o = 16; o; o >>= 1) count += __shfl_xor_sync(0xffffffffu, count, o);
    if ((threadIdx.x & 31) == 0) atomicAdd(ones, count);
}

// Position of the k-th one: block ranks by bisection, then the word, then a binary descent inside the word.
extern "C" __global__ void bitmap_select(const u32 *bits, const u32 *rank, u32 words, const u32 *wanted, u32 *places, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 lo = 0, hi = words - 1, k = wanted[i];
    while (lo < hi) { u32 mid = (lo + hi + 1) >> 1; if (rank[mid] <= k) lo = mid; else hi = mid - 1; }
    u32 w = bits[lo], left = k - rank[lo], place = 0;
    for (int half = 16; half; half >>= 1) {
        u32 count = __popc(w & ((1u << half) - 1));
        if (left >= count) { left -= count; w >>= half; place += half; } else w &= (1u << half) - 1;
    }
    places[i] = 32 * lo + place;
}

extern "C" __global__ void xor_float_decode(const u32 *stream, const u32 *bit_begin, u32 *out, int per_series, int n)
{
    int s = blockIdx.x * blockDim.x + threadIdx.x;
    if (s >= n) return;
    u64 bit = bit_begin[s];
    u32 previous = any_width(stream, bit, 32), lead = 0, length = 32;
    bit += 32;
    out[(size_t)s * per_series] = previous;
    for (int i = 1; i < per_series; i++) {
        if (any_width(stream, bit++, 1)) {
            if (any_width(stream, bit++, 1)) {
                lead = any_width(stream, bit, 5); length = any_width(stream, bit + 5, 5) + 1;
                bit += 10;
            }
            previous ^= any_width(stream, bit, length) << (32 - lead - length);
            bit += length;
        }
        out[(size_t)s * per_series + i] = previous;
    }
}
