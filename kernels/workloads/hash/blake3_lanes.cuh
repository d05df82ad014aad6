// BLAKE3 with rows of the state as uint4 vectors: a C++ author's way.
#pragma once

namespace b3 {

using word = unsigned int;

__device__ constexpr word iv(int i) {
    constexpr word table[8] = {0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au,
                               0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u};
    return table[i];
}

// Index of the message word that position `i` of round `Round` reads.
template <int Round>
struct Schedule {
    __device__ static constexpr int at(int i) {
        constexpr int order[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
        return Schedule<Round - 1>::at(order[i]);
    }
};
template <>
struct Schedule<0> {
    __device__ static constexpr int at(int i) { return i; }
};

template <int N>
__device__ __forceinline__ word ror(word x) {
    if constexpr (N == 16) return __byte_perm(x, 0u, 0x1032);
    else if constexpr (N == 8) return __byte_perm(x, 0u, 0x0321);
    else return __funnelshift_r(x, x, N);
}

__device__ __forceinline__ uint4 operator+(uint4 a, uint4 b) {
    return make_uint4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}
__device__ __forceinline__ uint4 operator^(uint4 a, uint4 b) {
    return make_uint4(a.x ^ b.x, a.y ^ b.y, a.z ^ b.z, a.w ^ b.w);
}
template <int N>
__device__ __forceinline__ uint4 ror(uint4 a) {
    return make_uint4(ror<N>(a.x), ror<N>(a.y), ror<N>(a.z), ror<N>(a.w));
}

struct Rows {
    uint4 a, b, c, d;
};

__device__ __forceinline__ void mix(Rows &s, uint4 x, uint4 y) {
    s.a = s.a + s.b + x;
    s.d = ror<16>(s.d ^ s.a);
    s.c = s.c + s.d;
    s.b = ror<12>(s.b ^ s.c);
    s.a = s.a + s.b + y;
    s.d = ror<8>(s.d ^ s.a);
    s.c = s.c + s.d;
    s.b = ror<7>(s.b ^ s.c);
}

template <int Round = 0>
__device__ __forceinline__ void rounds(Rows &s, const word (&m)[16]) {
    if constexpr (Round < 7) {
        using S = Schedule<Round>;
        mix(s, make_uint4(m[S::at(0)], m[S::at(2)], m[S::at(4)], m[S::at(6)]),
            make_uint4(m[S::at(1)], m[S::at(3)], m[S::at(5)], m[S::at(7)]));
        s.b = make_uint4(s.b.y, s.b.z, s.b.w, s.b.x);
        s.c = make_uint4(s.c.z, s.c.w, s.c.x, s.c.y);
        s.d = make_uint4(s.d.w, s.d.x, s.d.y, s.d.z);
        mix(s, make_uint4(m[S::at(8)], m[S::at(10)], m[S::at(12)], m[S::at(14)]),
            make_uint4(m[S::at(9)], m[S::at(11)], m[S::at(13)], m[S::at(15)]));
        s.b = make_uint4(s.b.w, s.b.x, s.b.y, s.b.z);
        s.c = make_uint4(s.c.z, s.c.w, s.c.x, s.c.y);
        s.d = make_uint4(s.d.y, s.d.z, s.d.w, s.d.x);
        rounds<Round + 1>(s, m);
    }
}

struct Digest {
    uint4 low, high;
};

__device__ __forceinline__ Digest compress(Digest cv, const word (&m)[16], word counter, word length, word flags) {
    Rows s = {cv.low, cv.high, make_uint4(iv(0), iv(1), iv(2), iv(3)), make_uint4(counter, 0u, length, flags)};
    rounds(s, m);
    return {s.a ^ s.c, s.b ^ s.d};
}

__device__ __forceinline__ Digest start() {
    return {make_uint4(iv(0), iv(1), iv(2), iv(3)), make_uint4(iv(4), iv(5), iv(6), iv(7))};
}

}  // namespace b3
