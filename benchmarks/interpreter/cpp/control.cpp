/* Which threads of a warp run together, and who waits for whom.
   Threads part at branches that they decide differently and meet again where the code says so (BSYNC, WARPSYNC). */
#include "machine.h"

Block::Block(const Launch &l, u32 x, u32 y, u32 z, u64 &budget) : launch(l), id{x, y, z}, left(budget) {
    shared.resize((size_t)l.shared_bytes);
    u32 threads = l.block[0] * l.block[1] * l.block[2];
    warps.resize((threads + LANES - 1) / LANES);
    for (size_t n = 0; n < warps.size(); ++n) {
        Warp &w = warps[n];
        w.first = (u32)n * LANES;
        u32 here = threads - w.first, mask = here >= LANES ? ~0u : (1u << here) - 1;
        w.exited = ~mask;
        w.local.resize((size_t)l.local_bytes * LANES);
        w.paths.push_back({0, mask, RUNS, 0});
    }
}

void Block::run() {
    for (;;) {
        bool ran = false, open = false;
        for (Warp &w : warps) {
            ran |= advance(w);
            open |= !w.paths.empty();
        }
        if (!open) return;
        if (!ran && !release()) throw Fault("threads that wait for each other for ever");
    }
}

/* Let all go on that wait at the barrier of the block, if everybody is there. */
bool Block::release() {
    for (Warp &w : warps)
        for (Path &p : w.paths)
            if (p.wait != AT_BLOCK) return false;
    for (Warp &w : warps)
        for (Path &p : w.paths) {
            p.wait = RUNS;
            ++p.pc;
        }
    result = any;
    any = false;
    return true;
}

/* Carry out what is no branch. */
void Block::execute(Warp &w, const Instruction &i, u32 active) {
    bool known = integer(w, i, active) || floating(w, i, active) || doubles(w, i, active) || halves(w, i, active) ||
                 conversion(w, i, active) || warpwide(w, i, active) || matrix(w, i, active) || memory(w, i, active);
    if (!known) throw Fault("an operation without a meaning");
}

/* Run what can run of a warp; false if nothing could. */
bool Block::advance(Warp &w) {
    const int turn = 4096; /* then another path has its turn: somebody may wait for it in a loop */
    bool ran = false;
    for (;;) {
        size_t at = 0;
        while (at < w.paths.size() && w.paths[at].wait != RUNS) ++at;
        if (at == w.paths.size()) return ran;
        ran = true;
        bool stays = true;
        for (int n = 0; n < turn && stays; ++n) {
            Path &p = w.paths[at];
            if (p.pc < 0 || p.pc >= launch.length) throw Fault("a branch out of the code");
            if (!left--) throw Fault("more instructions than allowed");
            const Instruction &i = launch.code[p.pc];
            u32 active = p.mask;
            if (i.guard) {
                Operand guard = {i.guard, (u8)(i.guard_not ? INVERT : 0), 0, 0, i.guard_reg, 0xffff, 0};
                active &= predicate(w, guard);
            }
            at_pc = p.pc;
            ++launch.executed[p.pc];
            launch.threads[p.pc] += (u64)__builtin_popcount(active);
            if (i.op >= O_BRA) stays = control(w, at, i, active);
            else {
                if (active) execute(w, i, active);
                ++p.pc;
            }
        }
        if (stays && w.paths.size() > 1) { /* to the end of the line */
            Path p = w.paths[at];
            w.paths.erase(w.paths.begin() + (long)at);
            w.paths.push_back(p);
            return true;
        }
        if (stays) return true; /* other warps have their turn */
    }
}

/* Some threads of a path go elsewhere; what is left goes on behind the branch. */
void Block::split(Warp &w, size_t path, u32 leaving, s64 target) {
    if (leaving == w.paths[path].mask) {
        w.paths[path].pc = target;
        return;
    }
    w.paths[path].mask &= ~leaving;
    w.paths.push_back({target, leaving, RUNS, 0});
}

/* Threads jump to where a register of each says, counted from an instruction. */
void Block::scatter(Warp &w, size_t path, u32 active, const Operand &o, s64 base) {
    u32 rest = active, mask = w.paths[path].mask;
    s64 behind = w.paths[path].pc + 1;
    w.paths.erase(w.paths.begin() + (long)path);
    if (mask & ~active) w.paths.push_back({behind, mask & ~active, RUNS, 0});
    while (rest) {
        int lead = __builtin_ctz(rest);
        auto offset = [&](int l) {
            return o.kind == UREG ? (s64)(s32)w.UR[o.reg] : o.reg == RZ ? 0 : (s64)(s32)w.R[o.reg][l];
        };
        u32 together = 0;
        for (int l = lead; l < LANES; ++l)
            if (rest >> l & 1 && offset(l) == offset(lead)) together |= 1u << l;
        s64 bytes = base * 16 + offset(lead);
        if (bytes % 16) throw Fault("a branch into an instruction");
        w.paths.push_back({bytes / 16, together, RUNS, 0});
        rest &= ~together;
    }
}

/* Threads arrive at a barrier of the warp; those with the same members wait together. */
void Block::wait_at(Warp &w, size_t path, int barrier) {
    Path p = w.paths[path];
    w.paths.erase(w.paths.begin() + (long)path);
    u32 rest = p.mask;
    while (rest) {
        u32 members = w.members[barrier][__builtin_ctz(rest)], together = 0;
        for (int l = 0; l < LANES; ++l)
            if (rest >> l & 1 && w.members[barrier][l] == members) together |= 1u << l;
        if (members & together) w.paths.push_back({p.pc, together, AT_BARRIER, (u8)barrier});
        else w.paths.push_back({p.pc + 1, together, RUNS, 0}); /* they broke out of it before */
        rest &= ~together;
    }
    settle(w);
}

/* Join the paths whose members are all there. Who has exited is not waited for. */
void Block::settle(Warp &w) {
    for (size_t n = 0; n < w.paths.size(); ++n) {
        Path &p = w.paths[n];
        if (p.wait != AT_BARRIER) continue;
        u32 wanted = w.members[p.barrier][__builtin_ctz(p.mask)] & ~w.exited, there = 0;
        for (const Path &q : w.paths)
            if (q.wait == AT_BARRIER && q.barrier == p.barrier && q.pc == p.pc) there |= q.mask & wanted;
        if (there != wanted) continue;
        Path joined = {p.pc + 1, wanted, RUNS, 0};
        u8 barrier = p.barrier;
        s64 pc = p.pc;
        for (size_t k = w.paths.size(); k-- > 0;)
            if (w.paths[k].wait == AT_BARRIER && w.paths[k].barrier == barrier && w.paths[k].pc == pc &&
                w.paths[k].mask & wanted)
                w.paths.erase(w.paths.begin() + (long)k);
        w.paths.push_back(joined);
        n = (size_t)-1; /* from the beginning */
    }
}

/* Returns whether the path goes on where it is in the list. */
bool Block::control(Warp &w, size_t path, const Instruction &i, u32 active) {
    Path &p = w.paths[path];
    bool waits = i.op == O_BSYNC || i.op == O_WARPSYNC || i.op == O_BAR;
    if (waits && active && active != p.mask) throw Fault("a wait of some of the threads that are together");
    if (waits && !active) return ++p.pc, true;
    switch (i.op) {
    case O_BRA: case O_CALL:
        if (i.has(M_DIV) || i.has(M_CONV)) { /* taken if the threads of the mask are not all here, or if they are */
            u32 room[LANES], wanted = bits(w, i.ops[0], room)[0] & ~w.exited;
            p.pc = (wanted == active) == i.has(M_CONV) ? i.target : p.pc + 1;
            return true;
        }
        if (i.count) active &= predicate(w, i.ops[0]); /* a second condition */
        if (!active) ++p.pc;
        else if (active == p.mask) p.pc = i.target;
        else {
            s64 behind = p.pc + 1;
            split(w, path, active, i.target); /* p is not valid any more */
            w.paths[path].pc = behind;
        }
        return true;
    case O_BRX: case O_RET:
        if (!active) return ++p.pc, true;
        scatter(w, path, active, i.ops[0], i.target);
        return false;
    case O_EXIT: {
        w.exited |= active;
        p.mask &= ~active;
        ++p.pc;
        bool stays = p.mask != 0;
        if (!stays) w.paths.erase(w.paths.begin() + (long)path);
        if (active && w.paths.size() > (size_t)stays) {
            settle(w);
            return false;
        }
        return stays;
    }
    case O_BSSY:
        for (int l = 0; l < LANES; ++l)
            if (active >> l & 1) w.members[i.ops[0].reg][l] = active;
        ++p.pc;
        return true;
    case O_BREAK:
        for (int l = 0; l < LANES; ++l) w.members[i.ops[0].reg][l] &= ~active;
        ++p.pc;
        if (active) settle(w);
        return !active;
    case O_BSYNC:
        wait_at(w, path, i.ops[0].reg);
        return false;
    case O_WARPSYNC: {
        u32 all = i.has(M_ALL) ? ~0u : w.R[i.ops[0].reg][__builtin_ctz(p.mask)];
        for (int l = 0; l < LANES; ++l)
            if (p.mask >> l & 1) w.members[WARP_BARRIER][l] = all;
        wait_at(w, path, WARP_BARRIER);
        return false;
    }
    case O_BAR:
        if (i.has(M_RED)) any |= (predicate(w, i.ops[1]) & active) != 0;
        p.wait = AT_BLOCK;
        return false;
    case O_YIELD: case O_NOP: ++p.pc; return true;
    default: throw Fault("a branch without a meaning");
    }
}
