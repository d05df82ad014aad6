// Particles: N-body with shared tiles, Lennard-Jones with neighbour lists, real-space Ewald, charge spreading by
// B-splines, velocity Verlet, bonded angles.

#ifndef TILE
#define TILE 128
#endif

extern "C" __global__ void nbody_forces(const float4 *bodies, float4 *forces, int n, float softening)
{
    __shared__ float4 tile[TILE];
    int i = blockIdx.x * TILE + threadIdx.x;
    float4 me = i < n ? bodies[i] : make_float4(0, 0, 0, 0);
    float fx = 0, fy = 0, fz = 0;
    for (int first = 0; first < n; first += TILE) {
        tile[threadIdx.x] = first + (int)threadIdx.x < n ? bodies[first + threadIdx.x] : make_float4(0, 0, 0, 0);
        __syncthreads();
#pragma unroll 8
        for (int j = 0; j < TILE; j++) {
            float dx = tile[j].x - me.x, dy = tile[j].y - me.y, dz = tile[j].z - me.z;
            float inverse = rsqrtf(dx * dx + dy * dy + dz * dz + softening), s = tile[j].w * inverse * inverse * inverse;
            fx += s * dx; fy += s * dy; fz += s * dz;
        }
        __syncthreads();
    }
    if (i < n) forces[i] = make_float4(fx, fy, fz, 0);
}

__device__ __forceinline__ float nearest(float d, float box) { return d - box * rintf(d / box); }

extern "C" __global__ void lennard_jones(const float4 *atoms, const int *neighbours, const int *counts, float4 *forces, float box, float cutoff2, int stride, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float4 a = atoms[i], f = make_float4(0, 0, 0, 0);
    for (int k = 0; k < counts[i]; k++) {
        float4 b = atoms[neighbours[(size_t)k * stride + i]];
        float dx = nearest(a.x - b.x, box), dy = nearest(a.y - b.y, box), dz = nearest(a.z - b.z, box), r2 = dx * dx + dy * dy + dz * dz;
        if (r2 >= cutoff2) continue;
        float inverse = 1.0f / r2, r6 = inverse * inverse * inverse, s = 24.0f * r6 * (2.0f * r6 - 1.0f) * inverse;
        f.x += s * dx; f.y += s * dy; f.z += s * dz;
        f.w += 4.0f * r6 * (r6 - 1.0f);
    }
    forces[i] = f;
}

extern "C" __global__ void ewald_real(const float4 *atoms, const int *begin, const int *pairs, float4 *forces, float box, float alpha, int n)
{
    int i = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (i >= n) return;
    float4 a = atoms[i];
    float fx = 0, fy = 0, fz = 0, energy = 0;
    for (int k = begin[i] + lane; k < begin[i + 1]; k += 32) {
        float4 b = atoms[pairs[k]];
        float dx = nearest(a.x - b.x, box), dy = nearest(a.y - b.y, box), dz = nearest(a.z - b.z, box);
        float r = sqrtf(dx * dx + dy * dy + dz * dz), q = a.w * b.w / r, e = erfcf(alpha * r);
        float s = q * (e + 1.12837917f * alpha * r * expf(-alpha * alpha * r * r)) / (r * r);
        fx += s * dx; fy += s * dy; fz += s * dz; energy += q * e;
    }
    for (int o = 16; o; o >>= 1) {
        fx += __shfl_xor_sync(0xffffffffu, fx, o); fy += __shfl_xor_sync(0xffffffffu, fy, o);
        fz += __shfl_xor_sync(0xffffffffu, fz, o); energy += __shfl_xor_sync(0xffffffffu, energy, o);
    }
    if (lane == 0) forces[i] = make_float4(fx, fy, fz, 0.5f * energy);
}

// Cubic B-spline weights along each axis; 64 grid points a charge.
extern "C" __global__ void spread_charges(const float4 *atoms, float *grid, int size, float scale, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float p[3] = {atoms[i].x * scale, atoms[i].y * scale, atoms[i].z * scale}, w[3][4];
    int cell[3];
    for (int d = 0; d < 3; d++) {
        cell[d] = (int)floorf(p[d]);
        float t = p[d] - cell[d], u = 1 - t;
        w[d][0] = u * u * u / 6; w[d][1] = (4 - 6 * t * t + 3 * t * t * t) / 6;
        w[d][3] = t * t * t / 6; w[d][2] = 1 - w[d][0] - w[d][1] - w[d][3];
    }
    for (int k = 0; k < 64; k++) {
        int x = (cell[0] + k / 16 + size) % size, y = (cell[1] + k / 4 % 4 + size) % size, z = (cell[2] + k % 4 + size) % size;
        atomicAdd(&grid[((size_t)x * size + y) * size + z], atoms[i].w * w[0][k / 16] * w[1][k / 4 % 4] * w[2][k % 4]);
    }
}

extern "C" __global__ void verlet(float4 *position, float4 *velocity, const float4 *force, float dt, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        float4 v = velocity[i], f = force[i], p = position[i];
        v.x += f.x * dt * v.w; v.y += f.y * dt * v.w; v.z += f.z * dt * v.w;
        p.x += v.x * dt; p.y += v.y * dt; p.z += v.z * dt;
        velocity[i] = v; position[i] = p;
    }
}

extern "C" __global__ void angle_forces(const float4 *atoms, const int4 *angles, const float2 *constants, float *forces, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int4 t = angles[i];
    float4 a = atoms[t.x], b = atoms[t.y], c = atoms[t.z];
    float u[3] = {a.x - b.x, a.y - b.y, a.z - b.z}, v[3] = {c.x - b.x, c.y - b.y, c.z - b.z}, uu = 0, vv = 0, uv = 0;
    for (int d = 0; d < 3; d++) { uu += u[d] * u[d]; vv += v[d] * v[d]; uv += u[d] * v[d]; }
    float cosine = fminf(1.0f, fmaxf(-1.0f, uv * rsqrtf(uu * vv))), theta = acosf(cosine), s = -constants[i].x * (theta - constants[i].y) * rsqrtf(1.0f - cosine * cosine + 1e-8f);
    for (int d = 0; d < 3; d++) {
        float fa = s * (u[d] * cosine / uu - v[d] * rsqrtf(uu * vv)), fc = s * (v[d] * cosine / vv - u[d] * rsqrtf(uu * vv));
        atomicAdd(&forces[3 * t.x + d], fa); atomicAdd(&forces[3 * t.z + d], fc); atomicAdd(&forces[3 * t.y + d], -fa - fc);
    }
}
