// CRC-32 (zip) and CRC-32C (Castagnoli): byte table, slice-by-8, bitwise, and combination of parts; Adler-32.

typedef unsigned int u32;
typedef unsigned char u8;

#ifndef POLYNOMIAL
#define POLYNOMIAL 0xEDB88320u /* 0x82F63B78u for CRC-32C */
#endif

__device__ __forceinline__ u32 table_entry(u32 v)
{
#pragma unroll
    for (int i = 0; i < 8; i++) v = (v >> 1) ^ (POLYNOMIAL & (0u - (v & 1)));
    return v;
}

extern "C" __global__ void crc32_bytes(const u8 *data, const u32 *begin, u32 *crc, int n)
{
    __shared__ u32 table[256];
    for (u32 i = threadIdx.x; i < 256; i += blockDim.x) table[i] = table_entry(i);
    __syncthreads();
    int item = blockIdx.x * blockDim.x + threadIdx.x;
    if (item >= n) return;
    u32 c = ~0u;
    for (u32 p = begin[item]; p < begin[item + 1]; p++) c = table[(c ^ data[p]) & 255] ^ (c >> 8);
    crc[item] = ~c;
}

// Eight bytes a step by eight tables; every item is a multiple of 8 bytes long.
extern "C" __global__ void crc32_slice8(const uint2 *data, int words_per_item, u32 *crc, int n)
{
    __shared__ u32 table[8][256];
    for (u32 i = threadIdx.x; i < 256; i += blockDim.x) {
        u32 v = table_entry(i);
        table[0][i] = v;
        for (int k = 1; k < 8; k++) { v = table_entry(v & 255) ^ (v >> 8); table[k][i] = v; }
    }
    __syncthreads();
    for (int item = blockIdx.x * blockDim.x + threadIdx.x; item < n; item += gridDim.x * blockDim.x) {
        u32 c = ~0u;
        for (int w = 0; w < words_per_item; w++) {
            uint2 d = data[(size_t)item * words_per_item + w];
            d.x ^= c;
            c = table[7][d.x & 255] ^ table[6][d.x >> 8 & 255] ^ table[5][d.x >> 16 & 255] ^ table[4][d.x >> 24] ^
                table[3][d.y & 255] ^ table[2][d.y >> 8 & 255] ^ table[1][d.y >> 16 & 255] ^ table[0][d.y >> 24];
        }
        crc[item] = ~c;
    }
}

// a * b modulo the polynomial, both bit-reflected: the heart of joining CRCs of neighbouring parts.
__device__ u32 multiply(u32 a, u32 b)
{
    u32 p = 0;
    for (u32 m = 1u << 31; m; m >>= 1) {
        if (a & m) p ^= b;
        b = (b >> 1) ^ (POLYNOMIAL & (0u - (b & 1)));
    }
    return p;
}

// `parts` CRCs of equal parts become one; `shift` is x^(8 * part length) in reflected form.
extern "C" __global__ void crc32_combine(const u32 *parts, int n_parts, u32 shift, u32 *crc, int n)
{
    int item = blockIdx.x * blockDim.x + threadIdx.x;
    if (item >= n) return;
    u32 c = parts[(size_t)item * n_parts];
    for (int k = 1; k < n_parts; k++) c = multiply(shift, c) ^ parts[(size_t)item * n_parts + k];
    crc[item] = c;
}

extern "C" __global__ void crc32_bitwise_words(const u32 *data, int words, u32 *crc, int n)
{
    int item = blockIdx.x * blockDim.x + threadIdx.x;
    if (item >= n) return;
    u32 c = ~0u;
    for (int w = 0; w < words; w++) {
        c ^= data[(size_t)w * n + item];
#pragma unroll
        for (int b = 0; b < 32; b++) c = (c >> 1) ^ (POLYNOMIAL & (0u - (c & 1)));
    }
    crc[item] = ~c;
}

// Block-parallel Adler: every thread sums its bytes and weighted bytes, then both sums are reduced.
extern "C" __global__ void adler32(const u8 *data, u32 length, u32 *out)
{
    __shared__ unsigned long long sa[256], sb[256];
    unsigned long long a = 0, b = 0;
    for (u32 i = threadIdx.x; i < length; i += 256) {
        a += data[i];
        b = (b + (unsigned long long)(length - i) * data[i]) % 65521;
    }
    sa[threadIdx.x] = a; sb[threadIdx.x] = b;
    __syncthreads();
    for (int s = 128; s; s >>= 1) {
        if (threadIdx.x < s) { sa[threadIdx.x] += sa[threadIdx.x + s]; sb[threadIdx.x] += sb[threadIdx.x + s]; }
        __syncthreads();
    }
    if (threadIdx.x == 0) *out = (u32)((sa[0] + 1) % 65521) | (u32)((sb[0] + length) % 65521) << 16;
}
