"""Fast Fourier transforms of many complex signals, by Stockham's self-sorting passes.

Radix 4, with one pass of radix 2 where the length is no power of four (Govindaraju and others, SC 2008). Each
pass reads with a long stride and writes with a growing one; floating point, no randomness.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.others.mixing import mix_32
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_close
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan"]

_CIRCLE: Final = np.float32(2 * math.pi)
_SAMPLE: Final = 16


@device
def fill(thread: Any, log: Any, signal: Any, salt: Any) -> None:
    """Make real and imaginary part of sample ``thread``, each from -1 to 1."""
    t = begin(log, thread)
    bits = np.int64(mix_32(np.uint32(np.uint32(thread) + np.uint32(salt))))
    t = store(log, t, 0, 0, 2 * thread, 0, 2)
    signal[2 * thread] = np.float32((bits & 0xFFFF) - 32768) * np.float32(1 / 32768)
    signal[2 * thread + 1] = np.float32((bits >> 16) - 32768) * np.float32(1 / 32768)


@device
def _turn(real: Any, imaginary: Any, angle: Any) -> Any:
    """Multiply a complex number by exp(-i angle)."""
    cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return np.float32(real * cosine + imaginary * sine), np.float32(imaginary * cosine - real * sine)


@device
def pass_2(thread: Any, log: Any, source: Any, target: Any, length: Any, stride: Any) -> None:
    """One butterfly of radix 2; signals of ``length`` one after the other."""
    t = begin(log, thread)
    half = length // 2
    signal, item = thread // half, thread % half
    inner = item % stride
    first, out = signal * length + item, signal * length + 2 * (item - inner) + inner
    t = load(log, t, 0, 0, 2 * first, 0, 2)
    t = load(log, t, 1, 0, 2 * (first + half), 0, 2)
    a, b = source[2 * first], source[2 * first + 1]
    angle = np.float32(_CIRCLE * np.float32(inner)) / np.float32(2 * stride)
    c, d = _turn(source[2 * (first + half)], source[2 * (first + half) + 1], angle)
    t = store(log, t, 2, 1, 2 * out, 0, 2)
    target[2 * out], target[2 * out + 1] = np.float32(a + c), np.float32(b + d)
    t = store(log, t, 3, 1, 2 * (out + stride), 0, 2)
    target[2 * (out + stride)], target[2 * (out + stride) + 1] = np.float32(a - c), np.float32(b - d)


@device
def pass_4(thread: Any, log: Any, source: Any, target: Any, length: Any, stride: Any) -> None:
    """One butterfly of radix 4."""
    t = begin(log, thread)
    quarter = length // 4
    signal, item = thread // quarter, thread % quarter
    inner = item % stride
    first, out = signal * length + item, signal * length + 4 * (item - inner) + inner
    for part in range(4):
        t = load(log, t, part, 0, 2 * (first + part * quarter), 0, 2)
    angle = np.float32(_CIRCLE * np.float32(inner)) / np.float32(4 * stride)
    a, b = source[2 * first], source[2 * first + 1]
    place = 2 * (first + quarter)
    c, d = _turn(source[place], source[place + 1], angle)
    place = 2 * (first + 2 * quarter)
    e, f = _turn(source[place], source[place + 1], np.float32(2) * angle)
    place = 2 * (first + 3 * quarter)
    g, h = _turn(source[place], source[place + 1], np.float32(3) * angle)
    for part in range(4):
        t = store(log, t, 4 + part, 1, 2 * (out + part * stride), 0, 2)
    even_r, even_i, odd_r, odd_i = a + e, b + f, c + g, d + h
    less_r, less_i, turn_r, turn_i = a - e, b - f, d - h, g - c
    target[2 * out], target[2 * out + 1] = even_r + odd_r, even_i + odd_i
    place = 2 * (out + stride)
    target[place], target[place + 1] = less_r + turn_r, less_i + turn_i
    place = 2 * (out + 2 * stride)
    target[place], target[place + 1] = even_r - odd_r, even_i - odd_i
    place = 2 * (out + 3 * stride)
    target[place], target[place + 1] = less_r - turn_r, less_i - turn_i


def _passes(length: int, signals: int) -> tuple[list[Launch], str]:
    """Launches of a transform, and the array where it ends."""
    launches, stride, source, number = [], 1, "signal", 0
    while stride < length:
        radix = 4 if length % (4 * stride) == 0 else 2
        target = "ab"[number % 2]
        body = pass_4 if radix == 4 else pass_2
        arguments = (source, target, np.int64(length), np.int64(stride))
        launches.append(Launch(body, signals * length // radix, arguments))
        stride, source, number = stride * radix, target, number + 1
    return launches, source


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan transforms of ``signals`` signals of ``length`` samples."""
    length, signals = settings["length"], settings["signals"]
    samples = length * signals
    arrays: Arrays = {name: Empty((2 * samples,), np.float32) for name in ("signal", "a", "b")}
    launches, last = _passes(length, signals)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        chosen = np.random.default_rng(seed).integers(0, signals, _SAMPLE)
        given = results["signal"].view(np.complex64).reshape(signals, length)[chosen]
        got = results[last].view(np.complex64).reshape(signals, length)[chosen]
        expected = np.fft.fft(given.astype(np.complex128))
        require_close("spectrum", got, expected, relative=1e-4, absolute=1e-5 * length**0.5)

    passes = len(launches)
    return Plan(
        arrays,
        step=lambda _: launches,
        work=Work(units=samples, dram_bytes=passes * samples * 16, float_ops=5 * samples * (length.bit_length() - 1)),
        check=check,
        setup=(Launch(fill, samples, ("signal", np.uint32((seed * 0x9E3779B1) & 0xFFFFFFFF))),),
    )


WORKLOADS: Final = (
    Workload(
        name="fft",
        label="hpc-other",
        family="fft",
        bound="memory",
        summary="Fourier transforms of many signals by Stockham passes of radix 4 (SC 2008)",
        unit="sample",
        parameters=(
            Parameter("length", "samples", 2, 1 << 22, "samples of a signal", power_of_two=True),
            Parameter("signals", "signals", 1, 1 << 24, "signals of a step"),
        ),
        sizes={
            "small": {"length": 32, "signals": 8},
            "trace": {"length": 8192, "signals": 32},
            "gpu": {"length": 1 << 16, "signals": 1024},
        },
        build=build_plan,
    ),
)
