/* The two functions that Python calls. */
#include <cstring>

#include "machine.h"

#define NAME(n) #n " "
static const char *const operations = OPERATIONS(NAME);
static const char *const modifiers = MODIFIERS(NAME);
#undef NAME

extern "C" const char *sm_names(int which) { return which ? modifiers : operations; }

static void run_block(const Launch &launch, u32 x, u32 y, u32 z, u64 &left) {
    Block block(launch, x, y, z, left);
    try {
        block.run();
    } catch (const Fault &fault) {
        char where[96];
        snprintf(where, sizeof where, " (instruction 0x%llx, block %u %u %u)", 16ull * (u64)block.at_pc, x, y, z);
        throw Fault(fault.what() + std::string(where));
    }
}

/* Runs a launch, block after block. 0, or 1 with what was wrong and where in `said`. */
extern "C" int sm_run(const Launch *launch, char *said, int room) {
    u64 left = launch->limit;
    try {
        for (s64 n = 0; n < launch->chosen_count; ++n) {
            const u32 *at = launch->chosen[n];
            run_block(*launch, at[0], at[1], at[2], left);
        }
        for (u32 z = 0; z < launch->grid[2] && !launch->chosen_count; ++z)
            for (u32 y = 0; y < launch->grid[1]; ++y)
                for (u32 x = 0; x < launch->grid[0]; ++x) run_block(*launch, x, y, z, left);
    } catch (const std::exception &fault) {
        strncpy(said, fault.what(), (size_t)room - 1);
        return 1;
    }
    return 0;
}
