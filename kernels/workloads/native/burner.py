"""A load generator of the integer pipes: chains of products, logic and rotations that mean nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native.define import define
from hashwarden.kernels.workloads.native.reference import rotate
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "burner"
_CHAINS: Final = 8
_BLOCK: Final = 256


def _chains(threads: int, rounds: int, a: np.uint32, b: np.uint32) -> NDArray[np.uint32]:
    """Results of the threads of one block."""
    start = np.arange(threads, dtype=np.uint32)[:, None] * np.uint32(977) + np.arange(_CHAINS, dtype=np.uint32)
    v: NDArray[np.uint32] = np.asarray(start, np.uint32)
    for i in range(rounds):
        v = np.asarray(v * a + b, np.uint32)
        v = (v ^ a) | (v & b)
        v = rotate(v, 7) + np.uint32(i)
    return np.asarray(np.bitwise_xor.reduce(v, axis=1), np.uint32)


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``threads`` threads a step that turn ``rounds`` times each."""
    threads, rounds = settings["threads"], settings["rounds"]
    random, block = np.random.default_rng(seed), min(_BLOCK, settings["threads"])
    factors = [np.uint32(value | 1) for value in random.integers(0, 2**32, 64, np.uint32)]
    sums = [np.uint32(value) for value in random.integers(0, 2**32, 64, np.uint32)]

    def step(number: int) -> tuple[NativeLaunch, ...]:
        a, b = factors[number % len(factors)], sums[number % len(sums)]
        return (
            NativeLaunch(_SOURCE, "burn_integer", (threads // block,), (block,), ("out", a, b), f"ROUNDS={rounds}"),
        )

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        expected = np.tile(_chains(block, rounds, factors[0], sums[0]), threads // block)
        require_equal("results of chains", results["out"], expected)

    return Plan(
        {"out": Empty((threads,), np.uint32)},
        step=step,
        work=Work(units=1, dram_bytes=4 * threads, int_ops=threads * rounds * _CHAINS * 4),
        check=check,
    )


WORKLOADS: Final = (
    define(
        "burner-native",
        "burner",
        "Integer chains that mean nothing and load the integer pipes, in CUDA C",
        build_plan,
        bound="integer",
        parameters=(
            Parameter("threads", "threads", 32, 1 << 24, "threads of a step", power_of_two=True),
            Parameter("rounds", "turns", 16, 1 << 16, "turns of a thread"),
        ),
        small={"threads": 64, "rounds": 64},
        gpu={"threads": 1 << 20, "rounds": 4096},
        unit="step",
        label="hpc-other",
    ),
)
