"""The recorder: true entries, honest sampling, a ring that counts what it loses, and no trace of it when off."""

import numpy as np
import pytest

from hashwarden.errors import UsageError
from hashwarden.kernels.device import SIMULATED, device
from hashwarden.kernels.memory.log import Recorder, Sampling, layout
from hashwarden.kernels.memory.recorder import ATOMIC, LOAD, STORE, atomic, begin, load, store
from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.plan import Empty, Launch, Plan, Work

pytestmark = pytest.mark.skipif(SIMULATED, reason="compiled for the CPU")

THREADS, ROUNDS = 256, 8


@device
def walk(thread, log, table, out, counter, rounds):
    """Three kinds of access, and a chain: each address comes from the load before."""
    t = begin(log, thread)
    at = np.int64(thread)
    for step in range(rounds):
        t = load(log, t, 5, 0, at, step)
        at = np.int64(table[at])
        t = atomic(log, t, 6, 2, 0)
        counter[0] += 1
    t = store(log, t, 7, 1, 4 * thread, 0, 4)
    out[4 * thread] = at


def plan():
    table = np.random.default_rng(4).permutation(THREADS).astype(np.int32)
    arrays = {"table": table, "out": Empty((4 * THREADS,), np.float32), "counter": Empty((1,), np.int64)}
    launch = Launch(walk, THREADS, ("table", "out", "counter", np.int64(ROUNDS)))
    return Plan(arrays, step=lambda _: (launch,), work=Work(1), check=lambda results: None)


def record(sampling=None, capacity=1 << 16, steps=1):
    recorder = Recorder(sampling, capacity)
    engine = CpuEngine(plan(), recorder)
    for _ in range(steps):
        engine.step()
    return engine, recorder.log()


def test_every_entry_says_what_was_done():
    engine, log = record()
    assert len(log) == THREADS * (2 * ROUNDS + 1)
    bases = layout({name: array.nbytes for name, array in engine.plan.arrays.items()})
    at = np.arange(THREADS)
    table = engine.plan.arrays["table"]
    for step in range(ROUNDS):
        rows = (log.site == 5) & (log.depth == step)
        assert log.address[rows].tolist() == (bases["table"] + np.int64(4) * at).tolist()
        assert set(log.order[rows]) == {2 * step}
        at = table[at]
    assert log.thread[log.site == 7].tolist() == list(range(THREADS))
    assert set(log.address[log.kind == ATOMIC]) == {bases["counter"]}
    assert set(log.width[log.kind == STORE]) == {16}
    assert set(log.width[log.kind == LOAD]) == {4}
    assert log.lost == 0


def test_launches_are_numbered():
    _, log = record(steps=3)
    assert np.bincount(log.launch).tolist() == [THREADS * (2 * ROUNDS + 1)] * 3


def test_whole_warps_are_sampled():
    _, whole = record()
    _, log = record(Sampling(every_warp=3, seed=9))
    warps = set(log.thread // 32)
    assert 0 < len(warps) < 8
    assert len(log) == len(warps) * 32 * (2 * ROUNDS + 1)
    kept = np.isin(whole.thread // 32, sorted(warps))
    assert np.array_equal(whole.address[kept], log.address)


def test_one_warp_in_n_is_kept_on_average():
    kept = [len(set(record(Sampling(every_warp=4, seed=seed))[1].thread // 32)) for seed in range(60)]
    assert np.mean(kept) == pytest.approx(2, abs=0.5)
    assert len(set(kept)) > 2


def test_access_sampling_keeps_whole_requests():
    _, log = record(Sampling(every_access=4, seed=1))
    requests = {}
    for warp, order in zip(log.thread // 32, log.order, strict=True):
        requests[warp, order] = requests.get((warp, order), 0) + 1
    assert set(requests.values()) == {32}
    assert len(requests) == pytest.approx(8 * (2 * ROUNDS + 1) / 4, rel=0.4)


def test_line_sampling_keeps_every_access_to_the_kept_lines():
    _, whole = record()
    _, log = record(Sampling(every_access=3, by_line=True, seed=2))
    lines = set(log.address // 128)
    assert 0 < len(lines) < len(set(whole.address // 128))
    kept = np.isin(whole.address // 128, sorted(lines))
    assert np.array_equal(whole.address[kept], log.address)


def test_a_full_ring_drops_the_newest_and_counts_them():
    _, whole = record()
    _, log = record(capacity=100)
    assert len(log) == 100
    assert log.lost == len(whole) - 100
    assert np.array_equal(log.address, whole.address[:100])


def test_a_ring_that_is_emptied_in_time_loses_nothing_although_it_wraps():
    size = THREADS * (2 * ROUNDS + 1)
    _, log = record(capacity=size + size // 3, steps=5)
    assert log.lost == 0
    assert len(log) == 5 * size
    first = log.address[:size]
    assert all(np.array_equal(log.address[size * n : size * (n + 1)], first) for n in range(5))


def test_canonical_order_does_not_depend_on_the_order_of_writing():
    _, log = record()
    rows = np.random.default_rng(0).permutation(len(log))
    shuffled = type(log)(*(column[rows] for column in log.columns().values()), log.sampling, log.lost)
    one, two = log.canonical().columns(), shuffled.canonical().columns()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_arrays_lie_apart_on_pages():
    bases = layout({"a": 1, "b": 2 << 20, "c": (2 << 20) + 1, "d": 0, "e": 8})
    steps = np.diff(list(bases.values())) // (2 << 20)
    assert steps.tolist() == [1, 1, 2, 1]


@pytest.mark.parametrize(
    "changes",
    [{"every_warp": 0}, {"every_access": -1}, {"seed": -1}, {"seed": 2**31}],
    ids=str,
)
def test_impossible_sampling_is_refused(changes):
    with pytest.raises(UsageError, match=next(iter(changes))):
        Sampling(**changes)


@pytest.mark.parametrize("capacity", [0, 2**28 + 1])
def test_an_impossible_ring_is_refused(capacity):
    with pytest.raises(UsageError, match="entries"):
        Recorder(capacity=capacity)


def test_without_a_recorder_the_result_is_the_same():
    engine = CpuEngine(plan())
    engine.step()
    other, _ = record()
    assert np.array_equal(engine.read("out"), other.read("out"))
