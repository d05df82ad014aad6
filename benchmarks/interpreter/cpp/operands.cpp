/* Reading and writing of operands. */
#include "numbers.h"

static u32 changed(u32 v, u8 flags) {
    if (flags & ABSOLUTE) v = (s32)v < 0 ? 0 - v : v;
    if (flags & INVERT) v = ~v;
    return flags & NEGATE ? 0 - v : v;
}

static u32 part_of(u32 v, u8 part) {
    switch (part) {
    case LOW_HALF: return (v & 0xffff) * 0x10001u;
    case HIGH_HALF: return (v >> 16) * 0x10001u;
    case BYTE0: case BYTE1: case BYTE2: case BYTE3: return v >> 8 * (part - BYTE0) & 255;
    default: return v;
    }
}

u64 Block::constant(const Operand &o, unsigned bytes) const {
    if (o.bank >= 8 || o.imm < 0 || o.imm + (s64)bytes > launch.bank_bytes[o.bank])
        throw Fault("a read of constant bank " + std::to_string(o.bank) + " at " + std::to_string(o.imm));
    u64 v = 0;
    memcpy(&v, launch.banks[o.bank] + o.imm, bytes);
    return v;
}

static const u32 *raw(const Block &b, const Warp &w, const Operand &o, u32 *room) {
    if (o.kind == REG && o.part == WHOLE) return w.R[o.reg];
    u32 v = 0;
    switch (o.kind) {
    case REG:
        for (int l = 0; l < LANES; ++l) room[l] = part_of(w.R[o.reg][l], o.part);
        return room;
    case UREG: v = w.UR[o.reg]; break;
    case IMM: v = (u32)o.imm; break;
    case CONST: v = (u32)b.constant(o, 4); break;
    case NONE: break;
    default: throw Fault("an operand of kind " + std::to_string(o.kind) + " as a number");
    }
    v = part_of(v, o.part);
    for (int l = 0; l < LANES; ++l) room[l] = v;
    return room;
}

const u32 *Block::bits(const Warp &w, const Operand &o, u32 *room) const {
    const u32 *from = raw(*this, w, o, room);
    if (!o.flags) return from;
    for (int l = 0; l < LANES; ++l) room[l] = changed(from[l], o.flags);
    return room;
}

const u32 *Block::floats(const Warp &w, const Operand &o, u32 *room) const {
    const u32 *from = raw(*this, w, o, room);
    if (!o.flags) return from;
    u32 keep = o.flags & ABSOLUTE ? 0x7fffffffu : ~0u, flip = o.flags & NEGATE ? 0x80000000u : 0;
    for (int l = 0; l < LANES; ++l) room[l] = (from[l] & keep) ^ flip;
    return room;
}

u64 Block::pair(const Warp &w, const Operand &o, int lane) const {
    u64 v = 0;
    switch (o.kind) {
    case REG:
        if (o.reg != RZ) v = (u64)w.R[o.reg + 1][lane] << 32 | w.R[o.reg][lane];
        break;
    case UREG:
        if (o.reg != URZ) v = (u64)w.UR[o.reg + 1] << 32 | w.UR[o.reg];
        break;
    case CONST: v = constant(o, 8); break;
    case IMM: v = (u64)(s64)(s32)o.imm; break;
    default: break;
    }
    if (o.flags & INVERT) v = ~v;
    return o.flags & NEGATE ? 0 - v : v;
}

double Block::real(const Warp &w, const Operand &o, int lane) const {
    Operand plain = o;
    plain.flags = 0;
    u64 v = o.kind == IMM ? (u64)(u32)o.imm << 32 : pair(w, plain, lane);
    if (o.flags & ABSOLUTE) v &= ~0ull >> 1;
    if (o.flags & NEGATE) v ^= 1ull << 63;
    return as_double(v);
}

u32 Block::predicate(const Warp &w, const Operand &o) const {
    u32 v = o.kind == UPRED ? (o.reg == PT ? ~0u : w.UP[o.reg]) : (o.reg == PT ? ~0u : w.P[o.reg]);
    return o.flags & INVERT ? ~v : v;
}

void put(Warp &w, const Operand &o, u32 active, const u32 *values, int after) {
    if (o.kind == UREG) {
        if (o.reg != URZ && active) w.UR[o.reg + after] = values[__builtin_ctz(active)];
        return;
    }
    if (o.reg == RZ) return;
    u32 *to = w.R[o.reg + after];
    if (active == ~0u) {
        memmove(to, values, LANES * 4);
        return;
    }
    for (int l = 0; l < LANES; ++l) to[l] = active >> l & 1 ? values[l] : to[l];
}

void put_pair(Warp &w, const Operand &o, u32 active, const u64 *values) {
    u32 part[LANES];
    for (int half = 0; half < 2; ++half) {
        for (int l = 0; l < LANES; ++l) part[l] = (u32)(values[l] >> 32 * half);
        put(w, o, active, part, half);
    }
}

void put_predicate(Warp &w, const Operand &o, u32 active, u32 lanes) {
    if (o.reg == PT) return;
    if (o.kind == UPRED) {
        if (active) w.UP[o.reg] = lanes >> __builtin_ctz(active) & 1 ? ~0u : 0;
        return;
    }
    w.P[o.reg] = (w.P[o.reg] & ~active) | (lanes & active);
}

u32 Block::special(const Warp &w, int which, int lane) const {
    u32 thread = w.first + (u32)lane;
    switch (which) {
    case TID_X: return thread % launch.block[0];
    case TID_Y: return thread / launch.block[0] % launch.block[1];
    case TID_Z: return thread / (launch.block[0] * launch.block[1]);
    case CTAID_X: case CTAID_Y: case CTAID_Z: return id[which - CTAID_X];
    case LANEID: return (u32)lane;
    case LTMASK: return (1u << lane) - 1;
    case SWINHI: return (u32)(SHARED_WINDOW >> 32);
    default: return 0;
    }
}
