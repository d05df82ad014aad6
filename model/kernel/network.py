"""The network of the kernel model, in torch. Only training imports this.

N = kernels, F = features, H = hidden width, M = families, G = groups (3).
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

__all__ = ["KernelNet"]


@final
class KernelNet(nn.Module):
    """Two hidden layers over standardised, clipped features; families summed into groups.

    Parameters
    ----------
    mean, scale : Tensor, shape (F,)
        Standardisation of the features.
    group_of_family : Tensor of int64, shape (M,)
        0 to 2.
    hidden : int
        Width of both hidden layers.
    dropout : float
        Share of features and of hidden units left out in training, 0 to 1.
    """

    mean: Tensor
    scale: Tensor
    outside: Tensor
    centre: Tensor
    whiten: Tensor

    CLIP = 4.0
    """Standard deviations at which a feature is cut: one wild share must not decide alone."""

    def __init__(
        self, mean: Tensor, scale: Tensor, group_of_family: Tensor, hidden: int = 72, dropout: float = 0.25
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        mask = torch.nn.functional.one_hot(group_of_family, 3).T.bool()
        self.register_buffer("outside", torch.where(mask, 0.0, -1e4))  # (G, M)
        self.register_buffer("centre", torch.zeros(hidden))
        self.register_buffer("whiten", torch.eye(hidden))
        self.trunk = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(len(mean), hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, len(group_of_family)))

    def embed(self, features: Tensor) -> Tensor:
        """(N, F) -> (N, H)."""
        cut = ((features - self.mean) / self.scale).clamp(-self.CLIP, self.CLIP)
        embedded: Tensor = self.trunk(cut)
        return embedded

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Judge kernels.

        Parameters
        ----------
        features : Tensor, shape (N, F)

        Returns
        -------
        groups : Tensor, shape (N, 3)
            Log-probabilities of the groups, not yet calibrated.
        families : Tensor, shape (N, M)
            Probabilities of the families.
        novelty : Tensor, shape (N,)
            Mahalanobis distance of the embedding from the training data, root mean square per dimension:
            about 1 for what was seen.
        """
        embedded = self.embed(features)
        families = torch.log_softmax(self.head(embedded), 1)  # (N, M)
        groups = torch.logsumexp(families[:, None, :] + self.outside, 2)  # (N, G)
        away = (embedded - self.centre) @ self.whiten  # (N, H)
        return groups, families.exp(), away.square().mean(1).sqrt()
