"""A multi-layer perceptron that classifies vectors: training with Adam, and inference.

Linear layers with ReLU (Rumelhart, Hinton and Williams, Nature 1986), cross-entropy, and a data set in device
memory from which every step gathers a shuffled batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from numpy.typing import NDArray

from hashwarden.kernels.workloads.learning import layers
from hashwarden.kernels.workloads.learning.batches import Batches
from hashwarden.kernels.workloads.learning.checks import Parameters, check_output, check_training, parameters_of
from hashwarden.kernels.workloads.learning.lazy_torch import RHYTHM, RHYTHM_GPU, RHYTHM_SMALL, torch_builder
from hashwarden.kernels.workloads.learning.oracle import Value
from hashwarden.kernels.workloads.learning.program import Program, Tensor
from hashwarden.kernels.workloads.plan import Plan
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_inference", "build_training"]


def _forward(program: Program, x: Tensor, settings: Settings) -> Tensor:
    for layer in range(settings["layers"]):
        x = layers.linear(program, x, f"layer{layer}", settings["width"], layers.RELU)
    return layers.linear(program, x, "head", settings["classes"])


def _oracle(parameters: Parameters, x: NDArray[Any], count: int) -> Value:
    value = Value(x.astype(parameters["head.b"].data.dtype))
    for layer in range(count):
        value = (value @ parameters[f"layer{layer}.w"] + parameters[f"layer{layer}.b"]).relu()
    return value @ parameters["head.w"] + parameters["head.b"]


def build_training(settings: Settings, seed: int) -> Plan:
    """Plan steps of forward pass, backward pass and Adam."""
    program = Program(seed, training=True)
    data = Batches(program, settings["batch"], settings["features"], settings["classes"])
    logits = _forward(program, data.rows, settings)
    loss = layers.cross_entropy(program, logits, data.labels)
    program.backward()
    program.update()

    def losses(parameters: Parameters) -> Value:
        return _oracle(parameters, data.first, settings["layers"]).surprise(data.first_labels)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        check_training(results, program, loss, losses)

    return program.plan(settings["batch"], check)


def build_inference(settings: Settings, seed: int) -> Plan:
    """Plan forward passes with softmax."""
    program = Program(seed)
    data = Batches(program, settings["batch"], settings["features"], settings["classes"])
    shares = layers.softmax(program, _forward(program, data.rows, settings))

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        expected = _oracle(parameters_of(program, results), data.first, settings["layers"]).softmax()
        check_output("shares", results[shares.name], expected.data)

    return program.plan(settings["batch"], check)


PARAMETERS: Final = (
    Parameter("batch", "samples", 1, 1 << 17, "samples of a step"),
    Parameter("features", "", 1, 1 << 14, "numbers of a sample"),
    Parameter("width", "", 1, 1 << 14, "width of the hidden layers"),
    Parameter("layers", "", 1, 64, "hidden layers"),
    Parameter("classes", "", 2, 1 << 14, "classes told apart"),
)

SMALL: Final = {"batch": 8, "features": 12, "width": 10, "layers": 1, "classes": 5}

WORKLOADS: Final = (
    Workload(
        name="mlp-training",
        label="training",
        family="mlp",
        bound="float",
        summary="Training of a multi-layer perceptron with ReLU, cross-entropy and Adam",
        unit="sample",
        parameters=(*PARAMETERS, *RHYTHM),
        sizes={
            "small": {**SMALL, **RHYTHM_SMALL},
            "trace": {**RHYTHM_SMALL, "batch": 48, "features": 512, "width": 256, "layers": 2, "classes": 100},
            "gpu": {**RHYTHM_GPU, "batch": 4096, "features": 1024, "width": 2048, "layers": 2, "classes": 1000},
        },
        build=build_training,
        torch=torch_builder("torch_dense", "mlp_training"),
    ),
    Workload(
        name="mlp-inference",
        label="inference",
        family="mlp",
        bound="float",
        summary="Classification by a multi-layer perceptron with ReLU and softmax",
        unit="sample",
        parameters=PARAMETERS,
        sizes={
            "small": SMALL,
            "trace": {"batch": 128, "features": 512, "width": 256, "layers": 3, "classes": 100},
            "gpu": {"batch": 4096, "features": 1024, "width": 2048, "layers": 3, "classes": 1000},
        },
        build=build_inference,
        torch=torch_builder("torch_dense", "mlp_inference"),
    ),
)
