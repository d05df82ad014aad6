// Columns with missing values: validity bitmaps, 128-bit decimals, civil dates and bytes of strings.

using u32 = unsigned int;
using u64 = unsigned long long;
using i64 = long long;

#ifndef ZONES
#define ZONES 0
#endif
#ifndef CHUNK
#define CHUNK 1
#endif

__device__ __forceinline__ bool bit_is_set(const u32 *mask, u32 i) { return mask[i >> 5] >> (i & 31) & 1; }

// A lane a row, a warp a word: the row's bit comes from anywhere, a ballot puts the word together.
extern "C" __global__ void bitmask_gather(const u32 *mask, const int *map, u32 rows, u32 source_rows, u32 *out, u32 *valid_count)
{
    u32 counted = 0;
    for (u32 k = 0; k < CHUNK; k++) {
        u32 i = (blockIdx.x * CHUNK + k) * blockDim.x + threadIdx.x;
        bool valid = false;
        if (i < rows) {
            u32 from = (u32)map[i];
            valid = from < source_rows && bit_is_set(mask, from);
        }
        u32 word = __ballot_sync(0xffffffffu, valid);
        if ((threadIdx.x & 31) == 0 && i < rows) {
            out[i >> 5] = word;
            counted += __popc(word);
        }
    }
    if (counted) atomicAdd(valid_count, counted);
}

extern "C" __global__ void valid_if_in_range(const double *values, double low, double high, u32 rows, u32 *out, u32 *null_count)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    u32 active = __ballot_sync(0xffffffffu, i < rows);
    bool good = i < rows && values[i] >= low && values[i] <= high;
    u32 word = __ballot_sync(0xffffffffu, good);
    if ((threadIdx.x & 31) == 0 && active) {
        out[i >> 5] = word;
        u32 missing = __popc(active & ~word);
        if (missing) atomicAdd(null_count, missing);
    }
}

// Bits [begin, end) to the start of another mask: every word is put together from two.
extern "C" __global__ void bitmask_shift_copy(const u32 *in, u32 begin, u32 end, u32 *out)
{
    u32 w = blockIdx.x * blockDim.x + threadIdx.x, bits = end - begin, words = (bits + 31) >> 5;
    if (w >= words) return;
    u32 first = (begin >> 5) + w, low = in[first], high = first < (end - 1) >> 5 ? in[first + 1] : 0;
    u32 word = __funnelshift_r(low, high, begin & 31);
    u32 left = bits - (w << 5);
    out[w] = left < 32 ? word & ((1u << left) - 1) : word;
}

// Unset bits of each segment of rows: its first and last word masked, a warp a segment.
extern "C" __global__ void segmented_null_count(const u32 *mask, const u32 *offsets, u32 segments, u32 *nulls)
{
    u32 s = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
    if (s >= segments) return;
    u32 begin = offsets[s], end = offsets[s + 1], count = 0;
    if (begin < end) {
        u32 head = begin >> 5, tail = (end - 1) >> 5;
        for (u32 w = head + lane; w <= tail; w += 32) {
            u32 word = ~mask[w];
            if (w == head) word &= 0xffffffffu << (begin & 31);
            if (w == tail) word &= 0xffffffffu >> (31 - ((end - 1) & 31));
            count += __popc(word);
        }
    }
    for (int d = 16; d; d >>= 1) count += __shfl_down_sync(0xffffffffu, count, d);
    if (lane == 0) nulls[s] = count;
}

struct __align__(16) Decimal {
    u64 low;
    i64 high;
};

__device__ __forceinline__ Decimal negated(Decimal a) { return {0 - a.low, (i64)(~(u64)a.high + (a.low == 0))}; }

__device__ __forceinline__ Decimal product(Decimal a, Decimal b)
{
    return {a.low * b.low, (i64)(__umul64hi(a.low, b.low) + a.low * (u64)b.high + (u64)a.high * b.low)};
}

// Division by ten as often as the scale drops: four 32-bit digits, remainder carried down, half rounded away.
__device__ Decimal rescaled(Decimal a, int drop)
{
    bool negative = a.high < 0;
    if (negative) a = negated(a);
    u32 digit[4] = {(u32)a.low, (u32)(a.low >> 32), (u32)a.high, (u32)((u64)a.high >> 32)};
    u64 rest = 0;
    for (int k = 0; k < drop; k++) {
        rest = 0;
#pragma unroll
        for (int d = 3; d >= 0; d--) {
            u64 part = rest << 32 | digit[d];
            digit[d] = (u32)(part / 10);
            rest = part % 10;
        }
    }
    Decimal r = {(u64)digit[1] << 32 | digit[0], (i64)((u64)digit[3] << 32 | digit[2])};
    if (rest >= 5) { r.low++; r.high += r.low == 0; }
    return negative ? negated(r) : r;
}

// a * b + c at a smaller scale, and whether it stays below a limit.
extern "C" __global__ void decimal_multiply_add(const Decimal *a, const Decimal *b, const Decimal *c, int drop, Decimal limit, Decimal *out, unsigned char *below, u32 rows)
{
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < rows; i += gridDim.x * blockDim.x) {
        Decimal p = rescaled(product(a[i], b[i]), drop), t = c[i];
        Decimal s = {p.low + t.low, (i64)((u64)p.high + (u64)t.high)};
        s.high = (i64)((u64)s.high + (s.low < p.low));
        out[i] = s;
        below[i] = s.high < limit.high || (s.high == limit.high && s.low < limit.low);
    }
}

// Days since 1970 to year, month and day in the proleptic Gregorian calendar; years begin in March.
extern "C" __global__ void civil_dates(const i64 *microseconds, const int *zone_minutes, int *year, unsigned char *month, unsigned char *day, int *second, u32 rows)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= rows) return;
    i64 t = microseconds[i];
    if (ZONES) t += zone_minutes[i] * 60000000ll;
    i64 seconds = t / 1000000 - (t % 1000000 < 0), days = seconds / 86400 - (seconds % 86400 < 0);
    second[i] = (int)(seconds - days * 86400);
    i64 shifted = days + 719468;
    int era = (int)((shifted >= 0 ? shifted : shifted - 146096) / 146097);
    u32 of_era = (u32)(shifted - (i64)era * 146097);
    u32 y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    u32 of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    day[i] = (unsigned char)(of_year - (153 * m + 2) / 5 + 1);
    month[i] = (unsigned char)(m < 10 ? m + 3 : m - 9);
    year[i] = (int)y + era * 400 + (m >= 10);
}

// Order of a column's substrings and one needle, a big-endian word at a time.
extern "C" __global__ void substring_compare(const unsigned char *chars, const u32 *offsets, u32 start, u32 length, const unsigned char *needle, u32 needle_length, signed char *order, u32 rows)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= rows) return;
    u32 begin = min(offsets[i] + start, offsets[i + 1]), size = min(length, offsets[i + 1] - begin);
    auto word = [](const unsigned char *p, u32 at, u32 end) {
        u32 v = 0;
        for (u32 k = 0; k < 4; k++) v = v << 8 | (at + k < end ? p[at + k] : 0);
        return v;
    };
    u32 shared = min(size, needle_length);
    int result = (size > needle_length) - (size < needle_length);
    for (u32 k = 0; k < shared; k += 4) {
        u32 x = word(chars + begin, k, shared), y = word(needle, k, shared);
        if (x != y) { result = x < y ? -1 : 1; break; }
    }
    order[i] = (signed char)result;
}
