"""Channels in pieces: piecewise linear encoding (Gorishniy, Rubachev and Babenko 2022) whose pieces are learned too.

C = channels, P = pieces.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

__all__ = ["WIDER", "Pieces"]

WIDER: Final = 4.0
"""How much wider or narrower a piece may become than it began."""


class Pieces(nn.Module):
    """Cut each channel into pieces that rise from 0 to 1.

    Parameters
    ----------
    channels, pieces : int

    Attributes
    ----------
    low, span : tensor, shape (C, P)
        Where each piece begins and how wide it is, once `settle` was called; none begins below 0, so that a channel
        without a value, which is 0, rises in none.
    """

    def __init__(self, channels: int, pieces: int) -> None:
        super().__init__()
        self.low: Tensor
        self.span: Tensor
        self.register_buffer("low", torch.zeros(channels, pieces))
        self.register_buffer("span", torch.ones(channels, pieces))
        self.shift = nn.Parameter(torch.zeros(channels, pieces))
        self.stretch = nn.Parameter(torch.zeros(channels, pieces))

    @torch.no_grad()
    def set_edges(self, edges: Tensor) -> None:
        """Set where channels are cut to begin with.

        Parameters
        ----------
        edges : tensor, shape (C, P + 1)
            Rising, none below 0, in the units of the channel. Values beyond the last count as the last.

        Raises
        ------
        ValueError
            For others.
        """
        edges, shape = torch.as_tensor(edges).float(), (self.low.shape[0], self.low.shape[1] + 1)
        if edges.shape != shape or not (edges.diff() > 0).all() or (edges < 0).any():
            raise ValueError(f"edges have to rise from 0 or more, shape {shape}")
        self._set(edges[:, :-1], edges.diff())

    @torch.no_grad()
    def settle(self) -> None:
        """Keep what was learned as plain numbers, the same in every precision: graphs are made of those."""
        self._set(*self._learned())

    def forward(self, values: Tensor) -> Tensor:
        """How far each value has risen in each piece: (..., C) to (..., C, P), each 0 to 1."""
        low, span = self._learned()
        risen: Tensor = _Rise.apply(values, low, span)  # type: ignore[no-untyped-call]  # torch has no types for it
        return risen

    def _set(self, low: Tensor, span: Tensor) -> None:
        self.low.copy_(low)
        self.span.copy_(span)
        self.shift.zero_()
        self.stretch.zero_()

    def _learned(self) -> tuple[Tensor, Tensor]:
        low = (self.low + self.span * self.shift).clamp_min(0)
        return low, self.span * WIDER ** torch.tanh(self.stretch)


class _Rise(torch.autograd.Function):
    """``clamp((x - low) / span, 0, 1)``; its gradient is written out, for autograd keeps every step of it.

    None is given for the values: they are data.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, low: Tensor, span: Tensor) -> Tensor:  # noqa: ANN401
        part = (values[..., None] - low).div_(span)
        risen = part.clamp(0, 1)
        ctx.save_for_backward(risen, span)
        return risen

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor]:  # noqa: ANN401
        risen, span = ctx.saved_tensors
        axes = tuple(range(risen.dim() - 2))
        within = gradients[0].mul((risen > 0) & (risen < 1))
        at_low = -within.sum(axes) / span
        return None, at_low, -within.mul_(risen).sum(axes) / span
