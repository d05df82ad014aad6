"""The check of every network finds one false number in what it compares."""

import numpy as np
import pytest

from hashwarden.errors import CheckError, UsageError
from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.learning import (
    convnet,
    diffusion,
    graph_network,
    llm,
    mlp,
    recommender,
    transformer,
    w8a8,
)

TRAINED = (mlp, convnet, transformer, graph_network, recommender)
WORKLOADS = {
    workload.name: workload
    for module in (*TRAINED, llm, w8a8, diffusion)
    for workload in module.WORKLOADS
    if workload.build is not None
}


def results_of(name, seed=4):
    workload = WORKLOADS[name]
    plan = workload.build(workload.settings("small"), seed)
    engine = CpuEngine(plan)
    engine.check()
    return plan, {array: engine.read(array) for array in plan.arrays}


def refused(plan, results, array, change):
    """One number is changed, the largest: where it does not count, all are."""
    changed = results[array].copy()
    place = int(np.argmax(np.abs(changed)))
    places = slice(None) if array.endswith((".w", ".t", ".values", "embedding")) else slice(place, place + 1)
    changed[places] = change(changed[places])
    with pytest.raises(CheckError):
        plan.check({**results, array: changed})


def wrong(values):
    return values - 7 * np.sign(values) if values.dtype.kind == "i" else values * 1.5 + 0.5


@pytest.mark.parametrize("name", [name for name in WORKLOADS if name.endswith("training")])
def test_training(name):
    plan, results = results_of(name)
    plan.check(results)
    moments = [array for array in results if array.startswith("m_")]
    assert len(moments) >= 4
    for array in (moments[0], moments[len(moments) // 2], moments[-1]):
        refused(plan, results, array, lambda value: value * 1.01)
        weight = array.removeprefix("m_")
        refused(plan, results, weight, lambda value: value + np.float32(3e-4))
        refused(plan, results, f"v_{weight}", lambda value: value * 1.01)
    refused(plan, results, next(array for array in results if array.startswith("loss")), lambda value: value * 1.01)


def test_tables_of_a_recommender():
    plan, results = results_of("recommender-training")
    refused(plan, results, "tables", lambda value: value + np.float32(1e-2))


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("mlp-inference", ("shares", "head.w")),
        ("convnet-inference", ("shares", "stem.w")),
        ("transformer-inference", ("shares", "block0.q.w")),
        ("graph-network-inference", ("shares", "layer1.w")),
        ("recommender-inference", ("shares", "below0.w")),
        ("llm-prefill", ("block0.keys", "block0.values", "head.w", "embedding")),
        ("llm-decode", ("block0.values", "head.w", "lengths", "block0.down.w")),
        ("w8a8-inference", ("whole", "sums", "scaled", "scales")),
        ("diffusion-sampling", ("image", "out.w", "up.t")),
    ],
)
def test_inference(name, arrays):
    plan, results = results_of(name)
    for start in arrays:
        array = [array for array in results if array == start or array.startswith(f"{start}_")][-1]
        refused(plan, results, array, wrong)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("transformer-training", {"width": 24}),
        ("llm-decode", {"width": 40}),
        ("w8a8-inference", {"inner": 40}),
        ("diffusion-sampling", {"side": 5}),
        ("convnet-training", {"side": 6, "stages": 2}),
    ],
)
def test_impossible_shapes(name, changes):
    workload = WORKLOADS[name]
    with pytest.raises(UsageError, match=r"multiple|even"):
        workload.build(workload.settings("small", changes), 0)


def test_steps_go_on():
    for name in ("mlp-training", "llm-decode", "diffusion-sampling"):
        workload = WORKLOADS[name]
        plan = workload.build(workload.settings("small"), 0)
        first, second = ([launch.arguments for launch in plan.step(step)] for step in (0, 1))
        assert first != second


def test_decoding_goes_through_the_end_of_a_request():
    workload = WORKLOADS["llm-decode"]
    engine = CpuEngine(workload.build(workload.settings("small"), 0))
    engine.check()
    lengths = []
    for _ in range(20):
        engine.step()
        lengths.append(engine.read("lengths"))
    assert (np.max(lengths, 0) == 15).all()
    assert (np.array(lengths) >= engine.read("prompts")).all()
