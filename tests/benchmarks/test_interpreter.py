"""The interpreter of GPU machine code: numbers as NumPy has them, counts as foretold, faults where a GPU has them.

That whole programs come out right is what the workloads' tests say, which run on it.
"""

from __future__ import annotations

import numpy as np
import pytest
from sm_driver import module_of
from sm_library import Fault

from hashwarden.errors import UnsupportedError, UsageError
from hashwarden.kernels.device import SIMULATED

pytestmark = pytest.mark.skipif(SIMULATED, reason="the simulator compiles nothing")
RANDOM = np.random.default_rng(11)
N = 256

INTEGERS = r"""
typedef unsigned u32; typedef unsigned long long u64; typedef long long i64;
extern "C" __global__ void integers(const u32 *a, const u32 *b, const u64 *c, const u64 *d, u32 *out, u64 *wide) {
    const int i = threadIdx.x + blockIdx.x * blockDim.x, n = blockDim.x * gridDim.x;
    const u32 x = a[i], y = b[i];
    const u64 p = c[i], q = d[i] | 1;
    u32 *to = out + i;
    to[0 * n] = x / (y | 1); to[1 * n] = x % (y | 1); to[2 * n] = (u32)((int)x / (int)(y | 1));
    to[3 * n] = __popc(x); to[4 * n] = __clz(x & 0xffff); to[5 * n] = __brev(x); to[6 * n] = __ffs(x & 0xf0f0);
    to[7 * n] = __byte_perm(x, y, y & 0xffff); to[8 * n] = __funnelshift_l(x, y, x & 63);
    to[9 * n] = __dp4a((int)x, (int)y, 7); to[10 * n] = __dp4a(x, y, 7u);
    to[11 * n] = (u32)min((int)x, (int)y); to[12 * n] = max(x, y); to[13 * n] = __umulhi(x, y);
    to[14 * n] = (u32)__mulhi((int)x, (int)y); to[15 * n] = (u32)abs((int)x); to[16 * n] = x >= y ? x - y : x + y;
    u64 *big = wide + i;
    big[0 * n] = p * q; big[1 * n] = p / q; big[2 * n] = p % q; big[3 * n] = __umul64hi(p, q);
    big[4 * n] = p >> (q & 63); big[5 * n] = p << (q & 63); big[6 * n] = (u64)((i64)p >> (q & 63));
    big[7 * n] = p - q; big[8 * n] = (u64)((i64)p < (i64)q); big[9 * n] = (u64)(-(i64)p) + q;
}
"""


def signed(array: np.ndarray) -> np.ndarray:
    return array.view(array.dtype.str.replace("u", "i"))


def test_integers_are_those_of_numpy() -> None:
    a, b = RANDOM.integers(0, 1 << 32, (2, N), np.uint32)
    c, d = RANDOM.integers(0, 1 << 64, (2, N), np.uint64) >> RANDOM.integers(0, 60, (2, N), np.uint64)
    a[:4], b[:4], c[:4] = (0, 1, 2**32 - 1, 2**31), (0, 2**32 - 1, 2**31, 2**31), (0, 1, 2**64 - 1, 2**63)
    out, wide = np.zeros((17, N), np.uint32), np.zeros((10, N), np.uint64)
    module_of(INTEGERS).launch("integers", 2, N // 2, a, b, c, d, out, wide)
    odd, q, long_a, long_b = b | 1, d | 1, a.astype(np.uint64), b.astype(np.uint64)
    quotients = [
        int(x / y) if y else 0 for x, y in zip(signed(a).astype(float), signed(odd).astype(float), strict=True)
    ]
    count = [bin(v).count("1") for v in a.tolist()]
    bits = [int(f"{v:032b}"[::-1], 2) for v in a.tolist()]
    both = [(y << 32 | x) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    select = [[s >> 4 * n & 15 for n in range(4)] for s in (b & 0xFFFF).tolist()]
    bytes_of = [
        sum((w >> 8 * (s & 7) & 255) << 8 * n
            for n, s in enumerate(row)) for w, row in zip(both, select, strict=True)
    ]  # fmt: skip
    left = [(w << (x & 31)) >> 32 & 0xFFFFFFFF for w, x in zip(both, a.tolist(), strict=True)]
    four = [np.frombuffer(x.tobytes(), kind).reshape(-1, 4).astype(np.int64) for kind in ("i1", "u1") for x in (a, b)]
    expected = [
        a // odd, a % odd, quotients, count, [32 - v.bit_length() for v in (a & 0xFFFF).tolist()], bits,
        [(v & -v).bit_length() for v in (a & 0xF0F0).tolist()], bytes_of, left, (four[0] * four[1]).sum(1) + 7,
        (four[2] * four[3]).sum(1) + 7, np.minimum(signed(a), signed(b)), np.maximum(a, b), long_a * long_b >> 32,
        signed(a).astype(np.int64) * signed(b) >> 32, np.abs(signed(a).astype(np.int64)),
        np.where(a >= b, a - b, a + b),
    ]  # fmt: skip
    for row, (got, want) in enumerate(zip(out, expected, strict=True)):
        assert np.array_equal(got, (np.asarray(want, np.int64) & 0xFFFFFFFF).astype(np.uint32)), row
    shift, high = q & np.uint64(63), [x * y >> 64 for x, y in zip(c.tolist(), q.tolist(), strict=True)]
    with np.errstate(over="ignore"):
        larger = [c * q, c // q, c % q, np.array(high, np.uint64), c >> shift, c << shift,
                  (signed(c) >> shift.astype(np.int64)).view(np.uint64), c - q, signed(c) < signed(q),
                  q - c]  # fmt: skip
    for row, (got, want) in enumerate(zip(wide, larger, strict=True)):
        assert np.array_equal(got, np.asarray(want).astype(np.uint64)), row


FLOATS = r"""
extern "C" __global__ void floats(const float *a, const float *b, const double *c, const double *d, float *out,
                                  double *wide, int *whole, unsigned short *half, float *back) {
    const int i = threadIdx.x + blockIdx.x * blockDim.x, n = blockDim.x * gridDim.x;
    const float x = a[i], y = b[i];
    const double p = c[i], q = d[i];
    out[i] = x + y; out[n + i] = x * y; out[2 * n + i] = __fmaf_rn(x, y, x); out[3 * n + i] = x / y;
    out[4 * n + i] = sqrtf(fabsf(x)); out[5 * n + i] = fminf(x, y); out[6 * n + i] = floorf(x);
    out[7 * n + i] = rintf(x);
    out[8 * n + i] = __fadd_rz(x, y); out[9 * n + i] = __fmul_ru(x, y); out[10 * n + i] = __saturatef(x);
    out[11 * n + i] = (float)p;
    wide[i] = p + q; wide[n + i] = p * q; wide[2 * n + i] = fma(p, q, p); wide[3 * n + i] = p / q;
    wide[4 * n + i] = sqrt(fabs(p)); wide[5 * n + i] = fmax(p, q); wide[6 * n + i] = trunc(p); wide[7 * n + i] = x;
    whole[i] = (int)x; whole[n + i] = (int)__float2uint_rn(x); whole[2 * n + i] = __float2int_rd(x);
    whole[3 * n + i] = x < y; whole[4 * n + i] = !(x < y); whole[5 * n + i] = __double2int_rn(p);
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half[i]) : "f"(x));
    asm("cvt.f32.f16 %0, %1;" : "=f"(back[i]) : "h"(half[i]));
}
"""


def test_floats_are_those_of_numpy() -> None:
    scale = 10.0 ** RANDOM.integers(-6, 7, (4, N))
    a, b = (RANDOM.normal(size=(2, N)) * scale[:2]).astype(np.float32)
    c, d = RANDOM.normal(size=(2, N)) * scale[2:]
    a[:6], b[:6] = (0, -0.0, np.nan, np.inf, 3e9, -3e9), (1, 1, 1, 2, 1, 1)
    out, wide, whole = np.zeros((12, N), np.float32), np.zeros((8, N)), np.zeros((6, N), np.int32)
    half, back = np.zeros(N, np.uint16), np.zeros(N, np.float32)
    module_of(FLOATS).launch("floats", 2, N // 2, a, b, c, d, out, wide, whole, half, back)
    one = np.float32
    with np.errstate(all="ignore"):
        sums, products = a.astype(float) + b.astype(float), a.astype(float) * b.astype(float)
        nearest, upper = sums.astype(one), products.astype(one)
        toward = np.where(np.abs(nearest) > np.abs(sums), np.nextafter(nearest, one(0)), nearest)
        upward = np.where(upper < products, np.nextafter(upper, one(np.inf)), upper)
        expected = [a + b, a * b, (products + a).astype(one), a / b, np.sqrt(np.abs(a)), np.fmin(a, b), np.floor(a),
                    np.rint(a), toward, upward, np.where(np.isnan(a), 0, np.clip(a, 0, 1)), c.astype(one)]  # fmt: skip
        larger = [c + d, c * d, None, c / d, np.sqrt(np.abs(c)), np.maximum(c, d), np.trunc(c), a.astype(float)]
        clipped = np.where(np.isnan(a), 0, np.clip(a.astype(float), -(2.0**31), 2**31 - 1))
        numbers = [np.trunc(clipped), np.rint(np.where(np.isnan(a), 0, np.clip(a.astype(float), 0, 2**32 - 1))),
                   np.floor(clipped), a < b, ~(a < b), np.rint(c)]  # fmt: skip
        narrow = a.astype(np.float16)
    for row, (got, want) in enumerate(zip(out, expected, strict=True)):
        assert np.array_equal(got, want, equal_nan=True), row
    for row, (got, want) in enumerate(zip(wide, larger, strict=True)):
        assert want is None or np.array_equal(got, want, equal_nan=True), row
    assert np.allclose(wide[2], c * d + c, rtol=1e-12)
    for row, (got, want) in enumerate(zip(whole, numbers, strict=True)):
        assert np.array_equal(got, np.asarray(want).astype(np.int64).astype(np.int32)), row
    usual = ~np.isnan(a)
    assert np.array_equal(half.view(np.float16)[usual], narrow[usual])
    assert np.array_equal(back, narrow.astype(one), equal_nan=True)


TOGETHER = r"""
extern "C" __global__ void together(const unsigned *in, unsigned *out, unsigned *sums, unsigned long long *least) {
    __shared__ unsigned box[64];
    const unsigned t = threadIdx.x, lane = t & 31, v = in[t];
    box[t] = v;
    __syncthreads();
    out[t] = box[63 - t];
    out[64 + t] = __shfl_xor_sync(~0u, v, 5);
    out[128 + t] = __shfl_up_sync(~0u, v, 3, 8);
    out[192 + t] = __ballot_sync(~0u, v & 1);
    out[256 + t] = __reduce_add_sync(~0u, v);
    out[320 + t] = __all_sync(~0u, v < 1000) * 2 + __any_sync(~0u, v == in[0]);
    unsigned got = 0;
    if (v & 1) { for (unsigned k = 0; k <= lane; ++k) got += in[k]; } else got = ~v;
    out[384 + t] = got + __shfl_sync(~0u, got, 31);
    out[448 + t] = (unsigned)__syncthreads_or(v == 777);
    atomicAdd(sums, v); atomicMax(sums + 1, v); atomicXor(sums + 2, v); atomicMin(least, (unsigned long long)v);
    if (atomicCAS(sums + 3, 0u, t + 1) == 0u) sums[4] = t;
}
"""


def test_threads_work_together() -> None:
    values = RANDOM.integers(0, 1000, 64, np.uint32)
    out, sums, least = np.zeros((8, 64), np.uint32), np.zeros(5, np.uint32), np.array([2**64 - 1], np.uint64)
    module_of(TOGETHER).launch("together", 1, 64, values, out, sums, least)
    lane, warps = np.arange(64), values.reshape(2, 32)
    own = [int(values[: t % 32 + 1].sum()) if values[t] & 1 else ~int(values[t]) & 0xFFFFFFFF for t in range(64)]
    ballots = [sum(int(v & 1) << n for n, v in enumerate(row)) for row in warps.tolist()]
    expected = [
        values[::-1], values[lane ^ 5], values[np.where(lane % 8 >= 3, lane - 3, lane)], np.repeat(ballots, 32),
        np.repeat(warps.sum(1), 32), np.repeat([2 + int((row == values[0]).any()) for row in warps], 32),
        [(own[t] + own[t // 32 * 32 + 31]) & 0xFFFFFFFF for t in range(64)], [int((values == 777).any())] * 64,
    ]  # fmt: skip
    for row, (got, want) in enumerate(zip(out, expected, strict=True)):
        assert np.array_equal(got, np.asarray(want, np.uint32)), row
    assert sums.tolist() == [values.sum(), values.max(), np.bitwise_xor.reduce(values), sums[4] + 1, sums[4]]
    assert least[0] == values.min()


LOOPS = r"""
extern "C" __global__ void loops(const int *turns, int *out, int count) {
    const int i = threadIdx.x + blockIdx.x * blockDim.x;
    if (i >= count) return;
    int v = i;
#pragma unroll 1
    for (int n = 0; n < turns[i]; ++n) v = v * 3 + n;
    out[i] = v;
}
"""


def stores(module, kernel: str) -> list[tuple[int, int]]:
    """Warps and threads that carried out each store to global memory."""
    code = module.kernel(kernel)
    return [tuple(row) for row in code.counts.T[np.flatnonzero((code.words[:, 0] & 0x1FF) == 0x186)].tolist()]


def most(module, kernel: str) -> tuple[int, int]:
    """The counts of the instruction that most warps carried out."""
    counts = module.kernel(kernel).counts
    return int(counts[0].max()), int(counts[1][counts[0].argmax()])


def test_what_is_executed_is_counted_by_warps_and_by_threads() -> None:
    module, out = module_of(LOOPS), np.zeros(96, np.int32)
    module.launch("loops", 3, 32, np.full(96, 10, np.int32), out, np.int32(96))
    assert (stores(module, "loops"), most(module, "loops")) == ([(3, 96)], (30, 960))
    turns, again = np.arange(96, dtype=np.int32) % 32, module_of(LOOPS)
    again.launch("loops", 3, 32, turns, out, np.int32(70))  # a warp runs as often as the slowest of its threads
    assert stores(again, "loops") == [(3, 70)]
    assert most(again, "loops") == (31 + 31 + 5, 2 * sum(range(32)) + sum(range(6)))


FAULTS = r"""
extern "C" __global__ void reads(const int *in, int *out, long long at) { out[0] = in[at]; }
extern "C" __global__ void splits(const char *in, int *out, long long at) { out[0] = *(const int *)(in + at); }
extern "C" __global__ void spins(volatile int *flag) { while (!flag[0]); }
extern "C" __global__ void shares(int *out, int at) {
    extern __shared__ int box[];
    box[at] = at;
    __syncthreads();
    out[0] = box[at];
}
extern "C" __global__ void sleeps() { __nanosleep(100); }
__device__ int level;
extern "C" __global__ void tells(int *out) { out[0] = level; }
"""


@pytest.fixture(scope="module")
def faulty():
    return module_of(FAULTS)


def test_memory_that_is_not_there_is_a_fault_that_says_where(faulty) -> None:
    box, out = np.arange(8, dtype=np.int32), np.zeros(1, np.int32)
    faulty.launch("reads", 1, 1, box, out, np.int64(7))
    assert out[0] == 7
    for far in (1 << 20, -(1 << 30)):
        address = box.ctypes.data + 4 * far
        with pytest.raises(Fault, match=rf"reads: the illegal address {address:#x} \(instruction 0x[0-9a-f]+, block 0"):
            faulty.launch("reads", 1, 1, box, out, np.int64(far))
    with pytest.raises(Fault, match="splits: a misaligned address"):
        faulty.launch("splits", 1, 1, box, out, np.int64(2))
    faulty.launch("shares", 1, 1, out, np.int32(5), shared_bytes=24)
    with pytest.raises(Fault, match="beyond shared memory"):
        faulty.launch("shares", 1, 1, out, np.int32(6), shared_bytes=24)


def test_what_never_ends_is_given_up(faulty) -> None:
    flag = np.ones(1, np.int32)
    faulty.launch("spins", 1, 32, flag)
    with pytest.raises(Fault, match="more instructions than allowed"):
        faulty.launch("spins", 1, 32, np.zeros(1, np.int32), limit=10_000)


def test_what_it_does_not_know_is_refused_by_name(faulty) -> None:
    with pytest.raises(UnsupportedError, match="the operation NANOSLEEP"):
        faulty.launch("sleeps", 1, 32)


def test_launches_that_do_not_fit(faulty) -> None:
    with pytest.raises(UsageError, match=r"no kernel writes; expected .*reads"):
        faulty.launch("writes", 1, 1)
    with pytest.raises(UsageError, match="1 arguments; expected 3"):
        faulty.launch("reads", 1, 1, np.zeros(1, np.int32))
    with pytest.raises(UsageError, match="an argument of 4 bytes; expected 8"):
        faulty.launch("reads", 1, 1, np.zeros(1, np.int32), np.zeros(1, np.int32), np.int32(0))


def test_variables_are_written_by_name(faulty) -> None:
    out = np.zeros(1, np.int32)
    faulty.write("level", np.int32(9).tobytes())
    faulty.launch("tells", 1, 1, out)
    assert out[0] == 9
    with pytest.raises(UsageError, match="no variable depth"):
        faulty.write("depth", b"\0")
    with pytest.raises(UsageError, match="5 bytes for level"):
        faulty.write("level", bytes(5))
