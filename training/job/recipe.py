"""What steers a fit of the job model: every number in one record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final

__all__ = ["FULL", "QUICK", "Recipe"]


@final
@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that steers a fit.

    Attributes
    ----------
    steps, batch, length : int
        Steps of the optimiser, sequences in a step, samples in a sequence.
    rate, warm, decay, clip : float
        Peak learning rate, share of the steps in which it rises, weight decay, largest norm of a gradient.
    smoothing : float
        Label smoothing.
    family_weight : float
        Weight of the loss on families beside the loss on classes.
    settle_s : float
        Seconds until a sample counts in full; the first one counts a tenth.
    classes : tuple of float
        Shares of the classes in a batch, in the order of `CLASSES`; those without runs fall away. Other computing has
        the honest work that is nearest to mining, which sets the null levels of the evidence.
    plain : float
        Share of the mining sequences that hide nothing; the other strategies share the rest evenly.
    tiers : tuple of float
        Shares of sequences that see all groups, GPM and code, GPM, plain NVML; the rest sees a random set of groups.
    channel_drop : float
        Largest share of single channels that a sequence lacks; the share is drawn anew for each.
    dying : float
        Share of sequences in which one group stops in the middle.
    slower : float
        Share of sequences that are thinned to a longer period, 60 s at most.
    average : float
        Decay of the averaged weights, which are what is kept.
    check : int
        Steps between two looks at the held-out runs.
    patience : int
        Looks without a better loss until the fit stops.
    held_out : float
        Share of the runs that early stopping and temperatures are measured on.
    seed, threads : int
        With one thread the same seed gives the same weights to the bit.
    """

    steps: int = 5000
    batch: int = 96
    length: int = 100
    rate: float = 4e-3
    warm: float = 0.1
    decay: float = 0.02
    clip: float = 1.0
    smoothing: float = 0.0
    family_weight: float = 0.15
    settle_s: float = 20.0
    classes: tuple[float, ...] = (0.17, 0.17, 0.27, 0.07, 0.28, 0.04)
    plain: float = 0.3
    tiers: tuple[float, ...] = (0.25, 0.2, 0.23, 0.2)
    channel_drop: float = 0.3
    dying: float = 0.05
    slower: float = 0.3
    average: float = 0.99
    check: int = 250
    patience: int = 5
    held_out: float = 0.1
    seed: int = 0
    threads: int = field(default=1, compare=False)


FULL: Final = Recipe()
"""The recipe of the shipped model."""

QUICK: Final = Recipe(steps=1000, check=200)
"""A shorter fit, for folds and trials."""
