"""The probes' CUDA C on the CPU: what the chains compute, where samples go, how the chases are built."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="it draws the cases")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashwarden.kernels.probes.device import Launch
from hashwarden.kernels.probes.probe import LINKS, PROBES, RING_WORDS, Chase
from hashwarden.kernels.probes.reference import build_chase

WARPS = 4
SEED = 12_345


def cycle_length(memory: np.ndarray, chase: Chase) -> int:
    """Nodes that are met from node 0 until it comes again, none twice."""
    at, seen = 0, set()
    while at not in seen:
        seen.add(at)
        at = int(memory[at])
    assert at == 0
    assert all(place % chase.stride == 0 for place in seen)
    return len(seen)


def run(device, name: str, *, repetitions: int, passes: int, memory: np.ndarray, blocks: int = 2):
    """Samples (warps, repetitions), last words of the warps, and memory after one launch."""
    warps = blocks * WARPS
    device.allocate("samples", np.full(warps * repetitions + 8, 0xAAAAAAAA, np.uint32))
    device.allocate("stamps", np.zeros(2, np.uint64))
    device.allocate("memory", memory)
    device.allocate("cursors", np.arange(warps, dtype=np.uint32) * 7)
    scalars = (np.uint32(repetitions), np.uint32(passes), np.uint32(SEED))
    device.run([Launch(f"probe_{name}", blocks, 128, ("samples", "stamps", "memory", "cursors", *scalars))])
    samples = device.read("samples")
    assert np.all(samples[warps * repetitions :] == 0xAAAAAAAA), "samples outside the row"
    return samples[:-8].reshape(warps, repetitions), device.read("cursors"), device.read("memory")


@pytest.mark.parametrize("name", [p.name for p in PROBES])
@pytest.mark.parametrize(("repetitions", "passes"), [(1, 1), (5, 3)])
def test_every_sample_is_the_sum_of_its_links(host, name, repetitions, passes):
    device = host()
    memory = build_chase(Chase(RING_WORDS, 1, 31), 9)
    samples, _, _ = run(device, name, repetitions=repetitions, passes=passes, memory=memory)
    kind = {"shared": "lds", "l2": "ldg", "dram": "ldg", "atomic": "atom"}.get(name, name)
    expected = passes * LINKS * device.costs[kind] + device.costs["settle"] + device.costs["clock"]
    assert np.all(samples == expected)
    stamps = device.read("stamps").astype(int)
    assert 2 * (stamps[1] - stamps[0]) >= (repetitions + 1) * expected


def words(steps: int, start: np.ndarray, step) -> np.ndarray:
    value = start.astype(np.uint64)
    for link in range(steps):
        value = step(value, link) & np.uint64(0xFFFFFFFF)
    return value.astype(np.uint32)


@pytest.mark.parametrize("name", ["lop3", "shf", "imad"])
def test_the_links_compute_one_after_the_other(host, name):
    repetitions, passes = 2, 3
    _, last, _ = run(host(), name, repetitions=repetitions, passes=passes, memory=np.zeros(8, np.uint32))
    warps, seed, mask = np.arange(8, dtype=np.uint64), np.uint64(SEED), np.uint64(0xFFFFFFFF)
    shift = np.uint64(SEED % 31 + 1)
    steps = {
        # The table 0x6A is b ^ (x & a); all of it in the first lane of each warp.
        "lop3": lambda x, i: (
            seed ^ warps ^ (x & seed * np.uint64(5) & mask) if i & 1 else seed * np.uint64(3) ^ (x & seed)
        ),
        "shf": lambda x, i: (seed << np.uint64(32) | x) << shift >> np.uint64(32),
        "imad": lambda x, i: x * (seed | np.uint64(1)) + seed,
    }
    expected = words((repetitions + 1) * passes * LINKS, np.arange(8) * 7, steps[name])
    np.testing.assert_array_equal(last, expected)


@pytest.mark.parametrize("name", ["shared", "l2", "dram"])
def test_a_chase_follows_its_cycle_and_remembers_where_it_stopped(host, name):
    chase = Chase(RING_WORDS, 1, 31)
    memory = build_chase(chase, 3)
    _, last, _ = run(host(), name, repetitions=3, passes=2, memory=memory)
    at = np.arange(8) * 7
    for _ in range(4 * 2 * LINKS):
        at = memory[at]
    np.testing.assert_array_equal(last, at)


def test_atomics_have_a_word_for_each_thread_and_a_line_for_each_warp(host):
    _, last, memory = run(host(), "atomic", repetitions=2, passes=1, memory=np.zeros(256, np.uint32))
    x, found = SEED, 0
    for _ in range(3 * LINKS):
        found, x = (found + x) & 0xFFFFFFFF, found
    assert np.all(memory == found)
    assert np.all(last == x)


def built(device, chase: Chase, seed: int) -> np.ndarray:
    device.allocate("memory", np.zeros(chase.words, np.uint32))
    device.allocate("entries", np.zeros(chase.strands, np.uint32))
    nodes, strands, stride = (np.uint32(value) for value in (chase.nodes, chase.strands, chase.stride))
    grid = -(-chase.strands // 64)
    build = Launch("build_strands", grid, 64, ("memory", "entries", nodes, strands, stride, np.uint32(seed)))
    device.run([build, Launch("splice_strands", grid, 64, ("memory", "entries", strands, stride))])
    return device.read("memory")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), nodes=st.integers(1, 300), stride=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_a_chase_is_one_cycle_through_all_nodes_on_both_engines(host, data, nodes, stride, seed):
    chase = Chase(nodes, stride, data.draw(st.integers(1, nodes)))
    memory = built(host(), chase, seed)
    assert cycle_length(memory, chase) == nodes
    np.testing.assert_array_equal(memory, build_chase(chase, seed))


@pytest.mark.parametrize("name", ["shared", "l2"])
def test_the_chases_that_probes_use(host, name):
    chase = next(p.chase for p in PROBES if p.name == name)
    memory = built(host(), chase, 1)
    assert cycle_length(memory, chase) == chase.nodes
    np.testing.assert_array_equal(memory, build_chase(chase, 1))
    places = np.arange(0, chase.words, chase.stride)
    steps = (memory[places].astype(int) - places) // chase.stride % chase.nodes
    assert np.bincount(steps).max() < 0.1 * chase.nodes, "a stride that a prefetcher could learn"


def test_the_long_chase_is_one_cycle_too(host):
    chase = next(p.chase for p in PROBES if p.name == "dram")
    after = built(host(), chase, 1)[:: chase.stride] // chase.stride
    assert np.array_equal(np.sort(after), np.arange(chase.nodes))
    # One cycle: following the pointers in doubled steps, the least node that each node reaches is node 0.
    least, ahead = np.arange(chase.nodes), after.astype(np.int64)
    for _ in range(int(np.ceil(np.log2(chase.nodes)))):
        least, ahead = np.minimum(least, least[ahead]), ahead[ahead]
    assert np.all(least == 0)
