"""Who fits together: one process alone, or several that average their gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol, final

import torch
from torch import Tensor

__all__ = ["ALONE", "Team", "Workers"]


class Team(Protocol):
    """The workers of a fit, as one of them sees it.

    Attributes
    ----------
    rank, size : int
        Which one this is, of how many.
    """

    @property
    def rank(self) -> int: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    def mean(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their mean over all workers, in place."""


@final
class _Alone:
    rank = 0
    size = 1

    def mean(self, tensors: Iterable[Tensor]) -> None:
        """Nothing to do."""


ALONE: Final[Team] = _Alone()


@final
class Workers:
    """A worker of the default process group of torch.distributed."""

    def __init__(self) -> None:
        self.rank, self.size = torch.distributed.get_rank(), torch.distributed.get_world_size()

    def mean(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their mean over all workers, in place: one exchange for all of them."""
        found = list(tensors)
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in found])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        for tensor, part in zip(found, torch.split(flat, [tensor.numel() for tensor in found]), strict=True):
            tensor.detach().copy_(part.view_as(tensor))
