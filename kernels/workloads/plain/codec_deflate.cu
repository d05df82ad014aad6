// Inflate of independent raw deflate streams, one a warp: lane 0 decodes symbols, all lanes copy matches.

typedef unsigned int u32;
typedef unsigned char u8;

#ifndef WARPS
#define WARPS 2
#endif

struct Reader {
    const u8 *p, *end;
    u32 bits, held;
    __device__ __noinline__ u32 take(u32 n)
    {
        while (held < n) { bits |= (p < end ? *p : 0u) << held; p++; held += 8; }
        u32 v = bits & ((1u << n) - 1);
        bits >>= n; held -= n;
        return v;
    }
};

struct Codes { unsigned short count[16], symbol[288]; };

// Canonical decoding bit by bit: slow, small, and free of large tables.
__device__ __noinline__ int decode(Reader &r, const Codes &c)
{
    int code = 0, first = 0, index = 0;
    for (int length = 1; length < 16; length++) {
        code |= r.take(1);
        int count = c.count[length];
        if (code - count < first) return c.symbol[index + code - first];
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    return -1;
}

__device__ __noinline__ void build(Codes &c, const u8 *lengths, int n)
{
    unsigned short offset[16];
    for (int l = 0; l < 16; l++) c.count[l] = 0;
    for (int s = 0; s < n; s++) c.count[lengths[s]]++;
    c.count[0] = 0;
    offset[1] = 0;
    for (int l = 1; l < 15; l++) offset[l + 1] = offset[l] + c.count[l];
    for (int s = 0; s < n; s++) if (lengths[s]) c.symbol[offset[lengths[s]]++] = (unsigned short)s;
}

__constant__ u8 length_order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

__device__ void read_codes(Reader &r, Codes &literals, Codes &distances, bool fixed)
{
    u8 lengths[320];
    int n_literals = 288, n_distances = 30;
    if (fixed) {
        for (int s = 0; s < 288; s++) lengths[s] = s < 144 ? 8 : s < 256 ? 9 : s < 280 ? 7 : 8;
        for (int s = 0; s < 30; s++) lengths[288 + s] = 5;
    } else {
        n_literals = r.take(5) + 257; n_distances = r.take(5) + 1;
        int n_lengths = r.take(4) + 4;
        for (int i = 0; i < 19; i++) lengths[i] = 0;
        for (int i = 0; i < n_lengths; i++) lengths[length_order[i]] = (u8)r.take(3);
        build(literals, lengths, 19);
        for (int i = 0; i < n_literals + n_distances; ) {
            int s = decode(r, literals), repeat = 1;
            u8 value = (u8)s;
            if (s == 16) { value = i ? lengths[i - 1] : 0; repeat = 3 + r.take(2); }
            else if (s == 17) { value = 0; repeat = 3 + r.take(3); }
            else if (s == 18) { value = 0; repeat = 11 + r.take(7); }
            while (repeat-- && i < 320) lengths[i++] = value;
        }
    }
    build(literals, lengths, n_literals);
    build(distances, lengths + n_literals, n_distances);
}

__device__ u32 length_of(Reader &r, int s)
{
    if (s < 265) return s - 254;
    if (s == 285) return 258;
    int extra = (s - 261) >> 2;
    return 3 + ((4 + ((s - 261) & 3)) << extra) + r.take(extra);
}

__device__ u32 distance_of(Reader &r, int s)
{
    if (s < 4) return s + 1;
    int extra = (s >> 1) - 1;
    return 1 + ((2 + (s & 1)) << extra) + r.take(extra);
}

extern "C" __global__ void inflate(const u8 *in, const u32 *in_begin, u8 *out, const u32 *out_begin, u32 *sizes, int n)
{
    __shared__ Codes literals[WARPS], distances[WARPS];
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, stream = blockIdx.x * WARPS + warp;
    if (stream >= n) return;
    Reader r = {in + in_begin[stream], in + in_begin[stream + 1], 0, 0};
    u32 first = out_begin[stream], o = first, limit = out_begin[stream + 1], final = 0;
    while (!final && r.p <= r.end) {
        u32 type = 0, stored = 0;
        if (lane == 0) {
            final = r.take(1); type = r.take(2);
            if (type == 0) { r.bits = r.held = 0; stored = r.p[0] | r.p[1] << 8; r.p += 4; for (u32 k = 0; k < stored && o + k < limit; k++) out[o + k] = r.p[k]; r.p += stored; }
            else read_codes(r, literals[warp], distances[warp], type == 1);
        }
        final = __shfl_sync(0xffffffffu, final, 0); type = __shfl_sync(0xffffffffu, type, 0); stored = __shfl_sync(0xffffffffu, stored, 0);
        o += stored;
        while (type) {
            u32 length = 0, distance = 0, literal = 0;
            if (lane == 0) {
                int s = decode(r, literals[warp]);
                if (s >= 0 && s < 256) { length = 1; literal = s; }
                else if (s > 256) { length = length_of(r, s); distance = distance_of(r, decode(r, distances[warp])); }
            }
            length = __shfl_sync(0xffffffffu, length, 0); distance = __shfl_sync(0xffffffffu, distance, 0); literal = __shfl_sync(0xffffffffu, literal, 0);
            if (length == 0 || o + length > limit || distance > o - first) break;
            __syncwarp();
            for (u32 k = lane; k < length; k += 32) out[o + k] = distance ? out[o - distance + k % distance] : (u8)literal;
            __syncwarp();
            o += length;
        }
    }
    if (lane == 0) sizes[stream] = o - first;
}
