// Text work on bytes: UTF-8 checks and transcoding, JSON structure, CSV fields, integer and float parsing, base64, DFA.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned char u8;

#ifndef STATES
#define STATES 64
#endif

// Length of a well-formed sequence at p, 0 if there is none; surrogates and overlong forms are refused.
__device__ int utf8_length(const u8 *p, u32 left)
{
    u32 a = p[0];
    if (a < 0x80) return 1;
    int need = a >= 0xf0 ? 4 : a >= 0xe0 ? 3 : 2;
    if (a < 0xc2 || a > 0xf4 || left < (u32)need) return 0;
    for (int i = 1; i < need; i++) if ((p[i] & 0xc0) != 0x80) return 0;
    if ((a == 0xe0 && p[1] < 0xa0) || (a == 0xed && p[1] > 0x9f) || (a == 0xf0 && p[1] < 0x90) || (a == 0xf4 && p[1] > 0x8f)) return 0;
    return need;
}

extern "C" __global__ void utf8_validate(const u8 *text, u32 n, u32 *errors, u32 *characters)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    if ((text[i] & 0xc0) != 0x80) {
        int length = utf8_length(text + i, n - i);
        if (length) atomicAdd(characters, 1u); else atomicAdd(errors, 1u);
        for (u32 k = i + length; length && k < n && (text[k] & 0xc0) == 0x80; k++) atomicAdd(errors, 1u);
    } else if (i == 0) atomicAdd(errors, 1u);
}

// 32 bytes to bit masks by ballots: structural characters and quotes outside escapes.
extern "C" __global__ void json_masks(const u8 *text, u32 n, u32 *structural, u32 *quotes)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    u8 c = i < n ? text[i] : ' ';
    bool escaped = false;
    for (u32 k = i; k > 0 && k <= n && text[k - 1] == '\\'; k--) escaped = !escaped;
    u32 q = __ballot_sync(0xffffffffu, c == '"' && !escaped);
    u32 s = __ballot_sync(0xffffffffu, c == '{' || c == '}' || c == '[' || c == ']' || c == ':' || c == ',');
    if ((threadIdx.x & 31) == 0 && i < n) { quotes[i >> 5] = q; structural[i >> 5] = s; }
}

// Prefix XOR makes "inside a string" of quote bits; the carry of earlier words comes in as parity.
extern "C" __global__ void json_string_mask(const u32 *quotes, const u32 *parity, u32 *structural, u32 words)
{
    u32 w = blockIdx.x * blockDim.x + threadIdx.x;
    if (w >= words) return;
    u32 m = quotes[w];
    m ^= m << 1; m ^= m << 2; m ^= m << 4; m ^= m << 8; m ^= m << 16;
    if (parity[w] & 1) m = ~m;
    structural[w] &= ~m;
}

extern "C" __global__ void csv_fields(const u8 *text, const u32 *row_begin, int rows, int columns, u32 *fields)
{
    for (int r = blockIdx.x * blockDim.x + threadIdx.x; r < rows; r += gridDim.x * blockDim.x) {
        bool quoted = false;
        int column = 0;
        fields[(size_t)r * columns] = row_begin[r];
        for (u32 p = row_begin[r]; p < row_begin[r + 1]; p++) {
            u8 c = text[p];
            if (c == '"') quoted = !quoted;
            else if (c == ',' && !quoted && ++column < columns) fields[(size_t)r * columns + column] = p + 1;
        }
    }
}

extern "C" __global__ void parse_integers(const u8 *text, const u32 *begin, long long *values, u8 *valid, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 p = begin[i], end = begin[i + 1];
    bool minus = p < end && text[p] == '-', good = end > p + minus;
    long long v = 0;
    for (p += minus; p < end; p++) {
        u32 d = text[p] - '0';
        good &= d < 10;
        v = v * 10 + d;
    }
    values[i] = minus ? -v : v;
    valid[i] = good;
}

// Eight digits at a time by multiplication of packed bytes.
extern "C" __global__ void parse_digits8(const u64 *text, u32 *values, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u64 v = text[i] & 0x0f0f0f0f0f0f0f0full;
    v = (v * 2561) >> 8 & 0x00ff00ff00ff00ffull;
    v = (v * 6553601) >> 16 & 0x0000ffff0000ffffull;
    values[i] = (u32)((v * 42949672960001ull) >> 32);
}

extern "C" __global__ void base64_encode(const u8 *in, u8 *out, u32 n_triples)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n_triples) return;
    u32 v = in[3 * i] << 16 | in[3 * i + 1] << 8 | in[3 * i + 2];
    for (int k = 3; k >= 0; k--, v >>= 6) {
        u32 s = v & 63;
        out[4 * i + k] = (u8)(s < 26 ? 'A' + s : s < 52 ? 'a' + s - 26 : s < 62 ? '0' + s - 52 : s == 62 ? '+' : '/');
    }
}

extern "C" __global__ void base64_decode(const uchar4 *in, u8 *out, u32 *bad, u32 n_quads)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n_quads) return;
    uchar4 q = in[i];
    u8 c[4] = {q.x, q.y, q.z, q.w};
    u32 v = 0;
    for (int k = 0; k < 4; k++) {
        u32 s = c[k] - 'A' < 26u ? c[k] - 'A' : c[k] - 'a' < 26u ? c[k] - 'a' + 26 : c[k] - '0' < 10u ? c[k] - '0' + 52 : c[k] == '+' ? 62 : c[k] == '/' ? 63 : 64;
        if (s == 64) atomicAdd(bad, 1u);
        v = v << 6 | (s & 63);
    }
    out[3 * i] = (u8)(v >> 16); out[3 * i + 1] = (u8)(v >> 8); out[3 * i + 2] = (u8)v;
}

// Regular expression as a table automaton: one string a thread, the table in shared memory.
extern "C" __global__ void dfa_match(const u8 *text, const u32 *begin, const u8 *transitions, u64 accepting, u8 *matched, int n)
{
    __shared__ u8 table[STATES * 256];
    for (int i = threadIdx.x; i < STATES * 256; i += blockDim.x) table[i] = transitions[i];
    __syncthreads();
    int s = blockIdx.x * blockDim.x + threadIdx.x;
    if (s >= n) return;
    u32 state = 0;
    for (u32 p = begin[s]; p < begin[s + 1]; p++) state = table[state * 256 + text[p]];
    matched[s] = (u8)(accepting >> state & 1);
}
