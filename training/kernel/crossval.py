"""Scores of kernels from networks that had not seen their lineage, or their family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from hashwarden.model.kernel.features import features_of_counts
from hashwarden.model.kernel.network import KernelNet
from hashwarden.model.kernel.taxonomy import MINING, PLAIN
from hashwarden.training.kernel.dataset import Dataset
from hashwarden.training.kernel.fit import Recipe, family_groups, fit

__all__ = ["Told", "Visit", "cross_validate", "folds_by_family"]

F32 = npt.NDArray[np.float32]
Told = Callable[[str], None]
Visit = Callable[[KernelNet, npt.NDArray[np.int64]], None]
FAMILY_FOLDS: Final = 12


def folds_by_family(data: Dataset, seed: int = 0) -> npt.NDArray[np.int64]:
    """Deal whole families of hash work out over twelve folds, own workloads too; plain work goes by source.

    A family that is held out is held out everywhere: no other repository and no workload of ours teaches it.
    """
    rng = np.random.default_rng(seed)
    fold_of: dict[str, int] = {}
    for keys in (
        sorted(set(data.family[data.group == MINING])),
        sorted({f"source {s}" for s in data.source[data.group == PLAIN]}),
        sorted({f"other {s}" for s in data.source[data.group == 1]}),
    ):
        rng.shuffle(keys)
        fold_of |= {str(key): index % FAMILY_FOLDS for index, key in enumerate(keys)}
    prefix = np.array(["source ", "other ", ""])
    names = np.where(data.group == MINING, data.family, data.source)
    return np.array([fold_of[f"{prefix[g]}{name}"] for g, name in zip(data.group, names, strict=True)])


def cross_validate(  # noqa: PLR0913  the two last are by name
    data: Dataset,
    fold: npt.NDArray[np.int64],
    recipe: Recipe,
    told: Told,
    *,
    use_own: bool = True,
    visit: Visit | None = None,
) -> tuple[F32, F32]:
    """Score every row by a network that was fitted without its fold.

    Parameters
    ----------
    data : Dataset
    fold : int64 array, shape (kernels,)
        Rows of fold -1 are only learned from.
    recipe : Recipe
    told : callable
        Is told after each fold.
    use_own : bool
        Whether this project's own workloads are learned from.
    visit : callable, optional
        Is given each network and the rows that it had not seen.

    Returns
    -------
    groups : float32 array, shape (kernels, 3)
        Log-probabilities; rows of fold -1 are 0.
    novelty : float32 array, shape (kernels,)
    """
    families, group_of_family = family_groups(data)
    features = features_of_counts(data.counts)
    groups, novelty = np.zeros((len(data), 3), np.float32), np.zeros(len(data), np.float32)
    folds = sorted(set(fold.tolist()) - {-1})
    for index in folds:
        rows = np.flatnonzero(data.usable & (fold != index) & (use_own | ~data.own))
        network = fit(data, rows, families, group_of_family, recipe)
        held_out = np.flatnonzero(fold == index)
        with torch.no_grad():
            logs, _, far = network(torch.from_numpy(features[held_out]))
        groups[held_out], novelty[held_out] = logs.numpy(), far.numpy()
        if visit is not None:
            visit(network, held_out)
        told(f"fold {index + 1} of {len(folds)}")
    return groups, novelty
