/* Single and double precision. What the hardware approximates (MUFU) is computed more exactly here. */
#include <cfenv>
#include <cmath>
#include <limits>

#include "numbers.h"

#define EACH for (int l = 0; l < LANES; ++l)

namespace {

u32 flushed(u32 v) { return v & 0x7f800000 ? v : v & 0x80000000; }

float input(u32 v, bool ftz) { return as_float(ftz ? flushed(v) : v); }

u32 result(float f, const Instruction &i) {
    if (i.has(M_SAT)) f = f > 0 ? std::fmin(f, 1.0f) : 0.0f;
    if (std::isnan(f)) return 0x7fffffff;
    u32 v = as_bits(f);
    return i.has(M_FTZ) ? flushed(v) : v;
}

struct Rounding { /* as the instruction says, for as long as it lives */
    int before;
    explicit Rounding(const Instruction &i) : before(fegetround()) {
        if (i.has(M_RZ)) fesetround(FE_TOWARDZERO);
        if (i.has(M_RM)) fesetround(FE_DOWNWARD);
        if (i.has(M_RP)) fesetround(FE_UPWARD);
    }
    ~Rounding() { fesetround(before); }
};

float divided(float f, const Instruction &i) { return i.has(M_D2) ? f / 2 : i.has(M_D4) ? f / 4 : i.has(M_D8) ? f / 8 : f; }

void arithmetic(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 room[3][LANES], out[LANES];
    const u32 *x = b.floats(w, i.ops[1], room[0]), *y = b.floats(w, i.ops[2], room[1]);
    const u32 *z = i.op == O_FFMA ? b.floats(w, i.ops[3], room[2]) : x;
    bool ftz = i.has(M_FTZ);
    Rounding mode(i);
    EACH {
        volatile float p = input(x[l], ftz), q = input(y[l], ftz), r = input(z[l], ftz), v;
        if (i.op == O_FADD) v = p + q;
        else if (i.op == O_FMUL) v = divided(p, i) * q;
        else v = fmaf(p, q, r);
        out[l] = result(v, i);
    }
    put(w, i.ops[0], active, out);
}

u32 extreme_of(u32 x, u32 y, bool ftz, bool down) {
    float p = input(x, ftz), q = input(y, ftz);
    if (std::isnan(p) && std::isnan(q)) return 0x7fffffff;
    bool first = down ? p < q : p > q;
    if (p == q) first = down == std::signbit(p); /* -0 lies below 0 */
    return as_bits(std::isnan(p) ? q : std::isnan(q) ? p : first ? p : q);
}

/* FMNMX of two numbers, FMNMX3 of three. */
void extreme(Block &b, Warp &w, const Instruction &i, u32 active) {
    int numbers = i.op == O_FMNMX3 ? 3 : 2;
    u32 room[3][LANES], out[LANES], least = b.predicate(w, i.ops[1 + numbers]);
    const u32 *x = b.floats(w, i.ops[1], room[0]), *y = b.floats(w, i.ops[2], room[1]);
    const u32 *z = numbers == 3 ? b.floats(w, i.ops[3], room[2]) : nullptr;
    EACH {
        bool down = least >> l & 1;
        out[l] = extreme_of(x[l], y[l], i.has(M_FTZ), down);
        if (z) out[l] = extreme_of(out[l], z[l], i.has(M_FTZ), down);
    }
    put(w, i.ops[0], active, out);
}

template <class T> bool compare(T p, T q, const Instruction &i) {
    bool unordered = std::isnan(p) || std::isnan(q);
    if (i.has(M_NUM)) return !unordered;
    if (i.has(M_NAN)) return unordered;
    if (i.has(M_EQ)) return p == q;
    if (i.has(M_NE)) return !unordered && p != q;
    if (i.has(M_LT)) return p < q;
    if (i.has(M_LE)) return p <= q;
    if (i.has(M_GT)) return p > q;
    if (i.has(M_GE)) return p >= q;
    if (i.has(M_EQU)) return unordered || p == q;
    if (i.has(M_NEU)) return unordered || p != q;
    if (i.has(M_LTU)) return unordered || p < q;
    if (i.has(M_LEU)) return unordered || p <= q;
    if (i.has(M_GTU)) return unordered || p > q;
    if (i.has(M_GEU)) return unordered || p >= q;
    throw Fault("a comparison without a relation");
}

void put_both(Block &b, Warp &w, const Instruction &i, u32 active, u32 found) {
    u32 with = b.predicate(w, i.ops[4]);
    put_predicate(w, i.ops[0], active, i.has(M_OR) ? found | with : i.has(M_XOR) ? found ^ with : found & with);
    put_predicate(w, i.ops[1], active, i.has(M_OR) ? ~found | with : i.has(M_XOR) ? ~found ^ with : ~found & with);
}

/* FSET.BF: one or zero, as a float; the operands of FSETP behind a single result. */
void set_float(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 room[2][LANES], out[LANES], with = b.predicate(w, i.ops[3]);
    const u32 *x = b.floats(w, i.ops[1], room[0]), *y = b.floats(w, i.ops[2], room[1]);
    EACH {
        bool found = compare(input(x[l], i.has(M_FTZ)), input(y[l], i.has(M_FTZ)), i), other = with >> l & 1;
        bool yes = i.has(M_OR) ? found || other : i.has(M_XOR) ? found != other : found && other;
        out[l] = as_bits(yes ? 1.0f : 0.0f);
    }
    put(w, i.ops[0], active, out);
}

void set_predicate(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 room[2][LANES], found = 0;
    const u32 *x = b.floats(w, i.ops[2], room[0]), *y = b.floats(w, i.ops[3], room[1]);
    EACH found |= (u32)compare(input(x[l], i.has(M_FTZ)), input(y[l], i.has(M_FTZ)), i) << l;
    put_both(b, w, i, active, found);
}

void choose(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 room[2][LANES], out[LANES], which = b.predicate(w, i.ops[3]);
    const u32 *x = b.floats(w, i.ops[1], room[0]), *y = b.floats(w, i.ops[2], room[1]);
    EACH out[l] = which >> l & 1 ? x[l] : y[l];
    put(w, i.ops[0], active, out);
}

/* Whether x / y needs the slow way; the bounds of the exponents are ours, on the safe side. */
void check_division(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 room[2][LANES], slow = 0;
    const u32 *x = b.floats(w, i.ops[1], room[0]), *y = b.floats(w, i.ops[2], room[1]);
    EACH {
        int p = (int)(x[l] >> 23 & 255), q = (int)(y[l] >> 23 & 255), by = p - q;
        bool zero = !(x[l] & 0x7fffffff);
        slow |= (u32)(q == 0 || q >= 253 || p == 255 || (!zero && (by >= 126 || by <= -125 || p <= 24))) << l;
    }
    put_predicate(w, i.ops[0], active, slow);
}

float approximated(float x, const Instruction &i) {
    const double turn = 6.283185307179586;
    if (i.has(M_RCP)) return 1.0f / x;
    if (i.has(M_RSQ)) return (float)(1.0 / std::sqrt((double)x));
    if (i.has(M_SQRT)) return std::sqrt(x);
    if (i.has(M_EX2)) return (float)std::exp2((double)x);
    if (i.has(M_LG2)) return (float)std::log2((double)x);
    if (i.has(M_SIN)) return (float)std::sin(turn * x);
    if (i.has(M_COS)) return (float)std::cos(turn * x);
    if (i.has(M_TANH)) return (float)std::tanh((double)x);
    throw Fault("an unknown function of MUFU");
}

void function(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 room[LANES], out[LANES];
    bool reciprocal = i.has(M_RCP64H), root = i.has(M_RSQ64H);
    if (reciprocal || root) { /* the upper half of a double, from the upper half of a double */
        const u32 *x = b.floats(w, i.ops[1], room);
        EACH {
            double d = as_double((u64)x[l] << 32);
            out[l] = (u32)(as_bits(reciprocal ? 1 / d : 1 / std::sqrt(d)) >> 32);
        }
    } else {
        const u32 *x = b.floats(w, i.ops[1], room);
        EACH out[l] = result(approximated(as_float(x[l]), i), i);
    }
    put(w, i.ops[0], active, out);
}

void set_double_predicate(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 found = 0, neither = 0;
    bool most = i.has(M_MAX), least = i.has(M_MIN);
    EACH {
        double p = b.real(w, i.ops[2], l), q = b.real(w, i.ops[3], l);
        if (most || least) { /* whether the first is the result; the second predicate: both are NaN */
            bool first = !std::isnan(p) && (std::isnan(q) || (most ? p > q : p < q));
            found |= (u32)first << l;
            neither |= (u32)(std::isnan(p) && std::isnan(q)) << l;
        } else
            found |= (u32)compare(p, q, i) << l;
    }
    if (!most && !least) return put_both(b, w, i, active, found);
    put_predicate(w, i.ops[0], active, found);
    put_predicate(w, i.ops[1], active, neither);
}

}  // namespace

bool Block::floating(Warp &w, const Instruction &i, u32 active) {
    switch (i.op) {
    case O_FADD: case O_FMUL: case O_FFMA: arithmetic(*this, w, i, active); return true;
    case O_FMNMX: case O_FMNMX3: extreme(*this, w, i, active); return true;
    case O_FSETP: set_predicate(*this, w, i, active); return true;
    case O_FSET: set_float(*this, w, i, active); return true;
    case O_FSEL: choose(*this, w, i, active); return true;
    case O_FCHK: check_division(*this, w, i, active); return true;
    case O_MUFU: function(*this, w, i, active); return true;
    default: return false;
    }
}

bool Block::doubles(Warp &w, const Instruction &i, u32 active) {
    if (i.op == O_DSETP) {
        set_double_predicate(*this, w, i, active);
        return true;
    }
    if (i.op != O_DADD && i.op != O_DMUL && i.op != O_DFMA) return false;
    u64 out[LANES];
    Rounding mode(i);
    EACH {
        volatile double p = real(w, i.ops[1], l), q = real(w, i.ops[2], l), v;
        if (i.op == O_DADD) v = p + q;
        else if (i.op == O_DMUL) v = p * q;
        else v = std::fma(p, q, real(w, i.ops[3], l));
        out[l] = as_bits((double)v);
    }
    put_pair(w, i.ops[0], active, out);
    return true;
}
