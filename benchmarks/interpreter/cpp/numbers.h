/* One and the same bits as another kind of number. */
#pragma once

#include <cstring>

#include "machine.h"

template <class To, class From> inline To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

inline float as_float(u32 v) { return same_bits<float>(v); }
inline double as_double(u64 v) { return same_bits<double>(v); }
inline u32 as_bits(float f) { return same_bits<u32>(f); }
inline u64 as_bits(double d) { return same_bits<u64>(d); }
