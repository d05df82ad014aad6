"""What a network says of runs: in torch, over whole runs with carried state, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt
import torch

from hashwarden.model.channels import GROUPS, Group
from hashwarden.model.job.network import JobNet
from hashwarden.training.job.dataset import Dataset
from hashwarden.training.job.store import FIRST_CHANNEL
from hashwarden.training.job.windows import groups_mask, pack

__all__ = ["Said", "predict"]

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

_SPAN: Final = 1024
"""Samples that are in memory at once of each run."""

_BESIDE: Final = 32
"""Runs that are read side by side."""


@final
@dataclass(frozen=True, slots=True)
class Said:
    """What the network says of one run, sample by sample.

    Attributes
    ----------
    run : int
        Its place in the data set.
    classes : float32 array, shape (T, 6)
        Log-probabilities, not yet tempered.
    families : float32 array, shape (T, 12)
        Log-probabilities, given that it mines.
    novelty : float32 array, shape (T,)
    """

    run: int
    classes: F32
    families: F32
    novelty: F32


def predict(
    network: JobNet, data: Dataset, rows: I64, groups: tuple[Group, ...] = GROUPS, longest: int | None = None,
) -> Iterator[Said]:  # fmt: skip
    """Let the network read runs from their beginning.

    Parameters
    ----------
    network : JobNet
        In evaluation mode.
    data : Dataset
    rows : int64 array
        The runs.
    groups : tuple of str
        What it may see.
    longest : int, optional
        Samples of a run at most; all of them by default.

    Yields
    ------
    Said
        In the order of ``rows`` sorted by length.
    """
    order = rows[np.argsort(data.length[rows], kind="stable")]
    for first in range(0, len(order), _BESIDE):
        yield from _side_by_side(network, data, order[first : first + _BESIDE], groups, longest)


def _side_by_side(
    network: JobNet, data: Dataset, rows: I64, groups: tuple[Group, ...], longest: int | None
) -> list[Said]:
    lengths = np.minimum(data.length[rows], longest or np.iinfo(np.int64).max)
    hidden, state, parts = ~groups_mask(groups), None, []
    for start in range(0, int(lengths.max()), _SPAN):
        size = min(_SPAN, int(lengths.max()) - start)
        sequences = [
            data.read(int(run), start, min(start + size, int(n))) for run, n in zip(rows, lengths, strict=True)
        ]
        for sequence in sequences:
            sequence[:, FIRST_CHANNEL:][:, hidden] = np.nan
        pieces = pack(sequences, np.full(len(rows), -1), size, carried=start > 0)
        inputs = [torch.from_numpy(array) for array in (pieces.samples, pieces.masks, pieces.dts)]
        with torch.no_grad():
            classes, families, novelty, state = network(*inputs, state)
        parts.append((classes.numpy(), families.numpy(), novelty.numpy()))
    classes, families, novelty = (np.concatenate(arrays, 1) for arrays in zip(*parts, strict=True))
    return [Said(int(r), classes[i, :n], families[i, :n], novelty[i, :n])
            for i, (r, n) in enumerate(zip(rows, lengths, strict=True))]  # fmt: skip
