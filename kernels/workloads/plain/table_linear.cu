// Open-addressing hash table with linear probing: insert, find, erase and count, 32- or 64-bit keys.

#ifdef KEY64
typedef unsigned long long Key;
#define EMPTY 0xffffffffffffffffull
#else
typedef unsigned int Key;
#define EMPTY 0xffffffffu
#endif

// Murmur3 finalisers.
__device__ __forceinline__ unsigned int mix(unsigned int h)
{
    h ^= h >> 16; h *= 0x85ebca6bu;
    h ^= h >> 13; h *= 0xc2b2ae35u;
    return h ^ (h >> 16);
}
__device__ __forceinline__ unsigned long long mix(unsigned long long h)
{
    h ^= h >> 33; h *= 0xff51afd7ed558ccdull;
    h ^= h >> 33; h *= 0xc4ceb9fe1a85ec53ull;
    return h ^ (h >> 33);
}

extern "C" __global__ void table_insert(Key *keys, unsigned int *values, unsigned int capacity, const Key *new_keys,
                                        const unsigned int *new_values, unsigned int n, unsigned int *failed)
{
    unsigned int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Key key = new_keys[i];
    unsigned int slot = (unsigned int)mix(key) & (capacity - 1);
    for (unsigned int tries = 0; tries < capacity; tries++) {
        Key seen = atomicCAS(&keys[slot], (Key)EMPTY, key);
        if (seen == EMPTY || seen == key) {
            values[slot] = new_values[i];
            return;
        }
        slot = (slot + 1) & (capacity - 1);
    }
    atomicAdd(failed, 1u);
}

extern "C" __global__ void table_find(const Key *keys, const unsigned int *values, unsigned int capacity, const Key *wanted,
                                      unsigned int *found, unsigned int n)
{
    for (unsigned int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x) {
        Key key = wanted[i];
        unsigned int slot = (unsigned int)mix(key) & (capacity - 1), result = 0xffffffffu;
        for (;;) {
            Key seen = keys[slot];
            if (seen == key) { result = values[slot]; break; }
            if (seen == EMPTY) break;
            slot = (slot + 1) & (capacity - 1);
        }
        found[i] = result;
    }
}

extern "C" __global__ void table_count(Key *keys, unsigned int *counts, unsigned int capacity, const Key *items, unsigned int n)
{
    unsigned int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Key key = items[i];
    unsigned int slot = (unsigned int)(mix(key) % capacity);
    while (true) {
        Key seen = keys[slot];
        if (seen == EMPTY) seen = atomicCAS(&keys[slot], (Key)EMPTY, key);
        if (seen == EMPTY || seen == key) break;
        if (++slot == capacity) slot = 0;
    }
    atomicAdd(&counts[slot], 1u);
}

// A group of lanes probes one bucket at a time and votes: the cooperative form of find.
#ifndef LANES
#define LANES 8
#endif
extern "C" __global__ void table_find_cooperative(const Key *keys, const unsigned int *values, unsigned int buckets, const Key *wanted,
                                                  unsigned int *found, unsigned int n)
{
    unsigned int t = blockIdx.x * blockDim.x + threadIdx.x, item = t / LANES, lane = t % LANES;
    unsigned int group = (LANES == 32 ? 0xffffffffu : (1u << LANES) - 1) << (threadIdx.x % 32 / LANES * LANES);
    if (item >= n) return;
    Key key = wanted[item];
    unsigned int bucket = (unsigned int)mix(key) % buckets, step = (unsigned int)mix((Key)(key + 1)) % (buckets - 1) + 1;
    for (unsigned int tries = 0; tries < buckets; tries++) {
        Key seen = keys[(size_t)bucket * LANES + lane];
        unsigned int hit = __ballot_sync(group, seen == key), hole = __ballot_sync(group, seen == EMPTY);
        if (hit) {
            if (seen == key) found[item] = values[(size_t)bucket * LANES + lane];
            return;
        }
        if (hole) break;
        bucket = (bucket + step) % buckets;
    }
    if (lane == 0) found[item] = 0xffffffffu;
}
