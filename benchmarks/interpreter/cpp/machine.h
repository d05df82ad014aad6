/* One streaming multiprocessor in software: what a decoded instruction is, and what a warp, a block and a launch hold.
   Written from the PTX manual's definitions of the operations and from what NVIDIA's disassembler prints. */
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "names.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

enum { LANES = 32, RZ = 255, URZ = 255, PT = 7, BARRIERS = 17, WARP_BARRIER = 16 };
enum Kind : u8 { NONE, REG, UREG, IMM, CONST, PRED, UPRED, ADDRESS, SPECIAL, BARRIER, PREDICATES };
enum Flag : u8 { NEGATE = 1, INVERT = 2, ABSOLUTE = 4 };
enum Part : u8 { WHOLE, LOW_HALF, HIGH_HALF, BYTE0, BYTE1, BYTE2, BYTE3 };
enum Special { S_ZERO, TID_X, TID_Y, TID_Z, CTAID_X, CTAID_Y, CTAID_Z, LANEID, LTMASK, SWINHI, CGA_CTA };
#define NAME(n) O_##n,
enum Operation : u16 { OPERATIONS(NAME) };
#undef NAME
#define NAME(n) M_##n,
enum Modifier { MODIFIERS(NAME) };
#undef NAME

struct Operand {
    u8 kind, flags, part, bank; /* part: a Part, or how far the register of an address is shifted to the left */
    u16 reg, ureg; /* ureg: of an address; 0xffff for none */
    s64 imm;       /* bits of an immediate, or an offset in bytes */
};

struct Instruction {
    u16 op;
    u8 guard, guard_reg, guard_not, count, bytes, wide; /* guard: a Kind; wide: an address of 64 bits */
    u64 mods[2];
    s64 target; /* index of an instruction, for branches */
    Operand ops[8];
    bool has(Modifier m) const { return mods[m >> 6] >> (m & 63) & 1; }
};

struct Region { u64 start, end; };

struct Launch {
    const Instruction *code;
    s64 length;
    u64 *executed, *threads; /* by instruction: by how many warps, by how many threads */
    u32 grid[3], block[3];
    const u8 *banks[8];
    s64 bank_bytes[8];
    s64 shared_bytes, local_bytes;
    const Region *regions;
    s64 region_count;
    const u32 (*chosen)[3]; /* blocks to run; all of the grid if there are none */
    s64 chosen_count;
    u64 limit; /* instructions of warps */
};

/* Generic addresses of shared and of local memory lie where no process has anything. */
const u64 SHARED_WINDOW = 0xA5000000ull << 32, LOCAL_WINDOW = 0xA6000000ull << 32;

struct Fault : std::runtime_error { using std::runtime_error::runtime_error; };

enum Wait : u8 { RUNS, AT_BARRIER, AT_BLOCK };
struct Path { /* threads of a warp that run together */
    s64 pc;
    u32 mask;
    u8 wait, barrier;
};

struct Warp {
    u32 R[256][LANES] = {}, UR[256] = {}, P[8] = {}, UP[8] = {};
    u32 members[BARRIERS][LANES] = {}; /* of each lane: who meets at this barrier */
    u32 exited = 0;
    u32 first = 0; /* thread number of lane 0 */
    std::vector<Path> paths;
    std::vector<u8> local;
};

struct Block {
    const Launch &launch;
    u32 id[3];
    std::vector<u8> shared;
    std::vector<Warp> warps;
    bool any = false, result = false; /* of a barrier that reduces */
    u64 &left;
    size_t last_region = 0;
    s64 at_pc = 0; /* the instruction that ran last */
    Block(const Launch &l, u32 x, u32 y, u32 z, u64 &budget);
    void run();

    /* control.cpp */
    void execute(Warp &w, const Instruction &i, u32 active);
    bool advance(Warp &w);
    void settle(Warp &w);
    bool release();
    bool control(Warp &w, size_t path, const Instruction &i, u32 active);
    void split(Warp &w, size_t path, u32 leaving, s64 target);
    void wait_at(Warp &w, size_t path, int barrier);
    void scatter(Warp &w, size_t path, u32 active, const Operand &o, s64 base);

    /* memory.cpp */
    bool memory(Warp &w, const Instruction &i, u32 active);
    u8 *place(Warp &w, int lane, const Instruction &i, const Operand &address, unsigned bytes, int space);
    u8 *global(u64 address, unsigned bytes);
    u8 *generic(Warp &w, int lane, u64 address, unsigned bytes);
    void load(Warp &w, const Instruction &i, u32 active, int space);
    void store(Warp &w, const Instruction &i, u32 active, int space);
    void copy_async(Warp &w, const Instruction &i, u32 active);
    void load_matrix(Warp &w, const Instruction &i, u32 active);
    void atomic(Warp &w, const Instruction &i, u32 active, int space);
    void load_constant(Warp &w, const Instruction &i, u32 active);

    /* operands.cpp */
    const u32 *bits(const Warp &w, const Operand &o, u32 *room) const;
    const u32 *floats(const Warp &w, const Operand &o, u32 *room) const;
    u64 pair(const Warp &w, const Operand &o, int lane) const;
    double real(const Warp &w, const Operand &o, int lane) const;
    u32 predicate(const Warp &w, const Operand &o) const;
    u64 constant(const Operand &o, unsigned bytes) const;

    /* The other files: false if the operation is not theirs. */
    bool integer(Warp &w, const Instruction &i, u32 active);
    bool floating(Warp &w, const Instruction &i, u32 active);
    bool doubles(Warp &w, const Instruction &i, u32 active);
    bool halves(Warp &w, const Instruction &i, u32 active);
    bool conversion(Warp &w, const Instruction &i, u32 active);
    bool warpwide(Warp &w, const Instruction &i, u32 active);
    bool matrix(Warp &w, const Instruction &i, u32 active);
    u32 special(const Warp &w, int which, int lane) const;
};

/* Writes what all lanes computed; a uniform register takes the first active lane's. */
void put(Warp &w, const Operand &o, u32 active, const u32 *values, int after = 0);
void put_pair(Warp &w, const Operand &o, u32 active, const u64 *values);
void put_predicate(Warp &w, const Operand &o, u32 active, u32 lanes);

float half_to_float(u16 h);
u16 float_to_half(double f);
