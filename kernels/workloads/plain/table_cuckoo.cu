// Cuckoo hashing with four functions, packed key-value pairs and eviction chains; Robin Hood insertion beside it.

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef FUNCTIONS
#define FUNCTIONS 4
#endif
#ifndef MAX_CHAIN
#define MAX_CHAIN 64
#endif

static const u64 nothing = ~0ull;

struct Family {
    u32 a[FUNCTIONS], b[FUNCTIONS];
    __device__ __forceinline__ u32 slot(int f, u32 key, u32 capacity) const
    {
        return (u32)(((u64)(a[f] ^ key) + b[f]) % 4294967291ull) % capacity;
    }
};

extern "C" __global__ void cuckoo_insert(u64 *table, u32 capacity, Family hash, const u64 *pairs, u32 n, u32 *failed)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u64 pair = pairs[i];
    u32 slot = hash.slot(0, (u32)(pair >> 32), capacity);
    for (int chain = 0; chain < MAX_CHAIN; chain++) {
        pair = atomicExch(&table[slot], pair);
        u32 key = (u32)(pair >> 32);
        if (pair == nothing || key == (u32)(pairs[i] >> 32) && chain == 0) return;
        // The evicted pair goes to the function after the one that had put it here.
        int next = 0;
#pragma unroll
        for (int f = FUNCTIONS - 1; f >= 0; f--)
            if (hash.slot(f, key, capacity) == slot) next = (f + 1) % FUNCTIONS;
        slot = hash.slot(next, key, capacity);
    }
    atomicAdd(failed, 1u);
}

extern "C" __global__ void cuckoo_find(const u64 *table, u32 capacity, Family hash, const u32 *keys, u32 *values, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 value = ~0u;
#pragma unroll
    for (int f = 0; f < FUNCTIONS; f++) {
        u64 pair = table[hash.slot(f, keys[i], capacity)];
        if ((u32)(pair >> 32) == keys[i]) value = (u32)pair;
    }
    values[i] = value;
}

__device__ __forceinline__ u32 fibonacci(u32 key, u32 log_capacity) { return (key * 2654435769u) >> (32 - log_capacity); }

// Robin Hood: a pair that has come further takes the place of one that has come less far.
extern "C" __global__ void robin_hood_insert(u64 *table, u32 log_capacity, const u64 *pairs, u32 n)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x, mask = (1u << log_capacity) - 1;
    if (i >= n) return;
    u64 pair = pairs[i];
    u32 slot = fibonacci((u32)(pair >> 32), log_capacity), age = 0;
    while (age <= mask) {
        u64 seen = table[slot];
        u32 home = fibonacci((u32)(seen >> 32), log_capacity), other = (slot - home) & mask;
        if (seen == nothing || other < age) {
            if (atomicCAS(&table[slot], seen, pair) != seen) continue;
            if (seen == nothing) return;
            pair = seen;
            age = other;
        }
        slot = (slot + 1) & mask;
        age++;
    }
}
