"""The network as it is served: the same function in half the graph nodes.

At one kernel a call, what costs is not arithmetic but the number of nodes. Standardisation goes into the first
layer and the bounds of the clip, whitening becomes a layer, and the groups are sums of family probabilities.

N = kernels, F = features, H = hidden width, M = families.
"""

from __future__ import annotations

from typing import Any, Final, final

import torch
from torch import Tensor, nn

from hashwarden.model.kernel.network import KernelNet

__all__ = ["Folded", "folded"]

LEAST: Final = 1e-30
"""Probabilities of groups are not let under this, so that their logarithms stay finite."""


@final
class Folded(nn.Module):
    """A `KernelNet` in evaluation mode, folded; inputs and outputs are the same.

    Parameters
    ----------
    network : KernelNet
    """

    low: Tensor
    high: Tensor
    members: Tensor

    def __init__(self, network: KernelNet) -> None:
        super().__init__()
        layers: list[Any] = list(network.trunk)
        _, first, norm, _, _, second, _ = layers
        mean, scale = network.mean.double(), network.scale.double()
        self.register_buffer("low", (mean - network.CLIP * scale).float())
        self.register_buffer("high", (mean + network.CLIP * scale).float())
        weight = first.weight.double() / scale
        self.first = _linear(weight, first.bias.double() - weight @ mean)
        self.norm, self.second, self.head = norm, second, network.head[1]
        whiten = network.whiten.double() / len(network.centre) ** 0.5
        self.away = _linear(whiten.T, -(network.centre.double() @ whiten))
        self.register_buffer("members", (network.outside == 0).float().T.contiguous())  # (M, 3)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Judge kernels as `KernelNet.forward` does: (N, F) -> (N, 3), (N, M), (N,)."""
        cut = torch.minimum(torch.maximum(features, self.low), self.high)
        hidden = nn.functional.gelu(self.norm(self.first(cut)))
        embedded = nn.functional.gelu(self.second(hidden))  # (N, H)
        families = torch.softmax(self.head(embedded), 1)
        groups = (families @ self.members).clamp_min(LEAST).log()
        return groups, families, torch.linalg.vector_norm(self.away(embedded), dim=1)


def folded(network: KernelNet) -> Folded:
    """The folded form of a network, in evaluation mode; the network itself is not changed."""
    with torch.no_grad():
        return Folded(network).eval()


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data, layer.bias.data = weight.float().contiguous(), bias.float().contiguous()
    return layer
