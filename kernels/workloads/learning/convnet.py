"""A convolutional network that classifies images: training with Adam, and inference.

Stages of two 3 by 3 convolutions with a residual (He et al., CVPR 2016, without batch norm), mean pooling
between them, and a linear layer over the last image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.learning import layers, oracle
from hashwarden.kernels.workloads.learning.batches import Batches
from hashwarden.kernels.workloads.learning.checks import Parameters, check_output, check_training, parameters_of
from hashwarden.kernels.workloads.learning.conv import convolution, pool
from hashwarden.kernels.workloads.learning.lazy_torch import RHYTHM, RHYTHM_GPU, RHYTHM_SMALL, torch_builder
from hashwarden.kernels.workloads.learning.oracle import Value
from hashwarden.kernels.workloads.learning.program import Program, Tensor
from hashwarden.kernels.workloads.plan import Plan
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_inference", "build_training"]

_COLOURS: Final = 3


def _forward(program: Program, images: Tensor, settings: Settings) -> Tensor:
    side, filters, batch = settings["side"], settings["filters"], settings["batch"]
    x = program.freeze(Tensor(images.name, batch * side * side, _COLOURS))
    x = convolution(program, x, "stem", (side, side), filters, layers.RELU)
    for stage in range(settings["stages"]):
        shape = (side >> stage, side >> stage)
        y = convolution(program, x, f"stage{stage}.a", shape, x.columns, layers.RELU)
        x = layers.add(program, x, convolution(program, y, f"stage{stage}.b", shape, x.columns))
        x = convolution(
            program, pool(program, x, shape), f"stage{stage}.wider", half(shape), 2 * x.columns, layers.RELU
        )
    rows = Tensor(x.name, batch, x.size // batch)  # the same memory, an image a row
    return layers.linear(program, rows, "head", settings["classes"])


def half(shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width after pooling."""
    return shape[0] // 2, shape[1] // 2


def _oracle(parameters: Parameters, settings: Settings, images: NDArray[Any]) -> Value:
    side = settings["side"]

    def layer(x: Value, name: str) -> Value:
        return oracle.convolve(x, parameters[f"{name}.w"]) + parameters[f"{name}.b"]

    kind = parameters["head.b"].data.dtype
    x = layer(Value(images.astype(kind).reshape(-1, side, side, _COLOURS)), "stem").relu()
    for stage in range(settings["stages"]):
        x = x + layer(layer(x, f"stage{stage}.a").relu(), f"stage{stage}.b")
        count, height, width, channels = x.shape
        x = x.reshape(count, height // 2, 2, width // 2, 2, channels).mean((2, 4))
        x = layer(x.reshape(count, height // 2, width // 2, channels), f"stage{stage}.wider").relu()
    return x.reshape(len(images), -1) @ parameters["head.w"] + parameters["head.b"]


def _network(program: Program, settings: Settings) -> tuple[Batches, Tensor]:
    side, stages = settings["side"], settings["stages"]
    if side % (1 << stages):
        remedy = "Choose a side that the stages can halve."
        raise UsageError(f"side = {side} with {stages} stages", f"a multiple of {1 << stages}", remedy)
    data = Batches(program, settings["batch"], side * side * _COLOURS, settings["classes"])
    return data, _forward(program, data.rows, settings)


def build_training(settings: Settings, seed: int) -> Plan:
    """Plan steps of forward pass, backward pass and Adam."""
    program = Program(seed, training=True)
    data, logits = _network(program, settings)
    loss = layers.cross_entropy(program, logits, data.labels)
    program.backward()
    program.update()

    def losses(parameters: Parameters) -> Value:
        return _oracle(parameters, settings, data.first).surprise(data.first_labels)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        check_training(results, program, loss, losses)

    return program.plan(settings["batch"], check)


def build_inference(settings: Settings, seed: int) -> Plan:
    """Plan forward passes with softmax."""
    program = Program(seed)
    data, logits = _network(program, settings)
    shares = layers.softmax(program, logits)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        expected = _oracle(parameters_of(program, results), settings, data.first[:8]).softmax().data
        check_output("shares", results[shares.name][: expected.size], np.asarray(expected))

    return program.plan(settings["batch"], check)


PARAMETERS: Final = (
    Parameter("batch", "images", 1, 1 << 14, "images of a step"),
    Parameter("side", "pixels", 2, 512, "height and width of an image"),
    Parameter("filters", "", 1, 1024, "filters of the first stage; each stage doubles them"),
    Parameter("stages", "", 1, 5, "stages, each of which halves the image"),
    Parameter("classes", "", 2, 1 << 14, "classes told apart"),
)

WORKLOADS: Final = (
    Workload(
        name="convnet-training",
        label="training",
        family="convnet",
        bound="float",
        summary="Training of a residual convolutional network by implicit matrix products and Adam",
        unit="image",
        parameters=(*PARAMETERS, *RHYTHM),
        sizes={
            "small": {**RHYTHM_SMALL, "batch": 1, "side": 4, "filters": 4, "stages": 1, "classes": 4},
            "trace": {**RHYTHM_SMALL, "batch": 3, "side": 16, "filters": 16, "stages": 2, "classes": 100},
            "gpu": {**RHYTHM_GPU, "batch": 64, "side": 32, "filters": 64, "stages": 3, "classes": 1000},
        },
        build=build_training,
        torch=torch_builder("torch_images", "convnet_training"),
    ),
    Workload(
        name="convnet-inference",
        label="inference",
        family="convnet",
        bound="float",
        summary="Classification of images by a residual convolutional network",
        unit="image",
        parameters=PARAMETERS,
        sizes={
            "small": {"batch": 1, "side": 4, "filters": 4, "stages": 1, "classes": 4},
            "trace": {"batch": 5, "side": 16, "filters": 24, "stages": 2, "classes": 100},
            "gpu": {"batch": 256, "side": 32, "filters": 64, "stages": 3, "classes": 1000},
        },
        build=build_inference,
        torch=torch_builder("torch_images", "convnet_inference"),
    ),
)
