// Perfect-hash grids: voxel tables for sparse convolution, multiresolution hash encoding, neighbour cells of particles.

typedef unsigned int u32;

#ifndef FEATURES
#define FEATURES 2
#endif
#ifndef LEVELS
#define LEVELS 16
#endif

__device__ __forceinline__ u32 cell_hash(int x, int y, int z, u32 size)
{
    return ((u32)x ^ (u32)y * 2654435761u ^ (u32)z * 805459861u) % size;
}

// One thread per point and level: eight corners, trilinear weights, FEATURES values each.
extern "C" __global__ void hash_encode(const float *points, const float *table, float *out, int n, u32 size, float base, float growth)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, level = blockIdx.y;
    if (i >= n) return;
    float scale = base * powf(growth, (float)level), f[3];
    int cell[3];
    for (int d = 0; d < 3; d++) {
        float v = points[3 * i + d] * scale + 0.5f;
        cell[d] = (int)floorf(v);
        f[d] = v - cell[d];
    }
    float acc[FEATURES] = {};
#pragma unroll
    for (int corner = 0; corner < 8; corner++) {
        int cx = cell[0] + (corner & 1), cy = cell[1] + (corner >> 1 & 1), cz = cell[2] + (corner >> 2);
        float w = (corner & 1 ? f[0] : 1 - f[0]) * (corner & 2 ? f[1] : 1 - f[1]) * (corner & 4 ? f[2] : 1 - f[2]);
        const float *entry = table + ((size_t)level * size + cell_hash(cx, cy, cz, size)) * FEATURES;
#pragma unroll
        for (int k = 0; k < FEATURES; k++) acc[k] += w * entry[k];
    }
    for (int k = 0; k < FEATURES; k++) out[((size_t)i * LEVELS + level) * FEATURES + k] = acc[k];
}

extern "C" __global__ void hash_encode_backward(const float *points, const float *grad, float *table_grad, int n, u32 size, float base, float growth)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, level = blockIdx.y;
    if (i >= n) return;
    float scale = base * powf(growth, (float)level);
    float x = points[3 * i] * scale + 0.5f, y = points[3 * i + 1] * scale + 0.5f, z = points[3 * i + 2] * scale + 0.5f;
    int ix = (int)floorf(x), iy = (int)floorf(y), iz = (int)floorf(z);
    for (int corner = 0; corner < 8; corner++) {
        int dx = corner & 1, dy = corner >> 1 & 1, dz = corner >> 2;
        float w = fabsf(1 - dx - (x - ix)) * fabsf(1 - dy - (y - iy)) * fabsf(1 - dz - (z - iz));
        size_t at = ((size_t)level * size + cell_hash(ix + dx, iy + dy, iz + dz, size)) * FEATURES;
        for (int k = 0; k < FEATURES; k++) atomicAdd(&table_grad[at + k], w * grad[((size_t)i * LEVELS + level) * FEATURES + k]);
    }
}

// Voxels of a sparse tensor: pack coordinates to 64 bits, insert with the FNV-1a hash of their bytes.
typedef unsigned long long u64;
__device__ __forceinline__ u64 pack(int4 c) { return (u64)(c.x & 0xffff) << 48 | (u64)(c.y & 0xffff) << 32 | (u64)(c.z & 0xffff) << 16 | (c.w & 0xffff); }
__device__ __forceinline__ u64 fnv(u64 key)
{
    u64 h = 14695981039346656037ull;
#pragma unroll
    for (int i = 0; i < 8; i++) h = (h ^ ((key >> (8 * i)) & 255)) * 1099511628211ull;
    return h;
}

extern "C" __global__ void voxel_insert(u64 *keys, int *rows, u32 mask, const int4 *coordinates, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u64 key = pack(coordinates[i]);
    u32 slot = (u32)fnv(key) & mask;
    while (true) {
        u64 seen = atomicCAS(&keys[slot], ~0ull, key);
        if (seen == ~0ull || seen == key) { atomicMin(&rows[slot], i); return; }
        slot = (slot + 1) & mask;
    }
}

// Rule book of a 3 x 3 x 3 submanifold convolution: for every output voxel and offset the input row, or -1.
extern "C" __global__ void voxel_rules(const u64 *keys, const int *rows, u32 mask, const int4 *coordinates, int *rules, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, k = blockIdx.y;
    if (i >= n) return;
    int4 c = coordinates[i];
    u64 key = pack(make_int4(c.x, c.y + k / 9 - 1, c.z + k / 3 % 3 - 1, c.w + k % 3 - 1));
    int found = -1;
    for (u32 slot = (u32)fnv(key) & mask; keys[slot] != ~0ull; slot = (slot + 1) & mask)
        if (keys[slot] == key) { found = rows[slot]; break; }
    rules[(size_t)k * n + i] = found;
}

// Smoothed-particle density with cells found by hash, 27 cells around the particle.
extern "C" __global__ void particle_density(const float4 *particles, const u32 *cell_begin, const u32 *sorted, float *density, int n, u32 cells, float radius)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float4 p = particles[i];
    float sum = 0;
    int cx = (int)floorf(p.x / radius), cy = (int)floorf(p.y / radius), cz = (int)floorf(p.z / radius);
    for (int k = 0; k < 27; k++) {
        u32 h = ((u32)(cx + k % 3 - 1) * 73856093u ^ (u32)(cy + k / 3 % 3 - 1) * 19349663u ^ (u32)(cz + k / 9 - 1) * 83492791u) % cells;
        for (u32 s = cell_begin[h]; s < cell_begin[h + 1]; s++) {
            float4 q = particles[sorted[s]];
            float d2 = (p.x - q.x) * (p.x - q.x) + (p.y - q.y) * (p.y - q.y) + (p.z - q.z) * (p.z - q.z), w = radius * radius - d2;
            if (w > 0) sum += q.w * w * w * w;
        }
    }
    density[i] = sum;
}
