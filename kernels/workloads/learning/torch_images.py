"""Residual convolutional network and U-Net in torch."""

from __future__ import annotations

import copy
import time
from typing import Final, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hashwarden.kernels.workloads.learning.torch_runs import (
    Apply,
    Batch,
    InferenceRun,
    Task,
    TrainingRun,
    compare,
    exact,
    loss,
    require_device,
    shares,
)
from hashwarden.kernels.workloads.workload import Settings

__all__ = ["SamplingRun", "convnet_inference", "convnet_training", "diffusion_sampling"]

_COLOURS: Final = 3
_CHANNELS: Final = 4
_TIMES: Final = 64
_CHECKED: Final = 4


class _Stage(nn.Module):
    """Two normalised convolutions beside a residual, then a third one that halves the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))
        self.wider = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Half as large, twice as deep."""
        return functional.relu(self.wider(functional.relu(x + self.b(self.a(x)))))


def _convnet(settings: Settings, apply: Apply) -> Task:
    side, filters, stages = settings["side"], settings["filters"], settings["stages"]

    def model() -> nn.Module:
        parts = [_Stage(filters << stage) for stage in range(stages)]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(filters << stages, settings["classes"])]
        return nn.Sequential(nn.Conv2d(_COLOURS, filters, 3, padding=1), *parts, *head)

    def batch(random: np.random.Generator, samples: int) -> Batch:
        images = torch.from_numpy(random.standard_normal((samples, _COLOURS, side, side), np.float32))
        labels = torch.from_numpy(random.integers(0, settings["classes"], samples))
        return images.contiguous(memory_format=torch.channels_last), labels

    samples = settings["batch"]
    return Task(model, batch, apply, samples, min(samples, _CHECKED), samples)


def convnet_training(settings: Settings, seed: int, device: str) -> TrainingRun:
    """Train the convolutional network."""
    return TrainingRun(_convnet(settings, loss), settings, seed, device)


def convnet_inference(settings: Settings, seed: int, device: str) -> InferenceRun:
    """Classify images."""
    return InferenceRun(_convnet(settings, shares), seed, device)


class _Timed(nn.Module):
    """Two normalised convolutions, the time added between them, beside a residual."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.norm = nn.GroupNorm(1, after)
        self.time = nn.Linear(_TIMES, after)
        self.beside = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Features of the image at a time."""
        y = self.norm(self.a(x)) + self.time(time)[:, :, None, None]
        sum_: Tensor = self.beside(x) + self.b(functional.silu(y))
        return sum_


class _Attention(nn.Module):
    """Every pixel attends to all others."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, 3 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The image and what its pixels told one another."""
        count, channels, height, width = x.shape
        q, k, v = self.mix(x).reshape(count, 3, channels, height * width).transpose(2, 3).unbind(1)
        y = functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return x + y.transpose(1, 2).reshape(x.shape)


class _UNet(nn.Module):
    """Two levels with a bridge, attention at the lower one."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.down, self.bottom = _Timed(_CHANNELS, filters), _Timed(filters, 2 * filters)
        self.attention = _Attention(2 * filters)
        self.up = _Timed(3 * filters, filters)
        self.out = nn.Conv2d(filters, _CHANNELS, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """The noise in an image."""
        top = self.down(x, time)
        y = self.attention(self.bottom(functional.avg_pool2d(top, 2), time))
        y = functional.interpolate(y, scale_factor=2.0, mode="nearest")
        noise: Tensor = self.out(self.up(torch.cat([y, top], 1), time))
        return noise


def _embedded(step: int, kind: torch.dtype) -> Tensor:
    angles = step / 100.0 ** (torch.arange(_TIMES // 2, dtype=torch.float64) / (_TIMES // 2))
    return torch.cat([angles.sin(), angles.cos()])[None].to(kind)


def _powers(steps: int) -> Tensor:
    """Share of the signal's power at each time (cosine schedule, Nichol and Dhariwal, ICML 2021)."""
    times = torch.linspace(0.98, 0, steps + 1, dtype=torch.float64)
    return torch.cos((times + 0.008) / 1.008 * torch.pi / 2) ** 2


@final
class SamplingRun:
    """Makes images from noise, one denoising step after another; new noise follows the last one."""

    def __init__(self, settings: Settings, seed: int, device: str) -> None:
        require_device(device)
        self.units: float = settings["batch"]
        self._settings, self._seed, self._device = settings, seed, device
        self.model = self._new().to(device, torch.bfloat16).eval()
        self._random = np.random.default_rng(seed)
        self._steps, self._powers = 0, _powers(settings["steps"])
        self._image = self._noise(self._random, settings["batch"]).to(device, torch.bfloat16)

    def _new(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            return _UNet(self._settings["filters"])

    def _noise(self, random: np.random.Generator, count: int) -> Tensor:
        shape = (count, _CHANNELS, self._settings["side"], self._settings["side"])
        return torch.from_numpy(random.standard_normal(shape, np.float32))

    def _denoised(self, model: nn.Module, image: Tensor, step: int) -> Tensor:
        """One step of the deterministic sampler (Song et al., ICLR 2021)."""
        guess = model(image, _embedded(step, image.dtype).to(image.device))
        now, then = float(self._powers[step]), float(self._powers[step + 1])
        clean = (image - (1 - now) ** 0.5 * guess) / now**0.5
        result: Tensor = then**0.5 * clean + (1 - then) ** 0.5 * guess
        return result

    def step(self) -> None:
        """One denoising step; behind the last one the images go to the host, and the next request is waited for."""
        place = self._steps % self._settings["steps"]
        with torch.inference_mode():
            if place == 0 and self._steps:
                self._image.float().cpu()
                time.sleep(self._settings["pause_ms"] / 1000)
                self._image = self._noise(self._random, self._settings["batch"]).to(self._device, torch.bfloat16)
            self._image = self._denoised(self.model, self._image, place)
        self._steps += 1

    def wait(self) -> None:
        """Wait until the device has done all steps."""
        if self._device.startswith("cuda"):
            torch.cuda.synchronize()

    def check(self) -> None:
        """Compare two denoising steps in float32 here and in float64 on the CPU, for the same weights."""
        count = min(self._settings["batch"], _CHECKED)
        noise = self._noise(np.random.default_rng(self._seed), count)
        reference, model = self._new().bfloat16().double().eval(), copy.deepcopy(self.model).float()
        expected, got = noise.double(), noise.to(self._device)
        with torch.no_grad(), exact():
            for step in range(min(2, self._settings["steps"])):
                expected, got = self._denoised(reference, expected, step), self._denoised(model, got, step)
        compare("image", got, expected)


def diffusion_sampling(settings: Settings, seed: int, device: str) -> SamplingRun:
    """Make images."""
    return SamplingRun(settings, seed, device)
