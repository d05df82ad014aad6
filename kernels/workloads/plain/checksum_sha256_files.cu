// SHA-256 of whole files or fixed pages, one thread a stream, padding included: integrity checks, content addressing.
#include "sha2.cuh"

__device__ __forceinline__ unsigned swap_bytes(unsigned v) { return __byte_perm(v, 0, 0x0123); }

extern "C" __global__ void sha256_files(const unsigned char *data, const unsigned long long *begin, unsigned *digests, int n)
{
    int file = blockIdx.x * blockDim.x + threadIdx.x;
    if (file >= n) return;
    const unsigned char *p = data + begin[file];
    unsigned long long length = begin[file + 1] - begin[file], blocks = (length + 9 + 63) / 64;
    unsigned h[8], w[16];
    Sha2<unsigned>::start(h);
    for (unsigned long long b = 0; b < blocks; b++) {
        for (int i = 0; i < 16; i++) {
            unsigned v = 0;
            for (int k = 0; k < 4; k++) {
                unsigned long long at = b * 64 + i * 4 + k;
                unsigned byte = at < length ? p[at] : at == length ? 0x80u : 0;
                v = v << 8 | byte;
            }
            w[i] = v;
        }
        if (b == blocks - 1) { w[14] = (unsigned)(length >> 29); w[15] = (unsigned)(length << 3); }
        sha2_compress(h, w);
    }
    for (int i = 0; i < 8; i++) digests[8 * file + i] = h[i];
}

#ifndef PAGE_WORDS
#define PAGE_WORDS 1024
#endif
extern "C" __global__ void sha256_pages(const uint4 *pages, uint4 *digests, int n)
{
    for (int page = blockIdx.x * blockDim.x + threadIdx.x; page < n; page += gridDim.x * blockDim.x) {
        unsigned h[8], w[16];
        Sha2<unsigned>::start(h);
        for (int b = 0; b < PAGE_WORDS / 16; b++) {
            for (int i = 0; i < 4; i++) {
                uint4 q = pages[(size_t)page * (PAGE_WORDS / 4) + 4 * b + i];
                w[4 * i] = swap_bytes(q.x); w[4 * i + 1] = swap_bytes(q.y); w[4 * i + 2] = swap_bytes(q.z); w[4 * i + 3] = swap_bytes(q.w);
            }
            sha2_compress(h, w);
        }
        for (int i = 1; i < 15; i++) w[i] = 0;
        w[0] = 0x80000000u; w[15] = PAGE_WORDS * 32;
        sha2_compress(h, w);
        digests[2 * page] = make_uint4(h[0], h[1], h[2], h[3]);
        digests[2 * page + 1] = make_uint4(h[4], h[5], h[6], h[7]);
    }
}
