"""How the score of unseen miners moves when they are padded and their constants hidden."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final

import numpy as np
import numpy.typing as npt
import torch

from hashwarden.model.kernel.features import features_of_counts
from hashwarden.model.kernel.network import KernelNet
from hashwarden.model.kernel.taxonomy import MINING, PLAIN
from hashwarden.training.kernel.augment import PADDINGS, hide_constants, pad
from hashwarden.training.kernel.dataset import Dataset

__all__ = ["RATIOS", "Padded"]

RATIOS: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 7.0, 10.0)
"""Added instructions per instruction of the kernel."""


@final
@dataclass(slots=True)
class Padded:
    """Collects scores of held-out mining kernels under padding; give `visit` to `cross_validate`.

    Attributes
    ----------
    data : Dataset
    scores : dict of (str, float) to float32 array, shape (kernels,)
        By kind of padding and ratio: network log-odds of mining against plain; NaN where not computed.
    """

    data: Dataset
    scores: dict[tuple[str, float], npt.NDArray[np.float32]] = field(default_factory=dict)

    def visit(self, network: KernelNet, held_out: npt.NDArray[np.int64]) -> None:
        """Score the mining kernels of one fold under all paddings."""
        rows = held_out[(self.data.group[held_out] == MINING) & self.data.usable[held_out]]
        kernels = self.data.counts.take(rows)
        hidden = hide_constants(kernels, np.ones(len(rows), bool))
        for kind in PADDINGS:
            for ratio in RATIOS:
                self._put(kind, ratio, rows, network, features_of_counts(pad(kernels, ratio, kind)))
        self._put("constants hidden", 0.0, rows, network, features_of_counts(hidden))

    def _put(
        self,
        kind: str,
        ratio: float,
        rows: npt.NDArray[np.int64],
        network: KernelNet,
        features: npt.NDArray[np.float32],
    ) -> None:
        with torch.no_grad():
            groups = network(torch.from_numpy(features))[0].numpy()
        into = self.scores.setdefault((kind, ratio), np.full(len(self.data), np.nan, np.float32))
        into[rows] = groups[:, MINING] - groups[:, PLAIN]

    def found(self, threshold: float) -> dict[str, list[float]]:
        """Share of mining kernels above a score, by kind, for each of `RATIOS` (one value for hidden constants)."""
        shares: dict[str, list[float]] = {}
        for (kind, _), score in sorted(self.scores.items()):
            known = score[~np.isnan(score)]
            shares.setdefault(kind, []).append(float((known > threshold).mean()))
        return shares
