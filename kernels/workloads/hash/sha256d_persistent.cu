// Double SHA-256 by persistent threads: classes, the round table in shared memory, a common stop flag. Inert.
namespace sha {

using u32 = unsigned int;

struct Table {
    u32 k[64];
};

__constant__ const Table kTable = {
    {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
     0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
     0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
     0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
     0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
     0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
     0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
     0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2}};

template <int N>
__device__ __forceinline__ u32 rotate(u32 x) {
    if constexpr (N == 8 || N == 16 || N == 24) return __byte_perm(x, x, 0x3210 + 0x1111 * (N / 8));
    return (x >> N) | (x << (32 - N));
}

class Hasher {
    u32 state_[8];
    const u32 *k_;

  public:
    __device__ explicit Hasher(const u32 *k) : k_(k) {
        constexpr u32 start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
#pragma unroll
        for (int i = 0; i < 8; ++i) state_[i] = start[i];
    }

    __device__ void absorb(const u32 (&block)[16]) {
        u32 w[16], v[8];
#pragma unroll
        for (int i = 0; i < 16; ++i) w[i] = block[i];
#pragma unroll
        for (int i = 0; i < 8; ++i) v[i] = state_[i];
#ifdef UNROLL16
#pragma unroll
#else
#pragma unroll 1
#endif
        for (int base = 0; base < 64; base += 16) {
#pragma unroll
            for (int i = 0; i < 16; ++i) {
                const u32 e = v[4], a = v[0];
                const u32 s1 = rotate<6>(e) ^ rotate<11>(e) ^ rotate<25>(e);
                const u32 s0 = rotate<2>(a) ^ rotate<13>(a) ^ rotate<22>(a);
                const u32 t1 = v[7] + s1 + ((e & v[5]) ^ (~e & v[6])) + k_[base + i] + w[i];
                const u32 t2 = s0 + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
                v[7] = v[6]; v[6] = v[5]; v[5] = v[4]; v[4] = v[3] + t1;
                v[3] = v[2]; v[2] = v[1]; v[1] = v[0]; v[0] = t1 + t2;
                const u32 p = w[(i + 1) & 15], q = w[(i + 14) & 15];
                w[i] += w[(i + 9) & 15] + (rotate<7>(p) ^ rotate<18>(p) ^ (p >> 3)) +
                        (rotate<17>(q) ^ rotate<19>(q) ^ (q >> 10));
            }
        }
#pragma unroll
        for (int i = 0; i < 8; ++i) state_[i] += v[i];
    }

    __device__ u32 word(int i) const { return state_[i]; }
};

}  // namespace sha

extern "C" __global__ void __launch_bounds__(128)
persistent_sha256d(const unsigned *header, unsigned long long batches, const unsigned *target,
                   unsigned long long *progress, int *stop, unsigned *answer) {
    __shared__ unsigned k[64], words[20];
    for (int i = threadIdx.x; i < 64; i += blockDim.x) k[i] = sha::kTable.k[i];
    for (int i = threadIdx.x; i < 20; i += blockDim.x) words[i] = header[i];
    __shared__ unsigned long long batch;
    for (;;) {
        __syncthreads();
        if (threadIdx.x == 0) batch = atomicAdd(progress, 1ull);
        __syncthreads();
        if (batch >= batches || *(volatile int *)stop) return;
        const unsigned nonce = static_cast<unsigned>(batch) * blockDim.x + threadIdx.x;
        sha::Hasher first(k), second(k);
        {
            unsigned block[16];
#pragma unroll
            for (int i = 0; i < 16; ++i) block[i] = words[i];
            first.absorb(block);
            const unsigned tail[16] = {words[16], words[17], words[18], nonce, 0x80000000u, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 640};
            first.absorb(tail);
        }
        unsigned block[16] = {};
#pragma unroll
        for (int i = 0; i < 8; ++i) block[i] = first.word(i);
        block[8] = 0x80000000u;
        block[15] = 256;
        second.absorb(block);
        bool below = true;
        for (int i = 7; i >= 0; --i) {
            const unsigned d = __byte_perm(second.word(i), 0, 0x0123);
            if (d != target[i]) {
                below = d < target[i];
                break;
            }
        }
        if (below && atomicExch(stop, 1) == 0) {
            answer[0] = nonce;
            for (int i = 0; i < 8; ++i) answer[1 + i] = second.word(i);
        }
    }
}
