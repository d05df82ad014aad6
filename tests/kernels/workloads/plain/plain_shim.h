/* What the plain workloads need beyond cuda_shim.h: floating-point functions, vector types of floats, packed halves. */
#pragma once
#include "../cuda_shim.h"

typedef unsigned long size_t;

/* Under names of their own, so that cuda_shim.h may come to define any of them. */
#define rsqrtf plain_rsqrtf
#define __expf plain_expf
#define __logf plain_logf
#define __sinf plain_sinf
#define __sincosf plain_sincosf
#define sincospi plain_sincospi
#define sincospif plain_sincospif
#define __float2int_rn plain_float2int_rn
#define float4 plain_float4
#define uchar2 plain_uchar2
#define make_float4 plain_make_float4
#define make_int4 plain_make_int4
#define __brevll plain_brevll
#define __vadd2 plain_vadd2
#define __vsub2 plain_vsub2
#define __vmaxs2 plain_vmaxs2
#define __vcmpeq2 plain_vcmpeq2
#define __vminu4 plain_vminu4
#define __vmaxu4 plain_vmaxu4
#define __vmins4 plain_vmins4
#define __vmaxs4 plain_vmaxs4
#define __threadfence_system plain_threadfence_system

extern "C" {
float expf(float); float logf(float); float powf(float, float); float tanhf(float); float fmaxf(float, float);
float fminf(float, float); float fabsf(float); float rintf(float); float roundf(float); float floorf(float);
float erfcf(float); float acosf(float); float fmaf(float, float, float);
double exp(double); double log(double); double pow(double, double); double fmax(double, double);
}
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline float __expf(float x) { return expf(x); }
static inline float __logf(float x) { return logf(x); }
static inline float __sinf(float x) { return sinf(x); }
static inline void __sincosf(float x, float *s, float *c) { sincosf(x, s, c); }
static inline void sincospif(float x, float *s, float *c) { sincosf(3.14159265f * x, s, c); }
static inline void sincospi(double x, double *s, double *c) { sincos(3.14159265358979323846 * x, s, c); }
static inline int __float2int_rn(float x) { return (int)rintf(x); }

struct __align__(16) float4 { float x, y, z, w; };
struct __align__(2) uchar2 { unsigned char x, y; };
static inline float4 make_float4(float a, float b, float c, float d) { return {a, b, c, d}; }
static inline int4 make_int4(int a, int b, int c, int d) { return {a, b, c, d}; }

static inline shim_u64 __brevll(shim_u64 v) { return (shim_u64)__brev((unsigned)v) << 32 | __brev((unsigned)(v >> 32)); }
template <class Lane, int N, class Op> static inline unsigned lanes(unsigned a, unsigned b, Op op) {
    Lane x[N], y[N];
    memcpy(x, &a, 4);
    memcpy(y, &b, 4);
    for (int i = 0; i < N; ++i) x[i] = (Lane)op(x[i], y[i]);
    memcpy(&a, x, 4);
    return a;
}
static inline unsigned __vadd2(unsigned a, unsigned b) { return lanes<short, 2>(a, b, [](int x, int y) { return x + y; }); }
static inline unsigned __vsub2(unsigned a, unsigned b) { return lanes<short, 2>(a, b, [](int x, int y) { return x - y; }); }
static inline unsigned __vmaxs2(unsigned a, unsigned b) { return lanes<short, 2>(a, b, [](int x, int y) { return x > y ? x : y; }); }
static inline unsigned __vcmpeq2(unsigned a, unsigned b) { return lanes<short, 2>(a, b, [](int x, int y) { return x == y ? -1 : 0; }); }
static inline unsigned __vminu4(unsigned a, unsigned b) { return lanes<unsigned char, 4>(a, b, [](int x, int y) { return x < y ? x : y; }); }
static inline unsigned __vmaxu4(unsigned a, unsigned b) { return lanes<unsigned char, 4>(a, b, [](int x, int y) { return x > y ? x : y; }); }
static inline unsigned __vmins4(unsigned a, unsigned b) { return lanes<signed char, 4>(a, b, [](int x, int y) { return x < y ? x : y; }); }
static inline unsigned __vmaxs4(unsigned a, unsigned b) { return lanes<signed char, 4>(a, b, [](int x, int y) { return x > y ? x : y; }); }
static inline void __threadfence_system() {}
