"""Products of ciphertexts in a residue number system: what homomorphic encryption (BFV, CKKS) spends its time on.

Polynomials modulo X**n + 1 and several primes of 60 bits are transformed, multiplied point by point, and
brought back; each residue of the product is then spread over all primes, transformed, and multiplied with a
key (the hybrid key switch of Han and Ki, CT-RSA 2020, without its last rescaling). Negacyclic transforms as
in Longa and Naehrig (CANS 2016).
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.others.mixing import mix_64
from hashwarden.kernels.workloads.others.rns import add, find_primes, find_root, multiply, subtract
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan"]

_SAMPLE: Final = 4


@device
def fill(thread: Any, log: Any, values: Any, constants: Any, length: Any, salt: Any) -> None:
    """Make residue ``thread``; polynomials of all primes follow one another."""
    t = begin(log, thread)
    limb = thread // length % (len(constants) // 3)
    t = load(log, t, 0, 1, 3 * limb)
    t = store(log, t, 1, 0, thread)
    values[thread] = np.uint64(mix_64(np.uint64(np.uint64(thread) + salt)) % constants[3 * limb])


@device
def copy(thread: Any, log: Any, source: Any, target: Any) -> None:
    """Copy a residue, because the transform works in place."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    t = store(log, t, 1, 1, thread)
    target[thread] = source[thread]


@device
def forward(thread: Any, log: Any, values: Any, powers: Any, constants: Any, length: Any, blocks: Any) -> None:
    """One butterfly of the forward transform, decimation in time; it doubles the number of blocks."""
    t = begin(log, thread)
    half = length // 2
    polynomial, item = thread // half, thread % half
    limb, span = polynomial % (len(constants) // 3), half // blocks
    block = item // span
    first = polynomial * length + 2 * block * span + item % span
    t = load(log, t, 0, 2, 3 * limb, 0, 2)
    prime, inverse = constants[3 * limb], constants[3 * limb + 1]
    t = load(log, t, 1, 1, limb * length + blocks + block)
    t = load(log, t, 2, 0, first)
    t = load(log, t, 3, 0, first + span)
    a, b = values[first], multiply(values[first + span], powers[limb * length + blocks + block], prime, inverse)
    t = store(log, t, 4, 0, first)
    values[first] = add(a, b, prime)
    t = store(log, t, 5, 0, first + span)
    values[first + span] = subtract(a, b, prime)


@device
def backward(thread: Any, log: Any, values: Any, powers: Any, constants: Any, length: Any, blocks: Any) -> None:
    """One butterfly of the inverse transform; the last pass divides by the length."""
    t = begin(log, thread)
    half = length // 2
    polynomial, item = thread // half, thread % half
    limb, span = polynomial % (len(constants) // 3), half // blocks
    block = item // span
    first = polynomial * length + 2 * block * span + item % span
    t = load(log, t, 0, 2, 3 * limb, 0, 3)
    prime, inverse = constants[3 * limb], constants[3 * limb + 1]
    # The inverse of root**k is -root**(length - k): in bit-reversed order, the same block counted from its end.
    t = load(log, t, 1, 1, limb * length + 2 * blocks - 1 - block)
    t = load(log, t, 2, 0, first)
    t = load(log, t, 3, 0, first + span)
    a, b = values[first], values[first + span]
    power = powers[limb * length + 2 * blocks - 1 - block]
    low, high = add(a, b, prime), multiply(subtract(b, a, prime), power, prime, inverse)
    if blocks == 1:
        scale = constants[3 * limb + 2]
        low, high = multiply(low, scale, prime, inverse), multiply(high, scale, prime, inverse)
    t = store(log, t, 4, 0, first)
    values[first] = low
    t = store(log, t, 5, 0, first + span)
    values[first + span] = high


@device
def multiply_points(thread: Any, log: Any, factors: Any, constants: Any, product: Any, length: Any) -> None:
    """Multiply two transformed polynomials, which stand one behind the other."""
    t = begin(log, thread)
    limb = thread // length
    t = load(log, t, 0, 1, 3 * limb, 0, 2)
    t = load(log, t, 1, 0, thread)
    t = load(log, t, 2, 0, thread + len(product))
    t = store(log, t, 3, 2, thread)
    product[thread] = multiply(
        factors[thread], factors[thread + len(product)], constants[3 * limb], constants[3 * limb + 1]
    )


@device
def spread(thread: Any, log: Any, product: Any, constants: Any, digits: Any, length: Any) -> None:
    """Reduce residues modulo one prime modulo another: digit ``thread // (limbs * length)``."""
    t = begin(log, thread)
    limbs = len(constants) // 3
    limb, digit = thread // length % limbs, thread // length // limbs
    t = load(log, t, 0, 1, 3 * limb)
    t = load(log, t, 1, 0, digit * length + thread % length)
    value, prime = product[digit * length + thread % length], constants[3 * limb]
    t = store(log, t, 2, 2, thread)
    digits[thread] = np.uint64(value - prime) if value >= prime else value


@device
def switch_key(thread: Any, log: Any, digits: Any, keys: Any, constants: Any, result: Any, length: Any) -> None:
    """Inner product of the digits with the key, in the transformed domain."""
    t = begin(log, thread)
    limbs = len(constants) // 3
    limb = thread // length
    t = load(log, t, 0, 2, 3 * limb, 0, 2)
    prime, inverse = constants[3 * limb], constants[3 * limb + 1]
    total = np.uint64(0)
    for digit in range(limbs):
        place = digit * limbs * length + thread
        t = load(log, t, 1, 0, place)
        t = load(log, t, 2, 1, place)
        total = add(total, multiply(digits[place], keys[place], prime, inverse), prime)
    t = store(log, t, 3, 3, thread)
    result[thread] = total


def _tables(primes: list[int], length: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Powers of the roots in bit-reversed order, times 2**64, and for each prime itself, its inverse, the scale."""
    bits = length.bit_length() - 1
    order = [int(f"{place:0{bits}b}"[::-1], 2) for place in range(length)]
    powers, constants = [], []
    for prime in primes:
        root, power, row = find_root(prime, length), 2**64 % prime, []
        for _ in range(length):
            row.append(power)
            power = power * root % prime
        powers.append([row[place] for place in order])
        # Two products by Montgomery's method lose 2**64 each; the scale gives one back to the last of them.
        constants += [prime, -pow(prime, -1, 2**64) % 2**64, pow(length, -1, prime) * 2**128 % prime]
    return np.array(powers, np.uint64).reshape(-1), np.array(constants, np.uint64)


def _transform(body: Any, name: str, polynomials: int, length: int) -> list[Launch]:
    counts = [1 << level for level in range(length.bit_length() - 1)]
    levels = counts if body is forward else counts[::-1]
    arguments = (name, "powers", "constants", np.int64(length))
    return [Launch(body, polynomials * length // 2, (*arguments, np.int64(blocks))) for blocks in levels]


def _coefficient(a: NDArray[Any], b: NDArray[Any], place: int, prime: int) -> int:
    """Oracle: one coefficient of a product modulo X**n + 1, in Python integers."""
    turned = np.roll(b[::-1], place + 1).astype(object)
    turned[place + 1 :] = -turned[place + 1 :]
    return int(np.dot(a.astype(object), turned)) % prime


def _check(results: Mapping[str, NDArray[Any]], primes: list[int], length: int, seed: int) -> None:
    limbs = len(primes)
    a, b = results["factors"].reshape(2, limbs, length)
    product, output = results["product"].reshape(limbs, length), results["result"].reshape(limbs, length)
    keys = results["keys"].reshape(limbs, limbs, length)
    random = np.random.default_rng(seed)
    for limb, place in zip(random.integers(0, limbs, _SAMPLE), random.integers(0, length, _SAMPLE), strict=True):
        prime = primes[limb]
        expected = [_coefficient(a[limb], b[limb], int(place), prime)]
        require_equal("product", product[limb, place : place + 1], np.array(expected, np.uint64))
        total = sum(_coefficient(product[digit], keys[digit, limb], int(place), prime) for digit in range(limbs))
        require_equal("result", output[limb, place : place + 1], np.array([total % prime], np.uint64))


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan products of ciphertexts of ``limbs`` primes and polynomials of degree ``length``."""
    length, limbs = settings["length"], settings["limbs"]
    primes = find_primes(limbs, length)
    powers, constants = _tables(primes, length)
    own, all_digits = limbs * length, limbs * limbs * length
    sizes = {"factors": 2 * own, "work": 2 * own, "product": own, "digits": all_digits, "keys": all_digits}
    arrays: Arrays = {
        **{name: Empty((size,), np.uint64) for name, size in sizes.items()},
        "turned_keys": Empty((all_digits,), np.uint64),
        "result": Empty((own,), np.uint64),
        "powers": powers,
        "constants": constants,
    }
    size, salt = np.int64(length), np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    setup = (
        Launch(fill, 2 * own, ("factors", "constants", size, salt)),
        Launch(fill, all_digits, ("keys", "constants", size, np.uint64(int(salt) ^ 0xFF << 32))),
        Launch(copy, all_digits, ("keys", "turned_keys")),
        *_transform(forward, "turned_keys", limbs * limbs, length),
    )
    launches = (
        Launch(copy, 2 * own, ("factors", "work")),
        *_transform(forward, "work", 2 * limbs, length),
        Launch(multiply_points, own, ("work", "constants", "product", size)),
        *_transform(backward, "product", limbs, length),
        Launch(spread, all_digits, ("product", "constants", "digits", size)),
        *_transform(forward, "digits", limbs * limbs, length),
        Launch(switch_key, own, ("digits", "turned_keys", "constants", "result", size)),
        *_transform(backward, "result", limbs, length),
    )
    passes = (length.bit_length() - 1) * (limbs * limbs + 4 * limbs) * length
    work = Work(1, dram_bytes=16 * passes + 24 * all_digits, int_ops=30 * passes + 60 * all_digits)
    return Plan(arrays, lambda _: launches, work, lambda results: _check(results, primes, length, seed), setup)


WORKLOADS: Final = (
    Workload(
        name="fhe-rns",
        label="hpc-other",
        family="fhe",
        bound="integer",
        summary="Product and key switch of ciphertexts in a residue number system (CT-RSA 2020)",
        unit="product",
        parameters=(
            Parameter("length", "coefficients", 4, 1 << 16, "degree of the polynomials", power_of_two=True),
            Parameter("limbs", "primes", 1, 32, "primes of 60 bits"),
        ),
        sizes={
            "small": {"length": 16, "limbs": 2},
            "trace": {"length": 1 << 11, "limbs": 3},
            "gpu": {"length": 1 << 16, "limbs": 24},
        },
        build=build_plan,
    ),
)
