// What a GPU can do at most, for the shares that gpu/workloads.py reports: independent chains of one operation,
// eight to a thread, so that neither latency nor memory is in the way. The results depend on the input,
// which the compiler cannot know, and are written where the loop cannot be dropped.

extern "C" __global__ void integer_ceiling(unsigned *out, unsigned seed, int rounds) {
    unsigned a[8];
    for (int i = 0; i < 8; ++i) a[i] = seed * (threadIdx.x + 1) + i;
    for (int r = 0; r < rounds; ++r)
#pragma unroll
        for (int i = 0; i < 8; ++i) a[i] = (a[i] ^ (seed & (a[i] + r)));  // one IADD3 and one LOP3
    unsigned sum = 0;
    for (int i = 0; i < 8; ++i) sum ^= a[i];
    if (sum == 0x12345678u) out[blockIdx.x] = sum;
}

extern "C" __global__ void float_ceiling(float *out, float seed, int rounds) {
    float a[8];
    for (int i = 0; i < 8; ++i) a[i] = seed * (threadIdx.x + 1) + i;
    for (int r = 0; r < rounds; ++r)
#pragma unroll
        for (int i = 0; i < 8; ++i) a[i] = a[i] * seed + 0.5f;  // one FFMA, two operations
    float sum = 0;
    for (int i = 0; i < 8; ++i) sum += a[i];
    if (sum == 12345.678f) out[blockIdx.x] = sum;
}
