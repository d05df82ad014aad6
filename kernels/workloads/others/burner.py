"""Burners: programs that keep a GPU hot to test it.

One multiplies the same matrices over and over and compares each product with the first, as gpu_burn does;
the other runs chains of fused multiply-adds in registers. Full utilisation, full power, no purpose: what
coarse counters cannot tell from mining or from training.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import atomic_add, device, local_array
from hashwarden.kernels.memory.recorder import atomic, begin, load, store
from hashwarden.kernels.workloads.others.mixing import mix_32
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_close, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_chains", "build_products"]

TILE: Final = 4
CHAINS: Final = 8
FACTOR: Final = np.float32(0.75)
ADDED: Final = np.float32(0.5)
_TOLERANCE: Final = np.float32(1e-3)
_SAMPLE: Final = 256


@device
def fill(thread: Any, log: Any, values: Any, salt: Any) -> None:
    """Make element ``thread``, from -1 to 1."""
    t = begin(log, thread)
    bits = np.int64(mix_32(np.uint32(np.uint32(thread) + np.uint32(salt)))) & 0xFFFF
    t = store(log, t, 0, 0, thread)
    values[thread] = np.float32(bits - 32768) * np.float32(1 / 32768)


@device
def multiply(thread: Any, log: Any, left: Any, right: Any, products: Any, edge: Any, number: Any) -> None:
    """A tile of product ``number``: both factors hold the inner index first, so that loads are wide."""
    t = begin(log, thread)
    tiles = edge // TILE
    row, column = TILE * (thread // tiles), TILE * (thread % tiles)
    sums = local_array(16, np.float32)
    for place in range(TILE * TILE):
        sums[place] = np.float32(0)
    for inner in range(edge):
        t = load(log, t, 0, 0, inner * edge + row, 0, TILE)
        t = load(log, t, 1, 1, inner * edge + column, 0, TILE)
        for i in range(TILE):
            a = left[inner * edge + row + i]
            for j in range(TILE):
                sums[TILE * i + j] = np.float32(sums[TILE * i + j] + a * right[inner * edge + column + j])
    start = number * edge * edge
    for i in range(TILE):
        t = store(log, t, 2, 2, start + (row + i) * edge + column, 0, TILE)
        for j in range(TILE):
            products[start + (row + i) * edge + column + j] = sums[TILE * i + j]


@device
def compare(thread: Any, log: Any, products: Any, faults: Any, edge: Any, number: Any) -> None:
    """Count an element that differs from the first product's."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    t = load(log, t, 1, 0, number * edge * edge + thread)
    off = np.float32(abs(products[thread] - products[number * edge * edge + thread]))
    if off > _TOLERANCE:
        t = atomic(log, t, 2, 1, 0)
        atomic_add(faults, 0, np.uint32(1))


@device
def chain(thread: Any, log: Any, starts: Any, ends: Any, links: Any) -> None:
    """Run eight chains of multiply-adds."""
    t = begin(log, thread)
    own = local_array(8, np.float32)
    t = load(log, t, 0, 0, CHAINS * thread, 0, CHAINS)
    for place in range(CHAINS):
        own[place] = starts[CHAINS * thread + place]
    for _ in range(links):
        for place in range(CHAINS):
            own[place] = np.float32(own[place] * FACTOR + ADDED)
    t = store(log, t, 1, 1, CHAINS * thread, 0, CHAINS)
    for place in range(CHAINS):
        ends[CHAINS * thread + place] = own[place]


def build_products(settings: Settings, seed: int) -> Plan:
    """Plan products of two matrices, compared with the product that set-up made."""
    edge, copies = TILE * settings["tiles"], settings["products"]
    size, salt = edge * edge, (seed * 0x9E3779B1) & 0xFFFFFFFF
    arrays: Arrays = {
        "left": Empty((size,), np.float32),
        "right": Empty((size,), np.float32),
        "products": Empty((copies * size,), np.float32),
        "faults": Empty((1,), np.uint32),
    }

    def product(number: int) -> Launch:
        return Launch(multiply, size // TILE**2, ("left", "right", "products", np.int64(edge), np.int64(number)))

    def step(number: int) -> tuple[Launch, ...]:
        turn = 1 + number % (copies - 1)
        return (product(turn), Launch(compare, size, ("products", "faults", np.int64(edge), np.int64(turn))))

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        require_equal("faults", results["faults"], np.zeros(1, np.uint32))
        left, right = (results[name].reshape(edge, edge) for name in ("left", "right"))
        rows, columns = np.random.default_rng(seed).integers(0, edge, (2, _SAMPLE))
        expected = np.einsum("ki,ki->i", left[:, rows].astype(np.float64), right[:, columns].astype(np.float64))
        for got in results["products"].reshape(copies, edge, edge)[:2]:
            require_close("product", got[rows, columns], expected, 1e-4, 1e-5 * edge)

    return Plan(
        arrays,
        step=step,
        work=Work(units=1, dram_bytes=size * 24, float_ops=2 * edge**3),
        check=check,
        setup=(
            Launch(fill, size, ("left", np.uint32(salt))),
            Launch(fill, size, ("right", np.uint32(salt ^ 0x5BD1E995))),
            product(0),
        ),
    )


def build_chains(settings: Settings, seed: int) -> Plan:
    """Plan chains of multiply-adds, eight for each thread."""
    threads, links = settings["threads"], settings["links"]
    count, salt = CHAINS * threads, np.uint32((seed * 0x9E3779B1) & 0xFFFFFFFF)
    arrays: Arrays = {name: Empty((count,), np.float32) for name in ("starts", "ends")}

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        # x -> a x + b, n times, is the limit b / (1 - a) and what the start was away from it, times a**n.
        shrunk, limit = float(FACTOR) ** links, float(ADDED) / (1 - float(FACTOR))
        expected = limit + (results["starts"].astype(np.float64) - limit) * shrunk
        require_close("ends", results["ends"], expected, 1e-5, 1e-6)

    return Plan(
        arrays,
        step=lambda _: (Launch(chain, threads, ("starts", "ends", np.int64(links))),),
        work=Work(units=count * links, dram_bytes=8 * count, float_ops=2 * count * links),
        check=check,
        setup=(Launch(fill, count, ("starts", salt)),),
    )


WORKLOADS: Final = (
    Workload(
        name="gpu-burn",
        label="hpc-other",
        family="burner",
        bound="float",
        summary="Products of the same matrices, compared with the first one",
        unit="product",
        parameters=(
            Parameter("tiles", "tiles", 1, 1 << 12, "a matrix has four times as many rows and columns"),
            Parameter("products", "products", 2, 64, "products that are kept"),
        ),
        sizes={
            "small": {"tiles": 6, "products": 2},
            "trace": {"tiles": 40, "products": 16},
            "gpu": {"tiles": 1024, "products": 16},
        },
        build=build_products,
    ),
    Workload(
        name="fma-burn",
        label="hpc-other",
        family="burner",
        bound="float",
        summary="Chains of fused multiply-adds in registers",
        unit="multiply-add",
        parameters=(
            Parameter("threads", "threads", 1, 1 << 24, "threads of eight chains"),
            Parameter("links", "multiply-adds", 1, 1 << 24, "length of a chain"),
        ),
        sizes={
            "small": {"threads": 64, "links": 12},
            "trace": {"threads": 1 << 15, "links": 12},
            "gpu": {"threads": 1 << 19, "links": 1 << 15},
        },
        build=build_chains,
    ),
)
