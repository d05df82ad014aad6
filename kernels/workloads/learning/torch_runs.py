"""How a network in torch trains or answers, step by step, and how its first step is checked.

Training runs in bfloat16 by autocast with AdamW, waits for data, evaluates and saves itself now and then.
Inference runs with weights in bfloat16. The check repeats the first step in float32 on the device and in
float64 on the CPU, from the same seed.
"""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hashwarden.errors import NoDeviceError
from hashwarden.kernels.workloads.plan import require_close
from hashwarden.kernels.workloads.workload import Settings

__all__ = [
    "TOLERANCE",
    "Apply",
    "Batch",
    "InferenceRun",
    "Task",
    "TrainingRun",
    "compare",
    "exact",
    "loss",
    "require_device",
    "shares",
]

TOLERANCE: Final = 2e-3
"""Largest difference between float32 and float64, as a share of the largest number of the same tensor."""

_FAINT: Final = 1e-3
_ROUGH: Final = 0.1
"""How far bfloat16 may be from float32, as a share of the loss."""

Batch = tuple[Tensor, ...]

Apply = Callable[[nn.Module, Batch], Tensor]


@dataclass(frozen=True, slots=True)
class Task:
    """A network and what it is fed with.

    Attributes
    ----------
    model : callable
        Makes the network on the CPU in float32, from torch's global seed.
    batch : callable
        From a random generator and a number of samples to tensors on the CPU.
    apply : callable
        From network and batch to a loss (training) or results (inference).
    samples : int
        Samples of a step.
    checked : int
        Samples that the check uses.
    units : float
        What a step does, in the workload's unit.
    """

    model: Callable[[], nn.Module]
    batch: Callable[[np.random.Generator, int], Batch]
    apply: Apply
    samples: int
    checked: int
    units: float


def loss(model: nn.Module, batch: Batch) -> Tensor:
    """Mean cross-entropy; a batch is inputs and, last, labels."""
    logits = model(*batch[:-1])
    return functional.cross_entropy(logits.flatten(0, -2), batch[-1].flatten())


def shares(model: nn.Module, batch: Batch) -> Tensor:
    """Softmax of the logits."""
    return torch.softmax(model(*batch[:-1]), -1)


def require_device(device: str) -> None:
    """Make sure that torch can use a device.

    Raises
    ------
    NoDeviceError
        If it is a GPU and torch sees none.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise NoDeviceError("torch sees no GPU", "an NVIDIA GPU and torch for CUDA", "Use the torch device cpu.")


def exact() -> Any:  # noqa: ANN401  a context manager of torch
    """Float32 convolutions in float32, not in TF32."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def compare(what: str, got: Tensor, expected: Tensor, least: float = 0.0) -> None:
    """Compare a tensor with the reference's, relative to its largest number or ``least``."""
    wanted = expected.detach().cpu().double().numpy()
    scale = max(float(np.max(np.abs(wanted), initial=0.0)), least)
    require_close(what, got.detach().cpu().double().numpy(), wanted, TOLERANCE, TOLERANCE * scale)


def _seeded(task: Task, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return task.model()


def _moved(batch: Batch, device: str, kind: torch.dtype) -> Batch:
    """A batch on the device, its floats as ``kind``."""
    pinned = (part.pin_memory() if device.startswith("cuda") else part for part in batch)
    moved = (part.to(device, non_blocking=True) for part in pinned)
    return tuple(part.to(kind) if part.is_floating_point() else part for part in moved)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _gradient(parameter: Tensor) -> Tensor:
    """A gradient's numbers; of a sparse one, those of its rows in order."""
    gradient = parameter.grad
    if gradient is None:
        return torch.zeros(1)
    return gradient.coalesce().values() if gradient.is_sparse else gradient


@final
class TrainingRun:
    """A network that trains; parameters named ``tables`` learn by gradient descent, all others by AdamW."""

    def __init__(self, task: Task, settings: Settings, seed: int, device: str) -> None:
        require_device(device)
        self.units = task.units
        self._task, self._settings, self._seed, self._device = task, settings, seed, device
        self.model = _seeded(task, seed).to(device)
        self._random = np.random.default_rng(seed)
        self._steps = 0
        named = list(self.model.named_parameters())
        self._dense = [parameter for name, parameter in named if "tables" not in name]
        tables = [parameter for name, parameter in named if "tables" in name]
        self._optimisers: list[torch.optim.Optimizer] = [torch.optim.AdamW(self._dense, lr=3e-4)]
        if tables:
            self._optimisers.append(torch.optim.SGD(tables, lr=0.1))

    def step(self) -> None:
        """One step, and the wait, evaluation or checkpoint that falls on it."""
        if self._falls_on("pause_every"):
            time.sleep(self._settings["pause_ms"] / 1000)
        batch = self._next()
        with torch.autocast(self._device.split(":")[0], dtype=torch.bfloat16):
            loss = self._task.apply(self.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._dense, 1.0)
        for optimiser in self._optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self._steps += 1
        if self._falls_on("evaluate_every"):
            self._evaluate()
        if self._falls_on("checkpoint_every"):
            torch.save(self.model.state_dict(), io.BytesIO())

    def _falls_on(self, name: str) -> bool:
        every = self._settings[name]
        return every > 0 and self._steps > 0 and self._steps % every == 0

    def _next(self) -> Batch:
        return _moved(self._task.batch(self._random, self._task.samples), self._device, torch.float32)

    def _evaluate(self) -> None:
        self.model.eval()
        with torch.no_grad(), torch.autocast(self._device.split(":")[0], dtype=torch.bfloat16):
            total = sum(float(self._task.apply(self.model, self._next())) for _ in range(self._batches()))
        self.model.train()
        self.last_evaluation = total / self._batches()

    def _batches(self) -> int:
        return self._settings["evaluate_batches"]

    def wait(self) -> None:
        """Wait until the device has done all steps."""
        _wait(self._device)

    def check(self) -> None:
        """Compare loss and gradients of a first step, in float32 here and in float64 on the CPU.

        Before the first step it is the network of this run that is compared, later one from the same seed.
        """
        batch = self._task.batch(np.random.default_rng(self._seed), self._task.checked)
        reference = _seeded(self._task, self._seed).double()
        model = _seeded(self._task, self._seed).to(self._device) if self._steps else self.model
        expected = self._task.apply(reference, _moved(batch, "cpu", torch.float64))
        expected.backward()  # type: ignore[no-untyped-call]
        here = _moved(batch, self._device, torch.float32)
        with exact():
            loss = self._task.apply(model, here)
            loss.backward()  # type: ignore[no-untyped-call]
        compare("loss", loss, expected)
        pairs = list(zip(model.named_parameters(), reference.parameters(), strict=True))
        least = _FAINT * max(float(_gradient(wanted).abs().max()) for _, wanted in pairs)
        for (name, got), wanted in pairs:
            compare(f"gradient of {name}", _gradient(got), _gradient(wanted), least)
        model.zero_grad(set_to_none=True)
        with torch.no_grad(), torch.autocast(self._device.split(":")[0], dtype=torch.bfloat16):
            rough = float(self._task.apply(model, here))
        require_close("loss in bfloat16", np.array(rough), np.array(expected.item()), _ROUGH, _ROUGH)


@final
class InferenceRun:
    """A network that answers batch after batch."""

    def __init__(self, task: Task, seed: int, device: str) -> None:
        require_device(device)
        self.units = task.units
        self._task, self._seed, self._device = task, seed, device
        self.model = _seeded(task, seed).to(device, torch.bfloat16).eval()
        self._random = np.random.default_rng(seed)
        self._results: Tensor | None = None

    def step(self) -> None:
        """Answer one batch."""
        batch = _moved(self._task.batch(self._random, self._task.samples), self._device, torch.bfloat16)
        with torch.inference_mode():
            self._results = self._task.apply(self.model, batch)

    def wait(self) -> None:
        """Wait until the device has done all steps."""
        _wait(self._device)

    def check(self) -> None:
        """Compare the results of a first batch, in float32 here and in float64 on the CPU, for the same weights."""
        batch = self._task.batch(np.random.default_rng(self._seed), self._task.checked)
        reference = _seeded(self._task, self._seed).bfloat16().double().eval()
        model = copy.deepcopy(self.model).float()
        with torch.no_grad(), exact():
            expected = self._task.apply(reference, _moved(batch, "cpu", torch.float64))
            got = self._task.apply(model, _moved(batch, self._device, torch.float32))
        compare("results", got, expected)
