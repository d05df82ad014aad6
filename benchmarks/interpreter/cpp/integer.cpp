/* Integer, logic and predicate operations. */
#include <algorithm>

#include "machine.h"

#define EACH for (int l = 0; l < LANES; ++l)

namespace {

struct Read { /* operands of one instruction, as numbers of all lanes */
    const Block &b;
    const Warp &w;
    u32 room[4][LANES];
    int used = 0;
    const u32 *operator()(const Operand &o) { return b.bits(w, o, room[used++]); }
};

bool is_predicate(const Operand &o) { return o.kind == PRED || o.kind == UPRED; }

/* Bits above 32 that an addend brings: minus x is ~x + 1, and 2^32 if x is 0. */
u64 addend(u32 v, u8 flags) {
    if (flags & NEGATE) return (u64)(u32)~v + 1;
    return flags & INVERT ? (u32)~v : v;
}

u32 prmt(u32 a, u32 b, u32 select) {
    u64 both = (u64)b << 32 | a;
    u32 v = 0;
    for (int n = 0; n < 4; ++n) {
        u32 s = select >> 4 * n & 15, byte = (u32)(both >> 8 * (s & 7)) & 255;
        if (s & 8) byte = byte & 128 ? 255 : 0;
        v |= byte << 8 * n;
    }
    return v;
}

u32 lut3(u32 a, u32 b, u32 c, u32 table) {
    u32 v = 0;
    for (int n = 0; n < 8; ++n)
        if (table >> n & 1) v |= (n & 4 ? a : ~a) & (n & 2 ? b : ~b) & (n & 1 ? c : ~c);
    return v;
}

template <class T> bool compare(T a, T b, const Instruction &i, bool low) {
    bool extended = i.has(M_EX);
    if (i.has(M_EQ)) return a == b && (!extended || low);
    if (i.has(M_NE)) return a != b || (extended && low);
    bool or_equal = i.has(M_LE) || i.has(M_GE);
    bool on_equal = extended ? low : or_equal;
    if (i.has(M_LT) || i.has(M_LE)) return a < b || (a == b && on_equal);
    return a > b || (a == b && on_equal);
}

void shift(Block &b, Warp &w, const Instruction &i, u32 active) {
    Read read{b, w, {}};
    const u32 *lo = read(i.ops[1]), *by = read(i.ops[2]), *hi = read(i.ops[3]);
    bool wide = i.has(M_U64) || i.has(M_S64), is_signed = i.has(M_S32) || i.has(M_S64);
    u32 out[LANES], most = wide ? 64 : 32;
    EACH {
        u32 n = i.has(M_W) ? by[l] & (most - 1) : std::min(by[l], most);
        u64 v = (u64)hi[l] << 32 | lo[l];
        if (i.has(M_L)) v = n > 63 ? 0 : v << n;
        else if (is_signed) v = (u64)((s64)v >> std::min(n, 63u));
        else v = n > 63 ? 0 : v >> n;
        out[l] = (u32)(i.has(M_HI) ? v >> 32 : v);
    }
    put(w, i.ops[0], active, out);
}

void add3(Block &b, Warp &w, const Instruction &i, u32 active) {
    int at = 1, carries = 0;
    const Operand *outs[2];
    while (is_predicate(i.ops[at])) outs[carries++] = &i.ops[at++];
    Read read{b, w, {}};
    Operand plain[3];
    const u32 *values[3];
    for (int n = 0; n < 3; ++n) {
        plain[n] = i.ops[at + n];
        plain[n].flags = 0;
        values[n] = read(plain[n]);
    }
    u32 in[2] = {0, 0};
    for (int n = 0; n < 2 && at + 3 + n < i.count; ++n) in[n] = b.predicate(w, i.ops[at + 3 + n]);
    u32 out[LANES], carry[2] = {0, 0};
    EACH {
        u64 sum = (in[0] >> l & 1) + (in[1] >> l & 1);
        for (int n = 0; n < 3; ++n) sum += addend(values[n][l], i.ops[at + n].flags);
        out[l] = (u32)sum;
        carry[0] |= (u32)(sum >> 32 >= 1) << l;
        carry[1] |= (u32)(sum >> 32 >= 2) << l;
    }
    put(w, i.ops[0], active, out);
    for (int n = 0; n < carries; ++n) put_predicate(w, *outs[n], active, carry[n]);
}

void multiply(Block &b, Warp &w, const Instruction &i, u32 active) {
    int at = is_predicate(i.ops[1]) ? 2 : 1;
    Read read{b, w, {}};
    const u32 *x = read(i.ops[at]), *y = read(i.ops[at + 1]);
    u32 in = at + 3 < i.count ? b.predicate(w, i.ops[at + 3]) : 0;
    if (!i.has(M_WIDE) && !i.has(M_HI)) {
        const u32 *z = read(i.ops[at + 2]);
        u32 out[LANES];
        EACH out[l] = x[l] * y[l] + z[l] + (in >> l & 1);
        put(w, i.ops[0], active, out);
        return;
    }
    if (i.ops[at].flags || i.ops[at + 1].flags) throw Fault("a wide product of something negated");
    u64 out[LANES];
    u32 carry = 0, high[LANES];
    EACH {
        u64 product = i.has(M_U32) ? (u64)x[l] * y[l] : (u64)((s64)(s32)x[l] * (s32)y[l]);
        unsigned __int128 sum = (unsigned __int128)product + b.pair(w, i.ops[at + 2], l) + (in >> l & 1);
        out[l] = (u64)sum;
        carry |= (u32)(sum >> 64) << l;
        high[l] = (u32)(out[l] >> 32);
    }
    if (i.has(M_HI)) put(w, i.ops[0], active, high);
    else put_pair(w, i.ops[0], active, out);
    if (at == 2) put_predicate(w, i.ops[1], active, carry);
}

void lea(Block &b, Warp &w, const Instruction &i, u32 active) {
    int at = is_predicate(i.ops[1]) ? 2 : 1;
    bool high = i.has(M_HI), given = high && !i.has(M_SX32);
    if (i.ops[at].flags && high) throw Fault("the upper half of something negated");
    Read read{b, w, {}};
    Operand shifted = i.ops[at], addend_of = i.ops[at + 1];
    shifted.flags = addend_of.flags = 0;
    const u32 *x = read(shifted), *y = read(addend_of), *z = given ? read(i.ops[at + 2]) : nullptr;
    int shift_at = at + (given ? 3 : 2);
    u32 by = (u32)i.ops[shift_at].imm & 31, in = shift_at + 1 < i.count ? b.predicate(w, i.ops[shift_at + 1]) : 0;
    u32 out[LANES], carry = 0;
    EACH {
        u64 v = (u64)(given ? z[l] : i.has(M_SX32) ? (u32)((s32)x[l] >> 31) : 0) << 32 | x[l];
        v <<= by;
        u64 sum = addend((u32)(high ? v >> 32 : v), i.ops[at].flags) + addend(y[l], i.ops[at + 1].flags) + (in >> l & 1);
        out[l] = (u32)sum;
        carry |= (u32)(sum >> 32 & 1) << l;
    }
    put(w, i.ops[0], active, out);
    if (at == 2) put_predicate(w, i.ops[1], active, carry);
}

void logic(Block &b, Warp &w, const Instruction &i, u32 active) {
    int at = is_predicate(i.ops[0]) ? 1 : 0;
    Read read{b, w, {}};
    const u32 *x = read(i.ops[at + 1]), *y = read(i.ops[at + 2]), *z = read(i.ops[at + 3]);
    u32 table = (u32)i.ops[at + 4].imm, out[LANES], any = 0;
    EACH {
        out[l] = lut3(x[l], y[l], z[l], table);
        any |= (u32)(out[l] != 0) << l;
    }
    put(w, i.ops[at], active, out);
    if (at) put_predicate(w, i.ops[0], active, any | b.predicate(w, i.ops[at + 5]));
}

void set_predicate(Block &b, Warp &w, const Instruction &i, u32 active) {
    Read read{b, w, {}};
    const u32 *x = read(i.ops[2]), *y = read(i.ops[3]);
    u32 with = b.predicate(w, i.ops[4]), low = i.has(M_EX) ? b.predicate(w, i.ops[5]) : 0, found = 0;
    bool is_unsigned = i.has(M_U32);
    EACH {
        bool yes = is_unsigned ? compare<u32>(x[l], y[l], i, low >> l & 1)
                               : compare<s32>((s32)x[l], (s32)y[l], i, low >> l & 1);
        found |= (u32)yes << l;
    }
    u32 first = i.has(M_OR) ? found | with : i.has(M_XOR) ? found ^ with : found & with;
    u32 second = i.has(M_OR) ? ~found | with : i.has(M_XOR) ? ~found ^ with : ~found & with;
    put_predicate(w, i.ops[0], active, first);
    put_predicate(w, i.ops[1], active, second);
}

u32 extreme(u32 a, u32 b, const Instruction &i, bool least) {
    if (i.has(M_U32)) return least ? std::min(a, b) : std::max(a, b);
    if (!i.has(M_S16x2)) return (u32)(least ? std::min((s32)a, (s32)b) : std::max((s32)a, (s32)b));
    u32 v = 0;
    for (int n = 0; n < 32; n += 16) {
        int16_t p = (int16_t)(a >> n), q = (int16_t)(b >> n);
        v |= (u32)(u16)(least ? std::min(p, q) : std::max(p, q)) << n;
    }
    return v;
}

u32 add_halves(u32 a, u32 b) { return ((a + b) & 0xffff) | ((a >> 16) + (b >> 16)) << 16; }

u32 negated_halves(u32 v) { return add_halves(~v, 0x10001); }

/* VIADD, VIADDMNMX, VIMNMX, VIMNMX3: sums and extremes, also of two halves each. */
void simd(Block &b, Warp &w, const Instruction &i, u32 active) {
    bool by_half = i.has(M_16x2) || i.has(M_S16x2);
    int numbers = i.op == O_VIADD || i.op == O_VIMNMX ? 2 : 3;
    Read read{b, w, {}};
    const u32 *values[3] = {};
    for (int n = 0; n < numbers; ++n) {
        Operand plain = i.ops[1 + n];
        if (by_half) plain.flags = 0;
        values[n] = read(plain);
    }
    u32 least = i.op == O_VIADD ? 0 : b.predicate(w, i.ops[1 + numbers]), out[LANES];
    EACH {
        u32 v[3];
        for (int n = 0; n < numbers; ++n)
            v[n] = by_half && i.ops[1 + n].flags & NEGATE ? negated_halves(values[n][l]) : values[n][l];
        bool down = least >> l & 1;
        if (i.op == O_VIADD || i.op == O_VIADDMNMX) out[l] = by_half ? add_halves(v[0], v[1]) : v[0] + v[1];
        else out[l] = extreme(v[0], v[1], i, down);
        if (numbers == 3) out[l] = extreme(out[l], v[2], i, down);
        if (i.has(M_RELU)) out[l] = (u32)std::max((s32)out[l], 0);
    }
    put(w, i.ops[0], active, out);
}

void dot4(Block &b, Warp &w, const Instruction &i, u32 active) {
    Read read{b, w, {}};
    const u32 *x = read(i.ops[1]), *y = read(i.ops[2]), *z = read(i.ops[3]);
    bool first = i.has(M_S8) && !i.has(M_U8), second = i.has(M_S8); /* U8.S8: the second is signed */
    u32 out[LANES];
    EACH {
        u32 sum = z[l];
        for (int n = 0; n < 32; n += 8) {
            s32 p = first ? (int8_t)(x[l] >> n) : (u8)(x[l] >> n), q = second ? (int8_t)(y[l] >> n) : (u8)(y[l] >> n);
            sum += (u32)(p * q);
        }
        out[l] = sum;
    }
    put(w, i.ops[0], active, out);
}

void unary(Block &b, Warp &w, const Instruction &i, u32 active) {
    Read read{b, w, {}};
    const u32 *x = read(i.ops[1]);
    u32 out[LANES];
    EACH {
        u32 v = x[l];
        switch (i.op) {
        case O_IABS: out[l] = (s32)v < 0 ? 0 - v : v; break;
        case O_POPC: out[l] = (u32)__builtin_popcount(v); break;
        case O_FLO: out[l] = !v ? ~0u : i.has(M_SH) ? (u32)__builtin_clz(v) : 31u - (u32)__builtin_clz(v); break;
        case O_BREV:
            out[l] = 0;
            for (int n = 0; n < 32; ++n) out[l] |= (v >> n & 1) << (31 - n);
            break;
        default: out[l] = v;
        }
    }
    put(w, i.ops[0], active, out);
}

void predicates(Block &b, Warp &w, const Instruction &i, u32 active) {
    Read read{b, w, {}};
    if (i.op == O_PLOP3) {
        u32 x = b.predicate(w, i.ops[2]), y = b.predicate(w, i.ops[3]), z = b.predicate(w, i.ops[4]);
        u32 one = lut3(x, y, z, (u32)i.ops[5].imm), two = lut3(x, y, z, (u32)i.ops[6].imm);
        put_predicate(w, i.ops[0], active, one);
        put_predicate(w, i.ops[1], active, two);
    } else if (i.op == O_P2R) { /* Rd, PR, Ra, mask */
        const u32 *x = read(i.ops[2]);
        u32 mask = (u32)i.ops[3].imm, out[LANES];
        EACH {
            u32 all = 0;
            for (int n = 0; n < 7; ++n) all |= (w.P[n] >> l & 1) << n;
            out[l] = (x[l] & ~mask) | (all & mask);
        }
        put(w, i.ops[0], active, out);
    } else { /* R2P: PR, Ra, mask */
        const u32 *x = read(i.ops[1]);
        for (int n = 0; n < 7; ++n) {
            if (!(i.ops[2].imm >> n & 1)) continue;
            u32 lanes = 0;
            EACH lanes |= (x[l] >> n & 1) << l;
            w.P[n] = (w.P[n] & ~active) | (lanes & active);
        }
    }
}

void choose(Block &b, Warp &w, const Instruction &i, u32 active) {
    Read read{b, w, {}};
    const u32 *x = read(i.ops[1]), *y = read(i.ops[2]);
    u32 which = b.predicate(w, i.ops[3]), out[LANES];
    EACH out[l] = which >> l & 1 ? x[l] : y[l];
    put(w, i.ops[0], active, out);
}

void permute(Block &b, Warp &w, const Instruction &i, u32 active) {
    Read read{b, w, {}};
    const u32 *x = read(i.ops[1]), *s = read(i.ops[2]), *y = read(i.ops[3]);
    u32 out[LANES];
    EACH out[l] = prmt(x[l], y[l], s[l]);
    put(w, i.ops[0], active, out);
}

}  // namespace

bool Block::integer(Warp &w, const Instruction &i, u32 active) {
    switch (i.op) {
    case O_IADD3: add3(*this, w, i, active); return true;
    case O_IMAD: multiply(*this, w, i, active); return true;
    case O_LEA: lea(*this, w, i, active); return true;
    case O_SHF: shift(*this, w, i, active); return true;
    case O_LOP3: logic(*this, w, i, active); return true;
    case O_ISETP: set_predicate(*this, w, i, active); return true;
    case O_SEL: choose(*this, w, i, active); return true;
    case O_PRMT: permute(*this, w, i, active); return true;
    case O_IDP: dot4(*this, w, i, active); return true;
    case O_VIADD: case O_VIADDMNMX: case O_VIMNMX: case O_VIMNMX3: simd(*this, w, i, active); return true;
    case O_MOV: case O_IABS: case O_POPC: case O_FLO: case O_BREV: unary(*this, w, i, active); return true;
    case O_PLOP3: case O_P2R: case O_R2P: predicates(*this, w, i, active); return true;
    default: return false;
    }
}
