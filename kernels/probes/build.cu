// Builds the pointer chases on the device: one cycle through all nodes of a buffer, in random order.
//
// A node is `stride` words apart from the next one in memory and holds the word number of its successor. Strand s
// holds the nodes s, s + strands, s + 2 strands, ...; one thread turns each strand into a random cycle
// (S. Sattolo, Information Processing Letters 22, 1986), then the strands' first nodes exchange their successors,
// which splices the cycles into one. The random numbers are SplitMix64's, so that the host can build the same.

typedef unsigned int u32;
typedef unsigned long long u64;

__device__ static u32 random_below(u64 &state, u32 limit) {
    state += 0x9E3779B97F4A7C15ULL;
    u64 z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return (u32)(((z >> 32) * limit) >> 32);
}

extern "C" __global__ void build_strands(u32 *memory, u32 *entries, u32 nodes, u32 strands, u32 stride, u32 seed) {
    const u32 strand = blockIdx.x * blockDim.x + threadIdx.x;
    if (strand >= strands) return;
    const u32 count = (nodes - strand + strands - 1) / strands, step = strands * stride, first = strand * stride;
    u64 state = ((u64)seed << 32) | strand;
    for (u32 i = 0; i < count; ++i) memory[first + i * step] = first + i * step;
    for (u32 i = count - 1; i > 0; --i) {
        const u32 here = first + i * step, there = first + random_below(state, i) * step;
        const u32 kept = memory[here];
        memory[here] = memory[there];
        memory[there] = kept;
    }
    entries[strand] = memory[first];
}

extern "C" __global__ void splice_strands(u32 *memory, const u32 *entries, u32 strands, u32 stride) {
    const u32 strand = blockIdx.x * blockDim.x + threadIdx.x;
    if (strand >= strands) return;
    memory[strand * stride] = entries[strand + 1 < strands ? strand + 1 : 0];
}
