"""Perceptron, graph network and recommender in torch."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hashwarden.kernels.workloads.learning.graph_network import Graph, random_graph
from hashwarden.kernels.workloads.learning.torch_runs import Apply, InferenceRun, Task, TrainingRun, loss, shares
from hashwarden.kernels.workloads.workload import Settings

__all__ = [
    "graph_inference",
    "graph_training",
    "mlp_inference",
    "mlp_training",
    "recommender_inference",
    "recommender_training",
]

_CHECKED: Final = 64
_DENSE: Final = 13


def _mlp(settings: Settings, apply: Apply) -> Task:
    def model() -> nn.Module:
        widths = [settings["features"], *[settings["width"]] * settings["layers"]]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*parts, nn.Linear(widths[-1], settings["classes"]))

    def batch(random: np.random.Generator, samples: int) -> tuple[Tensor, ...]:
        rows = random.standard_normal((samples, settings["features"]), np.float32)
        return torch.from_numpy(rows), torch.from_numpy(random.integers(0, settings["classes"], samples))

    samples = settings["batch"]
    return Task(model, batch, apply, samples, min(samples, _CHECKED), samples)


class _GraphNetwork(nn.Module):
    """Graph convolutions; neighbours are summed by ``index_add``, as PyTorch Geometric does."""

    sources: Tensor
    targets: Tensor
    shares: Tensor

    def __init__(self, graph: Graph, settings: Settings) -> None:
        super().__init__()
        widths = [settings["features"], *[settings["width"]] * (settings["layers"] - 1), settings["classes"]]
        pairs = pairwise(widths)
        self.layers = nn.ModuleList([nn.Linear(before, after) for before, after in pairs])
        targets = np.repeat(np.arange(settings["nodes"]), np.diff(graph.offsets))
        self.register_buffer("sources", torch.from_numpy(graph.neighbours.astype(np.int64)))
        self.register_buffer("targets", torch.from_numpy(targets))
        self.register_buffer("shares", torch.from_numpy(graph.shares)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """Logits of all nodes."""
        for number, layer in enumerate(self.layers):
            y = layer(x if number == 0 else functional.relu(x))
            messages = y[self.sources] * self.shares.to(y.dtype)
            x = torch.zeros_like(y).index_add(0, self.targets, messages)
        return x


def _graph(settings: Settings, seed: int, apply: Apply) -> Task:
    random = np.random.default_rng(seed)
    graph = random_graph(settings["nodes"], settings["degree"], random)
    features = torch.from_numpy(random.standard_normal((settings["nodes"], settings["features"]), np.float32))
    labels = torch.from_numpy(random.integers(0, settings["classes"], settings["nodes"]))
    nodes = settings["nodes"]
    return Task(lambda: _GraphNetwork(graph, settings), lambda *_: (features, labels), apply, nodes, nodes, nodes)


class _Recommender(nn.Module):
    """Dense part, bags from one tall table, products of pairs, dense part."""

    low: Tensor

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        size, width, tables = settings["size"], settings["width"], settings["tables"]
        self.tables = nn.EmbeddingBag(tables * settings["rows"], size, mode="sum", sparse=True)
        self.below = nn.Sequential(nn.Linear(_DENSE, width), nn.ReLU(), nn.Linear(width, size), nn.ReLU())
        pairs = tables * (tables + 1) // 2
        self.above = nn.Sequential(nn.Linear(size + pairs, width), nn.ReLU(), nn.Linear(width, 2))
        self.register_buffer("low", torch.tril_indices(tables + 1, tables + 1, -1))

    def forward(self, dense: Tensor, index: Tensor) -> Tensor:
        """Logits of no click and click."""
        samples, tables, hot = index.shape
        x = self.below(dense)
        bags = self.tables(index.reshape(samples * tables, hot)).reshape(samples, tables, -1).to(x.dtype)
        vectors = torch.cat([x[:, None], bags], 1)
        products = vectors @ vectors.transpose(1, 2)
        logits: Tensor = self.above(torch.cat([x, products[:, self.low[0], self.low[1]]], 1))
        return logits


def _recommender(settings: Settings, apply: Apply) -> Task:
    def batch(random: np.random.Generator, samples: int) -> tuple[Tensor, ...]:
        shape = (samples, settings["tables"], settings["hot"])
        popular = (settings["rows"] * random.random(shape) ** 4).astype(np.int64)
        index = popular + np.arange(settings["tables"])[:, None] * settings["rows"]
        dense = torch.from_numpy(random.standard_normal((samples, _DENSE), np.float32))
        return dense, torch.from_numpy(index), torch.from_numpy(random.integers(0, 2, samples))

    samples = settings["batch"]
    return Task(lambda: _Recommender(settings), batch, apply, samples, min(samples, _CHECKED), samples)


def mlp_training(settings: Settings, seed: int, device: str) -> TrainingRun:
    """Train the perceptron."""
    return TrainingRun(_mlp(settings, loss), settings, seed, device)


def mlp_inference(settings: Settings, seed: int, device: str) -> InferenceRun:
    """Classify with the perceptron."""
    return InferenceRun(_mlp(settings, shares), seed, device)


def graph_training(settings: Settings, seed: int, device: str) -> TrainingRun:
    """Train the graph network on the whole graph."""
    return TrainingRun(_graph(settings, seed, loss), settings, seed, device)


def graph_inference(settings: Settings, seed: int, device: str) -> InferenceRun:
    """Classify all nodes."""
    return InferenceRun(_graph(settings, seed, shares), seed, device)


def recommender_training(settings: Settings, seed: int, device: str) -> TrainingRun:
    """Train the recommender; its table gets sparse gradients."""
    return TrainingRun(_recommender(settings, loss), settings, seed, device)


def recommender_inference(settings: Settings, seed: int, device: str) -> InferenceRun:
    """Foretell clicks."""
    return InferenceRun(_recommender(settings, shares), seed, device)
