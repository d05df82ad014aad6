"""Option prices by Monte Carlo: random numbers of Philox4x32-10, float32 normal variables by Box and Muller.

Philox (Salmon and others, SC 2011) is ten rounds of multiplications and xors on a counter: integer work as
steady as that of a hash, feeding floating point. Hardly any memory is touched.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_close
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan", "philox_4x32_10"]

_TWO_PI: Final = np.float32(2 * math.pi)
_SCALE: Final = np.float32(2.0**-32)
_HALF: Final = np.float32(2.0**-33)
_SPOT, _STRIKE, _RATE, _SPREAD, _YEARS = range(5)
_SAMPLE: Final = 256
_MAXIMUM: Final = np.float32(0.99999994)


@device
def philox_4x32_10(block: Any, key_0: Any, key_1: Any) -> None:
    """Replace a counter by four random uint32.

    Parameters
    ----------
    block : uint32, shape (4,)
        The counter, then the numbers.
    key_0, key_1 : uint32
        The key.
    """
    k0, k1 = np.uint32(key_0), np.uint32(key_1)
    for _ in range(10):
        first = np.uint64(np.uint64(0xD2511F53) * np.uint64(block[0]))
        second = np.uint64(np.uint64(0xCD9E8D57) * np.uint64(block[2]))
        high_0, high_1 = np.uint32(first >> np.uint64(32)), np.uint32(second >> np.uint64(32))
        block[0] = np.uint32(high_1 ^ np.uint32(block[1] ^ k0))
        block[1] = np.uint32(second & np.uint64(0xFFFFFFFF))
        block[2] = np.uint32(high_0 ^ np.uint32(block[3] ^ k1))
        block[3] = np.uint32(first & np.uint64(0xFFFFFFFF))
        k0, k1 = np.uint32(k0 + np.uint32(0x9E3779B9)), np.uint32(k1 + np.uint32(0xBB67AE85))


@device
def _uniform(bits: Any) -> Any:
    """From 32 bits to a number above 0 and below 1."""
    return np.float32(min(np.float32(np.float32(bits) * _SCALE + _HALF), _MAXIMUM))


@device
def price(thread: Any, log: Any, options: Any, totals: Any, paths: Any, key: Any) -> None:
    """Add up the payoffs of the call option over ``4 * paths`` final prices."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, 0, 0, 4)
    t = load(log, t, 1, 0, 4)
    years, spread = options[_YEARS], options[_SPREAD]
    drift = np.float32((options[_RATE] - np.float32(0.5) * spread * spread) * years)
    scale = np.float32(spread * np.float32(math.sqrt(years)))
    block = local_array(4, np.uint32)
    total, squares = np.float32(0), np.float32(0)
    for path in range(paths):
        block[0], block[1], block[2], block[3] = np.uint32(path), np.uint32(thread), np.uint32(0), np.uint32(0)
        philox_4x32_10(block, key, np.uint32(0))
        for pair in range(2):
            radius = np.float32(math.sqrt(np.float32(-2) * np.float32(math.log(_uniform(block[2 * pair])))))
            angle = np.float32(_TWO_PI * _uniform(block[2 * pair + 1]))
            for turn in range(2):
                wave = np.float32(math.sin(angle)) if turn else np.float32(math.cos(angle))
                final = np.float32(options[_SPOT] * np.float32(math.exp(drift + scale * radius * wave)))
                payoff = np.float32(max(np.float32(final - options[_STRIKE]), np.float32(0)))
                total = np.float32(total + payoff)
                squares = np.float32(squares + payoff * payoff)
    t = store(log, t, 2, 1, 2 * thread, 0, 2)
    totals[2 * thread], totals[2 * thread + 1] = total, squares


def _philox(threads: NDArray[Any], paths: int, key: int) -> NDArray[np.float64]:
    """Oracle: uniform numbers, of shape (threads, paths, 4), by NumPy on whole columns."""
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    shape = (len(threads), paths)
    parts: list[NDArray[Any]] = [np.zeros(shape, np.uint64) for _ in range(4)]
    a, b, c, d = parts
    a += np.arange(paths, dtype=np.uint64)
    b += threads.astype(np.uint64)[:, None]
    for turn in range(10):
        k0, k1 = (np.uint64((base + turn * weyl) % 2**32) for base, weyl in ((key, 0x9E3779B9), (0, 0xBB67AE85)))
        p, q = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (q >> half) ^ b ^ k0, q & mask, (p >> half) ^ d ^ k1, p & mask
    return np.asarray((np.stack([a, b, c, d], axis=2).astype(np.float64) + 0.5) / 2.0**32)


def _closed_form(option: NDArray[Any]) -> float:
    """Oracle: price before discount, by Black and Scholes (Journal of Political Economy 81, 1973)."""
    spot, strike, rate, spread, years = (float(value) for value in option[:5])
    scale = spread * math.sqrt(years)
    high = (math.log(spot / strike) + (rate + spread**2 / 2) * years) / scale
    normal = [0.5 * math.erfc(-x / math.sqrt(2)) for x in (high, high - scale)]
    return spot * math.exp(rate * years) * normal[0] - strike * normal[1]


def _payoffs(option: NDArray[Any], uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Oracle: sum of payoffs for each thread."""
    spot, strike, rate, spread, years = (float(value) for value in option[:5])
    radius = np.sqrt(-2 * np.log(uniform[:, :, 0::2]))
    angle = 2 * np.pi * uniform[:, :, 1::2]
    normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=2)
    final = spot * np.exp((rate - spread**2 / 2) * years + spread * math.sqrt(years) * normal)
    return np.asarray(np.maximum(final - strike, 0).sum(axis=(1, 2)))


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan prices of one call option by ``threads`` threads of ``paths`` draws."""
    threads, paths = settings["threads"], settings["paths"]
    option = np.array([100.0, 105.0, 0.03, 0.25, 1.0, 0, 0, 0], np.float32)
    arrays: Arrays = {"options": option, "totals": Empty((2 * threads,), np.float32)}

    def step(number: int) -> tuple[Launch, ...]:
        key = np.uint32((seed + number) & 0xFFFFFFFF)
        return (Launch(price, threads, ("options", "totals", np.int64(paths), key)),)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        totals = results["totals"].reshape(-1, 2).astype(np.float64)
        chosen = np.random.default_rng(seed).integers(0, threads, min(_SAMPLE, 1 + (1 << 20) // paths))
        expected = _payoffs(option, _philox(chosen, paths, seed & 0xFFFFFFFF))
        require_close("payoffs", totals[chosen, 0], expected, relative=2e-3, absolute=0.1)
        draws = 4 * threads * paths
        mean = totals[:, 0].sum() / draws
        deviation = math.sqrt(max(totals[:, 1].sum() / draws - mean**2, 0) / draws)
        require_close("price", np.array([mean]), np.array([_closed_form(option)]), 1e-3, 6 * deviation)

    draws = 4 * threads * paths
    return Plan(
        arrays,
        step=step,
        work=Work(units=draws, dram_bytes=threads * 8, int_ops=draws * 20, float_ops=draws * 30),
        check=check,
    )


WORKLOADS: Final = (
    Workload(
        name="monte-carlo",
        label="hpc-other",
        family="monte-carlo",
        bound="integer",
        summary="Option prices by Monte Carlo with Philox4x32-10 (SC 2011) and Box-Muller",
        unit="draw",
        parameters=(
            Parameter("threads", "threads", 1, 1 << 26, "threads, each with its own counter"),
            Parameter("paths", "blocks", 1, 1 << 20, "blocks of four draws of a thread"),
        ),
        sizes={
            "small": {"threads": 64, "paths": 8},
            "trace": {"threads": 1 << 17, "paths": 4},
            "gpu": {"threads": 1 << 20, "paths": 512},
        },
        build=build_plan,
    ),
)
