/* Half precision, and conversions between kinds of numbers. */
#include <cfenv>
#include <cmath>
#include <limits>

#include "numbers.h"

#define EACH for (int l = 0; l < LANES; ++l)

float half_to_float(u16 h) {
    int exponent = h >> 10 & 31, fraction = h & 1023;
    float v = exponent == 31 ? (fraction ? NAN : INFINITY)
              : exponent     ? std::ldexp((float)(fraction | 1024), exponent - 25)
                             : std::ldexp((float)fraction, -24);
    return h & 0x8000 ? -v : v;
}

u16 float_to_half(double f) {
    u16 sign = std::signbit(f) ? 0x8000 : 0;
    if (std::isnan(f)) return 0x7fff;
    double a = std::fabs(f);
    if (a >= 65520) return sign | 0x7c00;
    if (a < 0x1p-14) return sign | (u16)std::nearbyint(a * 0x1p24);
    int exponent;
    double fraction = std::frexp(a, &exponent); /* in [0.5, 1) */
    u32 rounded = (u32)std::nearbyint(fraction * 2048); /* 1024 to 2048 */
    return sign | (u16)(((u32)(exponent + 14) << 10) + rounded - 1024);
}

namespace {

double half_of(u32 v, int n, u8 flags) {
    double d = half_to_float((u16)(v >> 16 * n));
    if (flags & ABSOLUTE) d = std::fabs(d);
    return flags & NEGATE ? -d : d;
}

double rounded(double d, const Instruction &i) {
    if (i.has(M_TRUNC)) return std::trunc(d);
    if (i.has(M_FLOOR)) return std::floor(d);
    if (i.has(M_CEIL)) return std::ceil(d);
    return std::nearbyint(d);
}

template <class T> u64 saturated(double d) {
    typedef std::numeric_limits<T> Limits;
    if (std::isnan(d)) return sizeof(T) == 8 ? 1ull << 63 : 0;
    if (d >= std::ldexp(1.0, Limits::digits)) return (u64)Limits::max();
    if (d <= (double)Limits::min()) return (u64)Limits::min();
    return (u64)(T)d;
}

void to_integer(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 room[LANES], out[LANES];
    u64 wide[LANES];
    bool from_double = i.has(M_F64), is_wide = i.has(M_U64) || i.has(M_S64);
    const u32 *x = from_double ? nullptr : b.floats(w, i.ops[1], room);
    EACH {
        double d = from_double ? b.real(w, i.ops[1], l) : as_float(x[l]);
        if (!from_double && i.has(M_FTZ) && std::fabs(d) < 0x1p-126) d = 0;
        d = rounded(d, i);
        wide[l] = i.has(M_U64)   ? saturated<u64>(d)
                  : i.has(M_S64) ? saturated<s64>(d)
                  : i.has(M_U32) ? saturated<u32>(d)
                  : i.has(M_S16) ? saturated<int16_t>(d)
                  : i.has(M_U16) ? saturated<u16>(d)
                  : i.has(M_S8)  ? saturated<int8_t>(d)
                  : i.has(M_U8)  ? saturated<u8>(d)
                                 : saturated<s32>(d);
        out[l] = (u32)wide[l];
    }
    if (is_wide) put_pair(w, i.ops[0], active, wide);
    else put(w, i.ops[0], active, out);
}

u64 integer_of(const Block &b, const Warp &w, const Instruction &i, int l, const u32 *x) {
    if (i.has(M_U64) || i.has(M_S64)) return b.pair(w, i.ops[1], l);
    if (i.has(M_U32)) return x[l];
    if (i.has(M_U16)) return (u16)x[l];
    if (i.has(M_S16)) return (u64)(s64)(int16_t)x[l];
    if (i.has(M_U8)) return (u8)x[l];
    return (u64)(s64)(s32)x[l];
}

void from_integer(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 room[LANES], out[LANES];
    u64 wide[LANES];
    bool is_unsigned = i.has(M_U64), to_double = i.has(M_F64);
    bool pair = i.has(M_U64) || i.has(M_S64);
    const u32 *x = pair ? nullptr : b.bits(w, i.ops[1], room);
    int before = fegetround();
    if (i.has(M_RP)) fesetround(FE_UPWARD);
    if (i.has(M_RZ)) fesetround(FE_TOWARDZERO);
    EACH {
        u64 v = integer_of(b, w, i, l, x);
        volatile u64 plain = v;
        volatile float f = is_unsigned ? (float)plain : (float)(s64)plain;
        volatile double d = is_unsigned ? (double)plain : (double)(s64)plain;
        out[l] = as_bits((float)f);
        wide[l] = as_bits((double)d);
    }
    fesetround(before);
    if (to_double) put_pair(w, i.ops[0], active, wide);
    else put(w, i.ops[0], active, out);
}

/* FRND keeps the kind of number; F2F makes a float of a double (F64) or a double of a float (F32). */
void round_or_convert(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 room[LANES], out[LANES];
    u64 wide[LANES];
    bool from_double = i.has(M_F64);
    const u32 *x = from_double ? nullptr : b.floats(w, i.ops[1], room);
    EACH {
        double d = from_double ? b.real(w, i.ops[1], l) : as_float(x[l]);
        if (i.op == O_FRND) d = rounded(d, i);
        out[l] = std::isnan(d) ? 0x7fffffff : as_bits((float)d);
        wide[l] = as_bits(d);
    }
    if (from_double == (i.op == O_FRND)) put_pair(w, i.ops[0], active, wide);
    else put(w, i.ops[0], active, out);
}

/* F2FP.F16.F32.PACK_AB: the first operand goes to the upper half. */
void pack(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 room[2][LANES], out[LANES];
    const u32 *hi = b.floats(w, i.ops[1], room[0]), *lo = b.floats(w, i.ops[2], room[1]);
    EACH out[l] = (u32)float_to_half(as_float(hi[l])) << 16 | float_to_half(as_float(lo[l]));
    put(w, i.ops[0], active, out);
}

}  // namespace

bool Block::halves(Warp &w, const Instruction &i, u32 active) {
    if (i.op != O_HADD2 && i.op != O_HMUL2 && i.op != O_HFMA2) return false;
    u32 room[3][LANES], out[LANES];
    const u32 *values[3];
    int numbers = i.op == O_HFMA2 ? 3 : 2;
    for (int n = 0; n < numbers; ++n) {
        Operand plain = i.ops[1 + n];
        plain.flags = 0;
        values[n] = bits(w, plain, room[n]);
    }
    EACH {
        u32 both = 0;
        for (int n = 0; n < 2; ++n) {
            double v[3] = {};
            for (int k = 0; k < numbers; ++k) v[k] = half_of(values[k][l], n, i.ops[1 + k].flags);
            double sum = i.op == O_HADD2 ? v[0] + v[1] : i.op == O_HMUL2 ? v[0] * v[1] : std::fma(v[0], v[1], v[2]);
            if (i.has(M_F32)) { /* of the lower halves */
                both = as_bits((float)sum);
                break;
            }
            both |= (u32)float_to_half(sum) << 16 * n;
        }
        out[l] = both;
    }
    put(w, i.ops[0], active, out);
    return true;
}

bool Block::conversion(Warp &w, const Instruction &i, u32 active) {
    switch (i.op) {
    case O_F2I: to_integer(*this, w, i, active); return true;
    case O_I2F: from_integer(*this, w, i, active); return true;
    case O_F2F: case O_FRND: round_or_convert(*this, w, i, active); return true;
    case O_F2FP: pack(*this, w, i, active); return true;
    default: return false;
    }
}
