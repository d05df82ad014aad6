/* Stand-ins for the pinned instructions, included before the probes' CUDA C when it is built for the CPU.
   Each thread has a clock of its own that moves only by what its instructions cost, so that every sample can be
   foretold: cycles are spent at 2 GHz, and for given stretches the GPU belongs to others and every clock jumps.
   Integer steps compute what the PTX does; the two tensor steps are mere sums, one lane at a time. */
#define PROBE_STAND_INS
#define LINKS 16

enum { LOP3, SHF, IMAD, FFMA, HFMA2, DFMA, DP4A, MUFU, HMMA, IMMA, LDS, LDG, ATOM, SETTLE, CLOCK, TIMER, KINDS };
static shim_u32 costs[KINDS];     // cycles
static shim_u64 spent[4096];      // cycles of each thread since the launch began
static shim_u64 epoch;            // ns at which the launch began
static shim_u64 taken_at[8], taken_for[8];
static shim_u32 taken;            // stretches of ns that belong to others

static shim_u64 shim_real(shim_u64 own) {
    for (shim_u32 i = 0; i < taken; ++i) own += own >= taken_at[i] ? taken_for[i] : 0;
    return own;
}
static shim_u64 &shim_spent() { return spent[(blockIdx.x * blockDim.x + threadIdx.x) & 4095]; }
static void shim_pay(int kind) { shim_spent() += costs[kind]; }

static shim_u64 clock_now() { shim_pay(CLOCK); return 2 * shim_real(epoch + shim_spent() / 2) + (shim_spent() & 1); }
static shim_u64 timer_now() { shim_pay(TIMER); return shim_real(epoch + shim_spent() / 2); }
static void settle(shim_u32 *slot, shim_u32 word) { *slot = word; shim_pay(SETTLE); }
static void lop3(shim_u32 &x, shim_u32 a, shim_u32 b) { x = b ^ (x & a); shim_pay(LOP3); }
static void shf(shim_u32 &x, shim_u32 a, shim_u32 s) { x = __funnelshift_l(x, a, s); shim_pay(SHF); }
static void imad(shim_u32 &x, shim_u32 a, shim_u32 b) { x = x * a + b; shim_pay(IMAD); }
static void ffma(float &x, float a, float b) { x = __builtin_fmaf(x, a, b); shim_pay(FFMA); }
static void hfma2(shim_u32 &x, shim_u32 a, shim_u32 b) { x += a ^ b; shim_pay(HFMA2); }
static void dfma(double &x, double a, double b) { x = __builtin_fma(x, a, b); shim_pay(DFMA); }
static void dp4a(shim_u32 &x, shim_u32 a, shim_u32 b) { x = (shim_u32)__dp4a((int)x, (int)a, (int)b); shim_pay(DP4A); }
static void rsqrt_(float &x) { x = 1.0f / sqrtf(x); shim_pay(MUFU); }
static void hmma(float (&c)[4], const shim_u32 (&a)[4], const shim_u32 (&b)[2]) { c[0] += (float)(a[0] & b[1]); shim_pay(HMMA); }
static void imma(shim_u32 (&c)[4], const shim_u32 (&a)[4], const shim_u32 (&b)[2]) { c[0] += a[0] ^ b[1]; shim_pay(IMMA); }
static void load_shared(shim_u32 &x, const shim_u32 *ring) { x = ring[x]; shim_pay(LDS); }
static void load_l2(shim_u32 &x, const shim_u32 *memory) { x = memory[x]; shim_pay(LDG); }
static void atomic_add(shim_u32 &x, shim_u32 *word) { const shim_u32 old = *word; *word = old + x; x = old; shim_pay(ATOM); }
