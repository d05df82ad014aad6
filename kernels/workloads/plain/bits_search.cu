// Search on bit boards: n-queens by masks with an explicit stack, SAT clause checks and local search, sudoku masks,
// game of life on packed rows, chess-like sliding attacks.

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef BOARD
#define BOARD 12
#endif

// Every thread finishes the boards whose first rows are given; the stack of free squares is in local memory.
extern "C" __global__ void queens_count(const uint4 *prefixes, int rows_done, u64 *solutions, int n)
{
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    u32 count = 0;
    if (t < n) {
        u32 columns[BOARD], left[BOARD], right[BOARD], open[BOARD];
        const u32 full = (1u << BOARD) - 1;
        int d = rows_done;
        columns[d] = prefixes[t].x; left[d] = prefixes[t].y; right[d] = prefixes[t].z;
        open[d] = full & ~(columns[d] | left[d] | right[d]);
        while (d >= rows_done) {
            if (!open[d]) { d--; continue; }
            u32 bit = open[d] & (0 - open[d]);
            open[d] ^= bit;
            if (d == BOARD - 1) { count++; continue; }
            columns[d + 1] = columns[d] | bit;
            left[d + 1] = (left[d] | bit) << 1;
            right[d + 1] = (right[d] | bit) >> 1;
            d++;
            open[d] = full & ~(columns[d] | left[d] | right[d]);
        }
    }
    for (int o = 16; o; o >>= 1) count += __shfl_down_sync(0xffffffffu, count, o);
    if ((threadIdx.x & 31) == 0) atomicAdd(solutions, (u64)count);
}

// 3-SAT, 32 assignments side by side in each word: a clause is three literals (variable << 1 | negated).
extern "C" __global__ void sat_check(const u32 *assignments, const uint4 *clauses, int n_clauses, u32 *satisfied, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 all = ~0u;
    for (int c = 0; c < n_clauses && all; c++) {
        uint4 l = clauses[c];
        u32 a = assignments[(size_t)(l.x >> 1) * n + i] ^ (0 - (l.x & 1)), b = assignments[(size_t)(l.y >> 1) * n + i] ^ (0 - (l.y & 1));
        all &= a | b | (assignments[(size_t)(l.z >> 1) * n + i] ^ (0 - (l.z & 1)));
    }
    satisfied[i] = all;
}

// One WalkSAT walk a thread over at most 64 variables.
extern "C" __global__ void sat_walk(const uint4 *clauses, int n_clauses, u64 *best, u32 seed, int steps)
{
    u32 t = blockIdx.x * blockDim.x + threadIdx.x, rng = seed ^ (t * 2654435769u + 1);
    u64 x = ((u64)rng << 32) ^ (rng * 0x9E3779B9u);
    for (int s = 0; s < steps; s++) {
        int broken = -1, seen = 0;
        for (int c = 0; c < n_clauses; c++) {
            uint4 l = clauses[c];
            if (((x >> (l.x >> 1) ^ l.x) | (x >> (l.y >> 1) ^ l.y) | (x >> (l.z >> 1) ^ l.z)) & 1) continue;
            rng ^= rng << 13; rng ^= rng >> 17; rng ^= rng << 5;
            if (rng % ++seen == 0) broken = c;
        }
        if (broken < 0) { atomicExch(best, x); return; }
        uint4 l = clauses[broken];
        x ^= 1ull << ((rng % 3 == 0 ? l.x : rng % 3 == 1 ? l.y : l.z) >> 1);
    }
}

// Carry-save addition of the eight neighbours of 32 cells at once; the board wraps round.
extern "C" __global__ void life_step(const u32 *in, u32 *out, int words, int rows)
{
    int w = blockIdx.x * blockDim.x + threadIdx.x, r = blockIdx.y;
    if (w >= words) return;
    u32 low = 0, mid = 0, high = 0, self = 0;
    for (int dr = -1; dr <= 1; dr++) {
        const u32 *row = in + (size_t)((r + dr + rows) % rows) * words;
        u32 c = row[w], west = c << 1 | row[(w + words - 1) % words] >> 31, east = c >> 1 | row[(w + 1) % words] << 31;
        u32 add[3] = {west, east, dr ? c : 0};
        if (!dr) self = c;
        for (int k = 0; k < 3; k++) {
            u32 carry = low & add[k];
            low ^= add[k];
            u32 carry2 = mid & carry;
            mid ^= carry;
            high |= carry2;
        }
    }
    out[(size_t)r * words + w] = mid & ~high & (low | self);
}

// Attacks of sliding pieces by subtraction on the ray and its mirror, and moves counted.
extern "C" __global__ void sliding_attacks(const ulonglong2 *boards, const u64 *masks, u64 *attacks, u32 *mobility, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        u64 occupied = boards[i].x, pieces = boards[i].y, all = 0;
        u32 count = 0;
        while (pieces) {
            int square = __ffsll((long long)pieces) - 1;
            pieces &= pieces - 1;
            u64 bit = 1ull << square, mirror = __brevll(bit);
            for (int d = 0; d < 4; d++) {
                u64 ray = masks[square * 4 + d], o = occupied & ray, forward = o - 2 * bit, back = __brevll(__brevll(o) - 2 * mirror);
                u64 reach = (forward ^ back) & ray;
                all |= reach;
                count += __popcll(reach & ~occupied);
            }
        }
        attacks[i] = all;
        mobility[i] = count;
    }
}

// Candidates of a 9 x 9 sudoku: 27 unit masks in shared memory, naked singles filled until nothing changes.
extern "C" __global__ void sudoku_singles(unsigned char *boards)
{
    __shared__ u32 used[27], changed;
    unsigned char *b = boards + 81 * (size_t)blockIdx.x;
    int c = threadIdx.x, row = c / 9, column = c % 9, box = row / 3 * 3 + column / 3;
    do {
        __syncthreads();
        if (c < 27) used[c] = 0;
        if (c == 0) changed = 0;
        __syncthreads();
        if (c < 81 && b[c]) { u32 m = 1u << b[c]; atomicOr(&used[row], m); atomicOr(&used[9 + column], m); atomicOr(&used[18 + box], m); }
        __syncthreads();
        if (c < 81 && !b[c]) {
            u32 open = 0x3fe & ~(used[row] | used[9 + column] | used[18 + box]);
            if (__popc(open) == 1) { b[c] = (unsigned char)(__ffs(open) - 1); changed = 1; }
        }
        __syncthreads();
    } while (changed);
}
