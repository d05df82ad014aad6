"""Diffusion: a small U-Net removes noise from images step by step.

The network of Ronneberger et al. (MICCAI 2015) with two levels and the time as a bias (Ho et al., NeurIPS 2020),
and the deterministic sampler of Song et al. (ICLR 2021). After the last denoising step new noise comes.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import UsageError
from hashwarden.kernels.device import device
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.learning import layers, oracle
from hashwarden.kernels.workloads.learning.checks import Parameters, check_output, parameters_of
from hashwarden.kernels.workloads.learning.conv import convolution, enlarge, pool
from hashwarden.kernels.workloads.learning.embedding import copy_run
from hashwarden.kernels.workloads.learning.lazy_torch import torch_builder
from hashwarden.kernels.workloads.learning.oracle import Value
from hashwarden.kernels.workloads.learning.program import Program, Tensor
from hashwarden.kernels.workloads.plan import Launch, Plan
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_sampling", "schedule"]

_CHANNELS: Final = 4
"""Channels of an image, as of the latent images of Rombach et al. (CVPR 2022)."""

_TIMES: Final = 32
"""Numbers that stand for a time."""


@device
def denoise(thread: Any, log: Any, x: Any, noise: Any, size: Any, kept: Any, removed: Any) -> None:
    """``x = kept * x + removed * noise``, in place."""
    t = begin(log, thread)
    start = thread * 4
    count = min(4, size - start)
    t = load(log, t, 0, 0, start, 0, count)
    t = load(log, t, 1, 1, start, 0, count)
    t = store(log, t, 2, 0, start, 0, count)
    for i in range(start, start + count):
        x[i] = kept * x[i] + removed * noise[i]


def schedule(steps: int) -> NDArray[np.float64]:
    """Share of the signal's power left at each of ``steps + 1`` times, from almost none to all (cosine schedule)."""
    times = np.linspace(0.98, 0, steps + 1)
    return np.asarray(np.cos((times + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2)


def _factors(steps: int, step: int) -> tuple[float, float]:
    """How much of the image is kept and how much of the noise is added in a denoising step (DDIM, eta 0)."""
    powers = schedule(steps)
    now, then = powers[step % steps], powers[step % steps + 1]
    kept = np.sqrt(then / now)
    return float(kept), float(np.sqrt(1 - then) - kept * np.sqrt(1 - now))


def _times(steps: int) -> NDArray[np.float32]:
    """Sines and cosines of each step's time (Vaswani et al., 2017)."""
    angles = np.arange(steps)[:, None] / 100.0 ** (np.arange(_TIMES // 2) / (_TIMES // 2))
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)


def _timed(program: Program, x: Tensor, name: str, time: Tensor, shape: tuple[int, int], filters: int) -> Tensor:
    """Two convolutions; the time is a bias of the first one's results."""
    y = convolution(program, x, f"{name}.a", shape, filters)
    shift = layers.product(program, time, program.weight(f"{name}.t", _TIMES, filters))
    y = layers.biased(program, y, shift, layers.SILU)
    return convolution(program, y, f"{name}.b", shape, filters, layers.SILU)


def _forward(program: Program, image: Tensor, time: Tensor, side: int, filters: int) -> Tensor:
    """The noise in an image."""
    large, low = (side, side), (side // 2, side // 2)
    top = _timed(program, image, "down", time, large, filters)
    y = _timed(program, pool(program, top, large), "bottom", time, low, 2 * filters)
    y = convolution(program, enlarge(program, y, low), "narrow", large, filters)
    y = _timed(program, layers.add(program, y, top), "up", time, large, filters)
    return convolution(program, y, "out", large, _CHANNELS)


def _oracle(parameters: Parameters, image: Value, time: NDArray[Any]) -> Value:
    def layer(x: Value, name: str) -> Value:
        return oracle.convolve(x, parameters[f"{name}.w"]) + parameters[f"{name}.b"]

    def timed(x: Value, name: str) -> Value:
        shift = Value(time.astype(x.data.dtype)[None]) @ parameters[f"{name}.t"]
        return oracle.silu(layer(oracle.silu(layer(x, f"{name}.a") + shift), f"{name}.b"))

    top = timed(image, "down")
    count, side, _, filters = top.shape
    low = top.reshape(count, side // 2, 2, side // 2, 2, filters).mean((2, 4))
    y = timed(low.reshape(count, side // 2, side // 2, filters), "bottom")
    large = np.arange(side) // 2
    y = layer(y.take((slice(None), large[:, None], large[None, :])), "narrow")
    return layer(timed(y + top, "up"), "out")


def build_sampling(settings: Settings, seed: int) -> Plan:
    """Plan denoising steps."""
    program, batch, side, steps = Program(seed), settings["batch"], settings["side"], settings["steps"]
    if side % 2:
        raise UsageError(f"side = {side}", "an even number", "Choose an even side.")
    rows, size = batch * side * side, batch * side * side * _CHANNELS
    noise = program.random.standard_normal((rows, _CHANNELS), np.float32)
    program.host("noise", noise)
    program.host("times", _times(steps))
    image, time = program.tensor("image", rows, _CHANNELS), program.tensor("time", 1, _TIMES)
    fresh = Launch(copy_run, size, ("noise", image.name, np.int64(0)))
    program.launch(lambda step: fresh if step % steps == 0 else None)
    program.launch(lambda step: Launch(copy_run, _TIMES, ("times", time.name, np.int64(step % steps * _TIMES))))
    guess = _forward(program, image, time, side, settings["filters"])

    def last(step: int) -> Launch:
        factors = (np.float32(factor) for factor in _factors(steps, step))
        return Launch(denoise, -(-size // 4), (image.name, guess.name, np.int64(size), *factors))

    program.launch(last, 3.0 * size)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        parameters = parameters_of(program, results)
        some = noise.reshape(batch, side, side, _CHANNELS)[:4].astype(parameters["out.b"].data.dtype)
        expected = _oracle(parameters, Value(some), _times(steps)[0]).data
        check_output("guessed noise", results[guess.name][: some.size], expected)
        powers = schedule(steps)
        clean = (some - np.sqrt(1 - powers[0]) * expected) / np.sqrt(powers[0])
        after = np.sqrt(powers[1]) * clean + np.sqrt(1 - powers[1]) * expected
        check_output("image", results[image.name][: some.size], after)

    return program.plan(batch, check)


WORKLOADS: Final = (
    Workload(
        name="diffusion-sampling",
        label="inference",
        family="diffusion",
        bound="float",
        summary="Denoising of images by a small U-Net, step by step (NeurIPS 2020, ICLR 2021)",
        unit="image step",
        parameters=(
            Parameter("batch", "images", 1, 4096, "images that are made together"),
            Parameter("side", "pixels", 2, 512, "height and width of an image, an even number"),
            Parameter("filters", "", 1, 1024, "filters of the upper level; the lower one has twice as many"),
            Parameter("steps", "steps", 1, 1000, "denoising steps until new noise comes"),
            Parameter("pause_ms", "milliseconds", 0, 60_000, "wait for the next request after the last step (torch)"),
        ),
        sizes={
            "small": {"batch": 1, "side": 4, "filters": 4, "steps": 20, "pause_ms": 1},
            "trace": {"batch": 4, "side": 16, "filters": 24, "steps": 20, "pause_ms": 1},
            "gpu": {"batch": 16, "side": 64, "filters": 64, "steps": 50, "pause_ms": 50},
        },
        build=build_sampling,
        torch=torch_builder("torch_images", "diffusion_sampling"),
    ),
)
