/* Ethash: the search of one hash by eight lanes that share each 128-byte page by shuffles, and the table kernel.
   64-bit lanes are uint2 pairs rotated by funnel shifts. Inert, any table size. */
#ifndef LANES
#define LANES 8
#endif
#ifndef PAGES
#define PAGES 64
#endif
#ifndef UNROLL_PAGES
#define UNROLL_PAGES 1
#endif

#define FNV(x, y) (((x) * 0x01000193u) ^ (y))

__constant__ uint2 rc[24] = {
    {0x00000001, 0x00000000}, {0x00008082, 0x00000000}, {0x0000808a, 0x80000000}, {0x80008000, 0x80000000},
    {0x0000808b, 0x00000000}, {0x80000001, 0x00000000}, {0x80008081, 0x80000000}, {0x00008009, 0x80000000},
    {0x0000008a, 0x00000000}, {0x00000088, 0x00000000}, {0x80008009, 0x00000000}, {0x8000000a, 0x00000000},
    {0x8000808b, 0x00000000}, {0x0000008b, 0x80000000}, {0x00008089, 0x80000000}, {0x00008003, 0x80000000},
    {0x00008002, 0x80000000}, {0x00000080, 0x80000000}, {0x0000800a, 0x00000000}, {0x8000000a, 0x80000000},
    {0x80008081, 0x80000000}, {0x00008080, 0x80000000}, {0x80000001, 0x00000000}, {0x80008008, 0x80000000}};

__constant__ uint2 g_header[4];
__constant__ unsigned long long g_target;

__device__ __forceinline__ uint2 x2(uint2 a, uint2 b) { return make_uint2(a.x ^ b.x, a.y ^ b.y); }
__device__ __forceinline__ uint2 x5(uint2 a, uint2 b, uint2 c, uint2 d, uint2 e) {
    return x2(x2(x2(a, b), x2(c, d)), e);
}
__device__ __forceinline__ uint2 chi(uint2 a, uint2 b, uint2 c) {
    return make_uint2(a.x ^ (~b.x & c.x), a.y ^ (~b.y & c.y));
}
template <int N>
__device__ __forceinline__ uint2 rol(uint2 a) {
    if (N == 0) return a;
    if (N < 32) return make_uint2(__funnelshift_l(a.y, a.x, N), __funnelshift_l(a.x, a.y, N));
    return make_uint2(__funnelshift_l(a.x, a.y, N - 32), __funnelshift_l(a.y, a.x, N - 32));
}

__device__ __forceinline__ void keccak_round(uint2 *s, uint2 constant) {
    uint2 t[5], u, v;
#pragma unroll
    for (int i = 0; i < 5; i++) t[i] = x5(s[i], s[i + 5], s[i + 10], s[i + 15], s[i + 20]);
#pragma unroll
    for (int i = 0; i < 5; i++) {
        u = x2(t[(i + 4) % 5], rol<1>(t[(i + 1) % 5]));
#pragma unroll
        for (int j = 0; j < 25; j += 5) s[i + j] = x2(s[i + j], u);
    }
    u = s[1];
    s[1] = rol<44>(s[6]);   s[6] = rol<20>(s[9]);   s[9] = rol<61>(s[22]);  s[22] = rol<39>(s[14]);
    s[14] = rol<18>(s[20]); s[20] = rol<62>(s[2]);  s[2] = rol<43>(s[12]);  s[12] = rol<25>(s[13]);
    s[13] = rol<8>(s[19]);  s[19] = rol<56>(s[23]); s[23] = rol<41>(s[15]); s[15] = rol<27>(s[4]);
    s[4] = rol<14>(s[24]);  s[24] = rol<2>(s[21]);  s[21] = rol<55>(s[8]);  s[8] = rol<45>(s[16]);
    s[16] = rol<36>(s[5]);  s[5] = rol<28>(s[3]);   s[3] = rol<21>(s[18]);  s[18] = rol<15>(s[17]);
    s[17] = rol<10>(s[11]); s[11] = rol<6>(s[7]);   s[7] = rol<3>(s[10]);   s[10] = rol<1>(u);
#pragma unroll
    for (int j = 0; j < 25; j += 5) {
        u = s[j];
        v = s[j + 1];
        s[j] = chi(s[j], s[j + 1], s[j + 2]);
        s[j + 1] = chi(s[j + 1], s[j + 2], s[j + 3]);
        s[j + 2] = chi(s[j + 2], s[j + 3], s[j + 4]);
        s[j + 3] = chi(s[j + 3], s[j + 4], u);
        s[j + 4] = chi(s[j + 4], u, v);
    }
    s[0] = x2(s[0], constant);
}

__device__ void keccak(uint2 *s) {
#pragma unroll 1
    for (int i = 0; i < 24; i++) keccak_round(s, rc[i]);
}

__device__ void keccak512(uint2 *s) { /* 64 bytes in s[0..7], digest in the same place */
    for (int i = 8; i < 25; i++) s[i] = make_uint2(0, 0);
    s[8] = make_uint2(1, 0x80000000u);
    keccak(s);
}

extern "C" __global__ void ethash_dag(const uint4 *light, unsigned light_items, unsigned start, unsigned nodes,
                                      uint4 *dag) {
    const unsigned id = start + blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= nodes) return;
    union {
        uint2 lane[25];
        uint4 quad[4];
        unsigned word[16];
    } mix;
    for (int i = 0; i < 4; i++) mix.quad[i] = light[4 * (id % light_items) + i];
    mix.word[0] ^= id;
    keccak512(mix.lane);
    for (unsigned p = 0; p < 256; p++) {
        const unsigned parent = FNV(id ^ p, mix.word[p & 15]) % light_items;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const uint4 q = __ldg(&light[4 * parent + i]);
            mix.word[4 * i] = FNV(mix.word[4 * i], q.x);
            mix.word[4 * i + 1] = FNV(mix.word[4 * i + 1], q.y);
            mix.word[4 * i + 2] = FNV(mix.word[4 * i + 2], q.z);
            mix.word[4 * i + 3] = FNV(mix.word[4 * i + 3], q.w);
        }
    }
    keccak512(mix.lane);
    for (int i = 0; i < 4; i++) dag[4 * id + i] = mix.quad[i];
}

extern "C" __global__ void ethash_search(const uint4 *dag, unsigned pages, unsigned long long first, uint2 *digests,
                                         unsigned *found, unsigned long long *winners) {
    const unsigned full = 0xffffffffu;
    const unsigned lane = threadIdx.x & (LANES - 1);
    const unsigned long long nonce = first + blockIdx.x * blockDim.x + threadIdx.x;
    uint2 s[25];
    for (int i = 0; i < 4; i++) s[i] = g_header[i];
    s[4] = make_uint2((unsigned)nonce, (unsigned)(nonce >> 32));
    s[5] = make_uint2(1, 0);
    s[6] = s[7] = make_uint2(0, 0);
    for (int i = 8; i < 25; i++) s[i] = make_uint2(0, 0);
    s[8] = make_uint2(0, 0x80000000u);
    keccak(s);

    uint2 compressed[4];
#pragma unroll 1
    for (int owner = 0; owner < LANES; owner++) {
        uint2 seed[8];
#pragma unroll
        for (int i = 0; i < 8; i++) {
            seed[i].x = __shfl_sync(full, s[i].x, owner, LANES);
            seed[i].y = __shfl_sync(full, s[i].y, owner, LANES);
        }
        uint4 mix = make_uint4(0, 0, 0, 0);
#pragma unroll
        for (int i = 0; i < 4; i++)
            if ((lane & 3) == i) mix = make_uint4(seed[2 * i].x, seed[2 * i].y, seed[2 * i + 1].x, seed[2 * i + 1].y);
#pragma unroll UNROLL_PAGES
        for (int a = 0; a < PAGES; a++) {
            const int word = a & 3;
            const unsigned mine = word == 0 ? mix.x : word == 1 ? mix.y : word == 2 ? mix.z : mix.w;
            const unsigned at = __shfl_sync(full, FNV((unsigned)a ^ seed[0].x, mine) % pages, (a >> 2) & 7, LANES);
            const uint4 q = dag[(unsigned long long)at * 8 + lane];
            mix.x = FNV(mix.x, q.x);
            mix.y = FNV(mix.y, q.y);
            mix.z = FNV(mix.z, q.z);
            mix.w = FNV(mix.w, q.w);
        }
        const unsigned folded = FNV(FNV(FNV(mix.x, mix.y), mix.z), mix.w);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const unsigned low = __shfl_sync(full, folded, 2 * i, LANES);
            const unsigned high = __shfl_sync(full, folded, 2 * i + 1, LANES);
            if (lane == (unsigned)owner) compressed[i] = make_uint2(low, high);
        }
    }
    for (int i = 0; i < 4; i++) s[8 + i] = compressed[i];
    s[12] = make_uint2(1, 0);
    for (int i = 13; i < 25; i++) s[i] = make_uint2(0, 0);
    s[16] = make_uint2(0, 0x80000000u);
    keccak(s);
    if (digests)
        for (int i = 0; i < 4; i++) digests[4 * (nonce - first) + i] = s[i];
    const unsigned long long head =
        (unsigned long long)__byte_perm(s[0].x, 0, 0x0123) << 32 | __byte_perm(s[0].y, 0, 0x0123);
    if (head <= g_target) {
        const unsigned slot = atomicAdd(found, 1u);
        if (slot < 4) winners[slot] = nonce;
    }
}
