/* Loads, stores and atomics. Every access is checked, as a memory checker on a GPU would. */
#include <algorithm>

#include "numbers.h"

#define EACH_ACTIVE for (int l = 0; l < LANES; ++l) if (active >> l & 1)

namespace {

enum Space { GLOBAL, GENERIC, SHARED, LOCAL };

std::string hex(u64 v) {
    char text[32];
    snprintf(text, sizeof text, "0x%llx", (unsigned long long)v);
    return text;
}

u8 *inside(std::vector<u8> &memory, u64 address, unsigned bytes, const char *what) {
    if (address % bytes) throw Fault(std::string("a misaligned address ") + hex(address) + " of " + what);
    if (address > memory.size() || memory.size() - address < bytes)
        throw Fault(std::string("the address ") + hex(address) + " beyond " + what);
    return memory.data() + address;
}

void write_register(Warp &w, const Operand &o, int lane, int after, u32 v) {
    if (o.reg != RZ) w.R[o.reg + after][lane] = v;
}

u32 widened(const u8 *from, const Instruction &i, unsigned bytes) {
    u32 v = 0;
    memcpy(&v, from, bytes);
    if (bytes == 1 && i.has(M_S8)) return (u32)(s32)(int8_t)v;
    if (bytes == 2 && i.has(M_S16)) return (u32)(s32)(int16_t)v;
    return v;
}

}  // namespace

u8 *Block::global(u64 address, unsigned bytes) {
    if (address % bytes) throw Fault("a misaligned address " + hex(address));
    const Region *all = launch.regions, *last = all + last_region;
    if (launch.region_count && address >= last->start && address + bytes <= last->end) return (u8 *)address;
    const Region *end = all + launch.region_count;
    const Region *found = std::upper_bound(all, end, address, [](u64 a, const Region &r) { return a < r.start; });
    if (found == all || address + bytes > (found - 1)->end) throw Fault("the illegal address " + hex(address));
    last_region = (size_t)(found - 1 - all);
    return (u8 *)address;
}

u8 *Block::generic(Warp &w, int lane, u64 address, unsigned bytes) {
    if (address >> 32 == SHARED_WINDOW >> 32) return inside(shared, (u32)address, bytes, "shared memory");
    if (address >> 32 == LOCAL_WINDOW >> 32) {
        Operand at = {IMM, 0, 0, 0, RZ, 0xffff, (s64)(u32)address};
        Instruction none = {};
        return place(w, lane, none, at, bytes, LOCAL);
    }
    return global(address, bytes);
}

u8 *Block::place(Warp &w, int lane, const Instruction &i, const Operand &o, unsigned bytes, int space) {
    if (space == GLOBAL || space == GENERIC) {
        Operand base = o;
        base.kind = REG;
        base.part = WHOLE;
        u64 address = i.wide ? pair(w, base, lane) : w.R[o.reg][lane];
        if (o.ureg < URZ) address += (u64)w.UR[o.ureg + 1] << 32 | w.UR[o.ureg];
        return generic(w, lane, address + (u64)o.imm, bytes);
    }
    u32 address = (w.R[o.reg][lane] << o.part) + (u32)o.imm + (o.ureg == 0xffff ? 0 : w.UR[o.ureg]);
    if (space == SHARED) return inside(shared, address, bytes, "shared memory");
    u64 room = (u64)launch.local_bytes;
    if (address % bytes || address > room || room - address < bytes)
        throw Fault("the address " + hex(address) + " in local memory");
    return w.local.data() + (u64)lane * room + address;
}

void Block::load(Warp &w, const Instruction &i, u32 active, int space) {
    EACH_ACTIVE {
        const u8 *from = place(w, l, i, i.ops[1], i.bytes, space);
        if (i.bytes <= 4) {
            write_register(w, i.ops[0], l, 0, widened(from, i, i.bytes));
            continue;
        }
        u32 words[4];
        memcpy(words, from, i.bytes);
        for (int n = 0; n < i.bytes / 4; ++n) write_register(w, i.ops[0], l, n, words[n]);
    }
}

void Block::store(Warp &w, const Instruction &i, u32 active, int space) {
    const Operand &o = i.ops[1];
    EACH_ACTIVE {
        u32 words[4];
        for (int n = 0; 4 * n < i.bytes; ++n)
            words[n] = o.kind == UREG ? (o.reg == URZ ? 0 : w.UR[o.reg + n]) : o.reg == RZ ? 0 : w.R[o.reg + n][l];
        memcpy(place(w, l, i, i.ops[0], i.bytes, space), words, i.bytes);
    }
}

void Block::copy_async(Warp &w, const Instruction &i, u32 active) {
    EACH_ACTIVE {
        u8 *to = place(w, l, i, i.ops[0], i.bytes, SHARED);
        memcpy(to, place(w, l, i, i.ops[1], i.bytes, GLOBAL), i.bytes);
    }
}

/* ldmatrix of four 8x8 matrices of halves: lanes 8n to 8n + 7 say where the rows of matrix n lie. */
void Block::load_matrix(Warp &w, const Instruction &i, u32 active) {
    if (active != ~0u) throw Fault("LDSM by a part of a warp");
    u32 out[4][LANES];
    for (int n = 0; n < 4; ++n)
        for (int l = 0; l < LANES; ++l)
            memcpy(&out[n][l], place(w, 8 * n + l / 4, i, i.ops[1], 16, SHARED) + 4 * (l % 4), 4);
    for (int n = 0; n < 4; ++n) put(w, i.ops[0], active, out[n], n);
}

void Block::load_constant(Warp &w, const Instruction &i, u32 active) {
    u32 out[4][LANES] = {};
    EACH_ACTIVE {
        Operand o = i.ops[1];
        if (o.reg != RZ) o.imm += (s32)w.R[o.reg][l];
        if (o.ureg != 0xffff) o.imm += (s32)w.UR[o.ureg];
        for (int n = 0; n < i.bytes; n += 4, o.imm += 4) {
            u32 v = (u32)constant(o, std::min<unsigned>(i.bytes, 4));
            out[n / 4][l] = i.bytes < 4 ? widened((const u8 *)&v, i, i.bytes) : v;
        }
    }
    for (int n = 0; n < std::max(1, i.bytes / 4); ++n) put(w, i.ops[0], active, out[n], n);
}

namespace {

u64 combined(u64 old, u64 v, const Instruction &i) {
    bool is_signed = i.has(M_S32) || i.has(M_S64);
    if (i.has(M_F64) && i.has(M_ADD)) return as_bits(as_double(old) + as_double(v));
    if (i.has(M_F32) && i.has(M_ADD)) return as_bits(as_float((u32)old) + as_float((u32)v));
    if (i.has(M_F16) || i.has(M_F32) || i.has(M_F64)) throw Fault("an atomic of such numbers");
    if (i.has(M_INC)) return old + 1;
    if (i.has(M_ADD)) return old + v;
    if (i.has(M_OR)) return old | v;
    if (i.has(M_AND)) return old & v;
    if (i.has(M_XOR)) return old ^ v;
    if (i.has(M_EXCH)) return v;
    bool less = is_signed ? (i.bytes == 4 ? (s32)v < (s32)old : (s64)v < (s64)old) : v < old;
    if (i.has(M_MIN)) return less ? v : old;
    if (i.has(M_MAX)) return less ? old : v;
    throw Fault("an unknown atomic");
}

u64 number(const Warp &w, const Operand &o, int lane, unsigned bytes) {
    if (o.kind == UREG) return o.reg == URZ ? 0 : bytes == 8 ? (u64)w.UR[o.reg + 1] << 32 | w.UR[o.reg] : w.UR[o.reg];
    if (o.kind != REG || o.reg == RZ) return 0;
    return bytes == 8 ? (u64)w.R[o.reg + 1][lane] << 32 | w.R[o.reg][lane] : w.R[o.reg][lane];
}

}  // namespace

/* ATOMG: predicate, result, address, value; ATOMS: result, address, value; REDG: address, value. */
void Block::atomic(Warp &w, const Instruction &i, u32 active, int space) {
    int at = i.op == O_ATOMG ? 2 : i.op == O_ATOMS ? 1 : 0;
    bool swaps = i.has(M_CAS);
    EACH_ACTIVE {
        u8 *where = place(w, l, i, i.ops[at], i.bytes, space);
        u64 old = 0, v = at + 1 < i.count ? number(w, i.ops[at + 1], l, i.bytes) : 0, now;
        memcpy(&old, where, i.bytes);
        if (swaps) now = old == v ? number(w, i.ops[at + 2], l, i.bytes) : old;
        else now = combined(old, v, i);
        memcpy(where, &now, i.bytes);
        if (!at) continue;
        write_register(w, i.ops[at - 1], l, 0, (u32)old);
        if (i.bytes == 8) write_register(w, i.ops[at - 1], l, 1, (u32)(old >> 32));
    }
}

bool Block::memory(Warp &w, const Instruction &i, u32 active) {
    switch (i.op) {
    case O_LDC: load_constant(w, i, active); return true;
    case O_LDG: load(w, i, active, GLOBAL); return true;
    case O_LD: load(w, i, active, GENERIC); return true;
    case O_LDS: load(w, i, active, SHARED); return true;
    case O_LDL: load(w, i, active, LOCAL); return true;
    case O_STG: store(w, i, active, GLOBAL); return true;
    case O_ST: store(w, i, active, GENERIC); return true;
    case O_STS: store(w, i, active, SHARED); return true;
    case O_STL: store(w, i, active, LOCAL); return true;
    case O_LDGSTS: copy_async(w, i, active); return true;
    case O_LDSM: load_matrix(w, i, active); return true;
    case O_ATOMG: case O_REDG: atomic(w, i, active, GLOBAL); return true;
    case O_ATOMS: atomic(w, i, active, SHARED); return true;
    default: return false;
    }
}
