// The scalar core in CUDA C: one thread for each kernel under analysis writes one key per instruction and column.
//
// It says what core.py says; the tests hold both to the NumPy reference. Options by -D: NOBODY (the
// writer of a register that nobody wrote), NEW_BRANCH_BIT is an argument, since architectures are mixed.

#ifndef NOBODY
#define NOBODY 512
#endif
#define RZ 255
#define DUMMY 256
#define REGISTERS 257

typedef long long i64;
typedef unsigned int u32;
typedef unsigned char u8;

// BRA, or BRA.U.
__device__ static bool is_branch(u32 w0) { return (w0 & 0xFFF) == 0x947 || (w0 & 0xFFF) == 0x547; }

// Signed distance of a branch from the next instruction, in instructions.
__device__ static i64 branch_distance(u32 w0, u32 w1, u32 w2, bool newer) {
    i64 high = w2 & 0x3FFFF;
    high -= (high >> 17) << 18;
    const i64 rest = high * (1LL << 30) + (w1 >> 2);
    const i64 bytes = newer ? (rest * 256 + (w0 >> 16 & 255)) * 4 : high * (1LL << 32) + w1;
    return bytes >> 4;
}

// Instructions that are left without trailing NOPs and trailing branches to themselves.
__device__ static int code_length(const u32 *code, int count, bool newer) {
    for (int n = count; n > 0; --n) {
        const u32 *w = code + 4 * (i64)(n - 1);
        const u32 op12 = w[0] & 0xFFF;
        const bool to_itself = is_branch(w[0]) && branch_distance(w[0], w[1], w[2], newer) == -1;
        if (op12 != 0x918 && !to_itself) return n;
    }
    return 0;
}

struct Loops { int count, deepest, inside; };

// Capped depth of each instruction; ends and steps are scratch, zero on entry.
__device__ static Loops mark_loops(const u32 *code, int n, bool newer, int *ends, int *steps, u8 *depth) {
    Loops loops = {0, 0, 0};
    for (int i = 0; i < n; ++i) {
        const u32 *w = code + 4 * (i64)i;
        if (!is_branch(w[0])) continue;
        const i64 target = i + 1 + branch_distance(w[0], w[1], w[2], newer);
        if (target < 0 || target >= i) continue;
        if (ends[target]) steps[ends[target]] += 1;
        else { loops.count += 1; steps[target] += 1; }
        ends[target] = i + 1;
        if (i + 1 < n) steps[i + 1] -= 1;
    }
    int nesting = 0;
    for (int i = 0; i < n; ++i) {
        nesting += steps[i];
        loops.deepest = max(loops.deepest, nesting);
        loops.inside += nesting > 0;
        depth[i] = min(nesting, 4);
    }
    return loops;
}

// Index of a value among the known constants, or -1.
__device__ static int constant_index(u32 value, const u32 *values, int n) {
    int low = 0, high = n;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (values[middle] < value) low = middle + 1; else high = middle;
    }
    return low < n && values[low] == value ? low : -1;
}

// Keys op, lut, shift, constant; returns the longest run without a memory operation.
__device__ static int instruction_keys(const u32 *code, int n, const u8 *depth, const int *properties,
                                       const u8 *maybe, const u32 *values, int n_values, int *keys, i64 stride) {
    int run = 0, longest = 0;
    for (int i = 0; i < n; ++i) {
        const u32 w0 = code[4 * (i64)i], w1 = code[4 * (i64)i + 1], w2 = code[4 * (i64)i + 2];
        const u32 op = w0 & 511, form = w0 >> 9 & 7, ra = w0 >> 24, rc = w2 & 255;
        const int d = depth[i];
        run = properties[op] & 15 ? 0 : run + 1;
        longest = max(longest, run);
        keys[i] = (w0 & 0xFFF) * 5 + d;
        keys[stride + i] = op == 0x012 ? (int)(w2 >> 8 & 255) * 5 + d : -1;
        int shift = -1;
        if (op == 0x019 && ra != RZ) shift = form == 4 && ra == rc ? d : rc != RZ ? d + 5 : -1;
        keys[2 * stride + i] = shift;
        const bool immediate = form == 2 || form == 4;
        keys[3 * stride + i] = immediate && maybe[w1 >> 16] ? constant_index(w1, values, n_values) : -1;
    }
    return longest;
}

template <typename T> __device__ static void write(T *file, int rd, int count, T value) {
    for (int r = 0; r < 4; ++r) file[r < count && rd + r < RZ ? rd + r : DUMMY] = value;
}

// Keys mem and flow, from the second of two readings; returns the longest chain.
__device__ static int flow_keys(const u32 *code, int n, const u8 *depth, int deepest, const int *properties,
                                int *keys, i64 stride) {
    u8 taint[REGISTERS];
    unsigned short writers[REGISTERS];
    int chains[REGISTERS], longest = 0;
    for (int r = 0; r < REGISTERS; ++r) { taint[r] = 0; writers[r] = NOBODY; chains[r] = 0; }
    for (int reading = 0; reading < 2; ++reading) {
        longest = 0;
        for (int i = 0; i < n; ++i) {
            const u32 w0 = code[4 * (i64)i], w1 = code[4 * (i64)i + 1], w2 = code[4 * (i64)i + 2];
            const int op = w0 & 511, rd = w0 >> 16 & 255, ra = w0 >> 24, rc = w2 & 255, width = w2 >> 9 & 7;
            const int rb = (w0 & 0xE00) == 0x200 ? w1 & 255 : RZ, bits = properties[op];
            if (reading) {
                const int pair = bits & 16 && ra != RZ ? taint[ra + 1] : 0, address = max((int)taint[ra], pair);
                const int use = op * 2 + (depth[i] == deepest);
                keys[4 * stride + i] = bits & 15 ? (((bits & 15) * 8 + width - 8) * 3 + address) * 5 + depth[i] : -1;
                keys[5 * stride + i] = writers[ra] * 1024 + use;
                keys[6 * stride + i] = writers[rb] * 1024 + use;
                keys[7 * stride + i] = writers[rc] * 1024 + use;
            }
            const int loaded = width == 6 ? 4 : width == 5 ? 2 : 1, wide = bits & 256 ? 2 : 1;
            u8 value = max(max(taint[ra], taint[rb]), taint[rc]);
            value = bits & 32 ? 1 : value && bits & 128 ? 2 : value;
            write<u8>(taint, rd, bits & (64 | 2048) ? 0 : bits & 32 ? loaded : wide, value);
            const int chain = reading ? 1 + max(max(chains[ra], chains[rb]), chains[rc]) : 1;
            longest = max(longest, chain);
            const int count = bits & 512 ? 0 : bits & 1024 ? loaded : wide;
            write<unsigned short>(writers, rd, count, op);
            write<int>(chains, rd, count, chain);
        }
    }
    return longest;
}

extern "C" __global__ void decode(const u32 *words, const i64 *starts, const u8 *newer, const int *properties,
                                  const u8 *maybe, const u32 *values, int n_values, int *ends, int *steps, u8 *depth,
                                  int *keys, i64 stride, i64 *scalars, i64 kernels) {
    const i64 k = blockIdx.x * (i64)blockDim.x + threadIdx.x;
    if (k >= kernels) return;
    const i64 first = starts[k];
    const u32 *code = words + 4 * first;
    const int n = code_length(code, (int)(starts[k + 1] - first), newer[k]);
    const Loops loops = mark_loops(code, n, newer[k], ends + first, steps + first, depth + first);
    i64 *row = scalars + 6 * k;
    row[0] = n; row[1] = loops.count; row[2] = loops.deepest; row[3] = loops.inside;
    row[4] = instruction_keys(code, n, depth + first, properties, maybe, values, n_values, keys + first, stride);
    row[5] = flow_keys(code, n, depth + first, min(loops.deepest, 4), properties, keys + first, stride);
}
