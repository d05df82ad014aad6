/* What the lanes of a warp do together: shuffles, votes, reductions, and products of matrices. */
#include <algorithm>

#include "numbers.h"

#define EACH for (int l = 0; l < LANES; ++l)

namespace {

void shuffle(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 room[3][LANES], out[LANES], inside = 0;
    const u32 *x = b.bits(w, i.ops[2], room[0]), *by = b.bits(w, i.ops[3], room[1]);
    const u32 *limits = b.bits(w, i.ops[4], room[2]);
    EACH {
        int segment = (int)(limits[l] >> 8 & 31), clamp = (int)(limits[l] & 31), n = (int)(by[l] & 31);
        int most = (l & segment) | (clamp & ~segment), least = l & segment;
        int from = i.has(M_UP) ? l - n : i.has(M_DOWN) ? l + n : i.has(M_BFLY) ? l ^ n : (least | (n & ~segment));
        bool in = i.has(M_UP) ? from >= most : from <= most;
        out[l] = x[in ? from & 31 : l];
        inside |= (u32)in << l;
    }
    put(w, i.ops[1], active, out);
    put_predicate(w, i.ops[0], active, inside);
}

/* VOTE: a register for the ballot and a predicate for the answer, either of which may be missing. */
void vote(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 yes = b.predicate(w, i.ops[i.count - 1]) & active, out[LANES];
    bool answer = i.has(M_ALL) ? yes == active : yes != 0;
    EACH out[l] = yes;
    for (int n = 0; n < i.count - 1; ++n) {
        bool number = i.ops[n].kind == REG || i.ops[n].kind == UREG;
        if (number) put(w, i.ops[n], active, out);
        else put_predicate(w, i.ops[n], active, answer ? ~0u : 0);
    }
}

void reduce(Block &b, Warp &w, const Instruction &i, u32 active) {
    u32 room[LANES], out[LANES];
    const u32 *x = b.bits(w, i.ops[1], room);
    bool begun = false;
    u32 v = 0;
    for (int l = 0; l < LANES; ++l) {
        if (!(active >> l & 1)) continue;
        if (!begun) v = x[l];
        else if (i.has(M_SUM)) v += x[l];
        else if (i.has(M_OR)) v |= x[l];
        else if (i.has(M_AND)) v &= x[l];
        else if (i.has(M_XOR)) v ^= x[l];
        else if (i.has(M_S32)) v = (u32)(i.has(M_MIN) ? std::min((s32)v, (s32)x[l]) : std::max((s32)v, (s32)x[l]));
        else v = i.has(M_MIN) ? std::min(v, x[l]) : std::max(v, x[l]);
        begun = true;
    }
    EACH out[l] = v;
    put(w, i.ops[0], active, out);
}

u32 piece(const Warp &w, const Operand &o, int after, int lane) { return o.reg == RZ ? 0 : w.R[o.reg + after][lane]; }

/* Fragments as the PTX manual's figures of mma.m16n8k16 (halves) and m16n8k32 (bytes) show them: one row of A lies
   with four lanes, each of whose registers holds `step` neighbours; registers 1 and 3 are eight rows further down. */
template <class T, class Get> void product(Block &, Warp &w, const Instruction &i, Get get, int depth, int step) {
    static T a[16][32], m[32][8];
    for (int l = 0; l < LANES; ++l) {
        int group = l / 4, at = l % 4 * step;
        for (int n = 0; n < 4; ++n)
            for (int k = 0; k < step; ++k)
                a[group + n % 2 * 8][at + n / 2 * depth / 2 + k] = get(piece(w, i.ops[1], n, l), k);
        for (int n = 0; n < 2; ++n)
            for (int k = 0; k < step; ++k) m[at + n * depth / 2 + k][group] = get(piece(w, i.ops[2], n, l), k);
    }
    u32 out[4][LANES];
    for (int l = 0; l < LANES; ++l)
        for (int n = 0; n < 4; ++n) {
            int row = l / 4 + n / 2 * 8, column = l % 4 * 2 + n % 2;
            u32 c = piece(w, i.ops[3], n, l);
            T sum = i.op == O_HMMA ? (T)as_float(c) : (T)(s32)c;
            for (int k = 0; k < depth; ++k) sum += a[row][k] * m[k][column];
            out[n][l] = i.op == O_HMMA ? as_bits((float)sum) : (u32)(s64)sum;
        }
    for (int n = 0; n < 4; ++n) put(w, i.ops[0], ~0u, out[n], n);
}

/* m8n8k128 of single bits: how many are set in both. */
void bit_product(Block &, Warp &w, const Instruction &i) {
    u32 out[2][LANES];
    for (int l = 0; l < LANES; ++l)
        for (int n = 0; n < 2; ++n) {
            u32 sum = piece(w, i.ops[3], n, l);
            for (int k = 0; k < 4; ++k)
                sum += (u32)__builtin_popcount(
                    piece(w, i.ops[1], 0, l / 4 * 4 + k) & piece(w, i.ops[2], 0, (l % 4 * 2 + n) * 4 + k));
            out[n][l] = sum;
        }
    for (int n = 0; n < 2; ++n) put(w, i.ops[0], ~0u, out[n], n);
}

}  // namespace

bool Block::matrix(Warp &w, const Instruction &i, u32 active) {
    if (i.op != O_HMMA && i.op != O_IMMA && i.op != O_BMMA) return false;
    if (active != ~0u) throw Fault("a product of matrices by a part of a warp");
    if (i.op == O_BMMA) bit_product(*this, w, i);
    else if (i.op == O_HMMA)
        product<double>(*this, w, i, [](u32 v, int k) { return (double)half_to_float((u16)(v >> 16 * k)); }, 16, 2);
    else product<s64>(*this, w, i, [](u32 v, int k) { return (s64)(int8_t)(v >> 8 * k); }, 32, 4);
    return true;
}

bool Block::warpwide(Warp &w, const Instruction &i, u32 active) {
    u32 out[LANES];
    switch (i.op) {
    case O_SHFL: shuffle(*this, w, i, active); return true;
    case O_VOTE: vote(*this, w, i, active); return true;
    case O_REDUX: reduce(*this, w, i, active); return true;
    case O_S2R: case O_CS2R:
        EACH out[l] = special(w, (int)i.ops[1].imm, l);
        put(w, i.ops[0], active, out);
        if (i.op == O_CS2R && !i.has(M_32)) {
            EACH out[l] = 0;
            put(w, i.ops[0], active, out, 1);
        }
        return true;
    case O_R2UR: /* with a predicate: whether the value is not zero */
        EACH out[l] = w.R[i.ops[i.count - 1].reg][l];
        put(w, i.ops[i.count - 2], active, out);
        if (i.count == 3) {
            u32 set = 0;
            EACH set |= (u32)(out[l] != 0) << l;
            put_predicate(w, i.ops[0], active, set);
        }
        return true;
    case O_B2R: put_predicate(w, i.ops[1], active, result ? ~0u : 0); return true;
    default: return false;
    }
}
