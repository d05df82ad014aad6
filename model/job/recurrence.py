"""The linear recurrence of the job network, over all of a sequence at once. Only training imports this.

``y[t] = y[t-1] - leak[t] * y[t-1] + inflow[t]`` with a leak between 0 and 1. Time is cut into about sqrt(T) blocks: all
blocks run side by side from zero, then what enters each block is carried on. Nothing is divided, and a small leak is
never rounded away in ``1 - leak``, so slow units at a high sampling rate come out as in the plain loop.

N = batch, T = steps, D = units, B = blocks, L = steps of a block.
"""

from __future__ import annotations

import math
from typing import Any

import torch

__all__ = ["recurrence"]


def recurrence(leak: torch.Tensor, inflow: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Run the recurrence over time.

    Parameters
    ----------
    leak, inflow : tensor, shape (N, T, D)
    start : tensor, shape (N, D)
        The value before the first step.

    Returns
    -------
    tensor, shape (N, T, D)
        The values after each step.
    """
    result: torch.Tensor = _Recurrence.apply(leak, inflow, start)  # type: ignore[no-untyped-call]
    return result


class _Recurrence(torch.autograd.Function):
    """Its gradient is the same recurrence, backwards in time."""

    @staticmethod
    def forward(ctx: Any, leak: torch.Tensor, inflow: torch.Tensor, start: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        result = _blocked(leak, inflow, start)
        ctx.save_for_backward(leak, start, result)
        return result

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # noqa: ANN401
        leak, start, result = ctx.saved_tensors
        gradient = outer[0]
        later = torch.cat([leak[:, 1:], torch.zeros_like(leak[:, :1])], 1)  # what leaks on the way from t to t + 1
        total = _blocked(later.flip(1), gradient.flip(1), torch.zeros_like(start)).flip(1)
        before = torch.cat([start[:, None], result[:, :-1]], 1)
        return -total * before, total, total[:, 0] - leak[:, 0] * total[:, 0]


def _blocked(leak: torch.Tensor, inflow: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """The recurrence without a graph of gradients."""
    batch, steps, units = leak.shape
    length = max(1, math.isqrt(steps))
    blocks = -(-steps // length)
    rest = blocks * length - steps
    leaks, inflows = (  # (L, N, B, D): a step of all blocks lies together
        torch.nn.functional.pad(each, (0, 0, 0, rest))
        .view(batch, blocks, length, units)
        .permute(2, 0, 1, 3)
        .contiguous()
        for each in (leak, inflow)
    )
    local, lost = torch.empty_like(inflows), torch.empty_like(leaks)
    local[0], lost[0] = inflows[0], leaks[0]
    for step in range(1, length):
        kept = leaks[step]
        torch.add(local[step - 1] - kept * local[step - 1], inflows[step], out=local[step])
        torch.add(lost[step - 1], kept * (1 - lost[step - 1]), out=lost[step])  # 1 minus the product of 1 - leak
    entering = torch.empty_like(local[0])
    carried = start
    for block in range(blocks):
        entering[:, block] = carried
        carried = local[-1, :, block] + (carried - lost[-1, :, block] * carried)
    whole = local + (entering - lost * entering)
    return whole.permute(1, 2, 0, 3).reshape(batch, blocks * length, units)[:, :steps].contiguous()
