"""W8A8 inference in torch: exact 8-bit products by ``torch._int_mm``, the rest in bfloat16."""

from __future__ import annotations

from typing import Final, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hashwarden.kernels.workloads.learning.torch_runs import compare, require_device
from hashwarden.kernels.workloads.plan import require_close, require_equal
from hashwarden.kernels.workloads.workload import Settings

__all__ = ["W8A8Run", "int_product", "w8a8_inference"]

_CHECKED: Final = 32


def int_product(a: Tensor, b: Tensor) -> Tensor:
    """``a[m, k] b[k, n]`` of int8 as int32, on a GPU by its tensor cores.

    ``torch._int_mm`` takes more than 16 rows, and k and n that 8 divides, on a GPU; on the CPU the product is
    made in int32.
    """
    fits = a.shape[0] > 16 and a.shape[1] % 8 == 0 and b.shape[1] % 8 == 0
    if a.is_cuda and fits:
        return torch._int_mm(a, b)
    if a.is_cuda:
        # torch multiplies no other integers on a GPU; float64 holds every such sum exactly.
        return (a.double() @ b.double()).int()
    return a.int() @ b.int()


class _Layer:
    """Weights quantised by column; activations are quantised by row when they come."""

    def __init__(self, random: np.random.Generator, before: int, after: int, device: str) -> None:
        spread = 1.5 / before**0.5
        weights = random.integers(-127, 128, (after, before), np.int8)
        scales = (random.uniform(0.5, 1, after) * spread / 127).astype(np.float32)
        self.weights, self.scales = torch.from_numpy(weights).to(device).t(), torch.from_numpy(scales).to(device)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Results, and the integers behind them: quantised activations and sums."""
        scales = x.abs().amax(-1, keepdim=True).float().clamp(min=1e-20) / 127
        whole = (x.float() / scales).round().clamp(-127, 127).to(torch.int8)
        sums = int_product(whole, self.weights)
        return (sums.float() * scales * self.scales).to(x.dtype), whole, sums


@final
class W8A8Run:
    """Blocks of norm, two 8-bit products and a residual."""

    def __init__(self, settings: Settings, seed: int, device: str) -> None:
        require_device(device)
        self.units: float = settings["tokens"]
        self._device, self._seed, self._width = device, seed, settings["width"]
        random = np.random.default_rng(seed)
        width, inner = settings["width"], settings["inner"]
        self.blocks = [
            (_Layer(random, width, inner, device), _Layer(random, inner, width, device))
            for _ in range(settings["layers"])
        ]
        shape = (settings["tokens"], settings["width"])
        self._rows = torch.from_numpy(random.standard_normal(shape, np.float32)).to(device, torch.bfloat16)

    def step(self) -> None:
        """One pass over the rows, which then are others."""
        with torch.inference_mode():
            x = self._rows
            for up, down in self.blocks:
                y, *_ = up(functional.layer_norm(x, (self._width,)))
                x = x + down(functional.gelu(y, approximate="tanh"))[0]
            self._rows = functional.layer_norm(x, (self._width,)).roll(1, 0)

    def wait(self) -> None:
        """Wait until the device has done all steps."""
        if self._device.startswith("cuda"):
            torch.cuda.synchronize()

    def check(self) -> None:
        """Compare sums exactly, and results closely, with integers and float64 of NumPy, from the seed's weights."""
        random = np.random.default_rng(self._seed)
        x = torch.randn(_CHECKED, self._width, generator=torch.Generator().manual_seed(self._seed)).to(self._device)
        for block in self.blocks:
            for layer in block:
                after, before = layer.weights.shape[1], layer.weights.shape[0]
                weights = random.integers(-127, 128, (after, before), np.int8).astype(np.int64)
                scales = random.uniform(0.5, 1, after) * (1.5 / before**0.5) / 127
                with torch.inference_mode():
                    y, whole, sums = layer(x)
                given = x.cpu().double().numpy()
                rows = np.abs(given).max(1, keepdims=True) / 127
                integers = whole.cpu().numpy().astype(np.int64)
                require_close("integers", integers, given / rows, 0.0, 0.5 + 1e-3)
                require_equal("sums", sums.cpu().numpy().astype(np.int64), integers @ weights.T)
                compare("results", y, torch.from_numpy((integers @ weights.T) * rows * scales))
                x = functional.gelu(y, approximate="tanh")


def w8a8_inference(settings: Settings, seed: int, device: str) -> W8A8Run:
    """Run the 8-bit blocks."""
    return W8A8Run(settings, seed, device)
