"""The ONNX graphs of the job network: a step, and a sequence in which nothing but the averaging is a loop.

Written by hand because a call at batch 1 costs what its nodes cost: constants are folded into weights, the
widths of pieces too, and a rectifier stands where onnxruntime joins it to the product before it.
``1 - exp(-x)`` is written ``2 * softsign(tanh(x / 2))``, which keeps its digits where x is small.

N = batch, T = steps, C = channels, K = clocks, D = units of a layer, H = hidden, F = features, S = state.
"""

from __future__ import annotations

from typing import NamedTuple

import onnx

from hashwarden.model.channels import CHANNELS
from hashwarden.model.job.network import FIRST_S, GAP_S, GATE_LOW, SLOPE, TINY, JobNet
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES
from hashwarden.training.job.fold import Folded, folded
from hashwarden.training.job.nodes import Nodes, Shape

__all__ = ["sequence_graph", "step_graph"]


class _Drive(NamedTuple):
    """Names of what samples bring to the averages: see the class of the same name of the network."""

    seen: str
    weight: str
    present: str
    to_depart: str
    to_judge: str


def step_graph(network: JobNet) -> onnx.ModelProto:
    """One sample of each job.

    Inputs sample (N, C), mask (N, C), dt (N, 1), state (N, S); outputs logits (N, 6), families (N, 12), novelty (N,),
    next_state (N, S).
    """
    parts, nodes = folded(network), Nodes()
    first, second, known = nodes.cut(["first", "second", "known"], "state", _sizes(network))
    drive = _drive(nodes, parts, network, ("sample", "mask", "dt"))
    now, gain = _clocks(nodes, network, drive.weight, drive.present, known)
    means = _towards(nodes, first, gain, drive.seen)
    departures = _towards(nodes, second, gain, _departs(nodes, parts, drive.to_depart, means))
    state = nodes.joined(means, departures, now, to="next_state")
    _judged(nodes, parts, network, (drive.to_judge, state), ("logits", "families", "novelty"))
    channels, size = len(CHANNELS), network.state_size
    inputs: dict[str, Shape] = {
        "sample": ["N", channels],
        "mask": ["N", channels],
        "dt": ["N", 1],
        "state": ["N", size],
    }
    return nodes.model(inputs, _outputs("N") | {"next_state": ["N", size]})


def sequence_graph(network: JobNet) -> onnx.ModelProto:
    """Sequences of samples, time the second axis.

    Inputs samples (N, T, C), masks (N, T, C), dts (N, T), state (N, S); outputs logits (N, T, 6), families (N, T, 12),
    novelty (N, T), next_state (N, S). Products and pieces run over all steps at once; two loops of few nodes are
    left.
    """
    parts, nodes, width = folded(network), Nodes(), network.clocks * network.units
    channels, size = len(CHANNELS), network.state_size
    flat = [
        nodes.add("Reshape", name, nodes.whole(f"rows_of_{name}", [-1, last]))
        for name, last in (("samples", channels), ("masks", channels), ("dts", 1))
    ]
    first, second, known = nodes.cut(["first", "second", "known"], "state", _sizes(network))
    drive = _drive(nodes, parts, network, (flat[0], flat[1], flat[2]))
    driven = [_timed(nodes, each) for each in (drive.weight, drive.present, drive.seen)]
    last_known, last_means, amounts, gains, means = nodes.many(
        "Scan", [known, first, *driven], ["last_known", "last_means", "amounts", "gains", "means"],
        body=_first_loop(network), num_scan_inputs=3, scan_input_axes=[1] * 3, scan_output_axes=[1] * 3,
    )  # fmt: skip
    departed = _timed(nodes, _departs(nodes, parts, drive.to_depart, _rows(nodes, means, width)))
    last_departures, departures = nodes.many(
        "Scan", [second, gains, departed], ["last_departures", "departures"],
        body=_second_loop(network), num_scan_inputs=2, scan_input_axes=[1] * 2, scan_output_axes=[1],
    )  # fmt: skip
    nodes.joined(last_means, last_departures, last_known, to="next_state")
    states = _rows(nodes, nodes.joined(means, departures, amounts), size)
    _judged(nodes, parts, network, (drive.to_judge, states), ("logit_rows", "family_rows", "novelty_rows"))
    _timed(nodes, "logit_rows", to="logits")
    _timed(nodes, "family_rows", to="families")
    nodes.add("Reshape", "novelty_rows", nodes.add("Shape", "dts"), to="novelty")
    inputs: dict[str, Shape] = {
        "samples": ["N", "T", channels], "masks": ["N", "T", channels], "dts": ["N", "T"], "state": ["N", size],
    }  # fmt: skip
    return nodes.model(inputs, _outputs("N", "T") | {"next_state": ["N", size]})


def _sizes(network: JobNet) -> tuple[int, int, int]:
    width = network.clocks * network.units
    return width, width, network.clocks


def _drive(nodes: Nodes, parts: Folded, network: JobNet, names: tuple[str, str, str]) -> _Drive:
    """What rows of samples, masks and times bring."""
    sample, mask, dt = names
    width = network.clocks * network.units
    above = nodes.add("Sub", nodes.joined(*[sample] * network.pieces), nodes.constant("low", parts.low))
    risen = nodes.add("Min", nodes.add("Relu", above), nodes.constant("span", parts.span))
    code = _rectified(nodes, nodes.linear(nodes.joined(risen, mask), "encode", parts.encode))
    seen, gate, count, to_depart, to_judge = nodes.cut(
        ["seen", "gate", "count", "to_depart", "to_judge"],
        nodes.linear(code, "look", parts.look),
        [width, network.clocks, 1, width, network.features],
    )
    elapsed = nodes.add("Clip", dt, nodes.constant("first_s", FIRST_S), nodes.constant("gap_s", GAP_S))
    pace = nodes.add("Mul", elapsed, nodes.constant("half_rates", parts.half_rates))
    gate = nodes.add("Max", gate, nodes.constant("gate_low", GATE_LOW))
    half = nodes.add("Softsign", nodes.add("Tanh", nodes.add("Mul", pace, nodes.add("Sigmoid", gate))))
    weight = nodes.add("Mul", half, nodes.constant("two", 2.0))
    present = nodes.add("Min", count, nodes.constant("one", 1.0))
    return _Drive(seen, weight, present, to_depart, to_judge)


def _rectified(nodes: Nodes, what: str) -> str:
    return nodes.add("LeakyRelu", what, alpha=SLOPE)


def _clocks(nodes: Nodes, network: JobNet, weight: str, present: str, known: str) -> tuple[str, str]:
    """How much the clocks have seen now, and the share of the new sample in each unit's mean."""
    now = _towards(nodes, known, weight, present)
    least = nodes.add("Max", now, nodes.constant("tiny", TINY))
    gain = nodes.add("Div", nodes.add("Mul", weight, present), least)
    return now, nodes.joined(*[gain] * network.units)


def _towards(nodes: Nodes, mean: str, gain: str, value: str) -> str:
    return nodes.add("Add", mean, nodes.add("Mul", gain, nodes.add("Sub", value, mean)))


def _departs(nodes: Nodes, parts: Folded, base: str, means: str) -> str:
    return _rectified(nodes, nodes.onto(base, means, "depart", parts.depart))


def _judged(nodes: Nodes, parts: Folded, network: JobNet, read: tuple[str, str], into: tuple[str, str, str]) -> None:
    """From what the code brings and the state, in rows, to logits, families and novelty."""
    features = _rectified(nodes, nodes.onto(*read, "judge", parts.judge))
    last = nodes.linear(features, "last", parts.last)
    sizes = [len(CLASSES), len(MINING_FAMILIES), network.features, len(network.centroids)]
    classes, families, white, cross = nodes.cut(["classes", "kinds", "white", "cross"], last, sizes)
    nodes.add("LogSoftmax", classes, to=into[0], axis=-1)
    nodes.add("LogSoftmax", families, to=into[1], axis=-1)
    nearest = nodes.add("ArgMin", cross, axis=-1, keepdims=0)
    apart = nodes.add("Sub", white, nodes.add("Gather", nodes.constant("centroids", parts.centroids), nearest))
    nodes.add("ReduceSumSquare", apart, nodes.whole("last_axis", [-1]), to=into[2], keepdims=0)


def _outputs(*lead: str) -> dict[str, Shape]:
    return {"logits": [*lead, len(CLASSES)], "families": [*lead, len(MINING_FAMILIES)], "novelty": list(lead)}


def _rows(nodes: Nodes, what: str, width: int) -> str:
    """(N, T, width) as (N * T, width)."""
    return nodes.add("Reshape", what, nodes.whole(f"rows_of_{what}", [-1, width]))


def _timed(nodes: Nodes, what: str, to: str = "") -> str:
    """(N * T, width) as (N, T, width)."""
    shape = nodes.joined(nodes.add("Shape", "dts"), nodes.whole("rest", [-1]))
    return nodes.add("Reshape", what, shape, to=to)


def _first_loop(network: JobNet) -> onnx.GraphProto:
    """Amounts and means of the first layer, a step."""
    nodes, clocks, width = Nodes("first_"), network.clocks, network.clocks * network.units
    now, gain = _clocks(nodes, network, "first_weight", "first_present", "first_known")
    mean = _towards(nodes, "first_mean", gain, "first_seen")
    again = [nodes.add("Identity", name) for name in (now, mean)]
    inputs = {"known": clocks, "mean": width, "weight": clocks, "present": 1, "seen": width}
    outputs = {now: clocks, mean: width, again[0]: clocks, gain: width, again[1]: width}
    return nodes.graph({f"first_{name}": ["N", size] for name, size in inputs.items()}, _sized(outputs))


def _second_loop(network: JobNet) -> onnx.GraphProto:
    """Means of the second layer, a step."""
    nodes, width = Nodes("second_"), network.clocks * network.units
    mean = _towards(nodes, "second_mean", "second_gain", "second_value")
    again = nodes.add("Identity", mean)
    inputs = {f"second_{name}": width for name in ("mean", "gain", "value")}
    return nodes.graph(_sized(inputs), _sized({mean: width, again: width}))


def _sized(widths: dict[str, int]) -> dict[str, Shape]:
    return {name: ["N", width] for name, width in widths.items()}
