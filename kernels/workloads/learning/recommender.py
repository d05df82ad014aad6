"""A recommender of embedding tables: training and inference of a deep learning recommendation model.

Naumov et al. (arXiv 1906.00091): a dense part, bags of rows from large tables of which few rows are popular, the
products of all pairs, and a second dense part that tells clicks from no clicks. The dense parts learn by Adam,
the tables by plain gradient descent with atomic additions, so that only touched rows are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.learning import layers, oracle
from hashwarden.kernels.workloads.learning.batches import Batches
from hashwarden.kernels.workloads.learning.checks import (
    TOLERANCE,
    Parameters,
    check_output,
    check_training,
    parameters_of,
)
from hashwarden.kernels.workloads.learning.elementwise import fill_random
from hashwarden.kernels.workloads.learning.embedding import bag, bag_back
from hashwarden.kernels.workloads.learning.interaction import interaction
from hashwarden.kernels.workloads.learning.lazy_torch import RHYTHM, RHYTHM_GPU, RHYTHM_SMALL, torch_builder
from hashwarden.kernels.workloads.learning.oracle import Value
from hashwarden.kernels.workloads.learning.program import Program, Tensor
from hashwarden.kernels.workloads.plan import Empty, Launch, Plan, require_close, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_inference", "build_training", "random_table"]

_PERIOD: Final = 4
_RATE: Final = np.float32(0.5)
_SCALE: Final = 0.25
_HOST_ELEMENTS: Final = 1 << 24
_DENSE: Final = 13
_CHECKED: Final = 1024


def random_table(places: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """What `fill_random` leaves at some places of the tables, for the oracle: 32-bit integers in 64 bits."""
    low = np.uint64(0xFFFFFFFF)
    z = (places.astype(np.uint64) * np.uint64(0x9E3779B9) + np.uint64(seed)) & low
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        z = ((z ^ (z >> np.uint64(shift))) * np.uint64(factor)) & low
    z ^= z >> np.uint64(16)
    return (((z >> np.uint64(8)).astype(np.float64) / 2**23 - 1) * _SCALE).astype(np.float32)


class _Tables:
    """The tables, one below the other, and which of their rows the steps touch."""

    def __init__(self, program: Program, settings: Settings, seed: int) -> None:
        self.columns, self.hot = settings["size"], settings["hot"]
        self.tables, self.batch = settings["tables"], settings["batch"]
        self.elements = self.tables * settings["rows"] * self.columns
        self.seed = seed & 0xFFFFFFFF
        whole = self.elements <= _HOST_ELEMENTS
        program.arrays["tables"] = (
            random_table(np.arange(self.elements), self.seed) if whole else Empty((self.elements,), np.float32)
        )
        if not whole:
            arguments = ("tables", np.int64(self.elements), np.uint32(self.seed), np.float32(_SCALE))
            program.setup.append(Launch(fill_random, -(-self.elements // 4), arguments))
        shape = (_PERIOD * self.batch, self.tables, self.hot)
        popular = (settings["rows"] * program.random.random(shape) ** 4).astype(np.int64)
        index = popular + np.arange(self.tables)[:, None] * settings["rows"]
        program.host("index", index.astype(np.int32))
        self.first: NDArray[Any] = index[: self.batch]

    def bags(self, program: Program) -> Tensor:
        """Append the gathering of all bags, and the descent of their rows."""
        y = program.tensor("bags", self.batch * self.tables, self.columns)

        def numbers(step: int) -> tuple[np.int64, ...]:
            start = step % _PERIOD * self.batch * self.tables * self.hot
            return np.int64(self.columns), np.int64(self.hot), np.int64(start)

        program.launch(lambda step: Launch(bag, y.size, ("tables", "index", y.name, *numbers(step))))

        def back() -> None:
            names = (program.gradient(y), "index", "tables")
            program.launch(lambda step: Launch(bag_back, y.size, (*names, *numbers(step), _RATE)))

        if program.training:
            program.tape.append(back)
        return y

    def touched(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Rows that step 0 touches, where each is used, and what they hold before."""
        rows, places = np.unique(self.first, return_inverse=True)
        flat = rows[:, None] * self.columns + np.arange(self.columns)
        return rows, places.reshape(self.first.shape), random_table(flat, self.seed)


def _network(program: Program, data: Batches, tables: _Tables, width: int) -> Tensor:
    x = layers.linear(program, data.rows, "below0", width, layers.RELU)
    x = layers.linear(program, x, "below1", tables.columns, layers.RELU)
    x = interaction(program, x, tables.bags(program))
    x = layers.linear(program, x, "above0", width, layers.RELU)
    return layers.linear(program, x, "above1", 2)


def _oracle(parameters: Parameters, dense: NDArray[Any], rows: Value, places: NDArray[np.int64]) -> Value:
    def linear(value: Value, name: str) -> Value:
        return value @ parameters[f"{name}.w"] + parameters[f"{name}.b"]

    samples, tables, _ = places.shape
    x = linear(linear(Value(dense.astype(rows.data.dtype)), "below0").relu(), "below1").relu()
    bags = rows.take(places).sum(2).reshape(samples, tables * rows.shape[-1])
    vectors = oracle.concatenate([x, bags]).reshape(samples, tables + 1, rows.shape[-1])
    products = vectors @ vectors.transpose(0, 2, 1)
    low = np.tril_indices(tables + 1, -1)
    met = oracle.concatenate([x, products.take((slice(None), *low))])
    return linear(linear(met, "above0").relu(), "above1")


def build_training(settings: Settings, seed: int) -> Plan:
    """Plan steps of forward pass, backward pass, Adam for the dense parts, descent for the tables."""
    program = Program(seed, training=True)
    data = Batches(program, settings["batch"], _DENSE, 2)
    tables = _Tables(program, settings, seed)
    loss = layers.cross_entropy(program, _network(program, data, tables, settings["width"]), data.labels)
    program.backward()
    program.update()

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        rows, places, before = tables.touched()
        learned = Value(before.astype(np.float64))

        def losses(parameters: Parameters) -> Value:
            return _oracle(parameters, data.first, learned, places).surprise(data.first_labels)

        check_training(results, program, loss, losses)
        after = results["tables"].reshape(-1, tables.columns)
        slope = (before.astype(np.float64) - after[rows]) / float(_RATE)
        rounding = 4 * float(np.spacing(np.float32(_SCALE))) / float(_RATE)
        scale = TOLERANCE * float(np.max(np.abs(learned.gradient))) + rounding
        require_close("gradient of the tables", slope, learned.gradient, TOLERANCE, scale)
        _check_rest(after, rows, tables)

    return program.plan(settings["batch"], check)


def _check_rest(after: NDArray[Any], touched: NDArray[np.int64], tables: _Tables) -> None:
    """Rows that no sample has must be as before: look at the neighbours of those that were touched."""
    others = np.setdiff1d((touched[:4096] + 1) % len(after), touched)
    places = others[:, None] * tables.columns + np.arange(tables.columns)
    require_equal("untouched rows", after[others], random_table(places, tables.seed))


def build_inference(settings: Settings, seed: int) -> Plan:
    """Plan forward passes with softmax."""
    program = Program(seed)
    data = Batches(program, settings["batch"], _DENSE, 2)
    tables = _Tables(program, settings, seed)
    shares = layers.softmax(program, _network(program, data, tables, settings["width"]))

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        _, places, rows = tables.touched()
        some, held = slice(0, _CHECKED), Value(rows.astype(np.float64))
        expected = _oracle(parameters_of(program, results), data.first[some], held, places[some]).softmax().data
        check_output("shares", results[shares.name][: expected.size], expected)

    return program.plan(settings["batch"], check)


PARAMETERS: Final = (
    Parameter("batch", "samples", 1, 1 << 17, "samples of a step"),
    Parameter("tables", "", 1, 64, "tables"),
    Parameter("rows", "rows", 2, 1 << 24, "rows of a table"),
    Parameter("size", "", 1, 256, "numbers of a row"),
    Parameter("hot", "rows", 1, 64, "rows that a sample takes from each table"),
    Parameter("width", "", 1, 8192, "width of the dense parts"),
)

_SMALL: Final = {"batch": 4, "tables": 2, "rows": 20, "size": 8, "hot": 2, "width": 8}
_TRACE: Final = {"batch": 256, "tables": 8, "rows": 1 << 15, "size": 64, "hot": 4, "width": 64}
_GPU: Final = {"batch": 8192, "tables": 16, "rows": 1 << 19, "size": 64, "hot": 8, "width": 512}

WORKLOADS: Final = (
    Workload(
        name="recommender-training",
        label="training",
        family="recommender",
        bound="memory",
        summary="Training of embedding tables and dense layers, tables updated by atomic additions (arXiv 1906.00091)",
        unit="sample",
        parameters=(*PARAMETERS, *RHYTHM),
        sizes={
            "small": {**_SMALL, **RHYTHM_SMALL},
            "trace": {**_TRACE, **RHYTHM_SMALL, "batch": 128},
            "gpu": {**_GPU, **RHYTHM_GPU},
        },
        build=build_training,
        torch=torch_builder("torch_dense", "recommender_training"),
    ),
    Workload(
        name="recommender-inference",
        label="inference",
        family="recommender",
        bound="memory",
        summary="Click probabilities from embedding tables and dense layers (arXiv 1906.00091)",
        unit="sample",
        parameters=PARAMETERS,
        sizes={"small": _SMALL, "trace": _TRACE, "gpu": {**_GPU, "batch": 16384}},
        build=build_inference,
        torch=torch_builder("torch_dense", "recommender_inference"),
    ),
)
