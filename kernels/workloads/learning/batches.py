"""A data set in device memory, and the shuffled batches that the steps gather from it."""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.learning.elementwise import quads
from hashwarden.kernels.workloads.learning.embedding import gather, gather_labels
from hashwarden.kernels.workloads.learning.program import Program, Tensor
from hashwarden.kernels.workloads.plan import Launch

__all__ = ["Batches"]

_EPOCH: Final = 4
"""Batches of the data set."""


@final
class Batches:
    """Samples and labels, normally and uniformly distributed.

    Parameters
    ----------
    program : Program
        Gets the arrays, and the launches that gather the batch of a step.
    batch, features, classes : int
        Samples of a batch, numbers of a sample, classes.

    Attributes
    ----------
    rows : Tensor
        The batch.
    labels : str
        Array of its labels, int32.
    first, first_labels : array
        Batch and labels of step 0, for the oracle.
    """

    def __init__(self, program: Program, batch: int, features: int, classes: int) -> None:
        samples = batch * _EPOCH
        data = program.random.standard_normal((samples, features), np.float32)
        answers = program.random.integers(0, classes, samples).astype(np.int32)
        order = program.random.permutation(samples).astype(np.int32)
        names = program.host("data", data), program.host("answers", answers), program.host("order", order)
        self.rows: Tensor = program.freeze(program.tensor("batch", batch, features))
        self.labels = program.scratch("labels", batch, np.int32)
        self.first: NDArray[Any] = data[order[:batch]]
        self.first_labels: NDArray[Any] = answers[order[:batch]]

        def rows(step: int) -> Launch:
            start = np.int64(step % _EPOCH * batch)
            arguments = (names[0], names[2], self.rows.name, np.int64(features), start)
            return Launch(gather, quads(batch, features), arguments)

        def labels(step: int) -> Launch:
            start = np.int64(step % _EPOCH * batch)
            return Launch(gather_labels, batch, (names[1], names[2], self.labels, start))

        program.launch(rows)
        program.launch(labels)
