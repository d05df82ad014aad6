"""Builders of torch programs that import torch only when one is built, and the rhythm of training jobs."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from hashwarden.errors import MissingExtraError
from hashwarden.kernels.workloads.workload import Parameter, Settings, TorchBuilder, TorchRun

__all__ = ["RHYTHM", "RHYTHM_GPU", "RHYTHM_SMALL", "torch_builder"]

RHYTHM: Final = (
    Parameter("pause_every", "steps", 0, 1 << 20, "steps between waits for data, 0 for none (torch)"),
    Parameter("pause_ms", "milliseconds", 0, 60_000, "length of a wait for data (torch)"),
    Parameter("evaluate_every", "steps", 0, 1 << 20, "steps between evaluations, 0 for none (torch)"),
    Parameter("evaluate_batches", "batches", 1, 10_000, "batches of an evaluation (torch)"),
    Parameter("checkpoint_every", "steps", 0, 1 << 20, "steps between checkpoints, 0 for none (torch)"),
)
"""What gives the telemetry of real training its rhythm: waits, evaluations and checkpoints by number of the step."""

RHYTHM_SMALL: Final = {
    "pause_every": 2,
    "pause_ms": 1,
    "evaluate_every": 2,
    "evaluate_batches": 1,
    "checkpoint_every": 2,
}
RHYTHM_GPU: Final = {
    "pause_every": 100,
    "pause_ms": 300,
    "evaluate_every": 500,
    "evaluate_batches": 50,
    "checkpoint_every": 1000,
}


def torch_builder(module: str, function: str) -> TorchBuilder:
    """Defer to a function of a module of this package that imports torch.

    Raises
    ------
    MissingExtraError
        When called, if torch is not installed.
    """

    def build(settings: Settings, seed: int, device: str) -> TorchRun:
        try:
            import_module("torch")
        except ImportError as error:
            raise MissingExtraError.of("torch", "train") from error
        builder: TorchBuilder = getattr(import_module(f"{__package__}.{module}"), function)
        return builder(settings, seed, device)

    return build
