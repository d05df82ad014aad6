"""How a network's results are compared with the oracle (`hashwarden.kernels.workloads.learning.oracle`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.learning.optimiser import BETA_1, BETA_2, DECAY, EPSILON, RATE
from hashwarden.kernels.workloads.learning.oracle import Value
from hashwarden.kernels.workloads.learning.program import Program
from hashwarden.kernels.workloads.plan import require_close

__all__ = ["TOLERANCE", "Parameters", "check_output", "check_training", "parameters_of"]

TOLERANCE: Final = 1e-3
"""Largest difference from the oracle, as a share of the largest number of the same array: float32 keeps about
1e-7, and the longest chains of sums here lose three to four digits of it."""

_FAINT: Final = 1e-3

_WIDE: Final = 256 << 20
"""Networks whose arrays take more bytes are compared in float32, within seconds."""

Parameters = dict[str, Value]


def parameters_of(program: Program, contents: Mapping[str, NDArray[Any]]) -> Parameters:
    """Parameters of a network as oracle values, in their shapes."""
    kind = np.float32 if sum(array.nbytes for array in program.arrays.values()) > _WIDE else np.float64
    return {
        name: Value(contents[name].astype(kind).reshape(tensor.rows, tensor.columns))
        for name, tensor in program.weights.items()
    }


def check_output(what: str, got: NDArray[Any], expected: NDArray[Any], least: float = 0.0) -> None:
    """Compare an array with the oracle's, relative to its largest number, or to ``least`` if that is larger."""
    scale = max(float(np.max(np.abs(expected), initial=0.0)), least)
    require_close(what, got.reshape(expected.shape), expected, relative=TOLERANCE, absolute=TOLERANCE * scale)


def check_training(
    results: Mapping[str, NDArray[Any]], program: Program, loss: str, losses_of: Callable[[Parameters], Value]
) -> None:
    """Compare the losses, gradients, moments and parameters after step 0.

    Parameters
    ----------
    results : mapping
        The arrays after the step.
    program : Program
        The network; its host arrays hold the first parameters.
    loss : str
        Array of the losses.
    losses_of : callable
        From parameters to the oracle's losses, whose mean was minimised.
    """
    first = {name: array for name, array in program.arrays.items() if isinstance(array, np.ndarray)}
    parameters = parameters_of(program, first)
    losses = losses_of(parameters)
    check_output("loss", results[loss], losses.data)
    losses.mean().backward()
    # Some gradients are zero but for rounding (a key's bias), so none is held to less than a share of the largest.
    least = _FAINT * max(float(np.max(np.abs(value.gradient))) for value in parameters.values())
    for name, value in parameters.items():
        slope = value.gradient.reshape(-1)
        check_output(f"gradient of {name}", results[f"m_{name}"] / (1 - BETA_1), slope, least)
        check_output(f"squared gradient of {name}", results[f"v_{name}"] / (1 - BETA_2), slope * slope, least**2)
        _check_adam(name, results, first[name])


def _check_adam(name: str, results: Mapping[str, NDArray[Any]], before: NDArray[Any]) -> None:
    """Compare a parameter with what its own moments make of it: no oracle knows the sign of a faint gradient."""
    mean = results[f"m_{name}"].astype(np.float64) / (1 - BETA_1)
    power = results[f"v_{name}"].astype(np.float64) / (1 - BETA_2)
    expected = before * (1 - RATE * DECAY) - RATE * mean / (np.sqrt(power) + EPSILON)
    require_close(name, results[name], expected, relative=1e-5, absolute=RATE * 1e-2)
