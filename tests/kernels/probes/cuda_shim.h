/* Lets g++ compile a CUDA C file and run its kernels on the CPU, so that they can be compared with known answers.
   Every CUDA thread of a block is a fiber (cuda_shim.cpp); barriers and shuffles switch between them.
   No system header is included: the kernels declare their own integer types. */
#pragma once

typedef unsigned int shim_u32;
typedef unsigned long long shim_u64;

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct shim_dim3 { unsigned x, y, z; };
extern shim_dim3 threadIdx, blockIdx, blockDim, gridDim;
static const int warpSize = 32;

struct uchar4 { unsigned char x, y, z, w; };
struct char4 { signed char x, y, z, w; };
struct __align__(8) uint2 { unsigned x, y; };
struct __align__(8) int2 { int x, y; };
struct __align__(8) float2 { float x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
struct __align__(16) int4 { int x, y, z, w; };
struct __align__(16) ulonglong2 { unsigned long long x, y; };
struct __align__(16) double2 { double x, y; };
struct __align__(16) ulonglong4 { unsigned long long x, y, z, w; };
static inline uint2 make_uint2(unsigned a, unsigned b) { return {a, b}; }
static inline int2 make_int2(int a, int b) { return {a, b}; }
static inline float2 make_float2(float a, float b) { return {a, b}; }
static inline double2 make_double2(double a, double b) { return {a, b}; }
static inline uint4 make_uint4(unsigned a, unsigned b, unsigned c, unsigned d) { return {a, b, c, d}; }
static inline int4 make_int4(int a, int b, int c, int d) { return {a, b, c, d}; }
static inline ulonglong2 make_ulonglong2(shim_u64 a, shim_u64 b) { return {a, b}; }
static inline ulonglong4 make_ulonglong4(shim_u64 a, shim_u64 b, shim_u64 c, shim_u64 d) { return {a, b, c, d}; }
static inline uchar4 make_uchar4(unsigned char a, unsigned char b, unsigned char c, unsigned char d) { return {a, b, c, d}; }

extern "C" void *memcpy(void *, const void *, unsigned long);
extern "C" void *memset(void *, int, unsigned long);
extern "C" double sqrt(double);
extern "C" double cos(double);
extern "C" double sin(double);
extern "C" float cosf(float);
extern "C" float sinf(float);
extern "C" float sqrtf(float);
extern "C" double floor(double);
extern "C" double fabs(double);
extern "C" void sincos(double, double *, double *);
extern "C" void sincosf(float, float *, float *);
extern "C" void sincospif(float, float *, float *);

/* Fibers */
extern "C" void shim_launch(void (*)(void *), void *, shim_dim3, shim_dim3);
extern "C" void __syncthreads();
extern "C" void shim_warp_barrier();
extern "C" shim_u64 shim_exchange(shim_u64 value, unsigned lane, bool valid);
extern "C" unsigned shim_lane();
extern "C" unsigned shim_ballot(int predicate);
static inline void __syncwarp(unsigned = ~0u) { shim_warp_barrier(); }
static inline void __threadfence() {}
static inline void __threadfence_block() {}
extern "C" int __syncthreads_or(int);
extern "C" int __syncthreads_count(int);

template <class T> static inline shim_u64 shim_bits(T v) { shim_u64 b = 0; memcpy(&b, &v, sizeof v); return b; }
template <class T> static inline T shim_value(shim_u64 b) { T v; memcpy(&v, &b, sizeof v); return v; }
template <class T> static inline T shim_shuffle(T v, int lane, int width, bool inside) {
    unsigned base = shim_lane() & ~(unsigned)(width - 1);
    unsigned from = inside ? base + ((unsigned)lane & (unsigned)(width - 1)) : shim_lane();
    return shim_value<T>(shim_exchange(shim_bits(v), from, true));
}
template <class T> static inline T __shfl_sync(unsigned, T v, int lane, int width = 32) { return shim_shuffle(v, lane, width, true); }
template <class T> static inline T __shfl_xor_sync(unsigned, T v, int mask, int width = 32) {
    return shim_shuffle(v, (int)(shim_lane() ^ (unsigned)mask), width, true);
}
template <class T> static inline T __shfl_up_sync(unsigned, T v, unsigned d, int width = 32) {
    int own = (int)(shim_lane() & (unsigned)(width - 1));
    return shim_shuffle(v, own - (int)d, width, own >= (int)d);
}
template <class T> static inline T __shfl_down_sync(unsigned, T v, unsigned d, int width = 32) {
    int own = (int)(shim_lane() & (unsigned)(width - 1));
    return shim_shuffle(v, own + (int)d, width, own + (int)d < width);
}
static inline unsigned __ballot_sync(unsigned mask, int p) { return shim_ballot(p) & mask; }
static inline int __any_sync(unsigned mask, int p) { return (shim_ballot(p) & mask) != 0; }
static inline int __all_sync(unsigned mask, int p) { return (shim_ballot(p) & mask) == mask; }
static inline unsigned __activemask() { return ~0u; }

/* Integer intrinsics, from the CUDA programming guide's definitions */
static inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned s) {
    return (unsigned)(((((shim_u64)hi << 32) | lo) << (s & 31)) >> 32);
}
static inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned s) {
    return (unsigned)((((shim_u64)hi << 32) | lo) >> (s & 31));
}
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned s) {
    shim_u64 both = ((shim_u64)b << 32) | a;
    unsigned r = 0;
    for (int i = 0; i < 4; ++i) r |= (unsigned)((both >> (8 * ((s >> (4 * i)) & 7))) & 255u) << (8 * i);
    return r;
}
static inline int __dp4a(int a, int b, int c) {
    for (int i = 0; i < 4; ++i) c += (int)(signed char)(a >> (8 * i)) * (int)(signed char)(b >> (8 * i));
    return c;
}
static inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
    for (int i = 0; i < 4; ++i) c += ((a >> (8 * i)) & 255u) * ((b >> (8 * i)) & 255u);
    return c;
}
static inline int __popc(unsigned v) { return __builtin_popcount(v); }
static inline int __popcll(shim_u64 v) { return __builtin_popcountll(v); }
static inline int __clz(int v) { return v ? __builtin_clz((unsigned)v) : 32; }
static inline int __clzll(long long v) { return v ? __builtin_clzll((shim_u64)v) : 64; }
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline int __ffsll(long long v) { return __builtin_ffsll(v); }
static inline unsigned __brev(unsigned v) {
    unsigned r = 0;
    for (int i = 0; i < 32; ++i) r |= ((v >> i) & 1u) << (31 - i);
    return r;
}
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((shim_u64)a * b) >> 32); }
static inline int __mulhi(int a, int b) { return (int)(((long long)a * b) >> 32); }
static inline shim_u64 __umul64hi(shim_u64 a, shim_u64 b) { return (shim_u64)(((unsigned __int128)a * b) >> 64); }
static inline float __uint_as_float(unsigned v) { return shim_value<float>(v); }
static inline unsigned __float_as_uint(float v) { return (unsigned)shim_bits(v); }
static inline float __int_as_float(int v) { return shim_value<float>((unsigned)v); }
static inline int __float_as_int(float v) { return (int)shim_bits(v); }
static inline long long __double_as_longlong(double v) { return (long long)shim_bits(v); }
template <class T> static inline T __ldg(const T *p) { return *p; }
template <class T> static inline T __ldcs(const T *p) { return *p; }
template <class T> static inline T __ldcg(const T *p) { return *p; }
template <class T> static inline void __stcs(T *p, T v) { *p = v; }
template <class A, class B> static inline auto min(A a, B b) -> decltype(a + b) { return a < b ? a : b; }
template <class A, class B> static inline auto max(A a, B b) -> decltype(a + b) { return a > b ? a : b; }

#define SHIM_ATOMIC(NAME, EXPRESSION)                                                                    \
    template <class T, class U> static inline T NAME(T *p, U value) {                                    \
        T old = *p, v = (T)value;                                                                        \
        *p = (EXPRESSION);                                                                               \
        return old;                                                                                      \
    }
SHIM_ATOMIC(atomicAdd, (T)(old + v))
SHIM_ATOMIC(atomicSub, (T)(old - v))
SHIM_ATOMIC(atomicOr, (T)(old | v))
SHIM_ATOMIC(atomicAnd, (T)(old & v))
SHIM_ATOMIC(atomicXor, (T)(old ^ v))
SHIM_ATOMIC(atomicExch, v)
SHIM_ATOMIC(atomicMin, v < old ? v : old)
SHIM_ATOMIC(atomicMax, v > old ? v : old)
SHIM_ATOMIC(atomicInc, old >= v ? T(0) : T(old + 1))
template <class T, class U, class V> static inline T atomicCAS(T *p, U expected, V v) {
    T old = *p;
    if (old == (T)expected) *p = (T)v;
    return old;
}

/* Calls a kernel with arguments that lie in memory, as a driver does */
template <unsigned... I> struct shim_indices {};
template <unsigned N, unsigned... I> struct shim_count : shim_count<N - 1, N - 1, I...> {};
template <unsigned... I> struct shim_count<0, I...> { typedef shim_indices<I...> type; };
template <class T> struct shim_plain { typedef T type; };
template <class T> struct shim_plain<const T> { typedef T type; };
template <class... A> struct shim_call { void (*kernel)(A...); void **arguments; };
template <class... A, unsigned... I> static inline void shim_apply(shim_call<A...> *c, shim_indices<I...>) {
    c->kernel(*(typename shim_plain<A>::type *)c->arguments[I]...);
}
template <class... A> static void shim_thread(void *c) {
    shim_apply((shim_call<A...> *)c, typename shim_count<sizeof...(A)>::type());
}
template <class... A> static void shim_run(void (*kernel)(A...), const unsigned *shape, void **arguments) {
    shim_call<A...> call = {kernel, arguments};
    shim_launch(shim_thread<A...>, &call, shim_dim3{shape[0], shape[1], 1}, shim_dim3{shape[2], shape[3], 1});
}
#define SHIM_EXPORT(kernel) \
    extern "C" void launch_##kernel(const unsigned *shape, void **arguments) { shim_run(kernel, shape, arguments); }
#define SHIM_SYMBOL(name) extern "C" void *symbol_##name() { return (void *)&name; }
