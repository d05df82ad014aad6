"""A graph convolutional network that classifies the nodes of a graph: training on all nodes, and inference.

Kipf and Welling (ICLR 2017): every layer multiplies by its weights and averages over neighbours, weighted by
the degrees of both. The graph is random, with few nodes of many neighbours and many of few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.learning import layers
from hashwarden.kernels.workloads.learning.checks import Parameters, check_output, check_training, parameters_of
from hashwarden.kernels.workloads.learning.graph import aggregation
from hashwarden.kernels.workloads.learning.lazy_torch import RHYTHM, RHYTHM_GPU, RHYTHM_SMALL, torch_builder
from hashwarden.kernels.workloads.learning.oracle import Value
from hashwarden.kernels.workloads.learning.program import Program, Tensor
from hashwarden.kernels.workloads.plan import Plan
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "Graph", "build_inference", "build_training", "random_graph"]


@dataclass(frozen=True, slots=True)
class Graph:
    """A symmetric graph with self-loops in compressed rows, and the share of each edge."""

    offsets: NDArray[np.int32]
    neighbours: NDArray[np.int32]
    shares: NDArray[np.float32]


def random_graph(nodes: int, degree: int, random: np.random.Generator) -> Graph:
    """Draw edges whose one end favours low numbers; about ``degree`` of them a node."""
    count = nodes * degree // 2
    ends = random.integers(0, nodes, count), (nodes * random.random(count) ** 3).astype(np.int64)
    loops = np.arange(nodes)
    keys = np.sort(np.concatenate([ends[0] * nodes + ends[1], ends[1] * nodes + ends[0], loops * (nodes + 1)]))
    keys = keys[np.diff(keys, prepend=-1) > 0]
    sources, targets = keys // nodes, keys % nodes
    degrees = np.bincount(sources, minlength=nodes)
    offsets = np.concatenate([[0], np.cumsum(degrees)])
    shares = 1 / np.sqrt(degrees[sources] * degrees[targets])
    return Graph(offsets.astype(np.int32), targets.astype(np.int32), shares.astype(np.float32))


def _oracle_sum(x: Value, graph: Graph) -> Value:
    """The sums over neighbours, and over the edges turned round for the gradient."""
    shares = graph.shares.astype(x.data.dtype)[:, None]
    sources = np.repeat(np.arange(len(graph.offsets) - 1), np.diff(graph.offsets))
    turned = np.argsort(graph.neighbours, kind="stable")
    starts = np.searchsorted(graph.neighbours[turned], np.arange(len(graph.offsets) - 1))

    def pull(gradient: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.add.reduceat((shares * gradient[sources])[turned], starts, axis=0))

    data = np.add.reduceat(shares * x.data[graph.neighbours], graph.offsets[:-1], axis=0)
    return Value(data, ((x, pull),))


def _network(program: Program, settings: Settings, graph: Graph, features: NDArray[Any]) -> Tensor:
    names = (
        program.host("offsets", graph.offsets),
        program.host("neighbours", graph.neighbours),
        program.host("shares", graph.shares),
    )
    x = program.input("features", features)
    for layer in range(settings["layers"]):
        last = layer == settings["layers"] - 1
        width = settings["classes"] if last else settings["width"]
        weight = program.weight(f"layer{layer}.w", x.columns, width)
        bias = program.weight(f"layer{layer}.b", 1, width, scale=0.1)
        y = aggregation(program, layers.product(program, x, weight), names, len(graph.neighbours))
        x = layers.biased(program, y, bias, layers.NONE if last else layers.RELU)
    return x


def _oracle(parameters: Parameters, settings: Settings, graph: Graph, features: NDArray[Any]) -> Value:
    x = Value(features.astype(parameters["layer0.b"].data.dtype))
    for layer in range(settings["layers"]):
        x = _oracle_sum(x @ parameters[f"layer{layer}.w"], graph) + parameters[f"layer{layer}.b"]
        x = x if layer == settings["layers"] - 1 else x.relu()
    return x


def _drawn(program: Program, settings: Settings) -> tuple[Graph, NDArray[Any]]:
    graph = random_graph(settings["nodes"], settings["degree"], program.random)
    return graph, program.random.standard_normal((settings["nodes"], settings["features"]), np.float32)


def build_training(settings: Settings, seed: int) -> Plan:
    """Plan steps over the whole graph: forward pass, backward pass, Adam."""
    program = Program(seed, training=True)
    graph, features = _drawn(program, settings)
    answers = program.random.integers(0, settings["classes"], settings["nodes"]).astype(np.int32)
    logits = _network(program, settings, graph, features)
    loss = layers.cross_entropy(program, logits, program.host("answers", answers))
    program.backward()
    program.update()

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        check_training(
            results, program, loss, lambda values: _oracle(values, settings, graph, features).surprise(answers)
        )

    return program.plan(settings["nodes"], check)


def build_inference(settings: Settings, seed: int) -> Plan:
    """Plan passes over the whole graph with softmax."""
    program = Program(seed)
    graph, features = _drawn(program, settings)
    shares = layers.softmax(program, _network(program, settings, graph, features))

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        expected = _oracle(parameters_of(program, results), settings, graph, features).softmax().data
        check_output("shares", results[shares.name], expected)

    return program.plan(settings["nodes"], check)


PARAMETERS: Final = (
    Parameter("nodes", "nodes", 2, 1 << 22, "nodes of the graph"),
    Parameter("degree", "edges", 2, 256, "edges of a node, on average"),
    Parameter("features", "", 1, 4096, "numbers of a node"),
    Parameter("width", "", 1, 4096, "width of the hidden layers"),
    Parameter("layers", "", 1, 16, "layers"),
    Parameter("classes", "", 2, 4096, "classes told apart"),
)

_SMALL: Final = {"nodes": 24, "degree": 4, "features": 6, "width": 8, "layers": 2, "classes": 4}

WORKLOADS: Final = (
    Workload(
        name="graph-network-training",
        label="training",
        family="graph-network",
        bound="memory",
        summary="Training of a graph convolutional network on a whole graph in compressed sparse rows (ICLR 2017)",
        unit="node",
        parameters=(*PARAMETERS, *RHYTHM),
        sizes={
            "small": {**_SMALL, **RHYTHM_SMALL},
            "trace": {
                **RHYTHM_SMALL,
                "nodes": 2048,
                "degree": 10,
                "features": 32,
                "width": 32,
                "layers": 2,
                "classes": 16,
            },
            "gpu": {
                **RHYTHM_GPU,
                "nodes": 1 << 17,
                "degree": 16,
                "features": 128,
                "width": 128,
                "layers": 3,
                "classes": 64,
            },
        },
        build=build_training,
        torch=torch_builder("torch_dense", "graph_training"),
    ),
    Workload(
        name="graph-network-inference",
        label="inference",
        family="graph-network",
        bound="memory",
        summary="Classification of all nodes of a graph by a graph convolutional network",
        unit="node",
        parameters=PARAMETERS,
        sizes={
            "small": _SMALL,
            "trace": {"nodes": 2816, "degree": 16, "features": 32, "width": 32, "layers": 2, "classes": 16},
            "gpu": {"nodes": 1 << 17, "degree": 16, "features": 128, "width": 128, "layers": 3, "classes": 64},
        },
        build=build_inference,
        torch=torch_builder("torch_dense", "graph_inference"),
    ),
)
