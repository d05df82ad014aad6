// A prover's Merkle tree: rows of a trace are absorbed eight elements at a time, then pairs of digests are compressed
// level by level. Benign hashing with the same permutation as the proof of work beside it.
#include "poseidon2_field.cuh"

extern "C" __global__ void merkle_leaves(const gold::u64 *trace, unsigned columns, unsigned rows, gold::u64 *digests) {
    using namespace gold;
    const unsigned row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    u64 s[WIDTH] = {};
    for (unsigned c = 0; c < columns; c += 8) {
        for (unsigned i = 0; i < 8 && c + i < columns; ++i) s[i] = trace[static_cast<u64>(c + i) * rows + row];
        permute(s);
    }
    for (int i = 0; i < 4; ++i) digests[4 * row + i] = s[i];
}

extern "C" __global__ void merkle_level(const gold::u64 *children, unsigned parents, gold::u64 *digests) {
    using namespace gold;
    const unsigned id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= parents) return;
    u64 s[WIDTH] = {};
    for (int i = 0; i < 8; ++i) s[i] = children[8 * id + i];
    permute(s);
    for (int i = 0; i < 4; ++i) digests[4 * id + i] = s[i];
}
